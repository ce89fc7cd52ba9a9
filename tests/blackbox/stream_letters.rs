//! Dead letters in a stream, made by hand as a run writes them, and the commands that look at them.

use crate::{
    letters::Fates,
    stream_rig::{Client, DEAD, IN, StreamPipeline},
    support::hotspur::Ended,
};

/// What is recorded of those that were replayed.
pub(crate) const RECORDED: &str = "in.dead.replayed";

/// Fields of the letter of an entry of that stream, of that class, in the order in which a run
/// writes them.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

impl Letter {
    /// Of the entry `1700000000123-number`, whose payload is an object that holds the number.
    pub(crate) fn of(number: usize, class: &str) -> Letter {
        Letter::with_payload(format!("{{\"n\":\"{number}\"}}"), number, class)
    }

    pub(crate) fn with_payload(payload: impl Into<Vec<u8>>, number: usize, class: &str) -> Letter {
        let payload = ("payload".to_owned(), payload.into());
        let ours = [
            ("hotspur.class", class),
            ("hotspur.reason", "it had to be"),
            ("hotspur.step", "parse"),
            ("hotspur.topic", IN),
            ("hotspur.partition", "0"),
            ("hotspur.offset", &format!("1700000000123-{number}")),
            ("hotspur.timestamp", "1700000000123"),
            ("hotspur.pipeline", "by-hand"),
            ("hotspur.replays", "0"),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        Letter { fields: [payload].into_iter().chain(ours).collect() }
    }

    /// With a field of the entry before ours, behind its payload.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Letter {
        let ours = self.fields.iter().position(|(name, _)| name.starts_with("hotspur."));
        self.fields.insert(ours.expect("ours"), (name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn key(mut self, key: impl AsRef<[u8]>) -> Letter {
        self.fields.insert(0, ("key".to_owned(), key.as_ref().to_vec()));
        self
    }

    /// With another value of that field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Letter {
        self.fields.retain(|(it, _)| it != name);
        self.fields.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Letter {
        self.fields.retain(|(it, _)| it != name);
        self
    }
}

impl Client {
    /// Adds letters with these ids.
    pub(crate) fn add_letters(&mut self, letters: impl Iterator<Item = (String, Letter)>) {
        let mut pipe = redis::pipe();
        for (id, letter) in letters {
            let command = pipe.cmd("XADD").arg(DEAD).arg(id);
            letter.fields.iter().for_each(|(name, value)| _ = command.arg(name).arg(value));
            command.ignore();
        }
        self.exec(&pipe);
    }

    /// The number in each entry, in order of the numbers.
    pub(crate) fn numbers_in(&mut self, stream: &str) -> Vec<usize> {
        let numbers = self.entries(stream).into_iter().map(|it| it.text("n").parse());
        let mut numbers: Vec<_> = numbers.map(|it| it.expect("a number")).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Runs `hotspur replay` to its end, whatever that is.
pub(crate) fn replay(pipeline: &StreamPipeline, arguments: &[&str]) -> Ended {
    pipeline.start_with(&[&["replay"], arguments].concat(), &[]).wait()
}

/// Runs `hotspur replay`, expects that it was done as asked, and takes its counts.
#[track_caller]
pub(crate) fn replayed(pipeline: &StreamPipeline, arguments: &[&str]) -> Fates {
    let ended = replay(pipeline, arguments);
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    Fates(ended.output)
}

/// What `hotspur dead --json` says.
#[track_caller]
pub(crate) fn dead_json(pipeline: &StreamPipeline, arguments: &[&str]) -> serde_json::Value {
    let ended = pipeline.start_with(&[&["dead", "--json"], arguments].concat(), &[]).wait();
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    serde_json::from_str(&ended.output).expect("one JSON object")
}

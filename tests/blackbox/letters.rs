//! Dead letters as a run writes them, made by hand, and the commands that look at them.

use crate::support::{hotspur::Ended, kafka::Kafka, message::Message, pipeline::Pipeline};

/// A letter of the record with that number, from the pipeline's source: the number is its key, its
/// payload and its offset. The partition that it came from goes round those of the source.
pub(crate) fn letter(pipeline: &Pipeline, number: usize, class: &str, from: usize) -> Message {
    Message::new(number.to_string()).key(number.to_string()).header("trace", "1").letter_of(
        &pipeline.input,
        class,
        number % from,
        number,
    )
}

/// So many letters of one class.
pub(crate) fn letters(
    pipeline: &Pipeline,
    numbers: std::ops::Range<usize>,
    class: &str,
    from: usize,
) -> Vec<Message> {
    numbers.map(|number| letter(pipeline, number, class, from)).collect()
}

impl Message {
    /// The letter of this record.
    pub(crate) fn letter_of(
        self,
        topic: &str,
        class: &str,
        partition: usize,
        offset: usize,
    ) -> Message {
        self.header("hotspur.class", class)
            .header("hotspur.reason", "it had to be")
            .header("hotspur.step", "parse")
            .header("hotspur.topic", topic)
            .header("hotspur.partition", partition.to_string())
            .header("hotspur.offset", offset.to_string())
            .header("hotspur.timestamp", "1700000000123")
            .header("hotspur.pipeline", "by-hand")
            .header("hotspur.replays", "0")
    }

    /// With another value for the header of that name.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Message {
        self.headers.retain(|(it, _)| it != name);
        self.header(name, value)
    }
}

/// The topic in which is recorded what was replayed.
pub(crate) fn recorded_in(pipeline: &Pipeline) -> String {
    format!("{}.replayed", pipeline.dead)
}

/// Runs `hotspur replay` to its end, whatever that is.
pub(crate) fn replay(pipeline: &Pipeline, arguments: &[&str]) -> Ended {
    pipeline.start(&[&["replay"], arguments].concat()).wait()
}

/// Runs `hotspur replay`, expects that it was done as asked, and takes its counts.
#[track_caller]
pub(crate) fn replayed(pipeline: &Pipeline, arguments: &[&str]) -> Fates {
    let ended = replay(pipeline, arguments);
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    Fates(ended.output)
}

/// What `replay` says became of the letters.
#[derive(Debug)]
pub(crate) struct Fates(pub(crate) String);

impl Fates {
    /// How many became that; 0 where it is not mentioned.
    pub(crate) fn of(&self, name: &str) -> usize {
        let words = self.0.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = words.into_iter().find(|words| words.get(1) == Some(&name));
        found.map_or(0, |words| words[0].parse().expect("a count"))
    }
}

/// What `hotspur dead --json` says.
#[track_caller]
pub(crate) fn dead_json(pipeline: &Pipeline, arguments: &[&str]) -> serde_json::Value {
    let ended = pipeline.start(&[&["dead", "--json"], arguments].concat()).wait();
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    serde_json::from_str(&ended.output).expect("one JSON object")
}

/// Everything in a topic, by partition and key: the numbers that letters were made with.
pub(crate) fn numbers_in(kafka: &Kafka, topic: &str) -> Vec<usize> {
    let key = |it: &Message| {
        std::str::from_utf8(it.key.as_deref().expect("a key"))
            .expect("text")
            .parse()
            .expect("a number")
    };
    let mut numbers: Vec<usize> = kafka.read(topic).iter().map(key).collect();
    numbers.sort_unstable();
    numbers
}

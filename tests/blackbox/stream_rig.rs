//! Pipelines on Redis Streams: a configuration of their own, and what a plain client sees.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use redis::{Connection, RedisResult, Value, from_redis_value};
use tempfile::TempDir;

use crate::support::{await_true, hotspur::Hotspur, redis::Redis};

pub(crate) const IN: &str = "in";
pub(crate) const OUT: &str = "out";
pub(crate) const DEAD: &str = "in.dead";
pub(crate) const GROUP: &str = "workers";

/// An entry: its id, and its fields by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) fields: BTreeMap<String, Vec<u8>>,
}

impl Entry {
    /// A field as text; empty if it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        let bytes = self.fields.get(name).cloned().unwrap_or_default();
        String::from_utf8(bytes).expect("a field in UTF-8")
    }
}

/// A client of a Redis.
pub(crate) struct Client {
    connection: Connection,
}

impl Client {
    pub(crate) fn of(redis: &Redis) -> Client {
        let client = redis::Client::open(redis.url()).expect("a URL");
        Client { connection: client.get_connection().expect("Redis answers") }
    }

    pub(crate) fn run(&mut self, words: &[&str]) -> RedisResult<Value> {
        redis::Cmd::new().arg(words).query(&mut self.connection)
    }

    /// What a command answers that answers in text.
    pub(crate) fn text(&mut self, words: &[&str]) -> String {
        from_redis_value(self.run(words).expect("an answer")).expect("text")
    }

    /// Adds an entry; its id.
    pub(crate) fn add(&mut self, stream: &str, fields: &[(&str, &[u8])]) -> String {
        let mut command = redis::cmd("XADD");
        command.arg(&[stream, "*"]);
        for (name, value) in fields {
            command.arg(name).arg(value);
        }
        command.query(&mut self.connection).expect("Redis takes an entry")
    }

    /// Adds entries of one field each, whose values are these numbers as objects.
    pub(crate) fn add_numbers(&mut self, stream: &str, numbers: std::ops::Range<u64>) {
        for chunk in numbers.collect::<Vec<_>>().chunks(500) {
            let mut pipe = redis::pipe();
            for number in chunk {
                pipe.cmd("XADD").arg(&[stream, "*", "n"]).arg(number).ignore();
            }
            pipe.exec(&mut self.connection).expect("Redis takes entries");
        }
    }

    /// All entries, oldest first.
    pub(crate) fn entries(&mut self, stream: &str) -> Vec<Entry> {
        type Fields = Vec<(String, Vec<u8>)>;
        let reply: Vec<(String, Fields)> = redis::cmd("XRANGE")
            .arg(&[stream, "-", "+"])
            .query(&mut self.connection)
            .expect("Redis has a stream");
        let entry = |(id, fields): (_, Fields)| Entry { id, fields: fields.into_iter().collect() };
        reply.into_iter().map(entry).collect()
    }

    pub(crate) fn len(&mut self, stream: &str) -> u64 {
        redis::cmd("XLEN").arg(stream).query(&mut self.connection).expect("Redis has a stream")
    }

    /// Waits for that many entries.
    #[track_caller]
    pub(crate) fn await_len(&mut self, stream: &str, len: u64) {
        await_true(format_args!("{len} entries in {stream}"), || self.len(stream) >= len);
    }

    /// Entries that were delivered and not acknowledged.
    pub(crate) fn pending(&mut self, stream: &str) -> u64 {
        let reply = self.run(&["XPENDING", stream, GROUP]).expect("a group");
        let Value::Array(parts) = reply else { panic!("no array: {reply:?}") };
        from_redis_value(parts[0].clone()).expect("a number")
    }

    /// Waits until all is delivered and acknowledged.
    #[track_caller]
    pub(crate) fn await_settled(&mut self, stream: &str) {
        await_true(format_args!("all of {stream} to be acknowledged"), || {
            self.pending(stream) == 0 && self.lag(stream) == Some(0)
        });
    }

    fn lag(&mut self, stream: &str) -> Option<u64> {
        self.of_group(stream, "lag").and_then(|it| from_redis_value(it).ok())
    }

    fn of_group(&mut self, stream: &str, name: &str) -> Option<Value> {
        let reply = self.run(&["XINFO", "GROUPS", stream]).ok()?;
        let groups: Vec<BTreeMap<String, Value>> = from_redis_value(reply).ok()?;
        groups.into_iter().next()?.remove(name)
    }

    /// Names of the consumers of the group.
    pub(crate) fn consumers(&mut self, stream: &str) -> Vec<String> {
        let reply = self.run(&["XINFO", "CONSUMERS", stream, GROUP]).expect("a group");
        let consumers: Vec<BTreeMap<String, Value>> = from_redis_value(reply).expect("maps");
        let name = |it: &BTreeMap<String, Value>| from_redis_value(it["name"].clone());
        consumers.iter().map(|it| name(it).expect("a name")).collect()
    }

    /// Waits for the group.
    #[track_caller]
    pub(crate) fn await_group(&mut self, stream: &str) {
        await_true(format_args!("a group of {stream}"), || self.of_group(stream, "name").is_some());
    }
}

/// The numbers that results of `add_numbers` hold, as they came.
pub(crate) fn numbers(entries: &[Entry]) -> Vec<u64> {
    let number = |entry: &Entry| {
        let event: serde_json::Value =
            serde_json::from_str(&entry.text("payload")).expect("a result in JSON");
        let number = event["n"].as_str().map(str::to_owned);
        let number = number.unwrap_or_else(|| event["n"].to_string());
        number.parse().expect("a number")
    };
    entries.iter().map(number).collect()
}

/// A configuration on its way to a run.
pub(crate) struct StreamPipeline {
    folder: TempDir,
    text: String,
    sets: Vec<String>,
}

impl StreamPipeline {
    /// Stream to stream on one server.
    pub(crate) fn new(redis: &Redis) -> StreamPipeline {
        let url = redis.url();
        let source = format!(
            "[source.redis]\nurl = \"{url}\"\nstreams = [\"{IN}\"]\ngroup = \"{GROUP}\"\n\
             start = \"earliest\"\n"
        );
        let sink = format!("[sink.redis]\nstream = \"{OUT}\"\n");
        StreamPipeline::of(&source, &sink)
    }

    pub(crate) fn of(source: &str, sink: &str) -> StreamPipeline {
        let text = format!(
            "name = \"streams\"\ninstance = \"0\"\n{source}{sink}[engine]\ncore = \"none\"\n\
             [observe]\nlisten = \"off\"\n[log]\nformat = \"json\"\n"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        StreamPipeline { folder, text, sets: Vec::new() }
    }

    /// Sets a key, its value as `-s` takes it.
    pub(crate) fn set(mut self, key: &str, value: &str) -> StreamPipeline {
        self.sets.extend(["-s".to_owned(), format!("{key}={value}")]);
        self
    }

    /// Adds to the file.
    pub(crate) fn with(mut self, text: &str) -> StreamPipeline {
        self.text.push_str(text);
        self
    }

    fn file(&self) -> PathBuf {
        let path = self.folder.path().join("hotspur.toml");
        fs::write(&path, &self.text).expect("a file can be written");
        path
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a command on it, with more set.
    pub(crate) fn start_with(&self, command: &[&str], sets: &[&str]) -> Hotspur {
        let file = self.file();
        let mut arguments = vec!["--config", file.to_str().expect("a path in UTF-8")];
        arguments.extend(self.sets.iter().map(String::as_str));
        sets.iter().for_each(|it| arguments.extend(["-s", it]));
        arguments.extend(command);
        Hotspur::start(self.folder(), &arguments)
    }

    /// Starts `hotspur run`.
    pub(crate) fn run(&self) -> Hotspur {
        self.start_with(&["run"], &[])
    }

    /// Starts it under another instance, which is its name in the group.
    pub(crate) fn run_as(&self, instance: &str) -> Hotspur {
        self.start_with(&["run"], &[&format!("instance={instance}")])
    }
}

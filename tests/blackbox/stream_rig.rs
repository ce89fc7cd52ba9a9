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
pub(crate) const POSITIONS: &str = "positions.json";

/// Names and values, in their order.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

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

    /// Runs many commands.
    pub(crate) fn exec(&mut self, pipe: &redis::Pipeline) {
        pipe.exec(&mut self.connection).expect("Redis takes commands");
    }

    /// Fields of all entries, oldest first, in their order.
    pub(crate) fn fields(&mut self, stream: &str) -> Vec<Fields> {
        let command = redis::cmd("XRANGE").arg(&[stream, "-", "+"]).to_owned();
        let reply: Vec<(String, Fields)> =
            command.query(&mut self.connection).expect("Redis has a stream");
        reply.into_iter().map(|(_, fields)| fields).collect()
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

    pub(crate) fn has_group(&mut self, stream: &str) -> bool {
        self.of_group(stream, "name").is_some()
    }

    /// Waits for the group.
    #[track_caller]
    pub(crate) fn await_group(&mut self, stream: &str) {
        await_true(format_args!("a group of {stream}"), || self.has_group(stream));
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

    /// `tuning/pipelines/<name>.toml`, on a server of the test's own.
    pub(crate) fn shipped(name: &str, redis: &Redis) -> StreamPipeline {
        let path = format!("{}/tuning/pipelines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = redis.url();
        [
            ("instance", "0"),
            ("source.redis.url", &url),
            ("source.redis.group", GROUP),
            ("engine.core", "none"),
            ("observe.listen", "off"),
            ("log.format", "json"),
        ]
        .iter()
        .fold(StreamPipeline { folder, text, sets: Vec::new() }, |it, (key, value)| {
            it.set(key, value)
        })
    }

    /// The same without a group, its positions in a file beside the configuration.
    pub(crate) fn plain(redis: &Redis) -> StreamPipeline {
        let url = redis.url();
        let source = format!(
            "[source.redis]\nurl = \"{url}\"\nstreams = [\"{IN}\"]\nstart = \"earliest\"\n\
             positions = \"{POSITIONS}\"\n"
        );
        StreamPipeline::of(&source, &format!("[sink.redis]\nstream = \"{OUT}\"\n"))
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

    /// Up to which entry a stream was read, as the file of positions says.
    pub(crate) fn position(&self, stream: &str) -> Option<String> {
        let text = fs::read(self.folder().join(POSITIONS)).ok()?;
        let file: serde_json::Value = serde_json::from_slice(&text).expect("a whole file");
        Some(file["streams"][stream]["behind"].as_str().expect("an id").to_owned())
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

//! A shipped pipeline, changed as a user would change it, on topics and a group of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::{hotspur::Hotspur, kafka::Kafka, redis::Redis, unique};

/// A configuration, and the names in it.
#[derive(Debug)]
pub(crate) struct Pipeline {
    document: DocumentMut,
    folder: TempDir,
    /// The source topic.
    pub(crate) input: String,
    /// The sink topic.
    pub(crate) output: String,
    /// The topic of the dead letters.
    pub(crate) dead: String,
    /// The consumer group.
    pub(crate) group: String,
}

impl Pipeline {
    /// The text of orders, with the table `users` in that Redis.
    pub(crate) fn orders(kafka: &Kafka, redis: &Redis) -> Pipeline {
        Pipeline::shipped("orders", kafka).users_in(redis)
    }

    /// Orders with the result spliced in.
    pub(crate) fn orders_spliced(kafka: &Kafka, redis: &Redis) -> Pipeline {
        Pipeline::shipped("orders-spliced", kafka).users_in(redis)
    }

    /// Names with their hash.
    pub(crate) fn names(kafka: &Kafka) -> Pipeline {
        Pipeline::shipped("names", kafka)
    }

    fn users_in(self, redis: &Redis) -> Pipeline {
        self.set("tables.users.redis", redis.url()).set("tables.users.prefix", "user:")
    }

    /// Reads `tuning/pipelines/<name>.toml` and gives it topics that do not exist yet.
    fn shipped(name: &str, kafka: &Kafka) -> Pipeline {
        let path = format!("{}/tuning/pipelines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Pipeline::of(name, &text, kafka)
    }

    /// A configuration of the test's own: tables and steps, and what becomes of a record.
    pub(crate) fn of(name: &str, text: &str, kafka: &Kafka) -> Pipeline {
        let document = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("out");
        let pipeline = Pipeline {
            document,
            input: unique(&format!("{name}-in")),
            output: unique(&format!("{name}-out")),
            dead: unique(&format!("{name}-dead")),
            group: unique(&format!("{name}-group")),
            folder,
        };
        let [input, output, dead, group] =
            [&pipeline.input, &pipeline.output, &pipeline.dead, &pipeline.group].map(String::clone);
        pipeline
            .set("kafka.brokers", kafka.brokers())
            .set("source.kafka.topics", Array::from_iter([input]))
            .set("source.kafka.group", group)
            .set("source.kafka.start", "earliest")
            .set("sink.kafka.topic", output)
            .set("dead_letters.topic", dead)
            .set("engine.core", "none")
            .set("observe.listen", "off")
            .set("observe.out", out.to_str().expect("a folder in UTF-8"))
            .set("log.format", "json")
    }

    /// Sets a key, such as `engine.core`, whose parts have no dots of their own.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Pipeline {
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        self.table(tables).insert(last, Item::Value(value.into()));
        self
    }

    /// Takes a key out.
    pub(crate) fn without(mut self, key: &str) -> Pipeline {
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        self.table(tables).remove(last);
        self
    }

    /// Says what the first step, a lookup, does without a value.
    pub(crate) fn on_miss(self, on_miss: Value) -> Pipeline {
        self.set_in_step(1, "lookup", "on_miss", on_miss)
    }

    /// Sets a key of a step's operator; steps are counted from 1.
    pub(crate) fn set_in_step(
        mut self,
        number: usize,
        operator: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Pipeline {
        self.document["steps"][number - 1][operator][key] = Item::Value(value.into());
        self
    }

    /// The table of that name, made if it is not there.
    fn table(&mut self, name: &str) -> &mut dyn TableLike {
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for part in name.split_terminator('.') {
            let item = table.entry(part).or_insert_with(toml_edit::table);
            table = item.as_table_like_mut().unwrap_or_else(|| panic!("{part} is no table"));
        }
        table
    }

    /// Sets a librdkafka property of every client.
    pub(crate) fn property(self, name: &str, value: &str) -> Pipeline {
        self.property_of("kafka", name, value)
    }

    /// Sets a librdkafka property of the sink's client.
    pub(crate) fn sink_property(self, name: &str, value: &str) -> Pipeline {
        self.property_of("sink.kafka", name, value)
    }

    /// Puts a file beside the configuration.
    pub(crate) fn file(self, name: &str, text: &str) -> Pipeline {
        fs::write(self.folder.path().join(name), text).expect("a file can be written");
        self
    }

    /// Puts another in its place, at one stroke, as careful programs do.
    pub(crate) fn replace_file(&self, name: &str, text: &str) {
        let new = self.folder.path().join(format!("{name}.new"));
        fs::write(&new, text).expect("a file can be written");
        fs::rename(&new, self.folder.path().join(name)).expect("a file can be renamed");
    }

    fn property_of(mut self, client: &str, name: &str, value: &str) -> Pipeline {
        let properties = self.table(&format!("{client}.properties"));
        properties.insert(name, toml_edit::value(value));
        self
    }

    /// What dead letters call a step: its name, else its number from 1.
    pub(crate) fn step_name(&self, number: usize) -> String {
        let steps = self.document["steps"].as_array_of_tables().expect("[[steps]]");
        let name = steps.get(number - 1).expect("a step").get("name").and_then(Item::as_str);
        name.map_or_else(|| number.to_string(), str::to_owned)
    }

    /// Has a member that was killed be missed after three seconds, not 45.
    pub(crate) fn missed_soon(self) -> Pipeline {
        self.property("session.timeout.ms", "3000").property("heartbeat.interval.ms", "500")
    }

    /// Makes the three topics, each with that many partitions.
    pub(crate) fn create_topics(&self, kafka: &Kafka, partitions: i32) {
        for topic in [&self.input, &self.output, &self.dead] {
            kafka.create_topic(topic, partitions);
        }
    }

    /// Starts `hotspur run` on it.
    pub(crate) fn run(&self) -> Hotspur {
        self.start(&["run"])
    }

    /// Starts `hotspur run` and waits until its group has committed all that is in the source.
    #[track_caller]
    pub(crate) fn run_to_end(&self, kafka: &Kafka) -> Hotspur {
        let hotspur = self.run();
        kafka.await_committed_to_end(&self.group, &self.input);
        hotspur
    }

    /// Starts another command on it.
    pub(crate) fn start(&self, command: &[&str]) -> Hotspur {
        let file = self.written();
        let mut arguments = vec!["--config", file.to_str().expect("a path in UTF-8")];
        arguments.extend(command);
        Hotspur::start(self.folder.path(), &arguments)
    }

    /// The path of its configuration, as it is now.
    pub(crate) fn written(&self) -> PathBuf {
        // Others that were started on it may be reading it.
        self.replace_file("hotspur.toml", &self.document.to_string());
        self.folder.path().join("hotspur.toml")
    }

    /// The files of `observe.out` whose names end so.
    pub(crate) fn files_out(&self, ending: &str) -> Vec<PathBuf> {
        files_in(&self.folder.path().join("out"), ending)
    }
}

/// The files of a folder whose names end so, sorted; none if there is no such folder.
pub(crate) fn files_in(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending)))
        .collect();
    files.sort();
    files
}

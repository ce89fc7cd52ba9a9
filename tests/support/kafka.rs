//! A real Apache Kafka: one node from `scripts/setup`'s packages, and plain clients to look at it.
//!
//! It is what `scripts/kafka` starts, with the same settings. One is shared by all tests of a test
//! program; a test that ends or freezes brokers starts its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use tempfile::TempDir;

use super::{
    PATIENCE, await_some, await_true,
    child::Process,
    clients::{Reader, Writer},
    cluster::{self, KAFKA_VARIABLE},
    free_port,
    message::Message,
    names::{SASL_PASSWORD, SASL_USER},
    quotas,
};

/// A Kafka that answers.
#[derive(Debug)]
pub(crate) struct Kafka {
    plain: String,
    sasl: Option<String>,
    node: Option<Node>,
}

/// The process behind it, where it is ours.
#[derive(Debug)]
struct Node {
    process: Process,
    folder: TempDir,
    heap: &'static str,
}

/// The most memory that Java's heap takes for the node of many tests.
const HEAP: &str = "768m";

impl Kafka {
    /// The one that all tests share: `HOTSPUR_TEST_KAFKA`, or one that is started for them.
    pub(crate) fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| match cluster::named() {
            Some(addresses) => {
                let mut addresses = addresses.into_iter();
                let plain = addresses.next().unwrap_or_default();
                Kafka { plain, sasl: addresses.next(), node: None }
            }
            None => Kafka::start(),
        })
    }

    /// Starts one, empty, and waits until it answers.
    pub(crate) fn start() -> Kafka {
        let user = format!("SCRAM-SHA-256=[name={SASL_USER},password={SASL_PASSWORD}]");
        Kafka::start_with("", &[user], HEAP)
    }

    /// Starts one with settings that go over the usual ones, and with these users, each as
    /// `MECHANISM=[name=NAME,password=PASSWORD]`.
    pub(super) fn start_with(settings: &str, users: &[String], heap: &'static str) -> Kafka {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports = [free_port(), free_port(), free_port()];
        write_properties(folder.path(), ports, settings);
        format(folder.path(), users);
        let node = Node { process: launch(folder.path(), heap), folder, heap };
        Kafka {
            plain: format!("127.0.0.1:{}", ports[0]),
            sasl: Some(format!("127.0.0.1:{}", ports[1])),
            node: Some(node),
        }
    }

    /// The address for a configuration.
    pub(crate) fn brokers(&self) -> &str {
        &self.plain
    }

    /// The address that wants `names::SASL_USER` and the password, by SCRAM-SHA-256.
    pub(crate) fn brokers_with_sasl(&self) -> &str {
        self.sasl.as_deref().unwrap_or_else(|| {
            panic!("{KAFKA_VARIABLE} names no second address, that of the SASL listener")
        })
    }

    /// Kills the node, as a power cut would; its data stay.
    pub(crate) fn kill(&mut self) {
        self.node.as_mut().expect("a Kafka of the test's own").process.kill();
    }

    /// Starts the node again after `kill`, with its data, on the same ports.
    pub(crate) fn restart(&mut self) {
        let node = self.node.as_mut().expect("a Kafka of the test's own");
        node.process = launch(node.folder.path(), node.heap);
    }

    /// Between `kill` and `restart`: cuts a partition's only segment to half of its bytes, as a
    /// power cut does to a disk that lied, or an election to a log that nobody else had.
    pub(crate) fn cut_log(&self, topic: &str, partition: i32) {
        let node = self.node.as_ref().expect("a Kafka of the test's own");
        let folder = node.folder.path().join(format!("data/{topic}-{partition}"));
        let segment = folder.join("00000000000000000000.log");
        let file = File::options().write(true).open(&segment).expect("the first segment");
        let len = file.metadata().expect("its length").len();
        file.set_len(len / 2).expect("it can be cut");
    }

    /// Holds the node still: it is there, its connections stay, and it answers nothing.
    pub(crate) fn freeze(&self) {
        self.node.as_ref().expect("a Kafka of the test's own").process.signal("STOP");
    }

    /// Lets the node go on after `freeze`.
    pub(crate) fn thaw(&self) {
        self.node.as_ref().expect("a Kafka of the test's own").process.signal("CONT");
    }

    /// Makes a topic and waits until it can be used.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    /// The same with settings of the topic, such as `max.message.bytes`.
    pub(crate) fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        cluster::make_topic(&self.admin(), name, partitions, settings, PATIENCE);
        await_true(format_args!("topic {name}"), || {
            self.partitions(name) == partitions && !self.end_offsets(name).is_empty()
        });
    }

    /// Changes a setting of a topic.
    pub(crate) fn set_topic(&self, name: &str, key: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        let changed =
            cluster::block_on(self.admin().alter_configs([&change], &AdminOptions::new()));
        for result in changed.expect("Kafka answers") {
            result.unwrap_or_else(|(_, code)| panic!("topic {name} was not changed: {code}"));
        }
    }

    /// Moves the beginning of a partition's log, as retention does.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        let deleted = cluster::block_on(self.admin().delete_records(&list, &AdminOptions::new()));
        for entry in deleted.expect("Kafka answers").elements() {
            entry.error().unwrap_or_else(|error| panic!("{topic}: {error}"));
        }
    }

    /// Lets clients of that `client.id` write so many bytes a second.
    pub(crate) fn limit_writing(&self, client: &str, bytes_per_second: f64) {
        quotas::limit_writing(&self.plain, client, bytes_per_second);
    }

    /// Deletes a topic and waits until it is gone.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let deleted = cluster::block_on(self.admin().delete_topics(&[topic], &AdminOptions::new()));
        for result in deleted.expect("Kafka answers") {
            result.unwrap_or_else(|(_, code)| panic!("topic {topic} was not deleted: {code}"));
        }
        await_true(format_args!("the end of {topic}"), || self.partitions(topic) == 0);
    }

    /// How many partitions a topic has; 0 if there is none.
    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        let metadata = self.consumer("observer").fetch_metadata(Some(topic), PATIENCE);
        let metadata = metadata.expect("Kafka answers");
        let topic = metadata.topics().first().filter(|topic| topic.error().is_none());
        topic.map_or(0, |topic| i32::try_from(topic.partitions().len()).expect("few partitions"))
    }

    /// The offset after the last record, of each partition; empty while one has no leader.
    pub(crate) fn end_offsets(&self, topic: &str) -> Vec<i64> {
        let consumer = self.consumer("observer");
        let ends = (0..self.partitions(topic))
            .map(|partition| consumer.fetch_watermarks(topic, partition, PATIENCE));
        ends.collect::<Result<Vec<_>, _>>()
            .map_or(Vec::new(), |ends| ends.into_iter().map(|(_, end)| end).collect())
    }

    /// Looks until a topic's partitions hold so many records more than they do now, also those of
    /// transactions that are open or were given up, or until `is_over`.
    #[track_caller]
    pub(crate) fn await_written(&self, topic: &str, more: i64, mut is_over: impl FnMut() -> bool) {
        let client = self.client().set("isolation.level", "read_uncommitted").create();
        let client: BaseConsumer = client.expect("a consumer");
        let end = |partition| client.fetch_watermarks(topic, partition, PATIENCE);
        let partitions = self.partitions(topic);
        let written = || (0..partitions).map(|it| end(it).expect("Kafka answers").1).sum::<i64>();
        let enough = written() + more;
        await_true(format_args!("{more} records more"), || written() >= enough || is_over());
    }

    /// The offset that a group has committed, of each partition; `None` where it has not.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(topic, 0, self.partitions(topic) - 1);
        let consumer = self.consumer(group);
        // A new Kafka has no coordinator for groups before the first one asked for it.
        let committed = await_some(format_args!("what {group} has committed of {topic}"), || {
            consumer.committed_offsets(wanted.clone(), PATIENCE).ok()
        });
        let offset = |offset| if let Offset::Offset(it) = offset { Some(it) } else { None };
        committed.elements().iter().map(|it| offset(it.offset())).collect()
    }

    /// Waits until a group has committed everything there is.
    #[track_caller]
    pub(crate) fn await_committed_to_end(&self, group: &str, topic: &str) {
        await_true(format_args!("{group} to commit {topic} to its end"), || {
            self.is_committed_to_end(group, topic)
        });
    }

    /// Whether a group has committed everything there is.
    pub(crate) fn is_committed_to_end(&self, group: &str, topic: &str) -> bool {
        let ends = self.end_offsets(topic);
        let committed = self.committed(group, topic);
        ends.len() == committed.len()
            && ends.iter().zip(&committed).all(|(&end, &it)| end == 0 || it == Some(end))
    }

    /// Produces all of these and waits until they are acknowledged.
    #[track_caller]
    pub(crate) fn produce(&self, topic: &str, messages: &[Message]) {
        self.produce_with(topic, messages, &[]);
    }

    /// Produces with client properties, such as a compression.
    #[track_caller]
    pub(crate) fn produce_with(
        &self,
        topic: &str,
        messages: &[Message],
        properties: &[(&str, &str)],
    ) {
        let writer = Writer::open(&self.plain, properties);
        for message in messages {
            writer.send(topic, message);
        }
        writer.finish();
    }

    /// A writer that stays.
    pub(crate) fn writer(&self) -> Writer {
        Writer::open(&self.plain, &[])
    }

    /// A writer with client properties.
    pub(crate) fn writer_with(&self, properties: &[(&str, &str)]) -> Writer {
        Writer::open(&self.plain, properties)
    }

    /// Everything that is in a topic now, sorted by partition and offset, as a reader of committed
    /// records sees it.
    #[track_caller]
    pub(crate) fn read(&self, topic: &str) -> Vec<Message> {
        let mut reader = self.reader(topic);
        reader.read_to_end();
        let mut messages = reader.into_messages();
        messages.sort_by_key(|it| (it.partition, it.offset));
        messages
    }

    /// A reader that stays, from the topic's beginning.
    pub(crate) fn reader(&self, topic: &str) -> Reader {
        Reader::open(&self.plain, topic, self.partitions(topic))
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.client().set("group.id", group).create().expect("a consumer")
    }

    fn client(&self) -> ClientConfig {
        cluster::config(&self.plain)
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Of two settings of one name Kafka takes the later.
fn write_properties(folder: &Path, ports: [u16; 3], more: &str) {
    let template = repository().join("scripts/kafka.d/server.properties");
    let template = fs::read_to_string(template).expect("the settings of the test Kafka");
    let data = folder.join("data");
    let settings = format!("{template}\n{more}")
        .replace("@DATA@", data.to_str().expect("a folder in UTF-8"))
        .replace("@PLAIN_PORT@", &ports[0].to_string())
        .replace("@SASL_PORT@", &ports[1].to_string())
        .replace("@CONTROLLER_PORT@", &ports[2].to_string());
    fs::write(folder.join("server.properties"), settings).expect("the settings can be written");
}

/// Makes the data folder, with the users of the SASL listener.
fn format(folder: &Path, users: &[String]) {
    let class = ["kafka.tools.StorageTool", "format", "--cluster-id", "aG90c3B1ci10ZXN0cy4uLg"];
    let users = users.iter().flat_map(|user| ["--add-scram", user]);
    let arguments: Vec<_> = users.chain(["--config"]).collect();
    let mut process = java(folder, HEAP, &class, &arguments);
    let status = process.wait();
    assert!(status.success(), "the data folder was not made: {}", log(folder));
}

/// Starts the node and waits until it says that it serves.
fn launch(folder: &Path, heap: &str) -> Process {
    let mut process = java(folder, heap, &["kafka.Kafka"], &[]);
    await_true("Kafka", || {
        let ended = process.ended();
        assert!(ended.is_none(), "Kafka has ended: {}", log(folder));
        log(folder).contains("Kafka Server started")
    });
    process
}

fn java(folder: &Path, heap: &str, class: &[&str], arguments: &[&str]) -> Process {
    let libraries = repository().join(".servers/kafka/libs");
    assert!(libraries.is_dir(), "Kafka's packages are not there: run scripts/setup kafka");
    let logging = repository().join("scripts/kafka.d/log4j2.yaml");
    let log = File::create(folder.join("log")).expect("a log file");
    let errors = log.try_clone().expect("a second handle");
    Process::start("java", |command| {
        command
            .args(["-Xms128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .arg(format!("-Xmx{heap}"))
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .arg("-cp")
            .arg(libraries.join("*"))
            .args(class)
            .args(arguments)
            .arg(folder.join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
    })
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

//! A program of one's own on a broker: this test program is it, when it starts itself.
//!
//! Without a harness, so that the program has the `main` that a user's has. Told by its environment
//! to be the program, it does what its arguments say; else it tests what that does, on the embedded
//! broker.

#[path = "operators/brought.rs"]
mod brought;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use hotspur::transport::kafka::EmbeddedKafka;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    producer::{BaseProducer, BaseRecord, Producer},
};

const IS_THE_PROGRAM: &str = "OWN_PROGRAM";
const NAME: &str = "a_program_of_ones_own_runs_on_a_broker";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

const STEPS: &str = r#"
[tables.users]
file = "users.jsonl"
[[steps]]
name = "where"
when = "has(event.lat)"
geo = { lat = "event.lat", lon = "event.lon", into = "cell" }
[[steps]]
tier = { table = "users", key = "event.user", into = "tier" }
[[steps]]
when = "has(event.slow)"
dawdle = { ms = 200 }
"#;

fn main() {
    if env::var_os(IS_THE_PROGRAM).is_some() {
        hotspur::run(brought::register);
    }
    if env::args().any(|it| it == "--list") {
        return println!("{NAME}: test");
    }
    let is_asked = is_asked(env::args().skip(1));
    if is_asked {
        runs_on_a_broker();
        println!("test {NAME} ... ok");
    }
    let (ran, out) = (u8::from(is_asked), u8::from(!is_asked));
    println!(
        "\ntest result: ok. {ran} passed; 0 failed; 0 ignored; 0 measured; {out} filtered out"
    );
}

/// Whether the words of a command line, as a harness takes it, are about this test.
fn is_asked(mut arguments: impl Iterator<Item = String>) -> bool {
    let (mut words, mut skipped) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--ignored" => return false,
            "--skip" => skipped.extend(arguments.next()),
            "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => {
                arguments.next();
            }
            option if option.starts_with('-') => {}
            _ => words.push(argument),
        }
    }
    let is_about = |word: &String| NAME.contains(word.as_str());
    (words.is_empty() || words.iter().any(is_about)) && !skipped.iter().any(is_about)
}

fn runs_on_a_broker() {
    let kafka = EmbeddedKafka::new(1).expect("a port");
    for topic in ["in", "out", "in.dead"] {
        kafka.create_topic(topic, 1).expect("a topic");
    }
    let records = [
        r#"{"user":"a","lat":48.2,"lon":-16.4}"#,
        r#"{"user":"b","lat":91,"lon":0}"#,
        r#"{"user":"b"}"#,
    ];
    let brokers = kafka.bootstrap_servers();
    produce(brokers, &records);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    };
    write("users.jsonl", "{\"key\":\"t:a\",\"value\":{\"tier\":\"gold\"}}\n".to_owned());
    write("hotspur.toml", configuration(brokers, STEPS));
    write("wrong.toml", configuration(brokers, &STEPS.replace("lon =", "lno =")));

    let wrong = output(program(folder.path(), &["--config", "wrong.toml", "run"]));
    let told = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{told}");
    assert!(told.contains("steps[0].geo.lno") && told.contains("did you mean \"lon\"?"), "{told}");
    let schema = output(program(folder.path(), &["schema", "config"]));
    assert!(String::from_utf8_lossy(&schema.stdout).contains("\"degrees\""));

    let log = fs::File::create(folder.path().join("log")).expect("a file can be made");
    let running = program(folder.path(), &["run"]).stderr(log).spawn();
    let mut running = Running(running.expect("the program starts"), folder.path().join("log"));
    let results = consume(brokers, "out", 2);
    let values: Vec<_> = results.into_iter().map(|(value, _)| value).collect();
    assert_eq!(
        values,
        [
            r#"{"user":"a","lat":48.2,"lon":-16.4,"cell":"48:-17","tier":{"tier":"gold"}}"#,
            r#"{"user":"b","tier":"none"}"#,
        ]
    );
    let letters = consume(brokers, "in.dead", 1);
    assert_eq!(letters[0].0, records[1]);
    for header in ["hotspur.class=schema", "hotspur.step=where", "reason=91 is no latitude"] {
        assert!(letters[0].1.contains(header), "no {header} in {}", letters[0].1);
    }
    // What was there before the start leaves no line.
    produce(brokers, &[r#"{"user":"b","slow":true}"#]);
    consume(brokers, "out", 3);
    assert_eq!(running.stop(), Some(0));
    assert_eq!(slowest_stage(&folder.path().join("out")), "operate", "who dawdles is told");
}

/// Of the slowest record.
fn slowest_stage(out: &Path) -> String {
    let files = fs::read_dir(out).expect("files were written");
    let mut paths = files.map(|it| it.expect("a readable entry").path());
    let slow = paths.find(|it| it.to_string_lossy().ends_with(".slow.jsonl"));
    let lines = fs::read_to_string(slow.expect("some were slow")).expect("lines");
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let slowest = lines.max_by_key(|line: &serde_json::Value| line["stages"]["operate"].as_u64());
    slowest.expect("a line")["slowest_stage"].as_str().expect("a name").to_owned()
}

fn configuration(brokers: &str, steps: &str) -> String {
    format!(
        r#"
        name = "own"
        kafka.brokers = "{brokers}"
        engine.core = "none"
        observe = {{ listen = "off", out = "out" }}
        sink.kafka.topic = "out"
        [source.kafka]
        topics = ["in"]
        start = "earliest"
        # The embedded broker answers a fetch that waits only when its wait ends.
        properties = {{ "fetch.wait.max.ms" = 0 }}
        {steps}"#
    )
}

/// This program as the program.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command
        .args(arguments)
        .current_dir(folder)
        .env(IS_THE_PROGRAM, "1")
        .env_remove("HOTSPUR_CONFIG")
        .env_remove("HOTSPUR_PROFILE")
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

fn output(mut command: Command) -> Output {
    command.stderr(Stdio::piped()).output().expect("the program starts")
}

/// The program under way, and its log; dropped, it is killed.
struct Running(Child, PathBuf);

impl Running {
    /// Ends it as an operator would; its status.
    fn stop(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        let sent = Command::new("sh").args(["-c", r#"kill -s TERM "$0""#, &pid]).status();
        assert!(sent.expect("sh runs").success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("a child can be asked") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::park_timeout(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
        if thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.1).unwrap_or_default());
        }
    }
}

fn produce(brokers: &str, values: &[&str]) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", brokers).create().expect("a producer");
    for value in values {
        let record = BaseRecord::<(), str>::to("in").payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("it is taken");
    }
    producer.flush(PATIENCE).expect("all are acknowledged");
}

/// Waits for so many records of a topic: values, and headers in a line.
fn consume(brokers: &str, topic: &str, count: usize) -> Vec<(String, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "reader");
    let consumer: BaseConsumer =
        config.set("fetch.wait.max.ms", "10").create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).expect("a partition");
    consumer.assign(&list).expect("it can be read");
    let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while records.len() < count {
        assert!(Instant::now() < deadline, "{topic}: {records:?}");
        let Some(Ok(message)) = consumer.poll(LOOK) else { continue };
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers().map(|it| it.iter().collect::<Vec<_>>());
        let headers = headers.unwrap_or_default().into_iter();
        let headers = headers.map(|it| format!("{}={}", it.key, text(it.value)));
        records.push((text(message.payload()), headers.collect::<Vec<_>>().join(" ")));
    }
    records
}

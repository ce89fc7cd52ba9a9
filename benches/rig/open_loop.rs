//! Open loop: records are due by the clock, whatever became of those before them.
//!
//! A generator thread sends each record when it is due and writes into it when that was; a
//! listener thread reads the output and takes the difference on the same clock. Both do the same
//! whatever stands between the two topics, so what differs is that. Records are names, because
//! their bytes reach the output as they came. A generator that cannot keep its schedule counts
//! what it sent too late.

use std::{
    fmt::Write,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Message,
    producer::{BaseProducer, BaseRecord},
};

use super::{
    broker::{Broker, PATIENCE},
    cluster,
    process::{Process, Reading},
    system::{Places, Steps, System},
};

/// Load before what is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long after the last record results are waited for.
const LATE: Duration = Duration::from_secs(20);

/// A record handed over this long after it was due was sent too late.
const SLOT_MISSED: Duration = Duration::from_millis(1);

const PREFIX: &[u8] = b"{\"first_name\":\"";

/// What one run came to.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// From due to read from the output, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Records that never came, and those that were sent too late.
    pub(crate) lost: u64,
    pub(crate) missed_slots: u64,
    /// Of the process in between, if there is one.
    pub(crate) process_ns: f64,
    pub(crate) hot_ns: f64,
    pub(crate) hot_switches: f64,
    /// Percentiles of hotspur's own part, in microseconds: p50, p99, p99.9.
    pub(crate) transit_us: Option<[f64; 3]>,
}

/// One run of a system at a rate.
pub(crate) fn run(broker: &Broker, system: System, rate: u64, length: Duration) -> Figures {
    let input = broker.create_topic("loop-in");
    let output = match system {
        System::Hop => input.clone(),
        _ => broker.create_topic("loop-out"),
    };
    let places = Places {
        brokers: broker.address.clone(),
        input: input.clone(),
        output: output.clone(),
        table: Path::new("").to_owned(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut process = system.start(Steps::Names, &places, folder.path());
    // The threads of the clients below are made with it, and the process above was made without.
    let _priority = Priority::raise();
    let epoch = Instant::now();
    let listener = listen(&places.brokers, &output);
    let generator = generator(&places.brokers);
    // The first record goes through before any time counts.
    send(&generator, &input, 0);
    await_first(&listener, &generator, process.as_mut(), folder.path());
    let warm = (rate as f64 * WARM_UP.as_secs_f64()) as u64;
    let count = (rate as f64 * length.as_secs_f64()) as u64;
    let (sent, mut figures) = thread::scope(|scope| {
        let listening = scope.spawn(|| take(&listener, epoch, warm, warm + count));
        let start = Instant::now();
        let mut before = Reading::default();
        let mut late = 0;
        for number in 0..warm + count {
            if number == warm {
                before = process.as_ref().map(Process::read).unwrap_or_default();
            }
            let due = start + Duration::from_nanos(number * 1_000_000_000 / rate);
            wait_until(due, &generator);
            late += u64::from(number >= warm && due.elapsed() > SLOT_MISSED);
            send(&generator, &input, (due - epoch).as_nanos() as u64);
        }
        while generator_is_busy(&generator) {
            generator.poll(Duration::from_millis(1));
        }
        let figures = listening.join().expect("the listener ends");
        let used = process.as_ref().map(|it| it.read().since(&before)).unwrap_or_default();
        ((late, used), figures)
    });
    let (late, used) = sent;
    if let Some(process) = process {
        process.stop();
    }
    figures.missed_slots = late;
    figures.process_ns = used.process_cpu_ns as f64 / count as f64;
    figures.hot_ns = used.hot_cpu_ns as f64 / count as f64;
    figures.hot_switches = used.hot_voluntary_switches as f64 / count as f64;
    figures.transit_us = percentiles(&folder.path().join("out"), "transit");
    broker.delete_topic(&input);
    broker.delete_topic(&output);
    figures
}

/// The generator and the listener go before what is measured, so that what they are late is not
/// taken for its latency. Without the right to it they do without.
struct Priority;

impl Priority {
    const OF_WHO_MEASURES: i32 = -15;

    fn raise() -> Priority {
        Self::set(Self::OF_WHO_MEASURES);
        Priority
    }

    fn set(nice: i32) {
        // SAFETY: sets a number of the calling thread in the kernel, and touches no memory.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        Self::set(0);
    }
}

fn generator(brokers: &str) -> BaseProducer {
    let mut config = cluster::config(brokers);
    config.set("linger.ms", "0").set("acks", "all").set("enable.idempotence", "true");
    config.create().expect("a producer")
}

fn listen(brokers: &str, topic: &str) -> BaseConsumer {
    let mut config = cluster::config(brokers);
    config.set("group.id", format!("{topic}-listener")).set("enable.auto.commit", "false");
    let listener: BaseConsumer = config.create().expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    let added = partitions.add_partition_offset(topic, 0, Offset::Beginning);
    added.expect("a partition can be named");
    listener.assign(&partitions).expect("a partition can be read");
    listener
}

fn await_first(
    listener: &BaseConsumer,
    generator: &BaseProducer,
    mut process: Option<&mut Process>,
    folder: &Path,
) {
    let deadline = Instant::now() + PATIENCE;
    while !matches!(listener.poll(Duration::from_millis(50)), Some(Ok(_))) {
        generator.poll(Duration::ZERO);
        if let Some(process) = process.as_deref_mut() {
            process.assert_runs(folder);
        }
        assert!(Instant::now() < deadline, "the first record did not come through");
    }
}

/// Reads results until all have come, or none has for long; the first `warm` do not count.
fn take(listener: &BaseConsumer, epoch: Instant, warm: u64, all: u64) -> Figures {
    let mut latency = Histogram::new(3).expect("three digits");
    let mut taken = 0;
    let mut last = Instant::now();
    while taken < all && last.elapsed() < LATE {
        let Some(Ok(message)) = listener.poll(Duration::from_millis(100)) else { continue };
        let now = epoch.elapsed().as_nanos() as u64;
        last = Instant::now();
        taken += 1;
        let due = due_in(message.payload().unwrap_or_default());
        if taken > warm {
            latency.record(now.saturating_sub(due)).expect("a histogram that grows");
        }
    }
    Figures {
        latency,
        lost: all - taken,
        missed_slots: 0,
        process_ns: 0.0,
        hot_ns: 0.0,
        hot_switches: 0.0,
        transit_us: None,
    }
}

fn wait_until(due: Instant, generator: &BaseProducer) {
    generator.poll(Duration::ZERO);
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

fn send(generator: &BaseProducer, topic: &str, due_ns: u64) {
    let mut value = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = write!(value, "{{\"first_name\":\"{due_ns}\",\"last_name\":\"Lovelace\"}}");
    let record = BaseRecord::to(topic).key("user1").payload(&value);
    generator.send(record).unwrap_or_else(|(error, _)| panic!("a record was not taken: {error}"));
}

fn generator_is_busy(generator: &BaseProducer) -> bool {
    use rdkafka::producer::Producer;
    generator.in_flight_count() > 0
}

fn due_in(payload: &[u8]) -> u64 {
    let digits = payload.strip_prefix(PREFIX).unwrap_or_default();
    let digits = digits.iter().take_while(|it| it.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// Reads hotspur's own percentiles of `transit`, which it wrote as it ended.
pub(crate) fn percentiles(folder: &Path, span: &str) -> Option<[f64; 3]> {
    let files = fs::read_dir(folder).ok()?.flatten().map(|it| it.path());
    let ending = format!(".{span}.hgrm");
    // What was older than the run, such as the first record at times, has files of its own.
    let is_of_run = |name: &str| name.ends_with(&ending) && !name.contains(".backlog.");
    let file = files.into_iter().find(|it| is_of_run(&it.to_string_lossy()))?;
    let text = fs::read_to_string(file).ok()?;
    let rows: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let at = |quantile: f64| rows.iter().find(|row| row.1 >= quantile).map(|row| row.0);
    Some([at(0.5)?, at(0.99)?, at(0.999)?])
}

//! A load that goes on whatever happens: records are due by the clock, or as fast as it goes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};

use super::records;
use crate::support::{PATIENCE, cluster};

/// Records a second of the open loop: what the kill test has to stand at least.
pub(crate) const RATE: u64 = 5_000;

/// How often a few records are sent.
const PERIOD: Duration = Duration::from_millis(5);

/// A load under way.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<Duration>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Records handed over: the numbers below this one.
    sent: AtomicU64,
    is_over: AtomicBool,
    /// Records that were given up; the client never does, since nothing limits its time.
    failed: AtomicU64,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) count: u64,
    pub(crate) rate: f64,
}

struct Context(Arc<Shared>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Client = ThreadedProducer<Context>;

impl Load {
    /// Starts to send `RATE` records a second until it is told to end.
    pub(crate) fn start(brokers: &str, topic: &str) -> Load {
        Load::spawn(brokers, topic, |client, topic, shared| {
            let start = Instant::now();
            while !shared.is_over.load(Ordering::Relaxed) {
                let due = start.elapsed().as_nanos() as u64 * RATE / 1_000_000_000;
                send_up_to(client, topic, shared, due);
                thread::park_timeout(PERIOD);
            }
        })
    }

    /// Sends so many, as fast as it goes, and waits until they are acknowledged.
    pub(crate) fn send_all(brokers: &str, topic: &str, count: u64) -> Sent {
        let all = move |client: &Client, topic: &str, shared: &Shared| {
            send_up_to(client, topic, shared, count);
        };
        Load::spawn(brokers, topic, all).finish()
    }

    fn spawn(
        brokers: &str,
        topic: &str,
        run: impl FnOnce(&Client, &str, &Shared) + Send + 'static,
    ) -> Load {
        let shared = Arc::new(Shared::default());
        let client = client(brokers, Context(Arc::clone(&shared)));
        let thread = thread::spawn({
            let (shared, topic) = (Arc::clone(&shared), topic.to_owned());
            move || {
                let start = Instant::now();
                run(&client, &topic, &shared);
                client.flush(PATIENCE).expect("all records are acknowledged");
                start.elapsed()
            }
        });
        Load { shared, thread }
    }

    /// How many were handed over.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends it and waits until all are acknowledged.
    pub(crate) fn finish(self) -> Sent {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let took = self.thread.join().expect("the load was produced");
        let failed = self.shared.failed.load(Ordering::Relaxed);
        assert_eq!(failed, 0, "records that the load itself could not deliver");
        let count = self.shared.sent.load(Ordering::Relaxed);
        Sent { count, rate: count as f64 / took.as_secs_f64() }
    }
}

/// Waits for its broker for ever, and repeats nothing and reorders nothing meanwhile.
fn client(brokers: &str, context: Context) -> Client {
    let mut config = cluster::config(brokers);
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", "1000000")
        .set("reconnect.backoff.max.ms", "500")
        .set("linger.ms", "5");
    config.create_with_context(context).expect("a producer")
}

fn send_up_to(client: &Client, topic: &str, shared: &Shared, end: u64) {
    let (mut key, mut value) = (String::new(), String::new());
    for number in shared.sent.load(Ordering::Relaxed)..end {
        records::write(number, &mut key, &mut value);
        loop {
            match client.send(BaseRecord::to(topic).key(&key).payload(&value)) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    thread::park_timeout(PERIOD);
                }
                Err((error, _)) => panic!("a record was not taken: {error}"),
            }
        }
        shared.sent.store(number + 1, Ordering::Relaxed);
    }
}

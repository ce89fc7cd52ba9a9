//! A producer with transactions: how it is made, and how the sink comes to another one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    acknowledgements::AckTimes,
    client::Client,
    faults,
    native::{self, failure, millis},
    producer::{self, Named, Producer},
};
use crate::{config::settings::KafkaClient, transport::Trouble, verdict::Sentence};

/// How long one call may block; then it is looked whether the run ends, and it is made again.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A new producer on its way to the sink, and the old one on its way out.
pub(super) struct Exchange {
    next: ArrayQueue<Producer>,
    has_next: AtomicBool,
    old: ArrayQueue<Producer>,
    /// A size was refused: the topics' limits are no longer those that the producer knows.
    has_other_limits: AtomicBool,
}

impl Exchange {
    fn new() -> Exchange {
        let (next, old) = (ArrayQueue::new(1), ArrayQueue::new(2));
        let [has_next, has_other_limits] = [false; 2].map(AtomicBool::new);
        Exchange { next, has_next, old, has_other_limits }
    }

    /// Sink: the producer to go on with, if there is another.
    #[inline]
    pub(super) fn take(&self) -> Option<Producer> {
        // Acquire: a producer that is seen is whole.
        match self.has_next.load(Ordering::Acquire) {
            true => self.take_next(),
            false => None,
        }
    }

    #[cold]
    fn take_next(&self) -> Option<Producer> {
        self.has_next.store(false, Ordering::Relaxed);
        self.next.pop()
    }

    /// Sink: the one that it had. Freed elsewhere, because that waits for threads.
    pub(super) fn give_back(&self, old: Producer) {
        self.old.force_push(old);
    }

    /// Sink: a new producer is to go by the topics' limits as they are now.
    pub(super) fn limits_changed(&self) {
        self.has_other_limits.store(true, Ordering::Release);
    }

    /// Whether that was said since the last call.
    pub(super) fn take_limits_changed(&self) -> bool {
        self.has_other_limits.swap(false, Ordering::Acquire)
    }

    /// Frees what came back.
    pub(super) fn free_old(&self) {
        drop(self.old.pop());
    }

    /// The sink is to go on with this one.
    pub(super) fn offer(&self, producer: Producer) {
        self.next.force_push(producer);
        self.has_next.store(true, Ordering::Release);
    }
}

/// How the sink's producer is made, and made anew.
pub(super) struct Recipe {
    pub(super) peer: &'static str,
    pub(super) settings: KafkaClient,
    pub(super) topics: Vec<String>,
    pub(super) times: Arc<AckTimes>,
    pub(super) named: Named,
}

impl Recipe {
    /// A producer whose first transaction is begun.
    pub(super) fn make(&self, wait: (Duration, &AtomicBool)) -> Result<Producer, Trouble> {
        let Recipe { peer, settings, topics, times, named } = self;
        let started = producer::start(peer, settings, topics, times, Some(named), wait)?;
        let client = &started.client;
        let deadline = Instant::now() + wait.0;
        loop {
            // SAFETY: the client is live; the error is ours.
            let begun = unsafe {
                let error = rd::rd_kafka_init_transactions(client.handle(), millis(CALL_TIMEOUT));
                failure(error)
            };
            let Err(failure) = begun else { break };
            let is_over = Instant::now() >= deadline || wait.1.load(Ordering::Acquire);
            if !failure.is_retriable || is_over {
                return Err(self.trouble(client, failure.code, "beginning transactions"));
            }
        }
        begin(client).map_err(|it| self.trouble(client, it.code, "beginning a transaction"))?;
        Ok(started)
    }

    pub(super) fn trouble(&self, client: &Client, code: Code, what: &str) -> Trouble {
        let (id, text) = (&self.named.transactional_id, faults::text_of(code));
        let text = Sentence::format(format_args!("{what} of {id:?}: {text}"));
        client.trouble(code, text.as_str())
    }
}

/// Begins the next transaction.
pub(super) fn begin(client: &Client) -> Result<(), native::Failure> {
    // SAFETY: the client is live; the error is ours.
    unsafe { failure(rd::rd_kafka_begin_transaction(client.handle())) }
}

/// The sink's side of its transactions, for the source that commits them.
pub struct TransactionalProducer {
    pub(super) recipe: Recipe,
    pub(super) client: Arc<Client>,
    pub(super) exchange: Arc<Exchange>,
}

impl TransactionalProducer {
    pub(super) fn new(recipe: Recipe, client: Arc<Client>) -> TransactionalProducer {
        TransactionalProducer { recipe, client, exchange: Arc::new(Exchange::new()) }
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionalProducer")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

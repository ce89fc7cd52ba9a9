//! Exactly once: commits results and positions in one transaction, and takes them back, on a side
//! thread, because all of it blocks.
//!
//! The producer's transaction carries the source's positions with the group's own words for who we
//! are (KIP-447), so that a member that the group has left behind is refused. While this thread has
//! a job, the group's rebalances are not answered: what it commits stays ours until it is done.
//!
//! A transaction that is taken back is aborted, a producer of no more use is replaced by a new one
//! of the same name, and the consumer goes back to what the group has committed: asked anew,
//! because a commit whose answer was lost may have happened. Only then the next transaction begins.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    client::Client,
    faults,
    native::{self, GroupMetadata, OK, PartitionEntry, PartitionList, Queue, failure, millis},
    transactional::{CALL_TIMEOUT, Exchange, Recipe, TransactionalProducer, begin},
    wake::Wake,
};
use crate::{transport::Trouble, verdict::Sentence};

/// Before what failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How long one attempt at another producer may take.
const REPLACEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// All that was produced and is not acknowledged.
const PURGE_ALL: i32 = rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT;

/// How long the end of a run waits for an open transaction to be aborted.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Producers that may be replaced within three transaction timeouts because another took their
/// name.
const FENCED_MAX: usize = 2;

enum Job {
    Commit(u64, PartitionList),
    /// Where to go back to, and of which partitions is to be found out what is committed.
    Abort(PartitionList, PartitionList),
}

/// What became of a job.
pub(super) enum Done {
    Committed(u64, Result<(), Trouble>),
    /// With what is committed where that was in doubt.
    Aborted(Result<PartitionList, Trouble>),
}

/// The hot thread's end.
#[derive(Debug)]
pub(super) struct Transactions {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    awake: Thread,
}

struct Shared {
    jobs: ArrayQueue<Job>,
    done: ArrayQueue<Done>,
    end: AtomicBool,
    wake: Arc<Wake>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl Transactions {
    pub(super) fn start(
        producer: TransactionalProducer,
        consumer: &Arc<Client>,
        wake: &Arc<Wake>,
    ) -> io::Result<Transactions> {
        let shared = Arc::new(Shared {
            jobs: ArrayQueue::new(1),
            done: ArrayQueue::new(1),
            end: AtomicBool::new(false),
            wake: Arc::clone(wake),
        });
        let TransactionalProducer { recipe, client, exchange } = producer;
        let (consumer, told) = (Arc::clone(consumer), Arc::clone(&shared));
        let mut worker = Worker {
            recipe,
            producer: client,
            exchange,
            consumer,
            shared: told,
            fenced: Vec::new(),
        };
        let thread = thread::Builder::new().name("kafka-commit".to_owned());
        let thread = thread.spawn(move || worker.run())?;
        let awake = thread.thread().clone();
        Ok(Transactions { shared, thread: Some(thread), awake })
    }

    /// Commits what was produced, with these positions. One job at a time.
    pub(super) fn commit(&self, ticket: u64, positions: PartitionList) {
        self.ask(Job::Commit(ticket, positions));
    }

    /// Takes back what was produced, and goes back to what is committed; where nothing is, to
    /// these. Finds out what is committed of the partitions that are in doubt.
    pub(super) fn abort(&self, positions: PartitionList, in_doubt: PartitionList) {
        self.ask(Job::Abort(positions, in_doubt));
    }

    fn ask(&self, job: Job) {
        let is_taken = self.shared.jobs.push(job).is_ok();
        assert!(is_taken, "one transaction at a time: the last job has no answer yet");
        self.awake.unpark();
    }

    /// The answer, once. Never blocks.
    pub(super) fn answer(&self) -> Option<Done> {
        self.shared.done.pop()
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        self.awake.unpark();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

struct Worker {
    recipe: Recipe,
    producer: Arc<Client>,
    exchange: Arc<Exchange>,
    consumer: Arc<Client>,
    shared: Arc<Shared>,
    /// When another producer of our name was found.
    fenced: Vec<Instant>,
}

impl Worker {
    fn run(&mut self) {
        while !self.is_ending() {
            self.exchange.free_old();
            let Some(job) = self.shared.jobs.pop() else {
                thread::park();
                continue;
            };
            let done = match job {
                Job::Commit(ticket, positions) => Done::Committed(ticket, self.commit(&positions)),
                Job::Abort(positions, in_doubt) => {
                    Done::Aborted(self.take_back(positions, in_doubt))
                }
            };
            // There is room: the next job comes after this answer was taken.
            let _ = self.shared.done.push(done);
            self.shared.wake.signal();
        }
        // So that readers need not wait for the timeout of what is open. Nobody else takes reports
        // any more, and without that the call waits for them.
        let reports = Queue::main(&self.producer);
        // SAFETY: the client is live.
        unsafe { rd::rd_kafka_purge(self.producer.handle(), PURGE_ALL) };
        while reports.next_event(RETRY_AFTER).is_some() {}
        // SAFETY: the client is live; the error is ours, and nothing is left to be done about it.
        let _ = unsafe {
            let producer = self.producer.handle();
            failure(rd::rd_kafka_abort_transaction(producer, millis(END_TIMEOUT)))
        };
    }

    fn is_ending(&self) -> bool {
        self.shared.end.load(Ordering::Acquire)
    }

    fn commit(&self, positions: &PartitionList) -> Result<(), Trouble> {
        let group = membership(&self.consumer)?;
        let producer = self.producer.handle();
        // SAFETY: clients, list and metadata are live; the errors are ours.
        self.until_decided("positions", || unsafe {
            failure(rd::rd_kafka_send_offsets_to_transaction(
                producer,
                positions.handle(),
                group.handle(),
                millis(CALL_TIMEOUT),
            ))
        })?;
        // SAFETY: the client is live; the error is ours.
        self.until_decided("committing", || unsafe {
            failure(rd::rd_kafka_commit_transaction(producer, millis(CALL_TIMEOUT)))
        })?;
        begin(&self.producer).map_err(|it| self.trouble(it.code, "beginning"))
    }

    /// Makes the call again until it has an answer that will not change.
    fn until_decided(
        &self,
        what: &str,
        mut call: impl FnMut() -> Result<(), native::Failure>,
    ) -> Result<(), Trouble> {
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(it) if it.is_retriable && !it.requires_abort && !self.is_ending() => {
                    thread::park_timeout(RETRY_AFTER);
                }
                Err(it) => return Err(self.trouble(it.code, what)),
            }
        }
    }

    /// Trouble that taking the transaction back mends, unless nothing does.
    fn trouble(&self, code: Code, what: &str) -> Trouble {
        let trouble = self.recipe.trouble(&self.producer, code, what);
        Trouble { heals: trouble.heals || code == Code::RD_KAFKA_RESP_ERR__FATAL, ..trouble }
    }

    fn take_back(
        &mut self,
        positions: PartitionList,
        in_doubt: PartitionList,
    ) -> Result<PartitionList, Trouble> {
        let has_other_limits = self.exchange.take_limits_changed();
        if !self.abort()? || has_other_limits {
            self.replace_producer()?;
        } else if let Err(failure) = begin(&self.producer) {
            tracing::debug!(event = "transaction.unusable", code = faults::name_of(failure.code));
            self.replace_producer()?;
        }
        self.go_back(positions)?;
        self.find_out(in_doubt)
    }

    /// False if the producer is of no more use.
    fn abort(&self) -> Result<bool, Trouble> {
        let producer = self.producer.handle();
        loop {
            // SAFETY: the client is live; the error is ours.
            let aborted =
                unsafe { failure(rd::rd_kafka_abort_transaction(producer, millis(CALL_TIMEOUT))) };
            match aborted {
                Ok(()) => return Ok(true),
                Err(it) if it.is_retriable && !it.is_fatal => {
                    self.unless_ending()?;
                    thread::park_timeout(RETRY_AFTER);
                }
                Err(it) => {
                    let text = it.text.as_str();
                    tracing::debug!(event = "transaction.unusable", reason = text);
                    return Ok(false);
                }
            }
        }
    }

    fn replace_producer(&mut self) -> Result<(), Trouble> {
        self.note_fence()?;
        // SAFETY: the client is live. Its reports then come, and the sink can let it go.
        unsafe { rd::rd_kafka_purge(self.producer.handle(), PURGE_ALL) };
        let text = match self.producer.fatal_code() {
            OK => Sentence::from("the topics' limits may have changed"),
            _ => self.producer.fatal_trouble().text,
        };
        let reason = text.as_str();
        tracing::warn!(event = "producer.replaced", reason, "a new producer goes on");
        loop {
            match self.recipe.make((REPLACEMENT_TIMEOUT, &self.shared.end)) {
                Ok(producer) => {
                    self.producer = Arc::clone(&producer.client);
                    self.exchange.offer(producer);
                    return Ok(());
                }
                Err(trouble) if !trouble.heals => return Err(trouble),
                Err(_) => {
                    self.unless_ending()?;
                    thread::park_timeout(RETRY_AFTER);
                }
            }
        }
    }

    /// Two processes of one name would take it from each other for ever.
    fn note_fence(&mut self) -> Result<(), Trouble> {
        let code = self.producer.fatal_code();
        let is_fenced = matches!(
            code,
            Code::RD_KAFKA_RESP_ERR__FENCED | Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
        );
        let (now, span) = (Instant::now(), 3 * self.recipe.named.timeout);
        self.fenced.retain(|it| now.duration_since(*it) < span);
        if is_fenced {
            self.fenced.push(now);
        }
        if self.fenced.len() <= FENCED_MAX {
            return Ok(());
        }
        let id = &self.recipe.named.transactional_id;
        let text = Sentence::format(format_args!(
            "another process writes as {id:?} and takes the name over again and again; give each \
             process an `instance` of its own"
        ));
        Err(Trouble { peer: self.producer.peer(), code: faults::name_of(code), text, heals: false })
    }

    /// Seeks: what was fetched before is forgotten at once, and comes again.
    fn go_back(&self, mut positions: PartitionList) -> Result<(), Trouble> {
        while !positions.entries().is_empty() {
            match self.try_to_go_back(&mut positions) {
                Ok(()) => break,
                // The group has taken all of them from us, and is about to say so.
                Err(_) if self.consumer.has_lost_assignment() => break,
                // It is not fetched: the broker does not have where it was.
                Err(Code::RD_KAFKA_RESP_ERR__STATE) => {
                    let is_it = |it: &&PartitionEntry| it.code() != OK;
                    let entry = positions.entries().iter().find(is_it);
                    let topic = entry.map_or(c"", |it| it.topic()).to_string_lossy();
                    let number = entry.map_or(-1, PartitionEntry::partition);
                    let offset = entry.map_or(-1, PartitionEntry::offset);
                    return Err(cannot_go_back(&topic, number, offset));
                }
                Err(code) if !faults::heals(code) => return Err(self.trouble(code, "going back")),
                Err(_) => {
                    self.unless_ending()?;
                    thread::park_timeout(RETRY_AFTER);
                }
            }
        }
        Ok(())
    }

    /// Asks what is committed, until it is known.
    fn find_out(&self, in_doubt: PartitionList) -> Result<PartitionList, Trouble> {
        while !in_doubt.entries().is_empty() {
            match self.committed(&in_doubt) {
                Ok(()) => break,
                Err(_) if self.consumer.has_lost_assignment() => break,
                Err(code) if !faults::heals(code) => return Err(self.trouble(code, "going back")),
                Err(_) => {
                    self.unless_ending()?;
                    thread::park_timeout(RETRY_AFTER);
                }
            }
        }
        Ok(in_doubt)
    }

    /// Fills in what the group has committed.
    fn committed(&self, list: &PartitionList) -> Result<(), Code> {
        let timeout = millis(CALL_TIMEOUT);
        // SAFETY: client and list are live.
        let code =
            unsafe { rd::rd_kafka_committed(self.consumer.handle(), list.handle(), timeout) };
        check(code)?;
        list.entries().iter().try_for_each(|it| check(it.code()))
    }

    fn try_to_go_back(&self, positions: &mut PartitionList) -> Result<(), Code> {
        let consumer = self.consumer.handle();
        let committed = positions.copy();
        let timeout = millis(CALL_TIMEOUT);
        self.committed(&committed)?;
        for (index, entry) in committed.entries().iter().enumerate() {
            if entry.offset() >= 0 {
                positions.set_offset(index, entry.offset());
            }
        }
        // SAFETY: client and list are live; the error is ours.
        let sought =
            unsafe { failure(rd::rd_kafka_seek_partitions(consumer, positions.handle(), timeout)) };
        sought.map_err(|it| it.code)?;
        positions.entries().iter().try_for_each(|it| check(it.code()))
    }

    fn unless_ending(&self) -> Result<(), Trouble> {
        match self.is_ending() {
            true => Err(self.trouble(Code::RD_KAFKA_RESP_ERR__DESTROY, "the run ends")),
            false => Ok(()),
        }
    }
}

/// A partition cannot be read again from where the last commit left it: the run ends, and the next
/// one tells what is missing.
pub(super) fn cannot_go_back(topic: &str, number: i32, offset: i64) -> Trouble {
    let text = Sentence::format(format_args!(
        "{topic}[{number}] cannot go back to offset {offset} in this run, because the broker said \
         meanwhile that it is out of range; start it again, and it tells what is missing"
    ));
    let code = faults::name_of(Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
    Trouble { peer: "source", code, text, heals: false }
}

fn check(code: Code) -> Result<(), Code> {
    if code == OK { Ok(()) } else { Err(code) }
}

/// The group's words for who we are: its name, the member and the generation. A member that was
/// left behind has no name any more, and a broker would take its positions for those of one who
/// needs none.
fn membership(consumer: &Client) -> Result<GroupMetadata, Trouble> {
    let group = GroupMetadata::of(consumer);
    if group.generation() < 0 || consumer.has_lost_assignment() {
        let code = Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
        return Err(consumer.trouble(code, "the group has left this member behind"));
    }
    Ok(group)
}

//! One turn, and the engine that takes it.

use super::{
    Chance, Process,
    aside::Later,
    breaker::Breaker,
    control::Control,
    duties::Answer,
    meter::{Meter, beat},
    outbox::{OUTBOX_BYTES, Outbox},
    pausing::Pauses,
    phase::Phase,
    pulse::Pulse,
    retry::{self, Retry},
    stores::{Fate, Writing},
    transaction::Transaction,
    waiting::Waiting,
};
use crate::{
    clock::{Clock, Ticks, WallOffset},
    delivery::{Admission, Delivery, Order, Sequence},
    limits::{CUT_LETTER_BYTES, GATHERED_RESULTS_MAX, PARTITIONS_MAX, SUSPECTS_MAX},
    measure::{Regime, Stages, slow::Doing},
    observe::HotSide,
    pipeline::Mark,
    record::{Destination, PartitionId, Record},
    transport::{Sink, Source, Trouble},
    verdict::{RejectClass, Rejection, Sentence, Step, Verdict},
};

/// What an engine is told beside its parts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pipeline's name, for dead letters.
    pub name: String,
    /// When offsets move.
    pub order: Order,
    /// Records in flight at most.
    pub in_flight: usize,
    /// Bytes of records in flight at most.
    pub in_flight_bytes: usize,
    /// Records taken in one turn at most.
    pub batch: usize,
    /// Records that wait aside at most, for all tables on demand or to be tried again; zero if
    /// nothing makes them wait.
    pub waiting: usize,
    /// How what may heal is tried again.
    pub retry: Retry,
    /// Where dead letters go.
    pub dead_letters: Destination,
    /// Also write the header names of Kafka Streams.
    pub streams_headers: bool,
    /// Nanoseconds between two commits.
    pub commit_interval_ns: u64,
    /// Exactly once: nanoseconds that a transaction may wait for its acknowledgements.
    pub transaction_timeout_ns: u64,
    /// Of which records the stages are measured.
    pub stages: Stages,
    /// A record that is this long in transit leaves a line that says why, in nanoseconds.
    pub slow_ns: u64,
    /// Nanoseconds between two publications of figures.
    pub publish_interval_ns: u64,
    /// Nanoseconds that the end of a run, or of a partition's ownership, may take.
    pub drain_timeout_ns: u64,
}

/// One time that a record is processed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) sequence: Sequence,
    /// Its turn came first. It has waited aside if that is not now.
    pub(super) since: Ticks,
    /// Now.
    pub(super) start: Ticks,
    /// It may wait no longer.
    pub(super) is_late: bool,
    /// How often it was put off because what it failed over may heal.
    pub(super) retries: u16,
}

/// When the stages of an attempt ended, and how many it came to the end of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) parsed: Ticks,
    pub(super) operated: Ticks,
    pub(super) reached: u8,
    pub(super) last: Ticks,
}

impl Marks {
    #[inline]
    fn note(&mut self, mark: Mark, now: Ticks) {
        self.reached = match mark {
            Mark::Parsed => {
                self.parsed = now;
                1
            }
            // Of a record with several results the last counts.
            Mark::Operated => {
                self.operated = now;
                2
            }
        };
        self.last = now;
    }
}

/// The hot thread's state: its parts, what is in flight, and where the run stands.
#[derive(Debug)]
pub struct Engine<C, S, K, P> {
    pub(super) clock: C,
    pub(super) source: S,
    pub(super) sink: K,
    pub(super) process: P,
    pub(super) options: Options,
    pub(super) delivery: Delivery,
    pub(super) waiting: Waiting,
    pub(super) outbox: Outbox,
    pub(super) meter: Meter,
    pub(super) pulse: Pulse,
    pub(super) phase: Phase,
    pub(super) owned: Vec<PartitionId>,
    /// Those of them whose stores are to be begun.
    pub(super) to_begin: Vec<PartitionId>,
    /// Partitions that the group wants back, and when to stop finishing them.
    pub(super) revoking: Vec<PartitionId>,
    pub(super) revoke_deadline: Ticks,
    /// Answers of this turn that are not plain acknowledgements.
    pub(super) answers: Vec<Answer>,
    /// Why records were rejected whose dead letter the broker may refuse for its size.
    pub(super) large_letters: Vec<(Sequence, Rejection)>,
    pub(super) transaction: Transaction,
    /// Changes of state on their way to the sink.
    pub(super) writing: Writing,
    /// No record may be processed before a commit is confirmed, or records are settled.
    pub(super) is_state_full: bool,
    pub(super) commit_due: Ticks,
    /// Nothing is taken or processed, for causes that the log was told of.
    pub(super) is_paused: bool,
    pub(super) pauses: Pauses,
    pub(super) breaker: Breaker,
    /// The last commit failed: the next waits until it is due, however much it is wanted.
    pub(super) commit_failed: bool,
    pub(super) publish_due: Ticks,
    pub(super) control: Control,
}

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Takes all memory that the run will need.
    pub fn new(
        (clock, wall): (C, WallOffset),
        (source, sink): (S, K),
        process: P,
        hot: HotSide,
        control: Control,
        mut options: Options,
    ) -> Engine<C, S, K, P> {
        if options.order == Order::Together {
            // All that a turn hands over can be remembered, should it be refused.
            options.batch = options.batch.min(SUSPECTS_MAX);
        }
        let now = clock.now();
        let is_staged = options.order == Order::Together || process.has_state();
        let gathered = if is_staged { GATHERED_RESULTS_MAX } else { 0 };
        let entries = 3 * options.batch + gathered;
        let is_retrying = options.retry.attempts > 0;
        assert!(!is_retrying || options.waiting > 0, "what is tried again has no room to wait");
        Engine {
            delivery: Delivery::new(options.order, options.in_flight, options.in_flight_bytes),
            waiting: Waiting::new(options.waiting.min(options.in_flight)),
            outbox: Outbox::with_capacity(2 * OUTBOX_BYTES, entries, process.results_max()),
            meter: Meter::new((hot, now), wall, &options),
            pulse: Pulse::new(&clock),
            transaction: Transaction::new(options.order, process.has_state()),
            writing: Writing::default(),
            is_state_full: false,
            phase: Phase::Running,
            owned: Vec::with_capacity(PARTITIONS_MAX),
            to_begin: Vec::with_capacity(PARTITIONS_MAX),
            revoking: Vec::with_capacity(PARTITIONS_MAX),
            revoke_deadline: now,
            answers: Vec::with_capacity(options.in_flight),
            large_letters: Vec::with_capacity(options.in_flight_bytes / CUT_LETTER_BYTES + 1),
            commit_due: now,
            is_paused: false,
            pauses: Pauses::default(),
            breaker: Breaker::off(),
            commit_failed: false,
            publish_due: Ticks(now.0 + clock.ticks(options.publish_interval_ns)),
            control,
            clock,
            source,
            sink,
            process,
            options,
        }
    }

    /// Hands over the last figures.
    pub fn finish(self) {
        let now = self.clock.now();
        self.meter.hot.finish(now);
    }

    /// Gives back what the figures were written to.
    pub fn into_hot_side(self) -> HotSide {
        self.meter.hot
    }

    /// The same, and what the process step is made of.
    pub fn into_parts(self) -> (HotSide, P) {
        (self.meter.hot, self.process)
    }

    /// What the process step is made of, for tests and benches.
    pub fn process_mut(&mut self) -> &mut P {
        &mut self.process
    }

    /// The source, for tests and benches.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Records in flight.
    pub fn in_flight(&self) -> usize {
        self.delivery.in_flight()
    }

    /// True if nothing is in flight, and nothing waits for its commit or is being taken back.
    pub fn is_settled(&self) -> bool {
        self.in_flight() == 0
            && self.transaction.is_settled()
            && !self.delivery.commit_under_way()
            && !self.delivery.wants_commit()
    }

    /// Where the run stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// One duty cycle: bounded work, then a count of it. Zero means idle.
    pub fn turn(&mut self) -> usize {
        let now = self.clock.now();
        self.pulse.is_rebalancing = !self.revoking.is_empty();
        self.beat(now, Doing::Chores);
        self.meter.begin_turn();
        if self.control.stop_requested() || self.has_read_all() {
            self.stop();
        }
        self.process.begin_turn(now);
        let restored = self.restore_stores();
        if self.has_pause_news() {
            self.review_pauses();
        }
        let mut chores = self.source.serve(now);
        chores += self.hear_source(now);
        chores += self.hear_sink();
        let mut work = self.collect_acks(now);
        work += self.hand_over();
        if self.breaker.holds() {
            self.judge();
        }
        let is_idle = self.is_paused && !self.finishes_waiting();
        self.waiting.tell_time(now, is_idle);
        if !is_idle && self.may_process(now) {
            work += self.take_records();
            work += self.process_waiting(now);
            if self.process.has_state() {
                work += self.take_given_off(now);
            }
            work += self.process_ready(now);
            work += self.hand_over();
        } else if !is_idle && self.transaction.is_settling() && self.outbox.is_empty() {
            work += self.process_waiting(now);
            work += self.hand_over();
        }
        chores += self.keep_promises(now);
        if now >= self.publish_due {
            self.publish(now);
        }
        if work + restored + chores == 0 {
            self.pulse.freshen(&self.clock, now);
        }
        self.meter.end_turn(now, self.regime(work, restored, chores));
        work + restored + chores
    }

    /// Results of a turn are handed over before others are made, except while they gather.
    fn may_process(&self, now: Ticks) -> bool {
        match self.transaction.is_staged() {
            true => self.may_process_in_transaction(now),
            false => self.outbox.is_empty(),
        }
    }

    /// Exactly one, in this order: a turn that did something for records is work, whatever else it
    /// did.
    fn regime(&self, work: usize, restored: usize, chores: usize) -> Regime {
        if work > 0 {
            Regime::Working
        } else if restored > 0 {
            Regime::Restoring
        } else if chores > 0 {
            Regime::Housekeeping
        } else if self.is_paused {
            Regime::Paused
        } else if !self.outbox.is_empty()
            || !self.delivery.has_room()
            || self.waiting.is_full()
            || self.is_state_full
            || self.breaker.holds()
        {
            Regime::Backpressured
        } else {
            Regime::Idle
        }
    }

    #[inline]
    fn beat(&mut self, now: Ticks, doing: Doing) {
        let Engine { pulse, clock, meter, .. } = self;
        beat(pulse, clock, meter, now, doing);
    }

    /// Takes up to a batch from the source, if there is room and the run goes on.
    fn take_records(&mut self) -> usize {
        if self.phase != Phase::Running || !self.delivery.has_room() {
            return 0;
        }
        let polled = self.clock.now();
        self.beat(polled, Doing::Serving);
        let mut too_large = None;
        let Engine { source, delivery, process, options, .. } = self;
        let taken = source.poll(polled, options.batch, &mut |record| {
            // What arrived while the poll was under way was polled when it arrived.
            match delivery.admit(record, polled.max(record.arrived)) {
                Admission::Admitted => {
                    process.foresee(record);
                    true
                }
                Admission::NotOurs => true,
                Admission::Full => false,
                Admission::TooLarge => {
                    too_large = Some(does_not_fit(record));
                    false
                }
            }
        });
        process.approach();
        if let Some(trouble) = too_large {
            self.meter.trouble(trouble);
            self.fail(trouble);
        }
        taken
    }

    /// Processes what may be processed now, up to a batch or a full outbox.
    fn process_ready(&mut self, turn: Ticks) -> usize {
        let mut end = None;
        let mut count = 0;
        let batch = self.options.batch;
        while count < batch && !self.outbox.is_full() && !self.waiting.is_full() {
            if self.is_paused || self.breaker.holds() {
                break;
            }
            if self.process.has_state() && !self.has_room_in_state(turn) {
                break;
            }
            let Some(sequence) = self.delivery.next_ready() else { break };
            let start = match end {
                Some(end) if !self.is_read_anew() => end,
                _ => {
                    let now = self.clock.now();
                    self.beat(now, Doing::Taking);
                    now
                }
            };
            let now = self.process_first(sequence, start);
            self.beat(now, Doing::Processing);
            end = Some(now);
            count += 1;
        }
        count
    }

    /// The end of the record before was not read, and this one's stages are measured.
    #[inline]
    fn is_read_anew(&self) -> bool {
        self.options.stages == Stages::Sampled && self.meter.samples_next()
    }

    /// Processes one record; returns when that ended, and what it has to wait for. The attempts
    /// after the first are compiled apart, so that the first can become one piece of code.
    #[inline]
    pub(super) fn process_one<const AGAIN: bool>(
        &mut self,
        attempt: &Attempt,
    ) -> (Ticks, Option<Later>) {
        let Attempt { sequence, start, is_late, .. } = *attempt;
        if let Some(cut) = self.delivery.cut(sequence) {
            self.took(sequence, start);
            return (self.reject_finally(sequence, too_large(cut.len)), None);
        }
        if self.transaction.has_suspects()
            && let Some(rejection) = self.proven(sequence)
        {
            self.took(sequence, start);
            return (self.reject_finally(sequence, rejection), None);
        }
        let Engine { source, delivery, process, outbox, clock, meter, .. } = self;
        let (topic, partition_number) = source.partition(delivery.partition(sequence));
        let record = delivery.record(sequence, topic, partition_number);
        let arrived = record.arrived;
        let mut marks = Marks { parsed: start, operated: start, reached: 0, last: start };
        let is_sampled = meter.samples_next();
        let read = || if is_sampled { clock.now() } else { start };
        let mut mark = |mark: Mark| marks.note(mark, read());
        let results = &mut outbox.results;
        let is_last = AGAIN && is_late;
        let chance = Chance { now: start, is_last, is_rehearsal: false };
        let processed = process.process(&record, chance, &mut mark, results);
        let last = marks.last;
        match &processed.verdict {
            Verdict::Wait(awaited) => return (last, Some(Later::Answered(*awaited))),
            Verdict::Behind { holds } => return (last, Some(Later::First { holds: *holds })),
            Verdict::Reject(it) if self.tries_again(attempt, it.class) => {
                return (last, Some(Later::TriedAgain));
            }
            _ => {}
        }
        let Engine { delivery, outbox, meter, clock, breaker, .. } = self;
        let stamps = delivery.stamps_mut(sequence);
        stamps.is_sampled = is_sampled;
        (stamps.source_ns, stamps.age) = meter.origin(clock, (arrived, is_sampled), &processed);
        meter.attempted(clock, stamps, attempt, &marks);
        let end = match processed.verdict {
            Verdict::Emit => {
                let now = if is_sampled { clock.now() } else { start };
                meter.encoded(clock, stamps, last, now);
                stamps.encoded = now;
                (stamps.since, stamps.start) = (attempt.since, start);
                (stamps.parsed, stamps.operated) = (marks.parsed, marks.operated);
                delivery.expect_results(sequence, outbox.claim(sequence));
                breaker.decide(now, None);
                now
            }
            Verdict::Skip(skip) => {
                meter.skipped(skip);
                self.settle_at_once(sequence, last)
            }
            Verdict::Hold(step) => {
                meter.held(step);
                self.settle_at_once(sequence, last)
            }
            Verdict::Reject(rejection) if AGAIN && attempt.retries > 0 => {
                self.reject_finally(sequence, retry::after(attempt.retries, rejection))
            }
            Verdict::Reject(rejection) => self.reject_finally(sequence, rejection),
            Verdict::Wait(_) | Verdict::Behind { .. } => {
                unreachable!("a record that waits was told so before")
            }
        };
        (end, None)
    }

    /// Nothing more will happen to a record. Returns `now`.
    fn settle_at_once(&mut self, sequence: Sequence, now: Ticks) -> Ticks {
        self.tell_settled(sequence, Fate::Kept);
        self.delivery.skip(sequence);
        self.breaker.decide(now, None);
        now
    }

    /// A record's turn came that needs no processing to be rejected.
    fn took(&mut self, sequence: Sequence, start: Ticks) {
        let stamps = self.delivery.stamps_mut(sequence);
        stamps.is_sampled = self.meter.samples_next();
        self.meter.took(&self.clock, stamps, start);
    }
}

/// A record that cannot be held cannot be dead-lettered either: its key would be missing.
fn does_not_fit(record: &Record<'_>) -> Trouble {
    let text = Sentence::format(format_args!(
        "{}[{}] at offset {}: key and headers are larger than limits.in_flight_bytes; raise it",
        record.topic, record.partition_number, record.offset
    ));
    Trouble { peer: "source", code: "RECORD_TOO_LARGE", text, heals: false }
}

fn too_large(bytes: usize) -> Rejection {
    let reason = format_args!("the value has {bytes} bytes, more than fit into memory in flight");
    Rejection::new(RejectClass::TooLarge, Step::Parse, reason)
}

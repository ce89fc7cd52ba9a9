//! Records from Kafka: a member of a consumer group, stepped by the turn.
//!
//! The group's events and the records come through queues of their own: the first is served every
//! turn, or the group would expel us; the second only when there is room, so that backpressure
//! loses nothing that was fetched. A rebalance is a state machine over turns (`assignment`), and
//! what blocks in it is a side thread's (`offsets`). Dropping a source closes it: librdkafka would
//! wait for ever for the answer to an assignment that comes while its client ends.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use self::{known::Known, restoring::Restoring};
use super::{
    arrivals::{Arrivals, Matching},
    assignment::{Assignment, State},
    bounds::Bounds,
    client::Client,
    ends::Ends,
    faults,
    lag::LagBoard,
    lent::Lent,
    membership::{
        PEER, SourceTopic, leave, open_topics, place_of, places, start_client, subscribe,
    },
    native::{self, Event, OK, PartitionList, Queue, c_name, outcome},
    offsets::{Answer, Gate, Ground, Job, Offsets, Started},
    outage::Outage,
    transactional::TransactionalProducer,
    transactions::Transactions,
    wake::Wake,
};
use crate::{
    clock::{Ticks, TscClock},
    config::settings::{self, OnGap},
    limits::PARTITIONS_MAX,
    record::{PartitionId, Record},
    transport::{Begin, Note, Source, SourceEvent, SourceGap, Trouble, WaitSet},
    verdict::Sentence,
};

mod at_end;
mod committing;
mod known;
mod lending;
mod restoring;

/// Events of the group that one turn serves at most.
const EVENTS_PER_TURN_MAX: usize = 16;

/// Events that wait for `next_event`; trouble past it is not told again.
const EVENTS_MAX: usize = 64;

/// Bytes of headers of one record that fit without growing the buffer.
const HEADER_BYTES: usize = 4096;

/// A source that reads topics as a member of a group.
#[derive(Debug)]
pub struct KafkaSource {
    client: Arc<Client>,
    group: Queue,
    replies: Queue,
    offsets: Option<Offsets>,
    topics: Vec<SourceTopic>,
    on_gap: OnGap,
    lag: Arc<LagBoard>,
    assignment: Assignment,
    ends: Ends,
    lent: Lent,
    header_block: Vec<u8>,
    /// The last message's topic, partition and number: mostly the next one's, too.
    latest: Option<(*const rd::rd_kafka_topic_t, i32, PartitionId)>,
    /// Rebalances that the group waits for an answer to, oldest first.
    owed: VecDeque<Event>,
    commits: PartitionList,
    /// The same partitions, for questions to librdkafka.
    looks: PartitionList,
    /// Those that the commit under way speaks of.
    committing: Vec<PartitionId>,
    known: Known,
    is_committing: bool,
    transactions: Option<Transactions>,
    /// Partitions wait for their state, if steps keep any.
    restoring: Option<Restoring>,
    /// They have a job; the group is not answered meanwhile.
    is_transacting: bool,
    /// With state: the last commit failed, and nobody knows whether it was made.
    is_unsure: bool,
    /// They go back to what is committed; nothing is lent meanwhile.
    is_going_back: bool,
    events: VecDeque<Told>,
    /// The partitions of the events that wait.
    named: Vec<PartitionId>,
    wake: Arc<Wake>,
    is_armed: bool,
    is_signalling: bool,
    is_closed: bool,
    outage: Outage,
}

// SAFETY: the kept address of a topic is compared, never followed; all else may move.
unsafe impl Send for KafkaSource {}

/// An event, its partitions being a range of `named`.
#[derive(Clone, Debug)]
enum Told {
    Assigned(Range<usize>),
    Revoked(Range<usize>),
    Lost(Range<usize>),
    Committed(u64, Result<(), Trouble>),
    Aborted(Result<(), Trouble>),
    Gap(SourceGap),
    Trouble(Trouble),
}

impl KafkaSource {
    /// Joins the group. Threads that this starts inherit the calling thread's affinity. `instance`
    /// labels the client's log lines. Given a sink's side of its transactions, positions are
    /// committed in those.
    pub fn open(
        settings: &settings::KafkaSource,
        instance: &str,
        clock: TscClock,
        producer: Option<TransactionalProducer>,
    ) -> Result<KafkaSource, Trouble> {
        let arrivals = Arrivals::new(clock);
        let client = start_client(settings, instance, &arrivals)?;
        let fault = |text: String| client.trouble(Code::RD_KAFKA_RESP_ERR__FAIL, &text);
        let wake = Arc::new(Wake::new().map_err(|it| fault(format!("a wake-up pipe: {it}")))?);
        let data = Arc::new(Queue::new(&client));
        arrivals.watch(Some(Arc::clone(&data)));
        let names: Vec<_> = settings.topics.iter().map(|it| c_name(it)).collect();
        let topics = open_topics(&client, settings, &names)?;
        let lag = Arc::new(LagBoard::default());
        let offsets = Offsets::start(Ground {
            lag: Arc::clone(&lag),
            client: Arc::clone(&client),
            data: Arc::clone(&data),
            topics: names.clone(),
            bounds: Bounds::new(settings.start, &settings.range),
            on_gap: settings.on_gap,
            wake: Arc::clone(&wake),
        });
        let offsets = offsets.map_err(|it| fault(format!("a side thread: {it}")))?;
        let transactions = producer.map(|it| Transactions::start(it, &client, &wake)).transpose();
        let transactions = transactions.map_err(|it| fault(format!("a side thread: {it}")))?;
        let source = KafkaSource {
            transactions,
            restoring: None,
            is_transacting: false,
            is_unsure: false,
            is_going_back: false,
            group: Queue::group(&client),
            replies: Queue::new(&client),
            offsets: Some(offsets),
            topics,
            on_gap: settings.on_gap,
            lag,
            assignment: Assignment::new(),
            ends: Ends::new(settings.range.until.is_some()),
            lent: Lent::new(data, Matching::new(arrivals)),
            header_block: Vec::with_capacity(HEADER_BYTES),
            latest: None,
            owed: VecDeque::with_capacity(EVENTS_PER_TURN_MAX),
            commits: PartitionList::new(),
            looks: PartitionList::new(),
            known: Known::new(),
            committing: Vec::with_capacity(PARTITIONS_MAX),
            is_committing: false,
            events: VecDeque::with_capacity(2 * EVENTS_MAX),
            named: Vec::with_capacity(2 * PARTITIONS_MAX),
            wake,
            is_armed: false,
            is_signalling: false,
            is_closed: false,
            outage: Outage::default(),
            client,
        };
        subscribe(&source.client, &names)?;
        Ok(source)
    }

    /// How far behind it is; true as long as the source is open.
    pub fn lag(&self) -> &Arc<LagBoard> {
        &self.lag
    }

    fn on_group_event(&mut self, event: Event) {
        match event.kind() {
            rd::RD_KAFKA_EVENT_REBALANCE => {
                // What the side thread did before this event was made comes first.
                self.take_answers();
                self.on_rebalance(event);
            }
            rd::RD_KAFKA_EVENT_ERROR => {
                self.outage.hear(event.code(), self.lent.arrivals().answers());
                self.tell_trouble(self.client.trouble_of(&event));
            }
            rd::RD_KAFKA_EVENT_STATS => {
                if let Some(offsets) = &self.offsets {
                    offsets.hand_over(event);
                }
            }
            _ => {}
        }
    }

    fn on_rebalance(&mut self, event: Event) {
        if event.code() != Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.on_revoke(&event);
        }
        self.owed.push_back(event);
        self.answer_group();
    }

    fn on_revoke(&mut self, event: &Event) {
        let is_lost = self.client.has_lost_assignment();
        let from = self.named.len();
        for place in places(&self.topics, event) {
            if let Some(restoring) = &mut self.restoring {
                let partition = self.assignment.find(place);
                partition.into_iter().for_each(|it| restoring.revoke(it, is_lost));
            }
            self.named.extend(self.assignment.revoke(place, is_lost));
        }
        self.forget_records();
        let range = from..self.named.len();
        if !range.is_empty() {
            self.events.push_back(match is_lost {
                true => Told::Lost(range),
                false => Told::Revoked(range),
            });
        }
    }

    /// Answers the group's rebalances, each once and in their order: one waits while what it takes
    /// back is being finished, and those behind it wait with it. Another one can come meanwhile:
    /// partitions of a deleted topic are taken back whatever else is under way.
    fn answer_group(&mut self) {
        self.answer_what_may_be();
        if let Some(offsets) = &self.offsets {
            offsets.owe(!self.owed.is_empty());
        }
    }

    fn answer_what_may_be(&mut self) {
        if self.is_transacting {
            return;
        }
        while let Some(event) = self.owed.front() {
            if places(&self.topics, event).any(|it| self.assignment.is_revoked(it)) {
                return;
            }
            let Some(event) = self.owed.pop_front() else { return };
            if event.code() == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                self.begin(&event);
                let gate = if self.restoring.is_some() { Gate::Closed } else { Gate::Open };
                self.ask(Job::Assign(event, gate));
            } else {
                self.ask(Job::Unassign(event));
            }
        }
    }

    fn begin(&mut self, event: &Event) {
        // A number that nobody has any more may go to another partition.
        self.latest = None;
        self.ends.stir();
        let (mut refused, restoring) = (0, &mut self.restoring);
        for place in places(&self.topics, event) {
            let is_new = !self.assignment.is_ours(place);
            match (self.assignment.begin(place), restoring.as_mut()) {
                (None, _) => refused += 1,
                (Some(partition), Some(restoring)) if is_new => restoring.want(partition, place),
                _ => {}
            }
        }
        if refused > 0 {
            let text = format_args!("more than {PARTITIONS_MAX} partitions in one process");
            let (code, text) = ("TOO_MANY_PARTITIONS", Sentence::format(text));
            self.tell_trouble(Trouble { peer: PEER, code, text, heals: false });
        }
    }

    /// Drops what was taken of partitions that are no longer ours.
    fn forget_records(&mut self) {
        self.latest = None;
        self.ends.stir();
        let (topics, assignment) = (&mut self.topics, &self.assignment);
        self.lent.retain(|message| {
            (message.code() != OK && !message.is_end())
                || place_of(topics, message)
                    .and_then(|place| assignment.find(place))
                    .is_some_and(|it| !matches!(assignment.state(it), State::Free | State::Revoked))
        });
    }

    fn ask(&self, job: Job) {
        if let Some(offsets) = &self.offsets {
            offsets.ask(job);
        }
    }

    fn take_answers(&mut self) -> usize {
        let mut work = 0;
        while let Some(answer) = self.offsets.as_ref().and_then(Offsets::answer) {
            work += 1;
            match answer {
                Answer::Started(started) => self.on_started(started),
                Answer::Gap(place, gap) => self.on_gap(place, gap),
                Answer::Resumed(place, offset) => self.on_resumed(place, offset),
                Answer::NothingToStart => {
                    let end = self.named.len();
                    self.events.push_back(Told::Assigned(end..end));
                }
            }
        }
        while let Some(trouble) = self.offsets.as_ref().and_then(Offsets::trouble) {
            work += 1;
            self.tell_trouble(trouble);
        }
        work
    }

    fn on_started(&mut self, started: Started) {
        let Started { place, position, end, mark, note, first_end } = started;
        let Some(partition) = self.assignment.start(place, position) else { return };
        self.known.begin(partition, mark, Begin { position, note }, first_end);
        self.restoring.iter_mut().for_each(|it| it.announce(partition));
        self.ends.begin(partition, position, end);
        let at = self.named.len();
        self.named.push(partition);
        match self.events.back_mut() {
            Some(Told::Assigned(range)) if range.end == at => range.end += 1,
            _ => self.events.push_back(Told::Assigned(at..at + 1)),
        }
        if self.assignment.commit_entry(partition).is_none() {
            let name = c_name(&self.topics[usize::from(place.0)].name);
            let entry = self.commits.add(&name, place.1, native::OFFSET_NONE);
            self.looks.add(&name, place.1, native::OFFSET_NONE);
            self.assignment.set_commit_entry(partition, entry as u32);
        }
        self.write_words(partition);
    }

    fn tell_trouble(&mut self, trouble: Trouble) {
        if self.events.len() < EVENTS_MAX || !trouble.heals {
            self.events.push_back(Told::Trouble(trouble));
        }
    }
}

impl Source for KafkaSource {
    fn serve(&mut self, _now: Ticks) -> usize {
        if self.is_closed {
            return 0;
        }
        if self.events.is_empty() {
            self.named.clear();
        }
        if self.is_armed {
            // Before the queues are looked at: what comes after that signals anew.
            self.is_armed = false;
            self.wake.drain();
        }
        let mut work = self.take_answers() + self.take_reply() + self.take_transaction();
        work += self.open_gates();
        while let Some((code, text)) = self.lent.arrivals().next_error() {
            self.tell_trouble(self.client.trouble(code, text.as_str()));
            work += 1;
        }
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(event) = self.group.next_event(Duration::ZERO) else { break };
            self.on_group_event(event);
            work += 1;
        }
        self.ends.settle(&self.assignment);
        work
    }

    fn next_event(&mut self) -> Option<SourceEvent<'_>> {
        Some(match self.events.pop_front()? {
            Told::Assigned(range) => SourceEvent::Assigned(&self.named[range]),
            Told::Revoked(range) => SourceEvent::Revoked(&self.named[range]),
            Told::Lost(range) => SourceEvent::Lost(&self.named[range]),
            Told::Committed(ticket, result) => SourceEvent::Committed { ticket, result },
            Told::Aborted(result) => SourceEvent::Aborted(result),
            Told::Gap(gap) => SourceEvent::Gap(gap),
            Told::Trouble(trouble) => SourceEvent::Trouble(trouble),
        })
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        let is_over = self.outage.is_over(self.lent.arrivals().answers());
        is_over.then_some(PEER).or_else(|| self.restoring.as_ref()?.next_recovery())
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        if self.is_closed || self.is_going_back {
            return 0;
        }
        let mut taken = self.lend(records_max, take);
        if taken < records_max && self.lent.front().is_none() {
            self.lent.refill(now, records_max - taken);
            taken += self.lend(records_max - taken, take);
        }
        taken
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        self.begin_commit(ticket, positions);
    }

    fn is_at_end(&self, partition: PartitionId, position: i64) -> bool {
        self.is_read_to_end(partition, position)
    }

    fn note(&mut self, partition: PartitionId, note: Note) {
        if self.known.note(partition, note) {
            self.write_words(partition);
        }
    }

    fn begin_of(&self, partition: PartitionId) -> Begin {
        self.known.confirmed(partition)
    }

    fn abort(&mut self, positions: &[(PartitionId, i64)]) {
        self.take_back(positions);
    }

    fn release(&mut self, partitions: &[PartitionId]) {
        for &partition in partitions {
            self.assignment.release(partition);
            self.restoring.iter_mut().for_each(|it| it.leave(partition));
        }
        self.answer_group();
    }

    fn is_done(&self) -> bool {
        self.ends.is_done()
    }

    fn partition(&self, partition: PartitionId) -> (&str, i32) {
        let (topic, number) = self.assignment.place(partition);
        (&self.topics[usize::from(topic)].name, number)
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        if !self.is_signalling && !self.is_closed {
            self.is_signalling = true;
            for queue in [&self.group, &self.replies, self.lent.queue()] {
                queue.signal_to(self.wake.writable());
            }
            // What came before the queues could signal.
            self.wake.signal();
        }
        self.is_armed = true;
        set.add(self.wake.readable());
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        // What is open is aborted, so that readers need not wait for its timeout.
        drop(self.transactions.take());
        // The side thread is joined: nobody else answers the group from here on.
        let is_unheard = self.offsets.take().is_some_and(Offsets::end);
        let is_owed_an_answer = !self.owed.is_empty() || is_unheard;
        self.owed.clear();
        self.lent.close();
        let events = Queue::new(&self.client);
        // SAFETY: client and queue are live; the error is ours.
        let closing = unsafe {
            let client = self.client.handle();
            outcome(rd::rd_kafka_consumer_close_queue(client, events.handle()))
        };
        if closing.is_ok() {
            leave(&self.client, &events, is_owed_an_answer);
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.close();
        for queue in [&self.group, &self.replies, self.lent.queue()] {
            // Before the descriptor goes.
            queue.signal_to_none();
        }
    }
}

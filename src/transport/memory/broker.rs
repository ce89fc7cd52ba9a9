//! A scripted broker: partitions, a group of one, results, and answers given when a test says so.
//!
//! Handles share one state, so that a test can drop the engine with its source and sink (a crash)
//! and connect another: logs, commits and results outlive it, answers on their way do not. One with
//! transactions shows results only once a commit is confirmed, in the order they were handed over.

mod answers;
mod sink;

use std::{cell::RefCell, collections::VecDeque, rc::Rc, sync::Arc};

pub use sink::BrokerSink;

use super::state::{Gate, TOPIC};
use crate::{
    clock::Ticks,
    record::{Destination, Headers, PartitionId, Record},
    transport::{
        Ack, Begin, Note, Refusal, Source, SourceEvent, Token, Trouble, WaitSet,
        restore::Restoration,
    },
    verdict::Sentence,
};

/// A record in a partition's log; its index is its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// A block of headers.
    pub headers: Vec<u8>,
}

/// A result that the broker has, whether or not anybody was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it was written.
    pub destination: Destination,
    /// The partition, where the result named one.
    pub partition_number: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// A block of headers.
    pub headers: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    logs: Vec<Vec<Stored>>,
    committed: Vec<Option<i64>>,
    /// What the commits said beside that.
    notes: Vec<Note>,
    /// Where partitions end, for a source that is told so.
    ends: Option<Vec<i64>>,
    written: Vec<Written>,
    has_transactions: bool,
    session: Session,
}

impl State {
    /// A partition begins where the group knows it to be, else at `position`.
    fn go_to(&mut self, at: usize, position: i64) {
        let position = self.committed[at].unwrap_or(position);
        self.session.fetch[at] = position;
        self.session.begins[at] = Begin { position, note: self.notes[at] };
    }
}

/// A result without an answer, and how many were handed over before.
type Unanswered = (Token, Written, u64);

/// What a commit says.
type Positions = Vec<(PartitionId, i64, Note)>;

/// What ends with a connection.
#[derive(Debug, Default)]
struct Session {
    owned: Vec<PartitionId>,
    fetch: Vec<i64>,
    /// Where partitions began, and what the commits said of them.
    begins: Vec<Begin>,
    news: VecDeque<News>,
    commits: VecDeque<(u64, Positions)>,
    /// What the next commit says of each partition.
    notes: Vec<Note>,
    /// Results without an answer: as given, and the bytes to be written if it is accepted.
    unanswered: Vec<Unanswered>,
    /// Results handed over so far.
    handed_over: u64,
    /// Accepted in the transaction that is open, with their numbers.
    uncommitted: Vec<(u64, Written)>,
    /// One was refused: the transaction can only be taken back.
    is_spoilt: bool,
    /// A partition was lost since the commit under way began: a transaction fails then.
    is_fenced: bool,
    /// The last commit was said to have failed: nobody knows what is committed.
    is_unsure: bool,
    /// Where to go back to, until that is done.
    aborting: Option<Vec<(PartitionId, i64)>>,
    answers: VecDeque<Ack>,
    room: usize,
}

#[derive(Debug)]
enum News {
    Assigned(PartitionId),
    Revoked(PartitionId),
    Lost(PartitionId),
    Committed { ticket: u64, confirmed: bool },
    Aborted,
}

/// The test's handle.
#[derive(Clone, Debug)]
pub struct Broker {
    state: Rc<RefCell<State>>,
}

impl Broker {
    /// A broker whose source topic has these logs.
    pub fn new(logs: Vec<Vec<Stored>>) -> Broker {
        let committed = vec![None; logs.len()];
        let notes = vec![Note::default(); logs.len()];
        let state = State { logs, committed, notes, ..State::default() };
        Broker { state: Rc::new(RefCell::new(state)) }
    }

    /// One whose results are committed with positions.
    pub fn with_transactions(logs: Vec<Vec<Stored>>) -> Broker {
        let broker = Broker::new(logs);
        broker.state.borrow_mut().has_transactions = true;
        broker
    }

    /// Ends the current session, if any, and begins another: nothing assigned, nothing on its way.
    pub fn connect(&self, sink_room: usize) -> (BrokerSource, BrokerSink) {
        let mut state = self.state.borrow_mut();
        let fetch = vec![0; state.logs.len()];
        let notes = vec![Note::default(); fetch.len()];
        let begins = vec![Begin::default(); fetch.len()];
        state.session = Session { fetch, begins, notes, room: sink_room, ..Session::default() };
        let source =
            BrokerSource { state: Rc::clone(&self.state), told: [PartitionId(0)], gate: None };
        (source, BrokerSink::new(&self.state))
    }

    /// From now on a source ends at these offsets.
    pub fn end_at(&self, ends: Vec<i64>) {
        self.state.borrow_mut().ends = Some(ends);
    }

    /// The group gives a partition, starting at its commit or at 0.
    pub fn assign(&self, partition: PartitionId) {
        let mut state = self.state.borrow_mut();
        let at = usize::from(partition.0);
        state.go_to(at, 0);
        state.session.owned.push(partition);
        state.session.news.push_back(News::Assigned(partition));
    }

    /// The group wants a partition back.
    pub fn revoke(&self, partition: PartitionId) {
        self.state.borrow_mut().session.news.push_back(News::Revoked(partition));
    }

    /// A partition is gone; commits of it that are under way fail.
    pub fn lose(&self, partition: PartitionId) {
        let mut state = self.state.borrow_mut();
        state.session.owned.retain(|it| *it != partition);
        for (_, positions) in &mut state.session.commits {
            positions.retain(|(id, ..)| *id != partition);
        }
        state.session.is_fenced |= !state.session.commits.is_empty();
        state.session.news.push_back(News::Lost(partition));
    }

    /// Partitions that the current session owns.
    pub fn owned(&self) -> Vec<PartitionId> {
        self.state.borrow().session.owned.clone()
    }

    /// Answers the oldest commit under way; false if there is none.
    pub fn answer_commit(&self, confirm: bool) -> bool {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some((ticket, positions)) = state.session.commits.pop_front() else { return false };
        let is_fenced = std::mem::take(&mut state.session.is_fenced) && state.has_transactions;
        let confirm = confirm && !is_fenced;
        if confirm {
            state.session.uncommitted.sort_by_key(|(number, _)| *number);
            let committed = state.session.uncommitted.drain(..).map(|(_, written)| written);
            state.written.extend(committed);
            for (partition, position, note) in positions {
                state.committed[usize::from(partition.0)] = Some(position);
                state.notes[usize::from(partition.0)] = note;
            }
        }
        state.session.is_unsure = !confirm;
        state.session.news.push_back(News::Committed { ticket, confirmed: confirm });
        true
    }

    /// The oldest commit under way happens, and whoever asked for it hears that it failed; false if
    /// there is none.
    pub fn answer_commit_wrongly(&self) -> bool {
        let is_answered = self.answer_commit(true);
        let Session { news, is_unsure, .. } = &mut self.state.borrow_mut().session;
        if let Some(News::Committed { confirmed, .. }) = news.back_mut().filter(|_| is_answered) {
            (*confirmed, *is_unsure) = (false, true);
        }
        is_answered
    }

    /// Takes the open transaction back, if that was asked for; false if it was not.
    pub fn answer_abort(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        let Some(positions) = state.session.aborting.take() else { return false };
        for (partition, position) in positions {
            state.go_to(usize::from(partition.0), position);
        }
        for partition in state.session.owned.clone() {
            // Those that did not move begin where they are.
            let at = usize::from(partition.0);
            let position = state.committed[at].unwrap_or(state.session.begins[at].position);
            state.session.begins[at] = Begin { position, note: state.notes[at] };
        }
        state.session.is_spoilt = false;
        state.session.news.push_back(News::Aborted);
        true
    }

    /// Results without an answer.
    pub fn unanswered(&self) -> usize {
        self.state.borrow().session.unanswered.len()
    }

    /// How many results may be without an answer.
    pub fn set_room(&self, room: usize) {
        self.state.borrow_mut().session.room = room;
    }

    /// The committed offset of each partition.
    pub fn committed(&self) -> Vec<Option<i64>> {
        self.state.borrow().committed.clone()
    }

    /// Shows all results written so far, over all sessions.
    pub fn for_each_written(&self, see: impl FnMut(&Written)) {
        self.state.borrow().written.iter().for_each(see);
    }

    /// A record of the source topic.
    ///
    /// # Panics
    ///
    /// If there is none at that offset.
    pub fn stored(&self, partition: PartitionId, offset: i64) -> Stored {
        self.state.borrow().logs[usize::from(partition.0)][offset as usize].clone()
    }

    /// Records in a partition's log.
    pub fn log_len(&self, partition: PartitionId) -> i64 {
        self.state.borrow().logs[usize::from(partition.0)].len() as i64
    }
}

/// What is still on its way when its transaction is taken back.
const WITHDRAWN: Refusal = Refusal {
    code: "_PURGE_QUEUE",
    too_large: false,
    fatal: false,
    aborts: true,
    is_about_content: false,
};

/// The source of one session.
#[derive(Debug)]
pub struct BrokerSource {
    state: Rc<RefCell<State>>,
    told: [PartitionId; 1],
    /// Where partitions wait for their state, if steps keep any.
    gate: Option<Gate>,
}

impl BrokerSource {
    /// Each partition waits from now on until its state was taken. Where nobody knows whether a
    /// transaction was committed, all are restored once more before it is told that it was taken
    /// back.
    pub fn restore_by(&mut self, restoration: Arc<Restoration>) {
        self.gate = Some(Gate::new(restoration));
    }

    /// What of the news is for whoever asks; a partition is none before its state is there.
    fn gated(&mut self, news: News) -> Option<News> {
        let Some(gate) = &mut self.gate else { return Some(news) };
        match news {
            News::Assigned(partition) => {
                gate.close(partition);
                None
            }
            News::Revoked(partition) | News::Lost(partition) if gate.forget(partition) => {
                self.state.borrow_mut().session.owned.retain(|it| *it != partition);
                None
            }
            News::Lost(partition) => {
                gate.leave(partition);
                Some(news)
            }
            News::Aborted => {
                let session = &mut self.state.borrow_mut().session;
                if std::mem::take(&mut session.is_unsure) {
                    gate.close_again(&session.owned);
                    return None;
                }
                Some(news)
            }
            other => Some(other),
        }
    }

    fn next_news(&mut self) -> Option<News> {
        loop {
            if let Some(partition) = self.gate.as_mut().and_then(Gate::next_open) {
                return Some(News::Assigned(partition));
            }
            if self.gate.as_mut().is_some_and(Gate::is_whole_again) {
                return Some(News::Aborted);
            }
            let news = self.state.borrow_mut().session.news.pop_front()?;
            if let Some(news) = self.gated(news) {
                return Some(news);
            }
        }
    }
}

impl Source for BrokerSource {
    fn serve(&mut self, _now: Ticks) -> usize {
        self.state.borrow().session.news.len()
    }

    fn next_event(&mut self) -> Option<SourceEvent<'_>> {
        let news = self.next_news()?;
        Some(match news {
            News::Assigned(partition) => {
                self.told = [partition];
                SourceEvent::Assigned(&self.told)
            }
            News::Revoked(partition) => {
                self.told = [partition];
                SourceEvent::Revoked(&self.told)
            }
            News::Lost(partition) => {
                self.told = [partition];
                SourceEvent::Lost(&self.told)
            }
            News::Aborted => SourceEvent::Aborted(Ok(())),
            News::Committed { ticket, confirmed } => {
                let text = Sentence::from("the script says so");
                let trouble =
                    Trouble { peer: "source", code: "REBALANCE_IN_PROGRESS", text, heals: true };
                let result = if confirmed { Ok(()) } else { Err(trouble) };
                SourceEvent::Committed { ticket, result }
            }
        })
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let state = &mut *self.state.borrow_mut();
        if state.session.aborting.is_some() {
            return 0;
        }
        let mut taken = 0;
        let is_open =
            |it: &&PartitionId| self.gate.as_ref().is_none_or(|gate| !gate.is_closed(**it));
        for partition in state.session.owned.iter().filter(is_open) {
            let at = usize::from(partition.0);
            let end = state.ends.as_ref().map_or(i64::MAX, |ends| ends[at]);
            while taken < records_max && state.session.fetch[at] < end {
                let offset = state.session.fetch[at];
                let Some(stored) = state.logs[at].get(offset as usize) else { break };
                let record = Record {
                    partition: *partition,
                    topic: TOPIC,
                    partition_number: i32::from(partition.0),
                    offset,
                    timestamp_ms: Some(offset),
                    key: stored.key.as_deref(),
                    value: stored.value.as_deref(),
                    headers: Headers::from_bytes(&stored.headers),
                    arrived: now,
                };
                if !take(&record) {
                    return taken;
                }
                state.session.fetch[at] += 1;
                taken += 1;
            }
        }
        taken
    }

    fn is_done(&self) -> bool {
        let State { session, ends, .. } = &*self.state.borrow();
        let is_read = |it: &PartitionId, ends: &Vec<i64>| {
            session.fetch[usize::from(it.0)] >= ends[usize::from(it.0)]
        };
        let owned = &session.owned;
        ends.as_ref().is_some_and(|ends| {
            !owned.is_empty() && session.news.is_empty() && owned.iter().all(|it| is_read(it, ends))
        })
    }

    fn is_at_end(&self, partition: PartitionId, position: i64) -> bool {
        position >= self.state.borrow().logs[usize::from(partition.0)].len() as i64
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        let session = &mut self.state.borrow_mut().session;
        assert!(!session.is_spoilt, "a commit of a transaction that lacks a result");
        let with_note = |(id, position): &(PartitionId, i64)| {
            (*id, *position, session.notes[usize::from(id.0)])
        };
        let positions = positions.iter().map(with_note).collect();
        session.commits.push_back((ticket, positions));
    }

    fn note(&mut self, partition: PartitionId, note: Note) {
        self.state.borrow_mut().session.notes[usize::from(partition.0)] = note;
    }

    fn begin_of(&self, partition: PartitionId) -> Begin {
        self.state.borrow().session.begins[usize::from(partition.0)]
    }

    fn abort(&mut self, positions: &[(PartitionId, i64)]) {
        let session = &mut self.state.borrow_mut().session;
        assert!(session.aborting.is_none() && session.commits.is_empty(), "one thing at a time");
        session.aborting = Some(positions.to_vec());
        session.uncommitted.clear();
        for (token, ..) in session.unanswered.drain(..) {
            let result = Err(WITHDRAWN);
            session.answers.push_back(Ack { token, at: Ticks(0), result });
        }
    }

    fn release(&mut self, partitions: &[PartitionId]) {
        if let Some(gate) = &mut self.gate {
            partitions.iter().for_each(|it| gate.leave(*it));
        }
        self.state.borrow_mut().session.owned.retain(|it| !partitions.contains(it));
    }

    fn partition(&self, partition: PartitionId) -> (&str, i32) {
        (TOPIC, i32::from(partition.0))
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}

    fn close(&mut self) {}
}

//! State read back from what a `Broker` was given: a state topic for simulations, without threads.
//!
//! A test says when how much is read, so that a crash or a rebalance can come in between.

use std::{collections::VecDeque, sync::Arc};

use super::Broker;
use crate::{
    limits::PARTITIONS_MAX,
    record::{Destination, PartitionId},
    transport::restore::{
        Filler, Restoration, RestoredEntries, StateKey, StateKind, StatefulStep, Want, restoration,
    },
};

/// The name of a broker's only topic.
pub(super) const TOPIC: &str = "memory";

/// What a broker has been given for one destination, as a state topic.
#[derive(Debug)]
pub struct BrokerState {
    broker: Broker,
    destination: Destination,
    steps: Vec<StatefulStep>,
    filler: Filler,
    wants: Vec<Want>,
    /// What is to be handed over, in order.
    ahead: VecDeque<(Want, Ahead)>,
}

#[derive(Debug)]
enum Ahead {
    Begin,
    Entry(StateKind, usize, Vec<u8>, Option<Vec<u8>>),
    Complete,
}

impl BrokerState {
    /// State of these steps in that destination. The shared part is the source's, see
    /// `BrokerSource::restore_by`; the entries are the engine's.
    pub fn new(
        broker: &Broker,
        destination: Destination,
        steps: &[StatefulStep],
    ) -> (BrokerState, Arc<Restoration>, RestoredEntries) {
        let (shared, entries, filler) = restoration(steps);
        let state = BrokerState {
            broker: broker.clone(),
            destination,
            steps: steps.to_vec(),
            filler,
            wants: Vec::new(),
            ahead: VecDeque::new(),
        };
        (state, shared, entries)
    }

    /// Reads what is wanted as it stands now, and hands over at most so many items. False if there
    /// is nothing more to hand over.
    ///
    /// # Panics
    ///
    /// If a key is none of a state topic.
    pub fn step(&mut self, items_max: usize) -> bool {
        self.filler.hear(&mut self.wants);
        for want in std::mem::take(&mut self.wants) {
            self.read(want);
        }
        for _ in 0..items_max {
            if !self.filler.has_room() {
                break;
            }
            let Some((want, item)) = self.ahead.pop_front() else { break };
            match item {
                Ahead::Begin => self.filler.begin(&want),
                Ahead::Complete => self.filler.complete(&want),
                Ahead::Entry(kind, step, key, value) => {
                    let of = (kind, &self.steps[step]);
                    self.filler.entry(&want, of, &key, value.as_deref());
                }
            }
        }
        self.filler.flush();
        !self.ahead.is_empty()
    }

    fn read(&mut self, want: Want) {
        let BrokerState { broker, destination, steps, ahead, .. } = self;
        ahead.push_back((want, Ahead::Begin));
        broker.for_each_written(|written| {
            let number = written.partition_number;
            if written.destination != *destination || number != Some(want.number) {
                return;
            }
            let key = written.key.as_deref().and_then(StateKey::read);
            let key = key.expect("a key of a state topic");
            let step = |it: &StatefulStep| it.name == key.step && it.hash == key.hash;
            let step = steps.iter().position(step).filter(|_| key.topic == TOPIC);
            let step = step.expect("an entry of a step of this configuration");
            let item = Ahead::Entry(key.kind, step, key.key.to_vec(), written.value.clone());
            ahead.push_back((want, item));
        });
        ahead.push_back((want, Ahead::Complete));
    }
}

/// Partitions of a source that wait for their state.
#[derive(Debug)]
pub(super) struct Gate {
    shared: Arc<Restoration>,
    waiting: Vec<PartitionId>,
    /// Announced, and restored once more; until all of them are.
    again: Vec<PartitionId>,
    is_restoring_again: bool,
}

impl Gate {
    pub(super) fn new(shared: Arc<Restoration>) -> Gate {
        let [waiting, again] = [(); 2].map(|()| Vec::with_capacity(PARTITIONS_MAX));
        Gate { shared, waiting, again, is_restoring_again: false }
    }

    pub(super) fn close(&mut self, partition: PartitionId) {
        self.want(partition);
        self.waiting.push(partition);
    }

    /// Those of these that were announced are restored once more.
    pub(super) fn close_again(&mut self, partitions: &[PartitionId]) {
        let announced = partitions.iter().filter(|it| !self.waiting.contains(it));
        self.again.extend(announced);
        self.again.iter().for_each(|it| self.want(*it));
        self.is_restoring_again = true;
    }

    /// True once, when that is done.
    pub(super) fn is_whole_again(&mut self) -> bool {
        let is_whole =
            self.is_restoring_again && self.again.iter().all(|it| self.shared.is_complete(*it));
        if is_whole {
            self.again.clear();
            self.is_restoring_again = false;
        }
        is_whole
    }

    /// An announced one is not ours any more.
    pub(super) fn leave(&mut self, partition: PartitionId) {
        if let Some(index) = self.again.iter().position(|it| *it == partition) {
            self.again.remove(index);
            self.shared.cancel(partition);
        }
    }

    fn want(&self, partition: PartitionId) {
        self.shared.want(partition, 0, i32::from(partition.0));
    }

    /// The next one whose state is there.
    pub(super) fn next_open(&mut self) -> Option<PartitionId> {
        let index = self.waiting.iter().position(|it| self.shared.is_complete(*it))?;
        Some(self.waiting.remove(index))
    }

    /// True if it waited: nobody was told of it.
    pub(super) fn forget(&mut self, partition: PartitionId) -> bool {
        let Some(index) = self.waiting.iter().position(|it| *it == partition) else { return false };
        self.waiting.remove(index);
        self.shared.cancel(partition);
        true
    }

    pub(super) fn is_closed(&self, partition: PartitionId) -> bool {
        self.waiting.contains(&partition) || self.again.contains(&partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        record::{Headers, Output},
        transport::{
            Begin, Note, Sink, Source, SourceEvent, Token,
            memory::{BrokerSink, BrokerSource, Stored},
            restore::Handed,
        },
    };

    const STATE: Destination = Destination(2);
    const P0: PartitionId = PartitionId(0);
    const P1: PartitionId = PartitionId(1);

    fn step() -> StatefulStep {
        StatefulStep { number: 3, name: "4".to_owned(), operator: "dedup", hash: 5 }
    }

    /// Two partitions of a record each, and state of the first and of nobody's.
    fn broker() -> (Broker, BrokerSource, BrokerSink) {
        let broker = Broker::new(vec![vec![Stored::default()], vec![Stored::default()]]);
        let (source, mut sink) = broker.connect(10);
        for (destination, number, key, value) in [
            (STATE, 0, "a", Some("1")),
            (STATE, 0, "b", Some("2")),
            (STATE, 0, "a", None),
            (Destination(0), 0, "a", Some("a result")),
        ] {
            let mut bytes = Vec::new();
            let (kind, key) = (StateKind::Entry, key.as_bytes());
            StateKey { kind, topic: TOPIC, step: "4", hash: 5, key }.write(&mut bytes);
            let output = Output {
                destination,
                partition_number: Some(number),
                timestamp_ms: None,
                key: Some(&bytes),
                value: value.map(str::as_bytes),
                headers: Headers::NONE,
            };
            sink.send(&output, Token(0)).unwrap();
            broker.accept(0);
        }
        (broker, source, sink)
    }

    fn taken(entries: &mut RestoredEntries) -> Vec<String> {
        let mut all = Vec::new();
        entries.take(100, &mut |partition, handed| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let what = match handed {
                Handed::Entry { step, key, value } => {
                    format!("{step} {}={:?}", text(key), value.map(text))
                }
                other => format!("{other:?}"),
            };
            all.push(format!("{}: {what}", partition.0));
        });
        all
    }

    fn polled(source: &mut BrokerSource) -> Vec<PartitionId> {
        let mut all = Vec::new();
        source.poll(Ticks(0), 9, &mut |record| {
            all.push(record.partition);
            true
        });
        all
    }

    #[test]
    fn a_partition_is_announced_and_lent_once_its_state_was_taken() {
        let (broker, mut source, _sink) = broker();
        let (mut state, shared, mut entries) = BrokerState::new(&broker, STATE, &[step()]);
        source.restore_by(shared);
        broker.assign(P0);
        broker.assign(P1);
        assert!(source.next_event().is_none());
        assert!(polled(&mut source).is_empty());
        assert!(state.step(2));
        assert_eq!(taken(&mut entries), ["0: Begin", "0: 3 a=Some(\"1\")"]);
        assert!(source.next_event().is_none());
        state.step(3);
        let rest = ["0: 3 b=Some(\"2\")", "0: 3 a=None", "0: Complete"];
        assert_eq!(taken(&mut entries), rest);
        assert!(matches!(source.next_event(), Some(SourceEvent::Assigned(&[P0]))));
        assert!(source.next_event().is_none());
        assert_eq!(polled(&mut source), [P0], "the other one waits");
        assert!(!state.step(9));
        assert_eq!(taken(&mut entries), ["1: Begin", "1: Complete"]);
        assert!(matches!(source.next_event(), Some(SourceEvent::Assigned(&[P1]))));
        assert_eq!(polled(&mut source), [P1]);
    }

    #[test]
    fn a_commit_that_nobody_knows_of_has_state_restored_before_the_end_of_the_transaction() {
        let log = vec![Stored::default(); 3];
        let broker = Broker::with_transactions(vec![log.clone(), log]);
        let (mut source, _sink) = broker.connect(10);
        let (mut state, shared, mut entries) = BrokerState::new(&broker, STATE, &[step()]);
        source.restore_by(Arc::clone(&shared));
        for partition in [P0, P1] {
            broker.assign(partition);
            assert!(source.next_event().is_none());
            state.step(9);
            taken(&mut entries);
            assert!(matches!(source.next_event(), Some(SourceEvent::Assigned(_))));
        }
        assert_eq!(polled(&mut source).len(), 6);
        assert!(source.is_at_end(P0, 3) && !source.is_at_end(P0, 2));
        let mut note = Note::default();
        note.push(-7);
        source.note(P0, note);
        source.commit(1, &[(P0, 2)]);
        assert!(broker.answer_commit_wrongly());
        let told = source.next_event();
        assert!(matches!(told, Some(SourceEvent::Committed { result: Err(_), .. })), "{told:?}");
        source.abort(&[(P0, 0)]);
        assert!(broker.answer_abort());
        assert!(source.next_event().is_none() && shared.is_restoring());
        state.step(9);
        assert_eq!(taken(&mut entries).len(), 4, "both begin and are complete");
        assert!(matches!(source.next_event(), Some(SourceEvent::Aborted(Ok(())))));
        assert_eq!(source.begin_of(P0), Begin { position: 2, note });
        assert_eq!(polled(&mut source), [P0], "what was committed does not come again");

        source.commit(2, &[(P0, 3)]);
        assert!(broker.answer_commit(true));
        assert!(matches!(source.next_event(), Some(SourceEvent::Committed { result: Ok(()), .. })));
        source.abort(&[]);
        assert!(broker.answer_abort());
        assert!(matches!(source.next_event(), Some(SourceEvent::Aborted(Ok(())))));
        assert!(!shared.is_restoring(), "nothing was in doubt");
    }

    #[test]
    fn one_that_is_taken_back_while_it_waits_is_forgotten_in_silence() {
        let (broker, mut source, _sink) = broker();
        let (mut state, shared, mut entries) = BrokerState::new(&broker, STATE, &[step()]);
        source.restore_by(Arc::clone(&shared));
        broker.assign(P0);
        assert!(source.next_event().is_none());
        state.step(2);
        assert_eq!(taken(&mut entries).len(), 2);
        broker.revoke(P0);
        assert!(source.next_event().is_none());
        assert!(broker.owned().is_empty() && !shared.is_restoring());
        state.step(9);
        assert_eq!(taken(&mut entries), ["0: Cancelled"]);
        broker.assign(P0);
        broker.lose(P0);
        assert!(source.next_event().is_none() && !shared.is_restoring());
        broker.assign(P0);
        assert!(source.next_event().is_none());
        state.step(9);
        assert_eq!(taken(&mut entries).last().map(String::as_str), Some("0: Complete"));
        assert!(matches!(source.next_event(), Some(SourceEvent::Assigned(&[P0]))));
    }
}

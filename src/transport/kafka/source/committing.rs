//! Positions are committed by the consumer alone, or in the transactions of a sink; one commit at a
//! time, whose answer comes with a later turn.

use std::{ffi::c_void, time::Duration};

use rdkafka::bindings as rd;

use super::{Code, KafkaSource, OK, State, Told, native, place_of, restoring::Restoring};
use crate::{
    record::PartitionId,
    transport::{
        Begin, Trouble,
        kafka::{
            native::{PartitionList, c_name},
            start::{self, Committed, Text},
            transactions::{self, Done, Transactions},
        },
    },
    verdict::Sentence,
};

impl KafkaSource {
    pub(super) fn begin_commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        assert!(!self.is_committing, "one commit at a time: the last one has no answer yet");
        self.committing.clear();
        for &(partition, offset) in positions {
            let is_ours = self.assignment.is_announced(partition);
            if let Some(entry) = self.assignment.commit_entry(partition).filter(|_| is_ours) {
                self.commits.set_offset(entry as usize, offset);
                self.known.ask(partition, offset);
                self.committing.push(partition);
            }
        }
        if self.is_closed || self.committing.is_empty() {
            self.events.push_back(Told::Committed(ticket, Ok(())));
            return;
        }
        // Entries without an offset are passed over.
        let code = match &self.transactions {
            Some(transactions) => {
                transactions.commit(ticket, self.commits.copy());
                self.is_transacting = true;
                OK
            }
            None => self.commit_alone(ticket),
        };
        for entry in self.committing.iter().filter_map(|it| self.assignment.commit_entry(*it)) {
            self.commits.set_offset(entry as usize, native::OFFSET_NONE);
        }
        self.is_committing = code == OK && self.transactions.is_none();
        if code != OK {
            self.events
                .push_back(Told::Committed(ticket, Err(self.client.commit_trouble(code, None))));
        }
    }

    /// What the partition's commits say beside the position.
    pub(super) fn write_words(&mut self, partition: PartitionId) {
        let Some(entry) = self.assignment.commit_entry(partition) else { return };
        let (mark, note) = self.known.words(partition);
        let words = Sentence::format(format_args!("{}", Text(mark, note)));
        self.commits.set_metadata(entry as usize, words.as_str().as_bytes());
    }

    /// A member that the group has left behind has no name any more: a commit without one, under a
    /// `group.instance.id`, is taken for a second process of that id, after which librdkafka's
    /// client is of no more use. Its partitions are lost, as the next event will say.
    fn commit_alone(&self, ticket: u64) -> Code {
        if self.client.has_lost_assignment() {
            return Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
        }
        let (client, list) = (self.client.handle(), self.commits.handle());
        // SAFETY: client, list and queue are live; the list is copied.
        unsafe {
            let ticket = ticket as *mut c_void;
            rd::rd_kafka_commit_queue(client, list, self.replies.handle(), None, ticket)
        }
    }

    pub(super) fn take_reply(&mut self) -> usize {
        if !self.is_committing {
            return 0;
        }
        let Some(reply) = self.replies.next_event(Duration::ZERO) else { return 0 };
        self.is_committing = false;
        let result = match reply.code() {
            OK => reply.partitions().iter().try_for_each(|entry| match entry.code() {
                OK => Ok(()),
                code => Err(self.client.commit_trouble(code, Some(entry))),
            }),
            code => Err(self.client.commit_trouble(code, None)),
        };
        self.tell_committed(reply.number(), result);
        1
    }

    fn tell_committed(&mut self, ticket: u64, result: Result<(), Trouble>) {
        if result.is_ok() {
            self.committing.iter().for_each(|it| self.known.confirm(*it));
        }
        self.events.push_back(Told::Committed(ticket, result));
    }

    pub(super) fn take_back(&mut self, positions: &[(PartitionId, i64)]) {
        let Some(transactions) = &self.transactions else { return };
        assert!(!self.is_transacting, "one transaction at a time: the last has no answer yet");
        let is_stranded = |it: &&(PartitionId, i64)| self.assignment.state(it.0) == State::Stranded;
        if let Some((partition, offset)) = positions.iter().find(is_stranded) {
            // Where it goes on is about to be found out, for another position than that.
            let (topic, number) = self.assignment.place(*partition);
            let topic = &self.topics[usize::from(topic)].name;
            let trouble = transactions::cannot_go_back(topic, number, *offset);
            self.events.push_back(Told::Aborted(Err(trouble)));
            return;
        }
        let mut list = PartitionList::new();
        for &(partition, offset) in positions {
            let (topic, number) = self.assignment.place(partition);
            self.ends.go_back(partition, offset);
            self.assignment.go_back(partition, offset);
            list.add(&c_name(&self.topics[usize::from(topic)].name), number, offset);
        }
        let (topics, assignment) = (&mut self.topics, &self.assignment);
        self.lent.retain(|message| {
            let place = place_of(topics, message).and_then(|it| assignment.find(it));
            place.is_none_or(|place| positions.iter().all(|(it, _)| *it != place))
        });
        transactions.abort(list, self.in_doubt());
        (self.is_transacting, self.is_going_back) = (true, true);
    }

    /// The partitions of which nobody knows what is committed.
    fn in_doubt(&self) -> PartitionList {
        let mut list = PartitionList::new();
        let announced = self
            .assignment
            .states()
            .filter(|(_, state)| self.is_unsure && !matches!(state, State::Free | State::Starting));
        for (partition, _) in announced {
            let (topic, number) = self.assignment.place(partition);
            let name = c_name(&self.topics[usize::from(topic)].name);
            list.add(&name, number, native::OFFSET_NONE);
        }
        list
    }

    pub(super) fn take_transaction(&mut self) -> usize {
        let Some(done) = self.transactions.as_ref().and_then(Transactions::answer) else {
            return 0;
        };
        self.is_transacting = false;
        match done {
            Done::Committed(ticket, result) => {
                self.is_unsure = result.is_err() && self.restoring.is_some();
                self.tell_committed(ticket, result);
            }
            Done::Aborted(Ok(found)) => self.go_back_to(&found),
            Done::Aborted(Err(trouble)) => self.tell_aborted(Err(trouble)),
        }
        self.answer_group();
        1
    }

    /// What is committed was found out where it was in doubt: state comes back as it was then.
    fn go_back_to(&mut self, found: &PartitionList) {
        for entry in found.entries() {
            let topic =
                self.topics.iter().position(|it| it.name.as_bytes() == entry.topic().to_bytes());
            let Some(place) = topic.map(|it| (it as u16, entry.partition())) else { continue };
            let Some(partition) = self.assignment.find(place) else { continue };
            if !self.assignment.is_announced(partition) {
                continue;
            }
            let Committed { offset, note, .. } = start::committed(entry.offset(), entry.metadata());
            if let Some(position) = offset {
                self.known.learn(partition, Begin { position, note });
                self.write_words(partition);
            }
            self.restoring.iter_mut().for_each(|it| it.want_again(partition, place));
        }
        if self.restoring.as_ref().is_none_or(Restoring::is_whole) {
            self.tell_aborted(Ok(()));
        }
    }

    pub(super) fn tell_aborted(&mut self, result: Result<(), Trouble>) {
        (self.is_going_back, self.is_unsure) = (false, false);
        self.events.push_back(Told::Aborted(result));
    }
}

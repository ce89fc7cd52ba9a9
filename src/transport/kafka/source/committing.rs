//! Positions are committed by the consumer alone, or in the transactions of a sink; one commit at a
//! time, whose answer comes with a later turn.

use std::{ffi::c_void, time::Duration};

use rdkafka::bindings as rd;

use super::{Code, KafkaSource, OK, State, Told, native, place_of};
use crate::{
    record::PartitionId,
    transport::kafka::{
        native::{PartitionList, c_name},
        transactions::{self, Done, Transactions},
    },
};

impl KafkaSource {
    pub(super) fn begin_commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        assert!(!self.is_committing, "one commit at a time: the last one has no answer yet");
        self.commit_entries.clear();
        for &(partition, offset) in positions {
            let is_ours = self.assignment.is_announced(partition);
            if let Some(entry) = self.assignment.commit_entry(partition).filter(|_| is_ours) {
                self.commits.set_offset(entry as usize, offset);
                self.commit_entries.push(entry);
            }
        }
        if self.is_closed || self.commit_entries.is_empty() {
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
        for &entry in &self.commit_entries {
            self.commits.set_offset(entry as usize, native::OFFSET_NONE);
        }
        self.is_committing = code == OK && self.transactions.is_none();
        if code != OK {
            self.events
                .push_back(Told::Committed(ticket, Err(self.client.commit_trouble(code, None))));
        }
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
        self.events.push_back(Told::Committed(reply.number(), result));
        1
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
        transactions.abort(list);
        (self.is_transacting, self.is_going_back) = (true, true);
    }

    pub(super) fn take_transaction(&mut self) -> usize {
        let Some(done) = self.transactions.as_ref().and_then(Transactions::answer) else {
            return 0;
        };
        self.is_transacting = false;
        self.events.push_back(match done {
            Done::Committed(ticket, result) => Told::Committed(ticket, result),
            Done::Aborted(result) => {
                self.is_going_back = false;
                Told::Aborted(result)
            }
        });
        self.answer_group();
        1
    }
}

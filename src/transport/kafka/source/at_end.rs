//! Whether a partition is read to its end, by what the client knows already.
//!
//! librdkafka keeps the end that the last fetch response told, written before the response's
//! records are handed over, and how far it handed over, which lies past the marks of transactions.
//! Both are read under the partition's own lock; nobody is asked. What it keeps outlives an
//! ownership, so that the end counts that was found when the partition began, too. Records of a
//! transaction that is open are behind that end and before the other: they may still come, and the
//! partition is not read to its end.

use rdkafka::bindings as rd;

use super::{KafkaSource, OK, State};
use crate::record::PartitionId;

impl KafkaSource {
    pub(super) fn is_read_to_end(&self, partition: PartitionId, position: i64) -> bool {
        let is_all_lent = self.assignment.state(partition) == State::Owned
            && !self.is_going_back
            && position >= self.assignment.position(partition);
        match (self.known.first_end(partition), self.assignment.commit_entry(partition)) {
            (Some(first_end), Some(entry)) if is_all_lent => {
                let Some(end) = self.told_end(entry).map(|it| it.max(first_end)) else {
                    return false;
                };
                position >= end || self.handed_over(entry) >= end && !self.has_taken(entry)
            }
            _ => false,
        }
    }

    /// The end that the last fetch response told.
    fn told_end(&self, entry: u32) -> Option<i64> {
        let entry = &self.looks.entries()[entry as usize];
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is live; the name lives as long as the entry; both numbers are ours.
        let code = unsafe {
            let (client, topic) = (self.client.handle(), entry.topic().as_ptr());
            rd::rd_kafka_get_watermark_offsets(
                client,
                topic,
                entry.partition(),
                &mut low,
                &mut high,
            )
        };
        (code == OK && high >= 0).then_some(high)
    }

    /// Up to there librdkafka has handed over; below zero where that is nothing yet.
    fn handed_over(&self, entry: u32) -> i64 {
        let index = entry as usize;
        self.looks.with_one(index, |one| {
            // SAFETY: client and list are live; only the entry's offset and epoch are written.
            unsafe { rd::rd_kafka_position(self.client.handle(), one) };
        });
        self.looks.entries()[index].offset()
    }

    /// True if something of it was handed over and is not lent.
    fn has_taken(&self, entry: u32) -> bool {
        let entry = &self.looks.entries()[entry as usize];
        self.lent.any(|message| {
            message.partition() == entry.partition() && message.topic_name() == entry.topic()
        })
    }
}

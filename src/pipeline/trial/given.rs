//! A record of a trial, which owns what a source would lend.

use crate::{
    clock::Ticks,
    record::{Headers, PartitionId, Record},
};

/// What a record is made of. What is not given is as it would be of a first record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Else the first topic of the source.
    pub topic: Option<String>,
    /// Else 0.
    pub partition: Option<i32>,
    /// Else how many records came before it.
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; without one it is a tombstone.
    pub value: Option<Vec<u8>>,
    /// A block of `Headers::push`.
    pub headers: Vec<u8>,
}

impl Given {
    /// A copy of a record, but for where it is from.
    pub(super) fn of(record: &Record<'_>) -> Given {
        Given {
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.as_bytes().to_vec(),
            ..Given::default()
        }
    }

    /// Borrowed, as the record of that number, from 0, that arrived at that time.
    pub(super) fn record<'a>(
        &'a self,
        first_topic: &'a str,
        number: u64,
        arrived: Ticks,
    ) -> Record<'a> {
        Record {
            partition: PartitionId(0),
            topic: self.topic.as_deref().unwrap_or(first_topic),
            partition_number: self.partition.unwrap_or(0),
            offset: self.offset.unwrap_or(number as i64),
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(&self.headers),
            arrived,
        }
    }
}

//! Asks brokers for offsets: by time, or at one of a partition's two ends. Waits for the answer:
//! not for the hot thread.
//!
//! The end is what a reader of committed records can see: an open transaction is behind it.

use std::{
    ffi::CStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    client::Client,
    faults,
    native::{self, OK, PartitionEntry, PartitionList, millis},
};
use crate::{config::settings::Start, verdict::Sentence};

/// How long one call may block. A partition that is taken back waits for it.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// What went wrong, to become trouble.
pub(super) type Fault = (Code, Sentence);

pub(super) fn fault(code: Code, what: std::fmt::Arguments<'_>) -> Fault {
    (code, Sentence::format(format_args!("{what}: {}", faults::text_of(code))))
}

pub(super) fn check(code: Code, what: std::fmt::Arguments<'_>) -> Result<(), Fault> {
    if code == OK { Ok(()) } else { Err(fault(code, what)) }
}

/// An offset that is known, or librdkafka's question for one: a time, or one of its two marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offset {
    /// Committed by the group.
    Known(i64),
    /// Given by the user.
    Given(i64),
    Asked(i64),
}

impl Offset {
    pub(super) const EARLIEST: Offset = Offset::Asked(rd::RD_KAFKA_OFFSET_BEGINNING as i64);
    pub(super) const END: Offset = Offset::Asked(rd::RD_KAFKA_OFFSET_END as i64);

    /// The question for a start.
    pub(super) fn of(start: Start) -> Offset {
        match start {
            Start::Earliest => Offset::EARLIEST,
            Start::Latest => Offset::END,
            Start::Time(at_ms) => Offset::Asked(at_ms.max(0)),
            Start::Age(age) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Offset::Asked(now.saturating_sub(age).as_millis() as i64)
            }
        }
    }

    fn value(self) -> i64 {
        let (Offset::Known(value) | Offset::Given(value) | Offset::Asked(value)) = self;
        value
    }
}

/// Answers what is asked about partitions of one topic, in their order; a time after the last
/// record is its end.
pub(super) fn look_up(
    client: &Arc<Client>,
    topic: &CStr,
    wishes: &[(i32, Offset)],
) -> Result<Vec<i64>, Fault> {
    let mut offsets: Vec<_> = wishes.iter().map(|(_, wish)| wish.value()).collect();
    let mut open: Vec<_> =
        (0..wishes.len()).filter(|&it| matches!(wishes[it].1, Offset::Asked(_))).collect();
    for _round in 0..2 {
        if open.is_empty() {
            return Ok(offsets);
        }
        let questions: Vec<_> = open.iter().map(|&it| (wishes[it].0, offsets[it])).collect();
        for (&index, answer) in open.iter().zip(ask(client, topic, &questions)?) {
            offsets[index] = answer;
        }
        // No record is that young: the second question is for the end.
        open.retain(|&index| offsets[index] < 0);
        open.iter().for_each(|&index| offsets[index] = rd::RD_KAFKA_OFFSET_END.into());
    }
    match open.is_empty() {
        true => Ok(offsets),
        false => Err(fault(Code::RD_KAFKA_RESP_ERR__NO_OFFSET, format_args!("the end"))),
    }
}

fn ask(client: &Client, topic: &CStr, questions: &[(i32, i64)]) -> Result<Vec<i64>, Fault> {
    let shown = topic.to_string_lossy();
    let mut list = PartitionList::new();
    for &(partition, question) in questions {
        list.add(topic, partition, question);
    }
    // SAFETY: client and list are live and ours.
    let code = unsafe {
        rd::rd_kafka_offsets_for_times(client.handle(), list.handle(), millis(CALL_TIMEOUT))
    };
    check(code, format_args!("offsets of topic {shown}"))?;
    let answer = |&(partition, _): &(i32, i64)| {
        let entry = list.entries().iter().find(|it| it.partition() == partition);
        let code = entry.map_or(Code::RD_KAFKA_RESP_ERR__NO_OFFSET, PartitionEntry::code);
        check(code, format_args!("an offset of {shown}[{partition}]"))?;
        Ok(entry.map_or(native::OFFSET_NONE, PartitionEntry::offset))
    };
    questions.iter().map(answer).collect()
}

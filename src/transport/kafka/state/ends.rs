//! Where a partition of the state topic begins and ends.

use std::{ptr, sync::Arc};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use crate::transport::{
    Trouble,
    kafka::{
        client::Client,
        faults,
        lookup::CALL_TIMEOUT,
        native::{Event, OK, PartitionList, Queue, c_name, entry_at},
        reader::{reading_trouble, span},
    },
};

/// The first offset that is there, and the one behind the last record, committed or not.
pub(super) fn bounds(
    client: &Arc<Client>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), Trouble> {
    let low = span(client, topic, partition, CALL_TIMEOUT)?.low;
    let replies = Queue::new(client);
    let mut list = PartitionList::new();
    list.add(
        &c_name(topic),
        partition,
        rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
    );
    // SAFETY: client, list and queue are live; the list is copied. Without options records count
    // that are not committed.
    unsafe {
        rd::rd_kafka_ListOffsets(client.handle(), list.handle(), ptr::null(), replies.handle());
    }
    let silent = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;
    let code = match replies.next_event(CALL_TIMEOUT) {
        None => silent,
        Some(reply) if reply.code() != OK => reply.code(),
        Some(reply) => match offset_in(&reply) {
            Some((OK, high)) => return Ok((low, high)),
            Some((code, _)) => code,
            None => silent,
        },
    };
    Err(reading_trouble(client, topic, code, faults::text_of(code)))
}

/// The one answer.
fn offset_in(reply: &Event) -> Option<(Code, i64)> {
    // SAFETY: the reply is live, and all that it holds lives as long.
    unsafe {
        let result = rd::rd_kafka_event_ListOffsets_result(reply.handle());
        if result.is_null() {
            return None;
        }
        let mut len = 0;
        let answers = rd::rd_kafka_ListOffsets_result_infos(result, &mut len);
        if len == 0 {
            return None;
        }
        let answer = entry_at(rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*answers));
        Some((answer.code(), answer.offset()))
    }
}

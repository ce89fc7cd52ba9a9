//! What a batch for a topic may hold at most, by the topic's own settings, and whether a result can
//! be in one. Asking waits for the answer: not for the hot thread.

use std::{collections::BTreeSet, ffi::CString, ptr, slice, sync::Arc, time::Duration};

use rdkafka::bindings::{self as rd, rd_kafka_ResourceType_t as ResourceType};

use super::{
    client::Client,
    metadata,
    native::{Event, OK, Queue, c_name, text_at},
};
use crate::record::Output;

/// The topic's setting.
const SETTING: &str = "max.message.bytes";

/// Bytes of a batch's head, and of a record beside its key, value and headers at least: six lengths
/// and counts of one byte each, and one of attributes.
const BATCH_HEAD: usize = 61;
const RECORD_HEAD: usize = 7;

/// True if not even a batch of this result alone, without compression, fits into that many bytes.
#[inline]
pub(super) fn is_too_large(output: &Output<'_>, limit: usize) -> bool {
    let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let fields = len(output.key) + len(output.value);
    fields > limit || BATCH_HEAD + RECORD_HEAD + fields + headers_len(output) > limit
}

fn headers_len(output: &Output<'_>) -> usize {
    output.headers.map(|(name, value)| 2 + name.len() + value.map_or(0, <[u8]>::len)).sum()
}

/// The limit of each of these topics, in bytes of a whole batch. `None` where nobody says: a user
/// may be allowed to write and not to see settings, and the embedded broker has none.
pub(super) fn of_topics(
    client: &Arc<Client>,
    topics: &[String],
    timeout: Duration,
) -> Vec<Option<u64>> {
    let known = values(client, topics, SETTING, timeout).unwrap_or_default();
    let value = |topic: &String| known.iter().find(|(name, _)| name == topic).map(|(_, it)| it);
    topics.iter().map(|topic| value(topic)?.parse().ok()).collect()
}

/// Topics with their values of a setting, as far as the brokers tell; `None` where nobody does.
pub(super) fn values(
    client: &Arc<Client>,
    topics: &[String],
    setting: &str,
    timeout: Duration,
) -> Option<Vec<(String, String)>> {
    if !metadata::has_controller(client, timeout) {
        return None;
    }
    let replies = Queue::new(client);
    // Brokers answer once for a topic, and librdkafka takes a question asked twice for a fault.
    let names: BTreeSet<_> = topics.iter().map(|it| c_name(it)).collect();
    // SAFETY: the names are copied; the request takes its own copies of the resources; no options
    // are the defaults.
    unsafe {
        let new = |name: &CString| {
            let kind = ResourceType::RD_KAFKA_RESOURCE_TOPIC;
            rd::rd_kafka_ConfigResource_new(kind, name.as_ptr())
        };
        let mut resources: Vec<_> = names.iter().map(new).collect();
        let (start, len) = (resources.as_mut_ptr(), resources.len());
        rd::rd_kafka_DescribeConfigs(client.handle(), start, len, ptr::null(), replies.handle());
        rd::rd_kafka_ConfigResource_destroy_array(start, len);
    }
    Some(values_in(&replies.next_event(timeout)?, setting))
}

fn values_in(reply: &Event, setting: &str) -> Vec<(String, String)> {
    // SAFETY: the reply is live, and all that it holds lives as long.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConfigs_result(reply.handle());
        if result.is_null() {
            return Vec::new();
        }
        let mut len = 0;
        let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut len);
        let known =
            list(resources, len).iter().filter(|&&it| rd::rd_kafka_ConfigResource_error(it) == OK);
        let name = |it| text_at(rd::rd_kafka_ConfigResource_name(it)).to_owned();
        known.filter_map(|&it| Some((name(it), value(it, setting)?))).collect()
    }
}

/// # Safety
///
/// The resource is live.
unsafe fn value(resource: *const rd::rd_kafka_ConfigResource_t, setting: &str) -> Option<String> {
    // SAFETY: the caller's; the entries live as long as the resource.
    unsafe {
        let mut len = 0;
        let entries = rd::rd_kafka_ConfigResource_configs(resource, &mut len);
        let is_meant = |entry| text_at(rd::rd_kafka_ConfigEntry_name(entry)) == setting;
        let entry = list(entries, len).iter().find(|&&it| is_meant(it))?;
        Some(text_at(rd::rd_kafka_ConfigEntry_value(*entry)).to_owned())
    }
}

/// # Safety
///
/// `start` is null, or points to `len` elements that live for `'a`.
unsafe fn list<'a, T>(start: *mut T, len: usize) -> &'a [T] {
    // SAFETY: the caller's.
    if start.is_null() { &[] } else { unsafe { slice::from_raw_parts(start, len) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Destination, Headers};

    #[test]
    fn a_result_is_too_large_when_its_own_batch_would_be() {
        let mut block = Vec::new();
        Headers::push(&mut block, b"name", Some(b"value"));
        let output = |headers| Output {
            destination: Destination(0),
            partition_number: None,
            timestamp_ms: None,
            key: Some(b"key"),
            value: Some(b"1234567"),
            headers,
        };
        for (headers, bytes) in [(Headers::NONE, 78), (Headers::from_bytes(&block), 89)] {
            assert!(is_too_large(&output(headers), bytes - 1));
            assert!(!is_too_large(&output(headers), bytes));
        }
    }
}

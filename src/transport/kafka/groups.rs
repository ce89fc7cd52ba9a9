//! What to know of a topic before records are copied: who reads it, whether it is compacted.
//!
//! A group reads a topic if it has offsets in it, or a member on it; as far as this client's user
//! may see. Everything here blocks, within the timeout of the admin client that is asked.

use std::{
    collections::BTreeSet,
    ffi::CString,
    ptr, slice, thread,
    time::{Duration, Instant},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    KafkaAdmin, batch_limit,
    client::unavailable,
    metadata,
    native::{
        Event, OFFSET_NONE, OK, PartitionList, Queue, Topic, c_name, entries, millis, text_at,
    },
};
use crate::{limits::GROUPS_ASKED_MAX, transport::Trouble, verdict::Sentence};

/// Questions about groups that are under way at the same time.
const ASKED_AT_ONCE: usize = 32;

/// How long to wait before a topic that is not known yet is asked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long one question about groups may take, if the admin client would wait for longer.
const TIMEOUT: Duration = Duration::from_secs(10);

impl KafkaAdmin {
    /// Names of the groups that read the topic, in order; at most `limits::GROUPS_ASKED_MAX` are
    /// asked about.
    ///
    /// # Errors
    ///
    /// If the brokers do not say which groups there are.
    pub fn groups_reading(&self, topic: &str) -> Result<Vec<String>, Trouble> {
        let names = self.group_names()?;
        let partitions = self.partitions(topic)?.unwrap_or(0) as i32;
        let mut reading = BTreeSet::new();
        if partitions == 0 {
            return Ok(Vec::new());
        }
        for names in names.chunks(ASKED_AT_ONCE) {
            self.add_with_offsets(names, topic, partitions, &mut reading);
            self.add_with_members(names, topic, &mut reading);
        }
        Ok(reading.into_iter().collect())
    }

    /// Whether the topic keeps the newest record of each key for ever; `None` if nobody says.
    pub fn is_compacted(&self, topic: &str) -> Option<bool> {
        self.cleanup_policy(topic).map(|it| it == "compact")
    }

    /// What becomes of a topic's old records, as its setting says; `None` if nobody does.
    pub fn cleanup_policy(&self, topic: &str) -> Option<String> {
        let topics = [topic.to_owned()];
        let policy = batch_limit::values(&self.client, &topics, "cleanup.policy", self.timeout)?;
        policy.into_iter().next().map(|(_, it)| it)
    }

    /// How many copies of each partition of a topic there are; `None` if that is not known.
    pub fn replication(&self, topic: &str) -> Option<u16> {
        let handle = Topic::new(&self.client, &c_name(topic)).ok()?;
        metadata::replication(&self.client, &handle, self.timeout)
    }

    /// Waits until a topic that was just made is known.
    ///
    /// # Errors
    ///
    /// If that takes too long.
    pub fn await_topic(&self, topic: &str) -> Result<(), Trouble> {
        let deadline = Instant::now() + self.timeout;
        while self.partitions(topic)?.is_none() {
            if Instant::now() >= deadline {
                let code = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;
                return Err(unavailable(&self.client, code, format_args!("topic {topic:?}")));
            }
            thread::park_timeout(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The cluster's own name for itself, if it has told.
    pub fn cluster_id(&self) -> Option<String> {
        // SAFETY: the client is live; the text is ours to free, and copied before.
        unsafe {
            let id = rd::rd_kafka_clusterid(self.client.handle(), millis(self.timeout));
            let text = text_at(id).to_owned();
            if !id.is_null() {
                rd::rd_kafka_mem_free(self.client.handle(), id.cast());
            }
            Some(text).filter(|it| !it.is_empty())
        }
    }

    fn group_names(&self) -> Result<Vec<String>, Trouble> {
        let replies = Queue::new(&self.client);
        // SAFETY: client and queue are live; no options are the defaults.
        unsafe {
            rd::rd_kafka_ListConsumerGroups(self.client.handle(), ptr::null(), replies.handle());
        }
        let Some(reply) = replies.next_event(self.timeout.min(TIMEOUT)) else {
            return Err(self.silent(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer in time"));
        };
        // SAFETY: the reply is live, and all that it holds lives as long.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroups_result(reply.handle());
            if reply.code() != OK || result.is_null() {
                return Err(self.silent(reply.code(), reply.text()));
            }
            let mut len = 0;
            let groups = rd::rd_kafka_ListConsumerGroups_result_valid(result, &mut len);
            let name = |group| text_at(rd::rd_kafka_ConsumerGroupListing_group_id(group));
            let groups = list(groups, len.min(GROUPS_ASKED_MAX));
            Ok(groups.iter().map(|&group| name(group).to_owned()).collect())
        }
    }

    fn silent(&self, code: Code, text: &str) -> Trouble {
        let text = Sentence::format(format_args!("asking which groups there are: {text}"));
        self.client.trouble(code, text.as_str())
    }

    /// A group that may not be looked at, or does not answer, is left out.
    fn add_with_offsets(
        &self,
        names: &[String],
        topic: &str,
        partitions: i32,
        reading: &mut BTreeSet<String>,
    ) {
        let replies = Queue::new(&self.client);
        let topic = c_name(topic);
        for name in names {
            let mut wanted = PartitionList::new();
            (0..partitions).for_each(|it| _ = wanted.add(&topic, it, OFFSET_NONE));
            let (name, client) = (c_name(name), self.client.handle());
            // SAFETY: client and queue are live; the request takes copies of name and list.
            unsafe {
                let mut asked =
                    rd::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), wanted.handle());
                let (none, queue) = (ptr::null(), replies.handle());
                rd::rd_kafka_ListConsumerGroupOffsets(client, &mut asked, 1, none, queue);
                rd::rd_kafka_ListConsumerGroupOffsets_destroy(asked);
            }
        }
        for _ in names {
            let Some(reply) = replies.next_event(self.timeout.min(TIMEOUT)) else { return };
            reading.extend(with_offsets(&reply));
        }
    }

    fn add_with_members(&self, names: &[String], topic: &str, reading: &mut BTreeSet<String>) {
        let replies = Queue::new(&self.client);
        let names: Vec<CString> = names.iter().map(|it| c_name(it)).collect();
        let mut names: Vec<_> = names.iter().map(|it| it.as_ptr()).collect();
        // SAFETY: client and queue are live; the request copies the names.
        unsafe {
            let (client, start, len) = (self.client.handle(), names.as_mut_ptr(), names.len());
            let queue = replies.handle();
            rd::rd_kafka_DescribeConsumerGroups(client, start, len, ptr::null(), queue);
        }
        if let Some(reply) = replies.next_event(self.timeout.min(TIMEOUT)) {
            reading.extend(with_members(&reply, topic));
        }
    }
}

/// The group that a reply is about, if it has an offset.
fn with_offsets(reply: &Event) -> Option<String> {
    // SAFETY: the reply is live, and all that it holds lives as long.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(reply.handle());
        if result.is_null() {
            return None;
        }
        let mut len = 0;
        let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut len);
        let has_offset = |group| {
            let partitions = entries(rd::rd_kafka_group_result_partitions(group));
            partitions.iter().any(|it| it.code() == OK && it.offset() >= 0)
        };
        let group = list(groups, len).iter().find(|&&group| has_offset(group))?;
        Some(text_at(rd::rd_kafka_group_result_name(*group)).to_owned())
    }
}

/// The groups in a reply that have a member on the topic.
fn with_members(reply: &Event, topic: &str) -> Vec<String> {
    // SAFETY: the reply is live, and all that it holds lives as long.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(reply.handle());
        if result.is_null() {
            return Vec::new();
        }
        let mut len = 0;
        let groups = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut len);
        let is_on_topic = |group, member| {
            let member = rd::rd_kafka_ConsumerGroupDescription_member(group, member);
            let assignment = rd::rd_kafka_MemberDescription_assignment(member);
            let partitions = entries(rd::rd_kafka_MemberAssignment_partitions(assignment));
            partitions.iter().any(|it| it.topic().to_bytes() == topic.as_bytes())
        };
        let reading = list(groups, len).iter().filter(|&&group| {
            let members = rd::rd_kafka_ConsumerGroupDescription_member_count(group);
            (0..members).any(|member| is_on_topic(group, member))
        });
        let name = |group| text_at(rd::rd_kafka_ConsumerGroupDescription_group_id(group));
        reading.map(|&group| name(group).to_owned()).collect()
    }
}

/// # Safety
///
/// `start` is null, or points to `len` elements that live for `'a`.
unsafe fn list<'a, T>(start: *mut T, len: usize) -> &'a [T] {
    // SAFETY: the caller's.
    if start.is_null() { &[] } else { unsafe { slice::from_raw_parts(start, len) } }
}

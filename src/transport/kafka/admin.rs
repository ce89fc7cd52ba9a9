//! Asks about a cluster, and makes topics: for `check --connect` and for the start of a run.
//!
//! Everything here blocks, within a timeout that the caller gives. The client joins no group and
//! creates nothing by asking.

use std::{
    ffi::{CString, c_char},
    ptr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    client::{Client, Plan, Role, unavailable},
    faults, metadata,
    native::{
        OFFSET_NONE, OK, PartitionEntry, PartitionList, Queue, Topic, c_name, millis, text_at,
    },
    rights::{self, Right},
    start,
};
use crate::{config::settings::KafkaClient, transport::Trouble, verdict::Sentence};

/// Bytes for librdkafka's explanation of what it did not like.
const ERROR_TEXT_BYTES: usize = 512;

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many copies of each; `None` leaves it to the broker.
    pub replication: Option<u16>,
    /// Whether only the newest record of each key is kept.
    pub is_compacted: bool,
}

/// How far a group is behind in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// What the group has committed, if anything.
    pub committed: Option<i64>,
    /// The oldest offset that is there.
    pub low: i64,
    /// The offset that the next record will get.
    pub high: i64,
}

impl PartitionLag {
    /// Records that the group has not passed yet; none are known for a group without an offset.
    pub fn lag(&self) -> Option<i64> {
        self.committed.map(|at| (self.high - at.max(self.low)).max(0))
    }
}

/// A client that only asks.
#[derive(Debug)]
pub struct KafkaAdmin {
    pub(super) client: Arc<Client>,
    pub(super) timeout: Duration,
}

impl KafkaAdmin {
    /// Reaches a broker, or says why not. `peer` is whose settings these are; every later call
    /// waits at most `timeout`, too.
    pub fn connect(
        peer: &'static str,
        settings: &KafkaClient,
        timeout: Duration,
    ) -> Result<KafkaAdmin, Trouble> {
        KafkaAdmin::connect_unless(peer, settings, timeout, &AtomicBool::new(false))
    }

    /// The same; once `stop` is true no broker is waited for any more.
    pub fn connect_unless(
        peer: &'static str,
        settings: &KafkaClient,
        timeout: Duration,
        stop: &AtomicBool,
    ) -> Result<KafkaAdmin, Trouble> {
        KafkaAdmin::start(peer, settings, None, (timeout, stop))
    }

    fn start(
        peer: &'static str,
        settings: &KafkaClient,
        group: Option<&str>,
        (timeout, stop): (Duration, &AtomicBool),
    ) -> Result<KafkaAdmin, Trouble> {
        let owned = [("group.id", group.unwrap_or_default())];
        let plan = Plan {
            peer,
            label: "admin",
            role: Role::Consumer,
            defaults: &[],
            owned: &owned[..usize::from(group.is_some())],
            events: 0,
            watcher: None,
        };
        let client = Client::start(&settings.for_reading(), &plan)?;
        metadata::reach_unless(&client, &settings.brokers, timeout, stop)?;
        Ok(KafkaAdmin { client, timeout })
    }

    /// How many partitions the topic has; `None` if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<Option<u32>, Trouble> {
        self.partitions_for(self.client.peer(), topic, self.timeout)
    }

    /// The same for a peer that may be another than the one that connected, waiting at most
    /// `timeout` for the answer.
    pub fn partitions_for(
        &self,
        peer: &'static str,
        topic: &str,
        timeout: Duration,
    ) -> Result<Option<u32>, Trouble> {
        let unavailable = |code| faults::unavailable(peer, code, format_args!("topic {topic:?}"));
        let handle = Topic::new(&self.client, &c_name(topic)).map_err(unavailable)?;
        match metadata::describe(&self.client, &handle, timeout) {
            Ok(partitions) => Ok(Some(partitions.max(0) as u32)),
            Err(
                Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            ) => Ok(None),
            Err(code) => Err(unavailable(code)),
        }
    }

    /// Names of all topics that this user may see, waiting at most `timeout` for the answer.
    pub fn topics(&self, timeout: Duration) -> Result<Vec<String>, Trouble> {
        let peer = self.client.peer();
        metadata::topics(&self.client, timeout)
            .map_err(|code| faults::unavailable(peer, code, format_args!("the list of topics")))
    }

    /// Fails if the user may not read the topic, where the peer is the source, or else write to it.
    pub fn require_right(&self, peer: &'static str, topic: &str) -> Result<(), Trouble> {
        rights::require_topic(&self.client, peer, topic)
    }

    /// Makes a topic. One that is there already is left as it is, which is no error.
    pub fn create_topic(&self, topic: &NewTopic) -> Result<(), Trouble> {
        let replies = Queue::new(&self.client);
        let name = c_name(&topic.name);
        let replication = topic.replication.map_or(-1, i32::from);
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: texts are copied during the calls; the topic is destroyed after the request took
        // its own copy; no options are the defaults.
        unsafe {
            let (len, partitions) = (text.len(), topic.partitions as i32);
            let text_start = text.as_mut_ptr();
            let mut new =
                rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, text_start, len);
            if new.is_null() {
                let code = Code::RD_KAFKA_RESP_ERR__INVALID_ARG;
                return Err(self.client.trouble(code, text_at(text.as_ptr())));
            }
            if topic.is_compacted {
                let (key, value) = (c"cleanup.policy", c"compact");
                rd::rd_kafka_NewTopic_set_config(new, key.as_ptr(), value.as_ptr());
            }
            let client = self.client.handle();
            rd::rd_kafka_CreateTopics(client, &mut new, 1, ptr::null(), replies.handle());
            rd::rd_kafka_NewTopic_destroy(new);
        }
        self.created(&topic.name, &replies)
    }

    fn created(&self, name: &str, replies: &Queue) -> Result<(), Trouble> {
        let code = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;
        let Some(reply) = replies.next_event(self.timeout) else {
            return Err(unavailable(&self.client, code, format_args!("creating topic {name:?}")));
        };
        let mut results = Ok(());
        // SAFETY: the reply is live, and its results with it; one topic was asked for.
        unsafe {
            let result = rd::rd_kafka_event_CreateTopics_result(reply.handle());
            let mut len = 0;
            let topics = match result.is_null() {
                true => ptr::null_mut(),
                false => rd::rd_kafka_CreateTopics_result_topics(result, &mut len),
            };
            for index in 0..len {
                let topic = *topics.add(index);
                let text = text_at(rd::rd_kafka_topic_result_error_string(topic));
                results =
                    results.and(self.creation(name, rd::rd_kafka_topic_result_error(topic), text));
            }
        }
        results.and(self.creation(name, reply.code(), reply.text()))
    }

    fn creation(&self, name: &str, code: Code, text: &str) -> Result<(), Trouble> {
        match code {
            OK | Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS => Ok(()),
            code => {
                let text = Sentence::format(format_args!("creating topic {name:?}: {text}"));
                Err(faults::trouble_with(self.client.peer(), Right::Create, code, text.as_str()))
            }
        }
    }

    /// Reaches a broker to ask about a group, without joining it.
    pub fn connect_for_group(
        settings: &KafkaClient,
        group: &str,
        timeout: Duration,
    ) -> Result<KafkaAdmin, Trouble> {
        KafkaAdmin::start("source", settings, Some(group), (timeout, &AtomicBool::new(false)))
    }

    /// How far `group` is behind in every partition of `topics`, without joining it. Fails if the
    /// user may not join it.
    pub fn group_lag(
        settings: &KafkaClient,
        group: &str,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<PartitionLag>, Trouble> {
        let admin = KafkaAdmin::connect_for_group(settings, group, timeout)?;
        rights::require_group(&admin.client, group)?;
        admin.lag(group, topics)
    }

    /// The same again over one connection: the group is that of `connect_for_group`.
    pub fn lag(&self, group: &str, topics: &[String]) -> Result<Vec<PartitionLag>, Trouble> {
        let mut lags = Vec::new();
        for topic in topics {
            let partitions = self.partitions(topic)?.unwrap_or(0);
            lags.extend(self.topic_lag(group, topic, partitions as i32)?);
        }
        Ok(lags)
    }

    fn topic_lag(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<PartitionLag>, Trouble> {
        let name = c_name(topic);
        let list = self.committed(group, topic, partitions)?;
        let lag = |it: &PartitionEntry| {
            let number = it.partition();
            let code = it.code();
            self.check(code, format_args!("offset of group {group:?} for {topic}[{number}]"))?;
            let (low, high) = self.watermarks(topic, &name, number)?;
            let committed = (it.offset() >= 0).then(|| it.offset());
            Ok(PartitionLag { topic: topic.to_owned(), partition: number, committed, low, high })
        };
        list.entries().iter().map(lag).collect()
    }

    fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
    ) -> Result<PartitionList, Trouble> {
        let name = c_name(topic);
        let mut list = PartitionList::new();
        (0..partitions).for_each(|it| {
            list.add(&name, it, OFFSET_NONE);
        });
        if partitions > 0 {
            let client = self.client.handle();
            // SAFETY: client and list are live and ours.
            let code =
                unsafe { rd::rd_kafka_committed(client, list.handle(), millis(self.timeout)) };
            self.check(code, format_args!("offsets of group {group:?} for topic {topic:?}"))?;
        }
        Ok(list)
    }

    /// How many offsets the group has in these topics that it came to by a `--from` of that mark,
    /// and how many others.
    pub fn count_moved(
        &self,
        group: &str,
        topics: &[String],
        mark: u64,
    ) -> Result<(usize, usize), Trouble> {
        let (mut moved, mut others) = (0, 0);
        for topic in topics {
            let partitions = self.partitions(topic)?.unwrap_or(0);
            let list = self.committed(group, topic, partitions as i32)?;
            for it in list.entries().iter().filter(|it| it.offset() >= 0) {
                match start::committed(it.offset(), it.metadata()).from == Some(mark) {
                    true => moved += 1,
                    false => others += 1,
                }
            }
        }
        Ok((moved, others))
    }

    fn watermarks(&self, topic: &str, name: &CString, number: i32) -> Result<(i64, i64), Trouble> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client is live; the two places are written to.
        let code = unsafe {
            rd::rd_kafka_query_watermark_offsets(
                self.client.handle(),
                name.as_ptr(),
                number,
                &mut low,
                &mut high,
                millis(self.timeout),
            )
        };
        self.check(code, format_args!("the ends of {topic}[{number}]"))?;
        Ok((low, high))
    }

    fn check(&self, code: Code, what: std::fmt::Arguments<'_>) -> Result<(), Trouble> {
        if code == OK { Ok(()) } else { Err(unavailable(&self.client, code, what)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_what_is_still_there() {
        let lag = |committed, low, high| {
            PartitionLag { topic: String::new(), partition: 0, committed, low, high }.lag()
        };
        assert_eq!(lag(Some(3), 0, 10), Some(7));
        assert_eq!(lag(Some(3), 5, 10), Some(5), "what is gone cannot be behind");
        assert_eq!(lag(Some(12), 0, 10), Some(0));
        assert_eq!(lag(None, 0, 10), None);
    }
}

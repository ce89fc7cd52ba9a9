//! Questions about a topic's offsets, each one request that blocks.

use std::{cell::OnceCell, ffi::CStr, ptr, rc::Rc, sync::Arc, time::Duration};

use rdkafka::bindings as rd;

use super::{CALL_TIMEOUT, Fault, Place, Worker, check, fault};
use crate::transport::kafka::{
    client::Client,
    metadata,
    native::{self, Event, PartitionList, Queue, Topic, millis},
    start::{self, Committed},
};

/// What a topic is known by that a later one of the same name is not.
pub(super) type Identity = (i64, i64);

impl Worker {
    /// What the group has committed for every partition that the topic has now.
    pub(super) fn committed(&self, topic: u16) -> Result<Vec<Committed>, Fault> {
        let name = &self.ground.topics[usize::from(topic)];
        let shown = name.to_string_lossy();
        let count = Topic::new(&self.ground.client, name)
            .and_then(|it| metadata::describe(&self.ground.client, &it, CALL_TIMEOUT))
            .map_err(|code| fault(code, format_args!("topic {shown}")))?;
        let mut list = PartitionList::new();
        for partition in 0..count {
            list.add(name, partition, native::OFFSET_NONE);
        }
        let client = self.ground.client.handle();
        // SAFETY: client and list are live and ours.
        let code = unsafe { rd::rd_kafka_committed(client, list.handle(), millis(CALL_TIMEOUT)) };
        check(code, format_args!("offsets of the group for topic {shown}"))?;
        let mut committed = vec![Committed::default(); count.max(0) as usize];
        for entry in list.entries() {
            let partition = entry.partition();
            check(entry.code(), format_args!("offset of the group for {shown}[{partition}]"))?;
            committed[partition as usize] = start::committed(entry.offset(), entry.metadata());
        }
        Ok(committed)
    }

    /// The first offset of the partition's log, and the one after its last committed record.
    pub(super) fn bounds(&self, place: Place) -> Result<(i64, i64), Fault> {
        let name = self.topic(place);
        let (mut low, mut high) = (0, 0);
        let client = self.ground.client.handle();
        // SAFETY: the client is live; the name ends in NUL; both numbers are ours.
        let code = unsafe {
            let timeout = millis(CALL_TIMEOUT);
            rd::rd_kafka_query_watermark_offsets(
                client,
                name.as_ptr(),
                place.1,
                &mut low,
                &mut high,
                timeout,
            )
        };
        let shown = name.to_string_lossy();
        check(code, format_args!("the bounds of {shown}[{}]", place.1))?;
        Ok((low, high))
    }
}

/// A question for a topic's identity, which need not be waited for.
#[derive(Debug)]
pub(super) struct Inquiry {
    answers: Queue,
    answer: OnceCell<Option<Identity>>,
}

impl Inquiry {
    /// Asks, without waiting.
    pub(super) fn start(client: &Arc<Client>, topic: &CStr) -> Rc<Inquiry> {
        let answers = Queue::new(client);
        // SAFETY: client, name and queue are live; the names are copied. What is made here is
        // destroyed here; without options the call takes the client's own timeout.
        unsafe {
            let mut names = [topic.as_ptr()];
            let names = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
            rd::rd_kafka_DescribeTopics(client.handle(), names, ptr::null(), answers.handle());
            rd::rd_kafka_TopicCollection_destroy(names);
        }
        Rc::new(Inquiry { answers, answer: OnceCell::new() })
    }

    /// Which topic of that name it is. Nothing: the broker does not say, or has not yet.
    pub(super) fn answer(&self, wait: Duration) -> Option<Identity> {
        if self.answer.get().is_none() {
            let event = self.answers.next_event(wait)?;
            let is_answer = event.kind() == rd::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT;
            let _ = self.answer.set(if is_answer { identity_in(&event) } else { None });
        }
        self.answer.get().copied().flatten()
    }
}

fn identity_in(event: &Event) -> Option<Identity> {
    // SAFETY: the event is live and of that kind; what it describes lives as long.
    let identity = unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event.handle());
        let mut len = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut len);
        if topics.is_null() || len == 0 {
            return None;
        }
        let topic = *topics;
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        let low = rd::rd_kafka_Uuid_least_significant_bits(id);
        (rd::rd_kafka_Uuid_most_significant_bits(id), low)
    };
    // A broker before 2.8 has none, nor has a topic that is not there.
    (identity != (0, 0)).then_some(identity)
}

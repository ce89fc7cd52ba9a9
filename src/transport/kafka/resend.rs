//! Results of a batch that the broker refused as a whole: handed over again, fewer at a time.
//!
//! A broker takes all of a batch or nothing of it, so one result that a topic does not take, or a
//! batch larger than the topic allows, costs all the others too. Nothing of a refused batch was
//! written, so producing its results again doubles none of them. They go out in handfuls that
//! shrink until one is taken or is a single result, whose refusal is its own. Nothing else is
//! taken meanwhile, and a handful goes when nothing is on its way any more: so the results keep
//! their order among each other. Those that were on their way behind a refused batch come first.
//!
//! The results are copied: as long as a report lives, its messages fill the client's queue. So
//! memory is taken here, on the hot thread; this is trouble, not the usual way.

use std::{collections::VecDeque, ptr};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code};

use super::{
    client::Client,
    fields::{Fields, OwnHeaders},
    native::{Event, OK, bytes},
};
use crate::transport::Token;

/// Results in one handful at most.
const HANDFUL_MAX: usize = 1024;

/// True for the report of a batch of several results of which a part might be taken.
pub(super) fn is_divisible(report: &Event) -> bool {
    use Code::*;
    let is_about_content = matches!(
        report.code(),
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            | RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
            | RD_KAFKA_RESP_ERR_INVALID_RECORD
            | RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
    );
    is_about_content && report.message_count() > 1
}

/// The results that wait to be handed over again.
#[derive(Debug)]
pub(super) struct Resend {
    /// Oldest first.
    waiting: VecDeque<Again>,
    /// Of the handful under way, those that were refused again.
    refused: VecDeque<Again>,
    handful: usize,
    under_way: usize,
}

impl Resend {
    pub(super) fn new() -> Resend {
        let (waiting, refused) = (VecDeque::new(), VecDeque::new());
        Resend { waiting, refused, handful: HANDFUL_MAX, under_way: 0 }
    }

    /// True from the first refused batch until all of its results are answered.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.under_way > 0 || !self.waiting.is_empty()
    }

    /// Results that are here and not with the client.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.refused.len()
    }

    /// Takes the results of a refused batch.
    pub(super) fn hold(&mut self, mut report: Event) {
        let results = if self.under_way > 0 {
            &mut self.refused
        } else {
            self.handful = self.handful.min(report.message_count() / 2).max(1);
            &mut self.waiting
        };
        let mut one = [ptr::null()];
        while report.messages(&mut one) > 0 {
            // SAFETY: the message lives as long as its report, and nobody else looks at it.
            results.push_back(unsafe { Again::take(one[0].cast_mut()) });
        }
    }

    /// Hands over the next handful, or ends; to be called when nothing is on its way. `produce`
    /// returns false if there is no room.
    pub(super) fn hand_over(&mut self, mut produce: impl FnMut(&mut Again) -> bool) {
        self.end_handful();
        while self.under_way < self.handful {
            let Some(result) = self.waiting.front_mut() else { return };
            if !produce(result) {
                return;
            }
            self.waiting.pop_front();
            self.under_way += 1;
        }
    }

    /// The next handful is half as large if of this one something was refused, else a bit larger.
    fn end_handful(&mut self) {
        if self.refused.is_empty() {
            self.handful = (self.handful + self.handful / 8 + 1).min(HANDFUL_MAX);
        } else {
            self.handful = (self.under_way / 2).max(1);
            self.refused.append(&mut self.waiting);
            std::mem::swap(&mut self.refused, &mut self.waiting);
        }
        self.under_way = 0;
    }
}

/// One result, copied from its report.
#[derive(Debug)]
pub(super) struct Again {
    topic: *mut rd::rd_kafka_topic_t,
    partition: i32,
    value: Option<Box<[u8]>>,
    key: Option<Box<[u8]>>,
    headers: OwnHeaders,
    timestamp_ms: i64,
    pub(super) token: Token,
}

// SAFETY: the topic is held by the sink, and has no ties to a thread.
unsafe impl Send for Again {}

impl Again {
    /// # Safety
    ///
    /// The message is live and used by nobody else; its topic outlives the result.
    unsafe fn take(message: *mut rd_kafka_message_t) -> Again {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the caller's; key and value belong to their lengths.
        unsafe {
            let headers = OwnHeaders::detach(message);
            // librdkafka tells no time of a message that failed.
            (*message).err = OK;
            let message = &*message;
            Again {
                topic: message.rkt,
                partition: message.partition,
                value: bytes(message.payload, message.len).map(Box::from),
                key: bytes(message.key, message.key_len).map(Box::from),
                headers,
                timestamp_ms: rd::rd_kafka_message_timestamp(message, &mut kind).max(0),
                token: Token(message._private as u64),
            }
        }
    }

    /// Produces it to the partition that was chosen for it.
    pub(super) fn produce(&mut self, client: &Client) -> Result<(), Code> {
        let fields = Fields {
            topic: self.topic,
            partition: self.partition,
            value: self.value.as_deref(),
            key: self.key.as_deref(),
            token: self.token,
            timestamp_ms: self.timestamp_ms,
        };
        // SAFETY: the sink holds the topic for longer than its results.
        unsafe { fields.produce(client, &mut self.headers) }
    }
}

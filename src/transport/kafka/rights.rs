//! What this client's user may do with a topic and with its group, as far as the brokers tell.
//!
//! Asked before a run and by `check --connect`, so that a right that is missing is told at once and
//! not with the first record that needs it, which for a dead letter may be months later. Brokers
//! before 2.3 do not tell, and a slow one may not in time: then nothing is known to be wrong, and
//! whoever needs the right will hear of it. Everything here blocks, for a few seconds at most.

use std::{ffi::c_char, ptr, slice, sync::Arc, time::Duration};

use rdkafka::bindings::{
    self as rd, rd_kafka_AclOperation_t as Operation, rd_kafka_admin_op_t as Request,
    rd_kafka_resp_err_t as Code,
};

use super::{
    client::Client,
    faults, metadata,
    native::{OK, Queue, c_name, millis, outcome},
};
use crate::transport::{Trouble, restore::STATE_PEER};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes for librdkafka's explanation of an option that it did not like.
const ERROR_TEXT_BYTES: usize = 128;

/// What a user may have to be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Write,
    Create,
}

impl Right {
    /// What a peer does with its topics.
    pub(super) fn of_peer(peer: &str) -> Right {
        if peer == "source" { Right::Read } else { Right::Write }
    }

    /// The same, all of it: state is written and read back.
    fn all_of_peer(peer: &str) -> &'static [Right] {
        match (peer, Right::of_peer(peer)) {
            (STATE_PEER, _) => &[Right::Read, Right::Write],
            (_, Right::Read) => &[Right::Read],
            _ => &[Right::Write],
        }
    }

    /// As Kafka's tools call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Right::Read => "READ",
            Right::Write => "WRITE",
            Right::Create => "CREATE",
        }
    }

    /// Whether an answer says that the user does not have it. `operations` is null where a broker
    /// does not tell. Whoever gets an answer may describe what it is about, so one that does not
    /// say even that is none.
    ///
    /// # Safety
    ///
    /// `operations` is null or the start of `len` operations.
    unsafe fn is_missing_in(self, operations: *const Operation, len: usize) -> bool {
        let wanted = match self {
            Right::Read => Operation::RD_KAFKA_ACL_OPERATION_READ,
            Right::Write => Operation::RD_KAFKA_ACL_OPERATION_WRITE,
            Right::Create => Operation::RD_KAFKA_ACL_OPERATION_CREATE,
        };
        if operations.is_null() {
            return false;
        }
        // SAFETY: passed on to the caller.
        let told = unsafe { slice::from_raw_parts(operations, len) };
        told.contains(&Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE) && !told.contains(&wanted)
    }
}

/// Fails if the user may not do with the topic what this peer does with its topics.
pub(super) fn require_topic(
    client: &Arc<Client>,
    peer: &'static str,
    topic: &str,
) -> Result<(), Trouble> {
    let (name, rights) = (c_name(topic), Right::all_of_peer(peer));
    let options = Options::new(client, Request::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    if !options.ask_any_broker(client) {
        return Ok(());
    }
    let replies = Queue::new(client);
    // SAFETY: client, options and queue are live; the name is copied into the collection, and that
    // is copied by the request.
    unsafe {
        let topics = rd::rd_kafka_TopicCollection_of_topic_names([name.as_ptr()].as_mut_ptr(), 1);
        rd::rd_kafka_DescribeTopics(client.handle(), topics, options.handle, replies.handle());
        rd::rd_kafka_TopicCollection_destroy(topics);
    }
    let Some(reply) = replies.next_event(TIMEOUT) else { return Ok(()) };
    let denied = Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let mut is_denied = reply.code() == denied;
    // SAFETY: the reply is live, and its results with it; one topic was asked for.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(reply.handle());
        let (mut len, mut count) = (0, 0);
        let topics = match result.is_null() {
            true => ptr::null_mut(),
            false => rd::rd_kafka_DescribeTopics_result_topics(result, &mut len),
        };
        for index in 0..len {
            let topic = *topics.add(index);
            let operations = rd::rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
            let code = rd::rd_kafka_error_code(rd::rd_kafka_TopicDescription_error(topic));
            is_denied |= code == denied
                || code == OK && rights.iter().any(|it| it.is_missing_in(operations, count));
        }
    }
    match is_denied {
        true => Err(faults::unavailable(peer, denied, format_args!("topic {topic:?}"))),
        false => Ok(()),
    }
}

/// Fails if the user may not be a member of the group, which is this client's.
pub(super) fn require_group(client: &Arc<Client>, group: &str) -> Result<(), Trouble> {
    let name = c_name(group);
    let options = Options::new(client, Request::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    let replies = Queue::new(client);
    // SAFETY: client, options and queue are live; the request copies the name.
    unsafe {
        let mut groups = [name.as_ptr()];
        let (client, groups) = (client.handle(), groups.as_mut_ptr());
        rd::rd_kafka_DescribeConsumerGroups(client, groups, 1, options.handle, replies.handle());
    }
    let Some(reply) = replies.next_event(TIMEOUT) else { return Ok(()) };
    let denied = Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    let mut is_denied = reply.code() == denied;
    // SAFETY: the reply is live, and its results with it; one group was asked for.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(reply.handle());
        let (mut len, mut count) = (0, 0);
        let groups = match result.is_null() {
            true => ptr::null_mut(),
            false => rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut len),
        };
        for index in 0..len {
            let group = *groups.add(index);
            let operations =
                rd::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &mut count);
            let code = rd::rd_kafka_error_code(rd::rd_kafka_ConsumerGroupDescription_error(group));
            is_denied |=
                code == denied || code == OK && Right::Read.is_missing_in(operations, count);
        }
    }
    match is_denied {
        true => Err(client.trouble(denied, faults::text_of(denied))),
        false => Ok(()),
    }
}

/// How a question is asked: so that the answer says what the user may do, within a time.
struct Options {
    handle: *mut rd::rd_kafka_AdminOptions_t,
}

impl Options {
    fn new(client: &Client, request: Request) -> Options {
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: the client is live; the options are ours; the text has the length that is given.
        // What fails leaves a default, with which the question can be asked as well.
        unsafe {
            let handle = rd::rd_kafka_AdminOptions_new(client.handle(), request);
            let (text, len) = (text.as_mut_ptr(), text.len());
            rd::rd_kafka_AdminOptions_set_request_timeout(handle, millis(TIMEOUT), text, len);
            let told = rd::rd_kafka_AdminOptions_set_include_authorized_operations(handle, 1);
            let _ = outcome(told);
            Options { handle }
        }
    }

    /// Has the question go to a broker that answers. Else librdkafka asks the controller, and waits
    /// for one: the embedded broker has none. False if no broker says who it is.
    fn ask_any_broker(&self, client: &Client) -> bool {
        let Some(number) = metadata::answering_broker(client, TIMEOUT) else { return false };
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: the options are ours; the text has the length that is given.
        let code = unsafe {
            let (text, len) = (text.as_mut_ptr(), text.len());
            rd::rd_kafka_AdminOptions_set_broker(self.handle, number, text, len)
        };
        code == OK
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: owned and destroyed once; requests have their own copy.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.handle) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_read_and_written() {
        let of = Right::all_of_peer;
        assert_eq!(of(STATE_PEER), [Right::Read, Right::Write]);
        assert_eq!((of("source"), of("sink")), (&[Right::Read][..], &[Right::Write][..]));
    }

    #[test]
    fn only_an_answer_that_says_something_can_deny() {
        use Operation::{
            RD_KAFKA_ACL_OPERATION_DESCRIBE as DESCRIBE, RD_KAFKA_ACL_OPERATION_READ as READ,
        };
        let is_missing = |right: Right, told: &[Operation]| {
            // SAFETY: start and length of a slice.
            unsafe { right.is_missing_in(told.as_ptr(), told.len()) }
        };
        assert!(is_missing(Right::Write, &[READ, DESCRIBE]));
        assert!(!is_missing(Right::Read, &[READ, DESCRIBE]));
        assert!(!is_missing(Right::Read, &[]));
        // SAFETY: null is allowed.
        assert!(!unsafe { Right::Read.is_missing_in(ptr::null(), 0) });
    }
}

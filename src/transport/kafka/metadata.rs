//! Asks brokers whether they are there, and about one topic, and waits for the answer. Not for the
//! hot thread.

use std::{
    ffi::CStr,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    client::Client,
    native::{OK, Queue, Topic, millis},
};
use crate::{transport::Trouble, verdict::Sentence};

/// How long one look for a reason takes, while brokers are waited for.
const LOOK: Duration = Duration::from_millis(200);

/// What it looks like where a broker speaks another protocol than the client.
const SILENCE: &str = "connections stay silent or are closed without a word (check that \
                       security.protocol is what the brokers' port wants)";

/// Waits for the first answer of any broker. Errors that never heal end the wait; else the last
/// one is the reason when the time is over, or `stop` became true.
pub(super) fn reach_unless(
    client: &Arc<Client>,
    brokers: &str,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<(), Trouble> {
    let events = Queue::main(client);
    let deadline = Instant::now() + timeout;
    let mut reason: Option<Trouble> = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if answering_broker(client, left.min(LOOK)).is_some() {
            return Ok(());
        }
        while let Some(event) = events.next_event(Duration::ZERO) {
            if event.kind() != rd::RD_KAFKA_EVENT_ERROR {
                continue;
            }
            let trouble = client.trouble_of(&event);
            if !trouble.heals {
                return Err(trouble);
            }
            // "All brokers are down" says nothing: the reason came before it, if there is one.
            if event.code() != Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
                reason = Some(trouble);
            }
        }
        if left.is_zero() || stop.load(Ordering::Acquire) {
            let silent = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;
            let reason = reason.unwrap_or_else(|| client.trouble(silent, SILENCE));
            let text = Sentence::format(format_args!(
                "{}; no broker of {brokers:?} answered within {timeout:?}",
                reason.text
            ));
            return Err(Trouble { text, ..reason });
        }
    }
}

/// The number of the broker that answers, or a negative one if it has not told; `None` if there is
/// no answer in time.
pub(super) fn answering_broker(client: &Client, timeout: Duration) -> Option<i32> {
    brokers(client, timeout).map(|(answering, _)| answering)
}

/// True if the cluster's controller is one of its brokers. The embedded broker has none, and would
/// let a question to it wait.
pub(super) fn has_controller(client: &Client, timeout: Duration) -> bool {
    // SAFETY: the client is live; what it learned last is enough.
    let controller = unsafe { rd::rd_kafka_controllerid(client.handle(), 0) };
    brokers(client, timeout).is_some_and(|(_, all)| all.contains(&controller))
}

/// Has a client connect to some broker, if it is connected to none, else asks one of those that
/// are there. Waits for neither: the answer is counted where all are (see `outage`).
pub(super) fn knock(client: &Client) {
    let mut metadata = ptr::null();
    // SAFETY: the client is live; an answer, for which there is no time, would be ours to destroy.
    unsafe {
        if rd::rd_kafka_metadata(client.handle(), 0, ptr::null_mut(), &mut metadata, 0) == OK {
            rd::rd_kafka_metadata_destroy(metadata);
        }
    }
}

/// The broker that answers, and all of them.
fn brokers(client: &Client, timeout: Duration) -> Option<(i32, Vec<i32>)> {
    let mut metadata = ptr::null();
    // SAFETY: the client is live; no topic is asked for; the answer is ours to read and destroy.
    unsafe {
        let (client, wait) = (client.handle(), millis(timeout));
        if rd::rd_kafka_metadata(client, 0, ptr::null_mut(), &mut metadata, wait) != OK {
            return None;
        }
        let (start, len) = ((*metadata).brokers, (*metadata).broker_cnt.max(0) as usize);
        let all = (0..len).map(|it| (*start.add(it)).id).collect();
        let answering = (*metadata).orig_broker_id;
        rd::rd_kafka_metadata_destroy(metadata);
        Some((answering, all))
    }
}

/// Names of all topics that the client may see.
pub(super) fn topics(client: &Client, timeout: Duration) -> Result<Vec<String>, Code> {
    let mut metadata = ptr::null();
    // SAFETY: the client is live; on success the answer is ours to read and destroy, and each of
    // its topics has a name that ends with a zero.
    unsafe {
        let (client, wait) = (client.handle(), millis(timeout));
        match rd::rd_kafka_metadata(client, 1, ptr::null_mut(), &mut metadata, wait) {
            OK => {}
            code => return Err(code),
        }
        let (start, len) = ((*metadata).topics, (*metadata).topic_cnt.max(0) as usize);
        let name = |at: usize| CStr::from_ptr((*start.add(at)).topic);
        let names = (0..len).map(|at| name(at).to_string_lossy().into_owned()).collect();
        rd::rd_kafka_metadata_destroy(metadata);
        Ok(names)
    }
}

/// How many partitions the topic has, or why that is not known.
pub(super) fn describe(
    client: &Arc<Client>,
    topic: &Topic,
    timeout: Duration,
) -> Result<i32, Code> {
    ask(client, topic, timeout, |it| it.partition_cnt)
}

/// How many copies there are of the topic's first partition; `None` if that is not known.
pub(super) fn replication(client: &Arc<Client>, topic: &Topic, timeout: Duration) -> Option<u16> {
    let copies = |it: &rd::rd_kafka_metadata_topic| {
        // SAFETY: so many partitions are there, and live as long as the topic.
        (it.partition_cnt > 0).then(|| unsafe { (*it.partitions).replica_cnt })
    };
    let copies = ask(client, topic, timeout, copies).ok().flatten()?;
    u16::try_from(copies).ok().filter(|it| *it > 0)
}

fn ask<T>(
    client: &Arc<Client>,
    topic: &Topic,
    timeout: Duration,
    read: impl FnOnce(&rd::rd_kafka_metadata_topic) -> T,
) -> Result<T, Code> {
    let mut metadata = ptr::null();
    // SAFETY: client and topic are live; on success the metadata is ours to read and destroy, and
    // holds the one topic that was asked for.
    unsafe {
        let (client, topic) = (client.handle(), topic.handle());
        match rd::rd_kafka_metadata(client, 0, topic, &mut metadata, millis(timeout)) {
            OK => {}
            code => return Err(code),
        }
        let result = match (*metadata).topic_cnt {
            1.. => {
                let topic = &*(*metadata).topics;
                if topic.err == OK { Ok(read(topic)) } else { Err(topic.err) }
            }
            _ => Err(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART),
        };
        rd::rd_kafka_metadata_destroy(metadata);
        result
    }
}

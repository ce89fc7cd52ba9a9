//! Small owners of librdkafka's objects, so that pointers and their lifetimes end in this file.
//!
//! Each type owns one handle, frees it once, and keeps the client alive for as long as the handle
//! may be used. Nothing here decides anything: no settings, no states, no retries.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    os::fd::RawFd,
    ptr::{self, NonNull},
    slice,
    sync::Arc,
    time::Duration,
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::client::Client;
pub(super) use super::partitions::{PartitionEntry, PartitionList, entries, entry_at};
use crate::{record::Headers, verdict::Sentence};

/// What librdkafka means by "no offset".
pub(super) const OFFSET_NONE: i64 = rd::RD_KAFKA_OFFSET_INVALID as i64;

/// "Any partition": the partitioner chooses.
pub(super) const ANY_PARTITION: i32 = -1;

/// No error.
pub(super) const OK: Code = Code::RD_KAFKA_RESP_ERR_NO_ERROR;

/// Whole milliseconds for a call that may block; never "for ever".
pub(super) fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// The text at `text`, or nothing where it is null or not UTF-8.
///
/// # Safety
///
/// `text` is null or points to a string that ends in NUL and lives for `'a`.
pub(super) unsafe fn text_at<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "";
    }
    // SAFETY: passed on to the caller.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or_default()
}

/// Turns librdkafka's error object into its code and text, and frees it.
///
/// # Safety
///
/// `error` is null or was just returned by librdkafka and is used by nobody else.
pub(super) unsafe fn outcome(error: *mut rd::rd_kafka_error_t) -> Result<(), (Code, Sentence)> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller gave a live error that only this function uses.
    unsafe {
        let code = rd::rd_kafka_error_code(error);
        let text = Sentence::from(text_at(rd::rd_kafka_error_string(error)));
        rd::rd_kafka_error_destroy(error);
        Err((code, text))
    }
}

/// What a call about transactions came to, if not to what was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) text: Sentence,
    /// The same call may do next time.
    pub(super) is_retriable: bool,
    /// The transaction is to be aborted.
    pub(super) requires_abort: bool,
    /// The client is of no more use.
    pub(super) is_fatal: bool,
}

/// Takes librdkafka's error object apart, and frees it.
///
/// # Safety
///
/// As for `outcome`.
pub(super) unsafe fn failure(error: *mut rd::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller gave a live error that only this function uses.
    unsafe {
        let is_retriable = rd::rd_kafka_error_is_retriable(error) != 0;
        let requires_abort = rd::rd_kafka_error_txn_requires_abort(error) != 0;
        let is_fatal = rd::rd_kafka_error_is_fatal(error) != 0;
        let fail = |(code, text)| Failure { code, text, is_retriable, requires_abort, is_fatal };
        outcome(error).map_err(fail)
    }
}

/// A topic's or group's name as C wants it. A NUL cannot be in a name that a broker knows.
pub(super) fn c_name(name: &str) -> CString {
    CString::new(name.replace('\0', "")).unwrap_or_default()
}

/// Whom positions in a transaction are committed for: a group, and which of its members.
pub(super) struct GroupMetadata(NonNull<rd::rd_kafka_consumer_group_metadata_t>);

impl GroupMetadata {
    /// A group without members.
    pub(super) fn named(group: &str) -> GroupMetadata {
        // SAFETY: the name is copied.
        GroupMetadata::own(unsafe {
            rd::rd_kafka_consumer_group_metadata_new(c_name(group).as_ptr())
        })
    }

    /// The member that a consumer is at present.
    pub(super) fn of(consumer: &Client) -> GroupMetadata {
        // SAFETY: the client is live, and a member of a group, so that there is such an object.
        GroupMetadata::own(unsafe { rd::rd_kafka_consumer_group_metadata(consumer.handle()) })
    }

    fn own(metadata: *mut rd::rd_kafka_consumer_group_metadata_t) -> GroupMetadata {
        GroupMetadata(NonNull::new(metadata).expect("a group has metadata"))
    }

    /// Below zero where the group has not said yet, or has left the member behind.
    pub(super) fn generation(&self) -> i32 {
        // SAFETY: the object is live.
        unsafe { rd::rd_kafka_consumer_group_metadata_generation_id(self.handle()) }
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: owned and destroyed once.
        unsafe { rd::rd_kafka_consumer_group_metadata_destroy(self.handle()) }
    }
}

/// An event queue.
pub(super) struct Queue {
    handle: NonNull<rd::rd_kafka_queue_t>,
    client: Arc<Client>,
}

// SAFETY: librdkafka locks its queues; a handle may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// A queue of our own.
    pub(super) fn new(client: &Arc<Client>) -> Queue {
        // SAFETY: the client is live.
        Queue::own(unsafe { rd::rd_kafka_queue_new(client.handle()) }, client)
    }

    /// The queue of the client's own events: delivery reports, errors.
    pub(super) fn main(client: &Arc<Client>) -> Queue {
        // SAFETY: the client is live.
        Queue::own(unsafe { rd::rd_kafka_queue_get_main(client.handle()) }, client)
    }

    /// The queue of the consumer's group.
    pub(super) fn group(client: &Arc<Client>) -> Queue {
        // SAFETY: the client is live.
        Queue::own(unsafe { rd::rd_kafka_queue_get_consumer(client.handle()) }, client)
    }

    /// The queue into which a partition's records come.
    pub(super) fn partition(client: &Arc<Client>, topic: &CStr, partition: i32) -> Queue {
        // SAFETY: the client is live, and the name is read during the call only.
        let handle =
            unsafe { rd::rd_kafka_queue_get_partition(client.handle(), topic.as_ptr(), partition) };
        Queue::own(handle, client)
    }

    fn own(handle: *mut rd::rd_kafka_queue_t, client: &Arc<Client>) -> Queue {
        let handle = NonNull::new(handle).expect("librdkafka has such a queue for this client");
        Queue { handle, client: Arc::clone(client) }
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_queue_t {
        self.handle.as_ptr()
    }

    /// From now on, what comes into this queue goes to `other`.
    pub(super) fn forward_to(&self, other: &Queue) {
        // SAFETY: both handles are live.
        unsafe { rd::rd_kafka_queue_forward(self.handle(), other.handle()) }
    }

    /// The next event, waiting at most `timeout` for it.
    pub(super) fn next_event(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the handle is live; the event is ours until we destroy it.
        let event = unsafe { rd::rd_kafka_queue_poll(self.handle(), millis(timeout)) };
        NonNull::new(event).map(|handle| Event { handle, _client: Arc::clone(&self.client) })
    }

    /// Takes messages that are there, without waiting; null pointers in `array` are replaced.
    pub(super) fn take_messages(&self, array: &mut [*mut rd::rd_kafka_message_t]) -> usize {
        // SAFETY: librdkafka writes at most `array.len()` pointers, which are then ours.
        let taken = unsafe {
            rd::rd_kafka_consume_batch_queue(self.handle(), 0, array.as_mut_ptr(), array.len())
        };
        usize::try_from(taken).unwrap_or_default()
    }

    /// The next message, waiting at most `timeout` for it.
    pub(super) fn next_message(&self, timeout: Duration) -> Option<Message> {
        // SAFETY: the handle is live; the message is ours, and the queue holds the client.
        let message = unsafe { rd::rd_kafka_consume_queue(self.handle(), millis(timeout)) };
        NonNull::new(message).map(Message)
    }

    /// Writes eight bytes to `descriptor` whenever something comes into the empty queue.
    pub(super) fn signal_to(&self, descriptor: RawFd) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the payload is copied; whoever owns the descriptor calls `signal_to_none` first.
        unsafe {
            rd::rd_kafka_queue_io_event_enable(
                self.handle(),
                descriptor,
                one.as_ptr().cast(),
                one.len(),
            );
        }
    }

    /// Stops what `signal_to` started.
    pub(super) fn signal_to_none(&self) {
        // SAFETY: a descriptor of -1 disables; the payload is not read then.
        unsafe { rd::rd_kafka_queue_io_event_enable(self.handle(), -1, ptr::null(), 0) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once, before the client that it belongs to.
        unsafe { rd::rd_kafka_queue_destroy(self.handle()) }
    }
}

/// One event, freed with what it holds.
pub(super) struct Event {
    handle: NonNull<rd::rd_kafka_event_t>,
    _client: Arc<Client>,
}

// SAFETY: an event is a plain object that belongs to whoever took it from the queue.
unsafe impl Send for Event {}

impl Event {
    pub(super) fn kind(&self) -> c_int {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_type(self.handle.as_ptr()) }
    }

    pub(super) fn code(&self) -> Code {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_error(self.handle.as_ptr()) }
    }

    pub(super) fn text(&self) -> &str {
        // SAFETY: the string belongs to the event, which outlives the borrow.
        unsafe { text_at(rd::rd_kafka_event_error_string(self.handle.as_ptr())) }
    }

    /// The number that was given with the request that this event answers.
    pub(super) fn number(&self) -> u64 {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_opaque(self.handle.as_ptr()) as u64 }
    }

    /// Statistics, as JSON.
    pub(super) fn statistics(&self) -> &str {
        // SAFETY: the string belongs to the event, which outlives the borrow.
        unsafe {
            let text = rd::rd_kafka_event_stats(self.handle.as_ptr());
            if text.is_null() { "" } else { text_at(text) }
        }
    }

    /// The partitions of a rebalance or a commit.
    pub(super) fn partitions(&self) -> &[PartitionEntry] {
        // SAFETY: the list belongs to the event, which outlives the borrow.
        unsafe { entries(rd::rd_kafka_event_topic_partition_list(self.handle.as_ptr())) }
    }

    /// How many messages it still holds.
    pub(super) fn message_count(&self) -> usize {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_message_count(self.handle.as_ptr()) }
    }

    /// Fills `array` with the event's next messages; they live as long as the event.
    pub(super) fn messages(&mut self, array: &mut [*const rd::rd_kafka_message_t]) -> usize {
        // SAFETY: librdkafka writes at most `array.len()` pointers.
        unsafe {
            rd::rd_kafka_event_message_array(self.handle.as_ptr(), array.as_mut_ptr(), array.len())
        }
    }

    /// True for an error after which the client is of no more use.
    pub(super) fn is_fatal(&self) -> bool {
        // SAFETY: the event is live.
        unsafe { rd::rd_kafka_event_error_is_fatal(self.handle.as_ptr()) != 0 }
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_event_t {
        self.handle.as_ptr()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: owned and destroyed once.
        unsafe { rd::rd_kafka_event_destroy(self.handle.as_ptr()) }
    }
}

/// A topic's handle. While it is held, librdkafka keeps the topic at one address.
pub(super) struct Topic {
    handle: NonNull<rd::rd_kafka_topic_t>,
    _client: Arc<Client>,
}

// SAFETY: librdkafka locks its topics; a handle may be used from any thread.
unsafe impl Send for Topic {}

impl Topic {
    /// A handle, or librdkafka's reason against the name.
    pub(super) fn new(client: &Arc<Client>, name: &CStr) -> Result<Topic, Code> {
        // SAFETY: the client is live, the name is copied, and no configuration is the default.
        let handle =
            unsafe { rd::rd_kafka_topic_new(client.handle(), name.as_ptr(), ptr::null_mut()) };
        match NonNull::new(handle) {
            Some(handle) => Ok(Topic { handle, _client: Arc::clone(client) }),
            // SAFETY: no preconditions; the last error of this thread.
            None => Err(unsafe { rd::rd_kafka_last_error() }),
        }
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_topic_t {
        self.handle.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: owned and destroyed once, before the client.
        unsafe { rd::rd_kafka_topic_destroy(self.handle()) }
    }
}

/// One consumed message, freed when dropped. Whoever holds it holds the client, too.
pub(super) struct Message(NonNull<rd::rd_kafka_message_t>);

// SAFETY: a consumed message is a plain object that belongs to whoever took it.
unsafe impl Send for Message {}

impl Message {
    /// # Safety
    ///
    /// `message` came from `Queue::take_messages`, was not wrapped before, and the client outlives
    /// the result.
    pub(super) unsafe fn own(message: *mut rd::rd_kafka_message_t) -> Message {
        Message(NonNull::new(message).expect("librdkafka returned a message"))
    }

    fn raw(&self) -> &rd::rd_kafka_message_t {
        // SAFETY: live until dropped, and never written to by us.
        unsafe { self.0.as_ref() }
    }

    /// The address of the topic that it came from, as an identity.
    pub(super) fn topic(&self) -> *const rd::rd_kafka_topic_t {
        self.raw().rkt
    }

    pub(super) fn topic_name(&self) -> &CStr {
        if self.raw().rkt.is_null() {
            return c"";
        }
        // SAFETY: the message holds the topic, whose name lives as long.
        unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(self.raw().rkt)) }
    }

    pub(super) fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.raw().offset
    }

    pub(super) fn code(&self) -> Code {
        self.raw().err
    }

    /// What went wrong, for a message that is an error.
    pub(super) fn error_text(&self) -> &str {
        // SAFETY: the string belongs to the message.
        unsafe { text_at(rd::rd_kafka_message_errstr(self.raw())) }
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        // SAFETY: key and length belong together and live as long as the message.
        unsafe { bytes(self.raw().key, self.raw().key_len) }
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.raw().payload, self.raw().len) }
    }

    pub(super) fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live; `kind` is written to.
        let at = unsafe { rd::rd_kafka_message_timestamp(self.raw(), &mut kind) };
        (kind != rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(at)
    }

    /// Writes the headers into `block`, in order; leaves it empty if there are none.
    pub(super) fn write_headers(&self, block: &mut Vec<u8>) {
        block.clear();
        let mut headers = ptr::null_mut();
        // SAFETY: the message is live; the headers belong to it.
        if unsafe { rd::rd_kafka_message_headers(self.raw(), &mut headers) } != OK {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are live; the three places are written to on success only.
            let code = unsafe {
                rd::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut len)
            };
            if code != OK {
                return;
            }
            // SAFETY: name and value live as long as the message.
            let (name, value) = unsafe { (CStr::from_ptr(name).to_bytes(), bytes(value, len)) };
            Headers::push(block, name, value);
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: owned and destroyed once.
        unsafe { rd::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// Nothing where there is no start: absent, which is not empty.
///
/// # Safety
///
/// `start` is null, or points to `len` bytes that live for `'a`.
pub(super) unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}

macro_rules! opaque_debug {
    ($($name:ident)*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )* };
}

pub(super) use opaque_debug;

opaque_debug! { Queue Event Topic Message }

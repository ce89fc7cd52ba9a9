//! When the fetch response that carried a record arrived in this process.
//!
//! librdkafka does not say, so an interceptor notes the ticks of every fetch response on the
//! broker's thread, before the response is parsed, and with it a boundary: how many messages had
//! come out of the data queue by then, plus how many were in it. The message with number `i` (from
//! 0, over the life of the source) came with the last response whose boundary is not above `i`.
//!
//! With one broker this is exact but for markers of transactions, which are counted while they
//! wait and never come out: the first messages after one can be given the response before theirs.
//! With several brokers, responses that are parsed at the same moment can be taken for each other.
//! A poll that empties the queue sets both right.

use std::{
    ffi::{c_char, c_int, c_void},
    hint,
    ptr::{self, NonNull},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_queue::ArrayQueue;
use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    interceptor::Watch,
    native::{OK, Queue, text_at},
    outage::Connections,
    spinning::Spinning,
};
use crate::{
    clock::{Clock, Ticks, TscClock},
    measure::{OwnLine, own_line::APART_BYTES},
    verdict::Sentence,
};

/// Responses that can wait to be matched; past it the oldest are forgotten.
const RESPONSES_MAX: usize = 1024;

/// Errors of the data queue that wait; what comes more is the like of them.
const ERRORS_MAX: usize = 16;

/// A fetch response up to this size carries no record: a batch has 61 bytes of its own, and the
/// response's head and the topic's name come on top. One that is counted without need is harmless.
const EMPTY_RESPONSE_BYTES: usize = 128;

/// Kafka's number of the fetch request.
const FETCH: i16 = 1;

/// How often the interceptor looks again while a poll is under way, before it takes what is there.
const LOOKS_MAX: usize = 200;

/// A response: the number of the first message that can be in it, and its time.
#[derive(Clone, Copy, Debug)]
struct Response {
    boundary: u64,
    at: Ticks,
}

/// What the hot thread writes with each poll, apart from what broker threads write.
#[derive(Default)]
struct Polls {
    /// Odd while one is under way.
    count: AtomicU64,
    /// Messages that came out of the data queue so far.
    polled: AtomicU64,
}

const _: () = assert!(size_of::<OwnLine<Polls>>() == APART_BYTES);

/// What broker threads write and the hot thread reads.
pub(super) struct Arrivals {
    clock: TscClock,
    connections: Connections,
    spinning: Option<Arc<Spinning>>,
    polls: OwnLine<Polls>,
    responses: ArrayQueue<Response>,
    /// Errors that came into the data queue without being about a record.
    errors: ArrayQueue<(Code, Sentence)>,
    /// Locked by broker threads for each fetch response, and by the owner at start and end; never
    /// by the hot thread while it runs.
    data: Mutex<Option<Arc<Queue>>>,
}

impl Arrivals {
    pub(super) fn new(clock: TscClock) -> Arc<Arrivals> {
        Arc::new(Arrivals {
            clock,
            connections: Connections::default(),
            spinning: Spinning::current(),
            polls: OwnLine::default(),
            responses: ArrayQueue::new(RESPONSES_MAX),
            errors: ArrayQueue::new(ERRORS_MAX),
            data: Mutex::new(None),
        })
    }

    /// The client's connections.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The next error that a poll of the data queue came across.
    pub(super) fn next_error(&self) -> Option<(Code, Sentence)> {
        self.errors.pop()
    }

    /// Says which queue the records come through; `None` before that queue goes away.
    pub(super) fn watch(&self, data: Option<Arc<Queue>>) {
        let previous = {
            let mut watched = self.data.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *watched, data)
        };
        // Dropped outside the lock: the last owner of a queue may be the last of its client.
        drop(previous);
    }

    fn note(&self, len_bytes: usize) {
        if len_bytes <= EMPTY_RESPONSE_BYTES {
            return;
        }
        let at = self.clock.now();
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(data) = data.as_deref() {
            let boundary = self.boundary(data);
            self.responses.force_push(Response { boundary, at });
        }
    }

    fn boundary(&self, data: &Queue) -> u64 {
        let mut boundary = 0;
        for _ in 0..LOOKS_MAX {
            let before = self.polls.count.load(Ordering::Acquire);
            // SAFETY: the queue is live.
            let waiting = unsafe { rd::rd_kafka_queue_length(data.handle()) } as u64;
            boundary = self.polls.polled.load(Ordering::Acquire) + waiting;
            if before.is_multiple_of(2) && self.polls.count.load(Ordering::Acquire) == before {
                break;
            }
            hint::spin_loop();
        }
        boundary
    }
}

impl Watch for Arrivals {
    unsafe fn add(client: *mut rd::rd_kafka_t, name: *const c_char, state: *mut c_void) -> Code {
        let seen = Some(on_response as _);
        // SAFETY: the caller's; the connections are a part of the state.
        unsafe {
            (*state.cast::<Arrivals>()).connections.add(client, name);
            rd::rd_kafka_interceptor_add_on_response_received(client, name, seen, state)
        }
    }

    fn spinning(&self) -> Option<&Spinning> {
        self.spinning.as_deref()
    }

    /// A poll for messages passes over what is neither a message nor an error in one's place, such
    /// as the end of a partition whose topic was deleted, and only shows it to this callback.
    fn configure(&self, configuration: NonNull<rd::rd_kafka_conf_t>) {
        let state = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the configuration is live; the caller keeps `self` for longer than the client,
        // and nobody else of ours sets or reads the opaque word of a consumer.
        unsafe {
            rd::rd_kafka_conf_set_opaque(configuration.as_ptr(), state);
            rd::rd_kafka_conf_set_error_cb(configuration.as_ptr(), Some(on_error));
        }
    }
}

unsafe extern "C" fn on_error(
    _client: *mut rd::rd_kafka_t,
    code: c_int,
    text: *const c_char,
    state: *mut c_void,
) {
    // SAFETY: `state` is the `Arrivals` of `configure`; the text lives during the call.
    let (arrivals, text) = unsafe { (&*state.cast::<Arrivals>(), text_at(text)) };
    // The one code that matters here; the others come as events, too.
    if code == Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as c_int {
        let gone = Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        let _ = arrivals.errors.push((gone, Sentence::from(text)));
    }
}

unsafe extern "C" fn on_response(
    _client: *mut rd::rd_kafka_t,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation: i32,
    len_bytes: usize,
    _round_trip: i64,
    _code: Code,
    state: *mut c_void,
) -> Code {
    // SAFETY: `state` is the `Arrivals` of `add`, which outlives the client.
    let arrivals = unsafe { &*state.cast::<Arrivals>() };
    if api_key == FETCH {
        arrivals.note(len_bytes);
    }
    OK
}

/// The hot thread's side: gives each message the ticks of its response.
#[derive(Debug)]
pub(super) struct Matching {
    arrivals: Arc<Arrivals>,
    current: Option<Ticks>,
    next: Option<Response>,
    polled: u64,
    known_before: usize,
}

impl Matching {
    pub(super) fn new(arrivals: Arc<Arrivals>) -> Matching {
        Matching { arrivals, current: None, next: None, polled: 0, known_before: 0 }
    }

    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Right before messages are taken from the queue.
    pub(super) fn poll_begins(&mut self) {
        self.known_before = self.arrivals.responses.len() + usize::from(self.next.is_some());
        self.arrivals.polls.count.fetch_add(1, Ordering::AcqRel);
    }

    /// Right after; `first_number` of the messages taken is what it returns.
    pub(super) fn poll_ended(&mut self, taken: usize) -> u64 {
        let first_number = self.polled;
        self.polled += taken as u64;
        self.arrivals.polls.polled.store(self.polled, Ordering::Release);
        self.arrivals.polls.count.fetch_add(1, Ordering::AcqRel);
        first_number
    }

    /// When the message of that number arrived; `now` where nobody saw it arrive. Numbers only
    /// grow from call to call.
    pub(super) fn arrived(&mut self, number: u64, now: Ticks) -> Ticks {
        loop {
            match self.next.take().or_else(|| self.arrivals.responses.pop()) {
                Some(response) if response.boundary <= number => {
                    self.current = Some(response.at);
                    self.known_before = self.known_before.saturating_sub(1);
                }
                later => {
                    self.next = later;
                    return self.current.unwrap_or(now);
                }
            }
        }
    }

    /// After the messages of a poll that left the queue empty: of the responses that were there
    /// before it, only the newest can have messages to come.
    pub(super) fn queue_was_emptied(&mut self) {
        let mut left = self.known_before;
        while left > 0 {
            let Some(response) = self.next.take().or_else(|| self.arrivals.responses.pop()) else {
                return;
            };
            self.current = Some(response.at);
            left -= 1;
        }
    }
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").field("polled", &self.polls.polled).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(responses: &[(u64, u64)]) -> Matching {
        let matching = Matching::new(Arrivals::new(TscClock::new()));
        for &(boundary, at) in responses {
            push(&matching, boundary, at);
        }
        matching
    }

    fn push(matching: &Matching, boundary: u64, at: u64) {
        matching.arrivals.responses.force_push(Response { boundary, at: Ticks(at) });
    }

    fn poll(matching: &mut Matching, taken: usize, is_emptied: bool) -> Vec<u64> {
        matching.poll_begins();
        let first = matching.poll_ended(taken);
        let at = |n| matching.arrived(n, Ticks(999)).0;
        let arrived = (first..first + taken as u64).map(at).collect();
        if is_emptied {
            matching.queue_was_emptied();
        }
        arrived
    }

    #[test]
    fn a_message_belongs_to_the_last_response_that_is_not_behind_it() {
        let mut matching = matching(&[(0, 10), (2, 20), (2, 30), (5, 40)]);
        assert_eq!(poll(&mut matching, 3, false), [10, 10, 30]);
        assert_eq!(poll(&mut matching, 3, true), [30, 30, 40]);
    }

    #[test]
    fn nobody_saw_it_arrive() {
        assert_eq!(poll(&mut matching(&[]), 2, true), [999, 999]);
    }

    #[test]
    fn an_empty_queue_leaves_only_the_newest_response_that_was_there_before() {
        // The third boundary counts a transaction's marker that never came out of the queue.
        let mut matching = matching(&[(0, 10), (1, 20), (3, 30)]);
        assert_eq!(poll(&mut matching, 2, true), [10, 20]);
        push(&matching, 2, 40);
        assert_eq!(poll(&mut matching, 1, true), [40]);
        assert_eq!(poll(&mut matching, 1, true), [40]);
    }

    #[test]
    fn a_response_that_arrives_during_the_poll_is_kept() {
        let mut matching = matching(&[(0, 10)]);
        matching.poll_begins();
        push(&matching, 1, 20);
        let first = matching.poll_ended(1);
        assert_eq!(matching.arrived(first, Ticks(999)), Ticks(10));
        matching.queue_was_emptied();
        assert_eq!(poll(&mut matching, 1, true), [20]);
    }
}

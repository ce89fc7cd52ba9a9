//! A producer on librdkafka's raw bindings that says when each request for results was sent.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hotspur::{
    clock::{Clock, Ticks, TscClock},
    transport::kafka::Spinning,
};
use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

const OK: Code = Code::RD_KAFKA_RESP_ERR_NO_ERROR;

/// Kafka's number of the produce request.
const PRODUCE: i16 = 0;

/// What the sink tells its producer.
const PROPERTIES: [(&str, &str); 4] = [
    ("linger.ms", "0"),
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("enable.metrics.push", "false"),
];

/// What librdkafka's threads write.
struct Seen {
    clock: TscClock,
    /// Ticks at which the last request for results was sent.
    sent: AtomicU64,
    spinning: Option<Arc<Spinning>>,
}

/// One client with one topic.
pub(crate) struct RawProducer {
    client: *mut rd::rd_kafka_t,
    topic: *mut rd::rd_kafka_topic_t,
    seen: Box<Seen>,
}

impl RawProducer {
    /// A producer whose threads spin, if `spinning` is given; they start where the caller may run.
    pub(crate) fn new(brokers: &str, topic: &str, spinning: Option<Arc<Spinning>>) -> RawProducer {
        let clock = TscClock::new();
        let mut seen = Box::new(Seen { clock, sent: AtomicU64::new(0), spinning });
        let state = ptr::from_mut(&mut *seen).cast::<c_void>();
        let mut text = [0 as c_char; 512];
        let topic = CString::new(topic).expect("a name");
        // SAFETY: all texts end in NUL and live through their calls; the client takes the
        // configuration; `seen` is boxed and dropped after the client is destroyed.
        unsafe {
            let configuration = rd::rd_kafka_conf_new();
            for (name, value) in PROPERTIES.into_iter().chain([("bootstrap.servers", brokers)]) {
                let [name, value] = [name, value].map(|it| CString::new(it).expect("no NUL"));
                let (text, len) = (text.as_mut_ptr(), text.len());
                let name = name.as_ptr();
                let set = rd::rd_kafka_conf_set(configuration, name, value.as_ptr(), text, len);
                assert_eq!(set, rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK);
            }
            // With somebody to tell, an acknowledgement ends the wait for it.
            rd::rd_kafka_conf_set_dr_msg_cb(configuration, Some(on_acknowledged));
            let name = c"bench".as_ptr();
            rd::rd_kafka_conf_interceptor_add_on_new(configuration, name, Some(on_new), state);
            let kind = rd::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            let (text, len) = (text.as_mut_ptr(), text.len());
            let client = rd::rd_kafka_new(kind, configuration, text, len);
            assert!(!client.is_null(), "a producer");
            let topic = rd::rd_kafka_topic_new(client, topic.as_ptr(), ptr::null_mut());
            RawProducer { client, topic, seen }
        }
    }

    /// Hands one result over.
    pub(crate) fn hand_over(&self, value: &[u8]) {
        // SAFETY: the topic is live, and the value is copied.
        let failed = unsafe {
            rd::rd_kafka_produce(
                self.topic,
                0,
                rd::RD_KAFKA_MSG_F_COPY as c_int,
                value.as_ptr().cast_mut().cast(),
                value.len(),
                ptr::null(),
                0,
                ptr::null_mut(),
            )
        };
        assert_eq!(failed, 0, "there is room for one");
    }

    /// When a request for results was sent, if one was since then.
    pub(crate) fn sent_after(&self, begin: Ticks) -> Option<Ticks> {
        let sent = self.seen.sent.load(Ordering::Acquire);
        (sent > begin.0).then_some(Ticks(sent))
    }

    /// Sleeps until all that was handed over is acknowledged.
    pub(crate) fn await_acknowledgement(&self) {
        // SAFETY: the client is live.
        unsafe {
            while rd::rd_kafka_outq_len(self.client) > 0 {
                rd::rd_kafka_poll(self.client, 100);
            }
        }
    }
}

impl Drop for RawProducer {
    fn drop(&mut self) {
        // SAFETY: nobody else has the topic or the client, and each is destroyed once.
        unsafe {
            rd::rd_kafka_topic_destroy(self.topic);
            rd::rd_kafka_destroy(self.client);
        }
    }
}

unsafe extern "C" fn on_acknowledged(
    _client: *mut rd::rd_kafka_t,
    message: *const rd::rd_kafka_message_t,
    _opaque: *mut c_void,
) {
    // SAFETY: the message lives during the call.
    assert_eq!(unsafe { (*message).err }, OK, "it is acknowledged");
}

unsafe extern "C" fn on_new(
    client: *mut rd::rd_kafka_t,
    _configuration: *const rd::rd_kafka_conf_t,
    state: *mut c_void,
    _text: *mut c_char,
    _text_bytes: usize,
) -> Code {
    let name = c"bench".as_ptr();
    // SAFETY: the client is being made, and `state` outlives it.
    unsafe {
        rd::rd_kafka_interceptor_add_on_thread_start(client, name, Some(on_start), state);
        rd::rd_kafka_interceptor_add_on_thread_exit(client, name, Some(on_exit), state);
        rd::rd_kafka_interceptor_add_on_request_sent(client, name, Some(on_sent), state)
    }
}

unsafe extern "C" fn on_start(
    _client: *mut rd::rd_kafka_t,
    _kind: rd::rd_kafka_thread_type_t,
    name: *const c_char,
    state: *mut c_void,
) -> Code {
    // SAFETY: `state` is the `Seen` of the client; the name ends in NUL.
    let (seen, name) = unsafe { (&*state.cast::<Seen>(), std::ffi::CStr::from_ptr(name)) };
    if let Some(spinning) = &seen.spinning {
        spinning.adopt(name.to_str().unwrap_or_default());
    }
    OK
}

unsafe extern "C" fn on_exit(
    _client: *mut rd::rd_kafka_t,
    _kind: rd::rd_kafka_thread_type_t,
    _name: *const c_char,
    state: *mut c_void,
) -> Code {
    // SAFETY: as for `on_start`.
    if let Some(spinning) = unsafe { &(*state.cast::<Seen>()).spinning } {
        spinning.let_go();
    }
    OK
}

unsafe extern "C" fn on_sent(
    _client: *mut rd::rd_kafka_t,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation: i32,
    _len_bytes: usize,
    state: *mut c_void,
) -> Code {
    if api_key == PRODUCE {
        // SAFETY: as for `on_start`.
        let seen = unsafe { &*state.cast::<Seen>() };
        seen.sent.store(seen.clock.now().0, Ordering::Release);
    }
    OK
}

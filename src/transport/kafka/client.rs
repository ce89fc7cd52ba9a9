//! One librdkafka client: configuration in, handle out, its log lines off the hot thread.
//!
//! Properties come in three layers: what suits this program, what the user says, and what the
//! program's promises rest on. `config` refuses the last in a user's file, with the reason; here
//! they simply win. librdkafka hands its log lines to whoever polls; they go to a queue of their
//! own, which a side thread empties, so that the hot thread never formats one.

use std::{
    collections::BTreeMap,
    ffi::{c_char, c_int},
    fs::File,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    faults,
    interceptor::Watcher,
    native::{Event, PartitionEntry, c_name, millis, text_at},
};
use crate::{config::settings::KafkaClient, transport::Trouble, verdict::Sentence};

/// Bytes for librdkafka's explanation of what it did not like.
const ERROR_TEXT_BYTES: usize = 512;

/// How long the log thread sleeps at most; it is woken to end.
const LOG_WAIT: Duration = Duration::from_secs(1);

/// How long the end of a client is waited for; a run ends with it.
const DESTROY_TIMEOUT: Duration = Duration::from_secs(5);

/// Levels of syslog, as librdkafka counts.
const LEVEL_CRITICAL: c_int = 2;
const LEVEL_WARNING: c_int = 4;
const LEVEL_INFO: c_int = 6;

/// What the client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads, or asks.
    Consumer,
    /// Writes.
    Producer,
}

/// How to start a client.
pub(super) struct Plan<'a> {
    /// Who is in trouble when it is: `source`, `sink`, `dead_letters`.
    pub(super) peer: &'static str,
    /// What its log lines are labelled with.
    pub(super) label: &'a str,
    pub(super) role: Role,
    /// Properties that a user may override.
    pub(super) defaults: &'a [(&'a str, &'a str)],
    /// Properties that nobody may.
    pub(super) owned: &'a [(&'a str, &'a str)],
    /// `RD_KAFKA_EVENT_…`, added up.
    pub(super) events: c_int,
    pub(super) watcher: Option<Arc<dyn Watcher>>,
}

/// A running client.
pub(super) struct Client {
    handle: NonNull<rd::rd_kafka_t>,
    peer: &'static str,
    /// The group that a consumer belongs to.
    group: Option<String>,
    logs: Option<LogThread>,
    watcher: Option<Arc<dyn Watcher>>,
}

// SAFETY: librdkafka's handle may be used from any thread at the same time.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Starts a client. Its threads inherit the affinity of the calling thread.
    pub(super) fn start(settings: &KafkaClient, plan: &Plan<'_>) -> Result<Arc<Client>, Trouble> {
        let mut configuration = Configuration::new();
        let properties = merged(settings, plan);
        let refused = |text: String| {
            let text = unreadable_file(&properties).unwrap_or(text);
            faults::trouble(plan.peer, Code::RD_KAFKA_RESP_ERR__INVALID_ARG, &text)
        };
        for (name, value) in &properties {
            configuration.set(name, value).map_err(refused)?;
        }
        configuration.set_events(plan.events | rd::RD_KAFKA_EVENT_LOG | rd::RD_KAFKA_EVENT_ERROR);
        if let Some(watcher) = &plan.watcher {
            watcher.install(configuration.handle);
        }
        let handle = configuration.start(plan.role).map_err(refused)?;
        let group = properties.get("group.id").map(|&it| it.to_owned());
        let (peer, watcher) = (plan.peer, plan.watcher.clone());
        let mut client = Client { handle, peer, group, logs: None, watcher };
        client.logs = Some(LogThread::start(handle, plan.label));
        Ok(Arc::new(client))
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_t {
        self.handle.as_ptr()
    }

    pub(super) fn peer(&self) -> &'static str {
        self.peer
    }

    /// Trouble of this client's peer. That a group is denied never says which.
    pub(super) fn trouble(&self, code: Code, text: &str) -> Trouble {
        match &self.group {
            Some(group) if code == Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => {
                let text = Sentence::format(format_args!("group {group:?}: {text}"));
                faults::trouble(self.peer, code, text.as_str())
            }
            _ => faults::trouble(self.peer, code, text),
        }
    }

    /// Trouble that an error event tells of.
    pub(super) fn trouble_of(&self, event: &Event) -> Trouble {
        let trouble = self.trouble(event.code(), event.text());
        Trouble { heals: trouble.heals && !event.is_fatal(), ..trouble }
    }

    /// Why a commit failed: all of it, or that one partition's part.
    pub(super) fn commit_trouble(&self, code: Code, entry: Option<&PartitionEntry>) -> Trouble {
        let text = faults::text_of(code);
        let text = match entry {
            Some(it) => {
                let (topic, number) = (it.topic().to_str().unwrap_or_default(), it.partition());
                Sentence::format(format_args!("committing {topic}[{number}]: {text}"))
            }
            None => Sentence::format(format_args!("committing: {text}")),
        };
        self.trouble(code, text.as_str())
    }

    /// True for a member of a group that has left it behind.
    pub(super) fn has_lost_assignment(&self) -> bool {
        // SAFETY: the client is live.
        unsafe { rd::rd_kafka_assignment_lost(self.handle()) != 0 }
    }

    /// The error after which this client is of no more use; none if it is of use.
    pub(super) fn fatal_code(&self) -> Code {
        // SAFETY: the client is live; no text is wanted.
        unsafe { rd::rd_kafka_fatal_error(self.handle(), ptr::null_mut(), 0) }
    }

    /// Why this client is of no more use.
    pub(super) fn fatal_trouble(&self) -> Trouble {
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: the client is live; librdkafka ends the text, which has the length that is given,
        // with NUL, and writes none where there is no such error.
        let (code, text) = unsafe {
            let code = rd::rd_kafka_fatal_error(self.handle(), text.as_mut_ptr(), text.len());
            (code, text_at(text.as_ptr()))
        };
        Trouble { heals: false, ..self.trouble(code, text) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.logs.take());
        let remains = Remains { handle: self.handle, _watcher: self.watcher.take() };
        let (ended, end) = mpsc::channel();
        let body = move || {
            remains.destroy();
            // Who no longer waits for it has gone on.
            let _ = ended.send(());
        };
        // Without a thread, the client ends with the process.
        if thread::Builder::new().name("kafka-destroy".to_owned()).spawn(body).is_ok() {
            // One that has not ended by then ends with the process.
            let _ = end.recv_timeout(DESTROY_TIMEOUT);
        }
    }
}

/// What is left of a client that nobody uses. librdkafka's destruction has no end where a group
/// was in the middle of something when a fatal error came, so a thread of its own waits for it.
struct Remains {
    handle: NonNull<rd::rd_kafka_t>,
    /// librdkafka's threads write to it until they have ended.
    _watcher: Option<Arc<dyn Watcher>>,
}

// SAFETY: as for `Client`.
unsafe impl Send for Remains {}

impl Remains {
    fn destroy(self) {
        // SAFETY: every queue, topic and message holds an `Arc` of the client or is dropped
        // before it, so nothing uses the handle any more. A consumer has been closed by its
        // source, or is meant to vanish without a word: either way nothing is left to wait for.
        unsafe {
            let flags = rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
            rd::rd_kafka_destroy_flags(self.handle.as_ptr(), flags);
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Every property that librdkafka would not take, with its reason; for `check`, without a broker.
pub fn property_problems(properties: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut configuration = Configuration::new();
    let attempts = properties.iter().map(|(name, value)| (name, configuration.set(name, value)));
    attempts.filter_map(|(name, result)| Some((name.clone(), result.err()?))).collect()
}

/// The three layers, the later over the earlier.
fn merged<'a>(settings: &'a KafkaClient, plan: &Plan<'a>) -> BTreeMap<&'a str, &'a str> {
    let always = [("log.queue", "true"), ("enable.metrics.push", "false")];
    let user = settings.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let brokers =
        (!settings.brokers.is_empty()).then_some(("bootstrap.servers", settings.brokers.as_str()));
    let layers = plan.defaults.iter().copied().chain(user).chain(plan.owned.iter().copied());
    layers.chain(always).chain(brokers).collect()
}

/// The first file that the connection needs and that cannot be read: librdkafka says so in numbers.
fn unreadable_file(properties: &BTreeMap<&str, &str>) -> Option<String> {
    let is_file = |name: &str| name.starts_with("ssl.") && name.ends_with(".location");
    properties.iter().filter(|(name, _)| is_file(name)).find_map(|(name, path)| {
        // What is no file at all, such as "probe" or a folder of authorities, is librdkafka's.
        let error = File::open(path).err().filter(|_| !matches!(*path, "" | "probe"))?;
        Some(format!("{name}: cannot read {path}: {error}"))
    })
}

/// A configuration that is not in use yet.
struct Configuration {
    handle: NonNull<rd::rd_kafka_conf_t>,
}

impl Configuration {
    fn new() -> Configuration {
        // SAFETY: no preconditions.
        let handle = NonNull::new(unsafe { rd::rd_kafka_conf_new() });
        Configuration { handle: handle.expect("librdkafka aborts without memory") }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let (name, value) = (c_name(name), c_name(value));
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: both strings end in NUL and are copied; the text has the length that is given.
        let result = unsafe {
            rd::rd_kafka_conf_set(
                self.handle.as_ptr(),
                name.as_ptr(),
                value.as_ptr(),
                text.as_mut_ptr(),
                text.len(),
            )
        };
        match result {
            rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            // SAFETY: librdkafka ended the text with NUL.
            _ => Err(unsafe { text_at(text.as_ptr()) }.to_owned()),
        }
    }

    fn set_events(&mut self, events: c_int) {
        // SAFETY: the configuration is ours.
        unsafe { rd::rd_kafka_conf_set_events(self.handle.as_ptr(), events) }
    }

    fn start(self, role: Role) -> Result<NonNull<rd::rd_kafka_t>, String> {
        let kind = match role {
            Role::Consumer => rd::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Role::Producer => rd::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: on success the client owns the configuration, which is then not dropped here.
        let client =
            unsafe { rd::rd_kafka_new(kind, self.handle.as_ptr(), text.as_mut_ptr(), text.len()) };
        let Some(client) = NonNull::new(client) else {
            // SAFETY: librdkafka ended the text with NUL.
            return Err(unsafe { text_at(text.as_ptr()) }.to_owned());
        };
        std::mem::forget(self);
        if role == Role::Consumer {
            // SAFETY: the client was just made. Without a group there is no such queue, and the
            // call does nothing.
            unsafe { rd::rd_kafka_poll_set_consumer(client.as_ptr()) };
        }
        Ok(client)
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: not handed to a client, so still ours.
        unsafe { rd::rd_kafka_conf_destroy(self.handle.as_ptr()) }
    }
}

/// Forwards log lines to `tracing` until dropped.
struct LogThread {
    queue: LogQueue,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The log queue. It cannot hold the client, which holds it.
#[derive(Clone, Copy)]
struct LogQueue(NonNull<rd::rd_kafka_queue_t>);

// SAFETY: librdkafka locks its queues; the client's drop joins the thread before it ends.
unsafe impl Send for LogQueue {}
// SAFETY: as above.
unsafe impl Sync for LogQueue {}

impl LogThread {
    fn start(client: NonNull<rd::rd_kafka_t>, label: &str) -> LogThread {
        // SAFETY: the client is live; the queue is destroyed before it.
        let queue = unsafe {
            let queue = rd::rd_kafka_queue_new(client.as_ptr());
            rd::rd_kafka_set_log_queue(client.as_ptr(), queue);
            LogQueue(NonNull::new(queue).expect("librdkafka aborts without memory"))
        };
        let end = Arc::new(AtomicBool::new(false));
        let (ended, label) = (Arc::clone(&end), label.to_owned());
        let body = move || {
            let queue = queue;
            while !ended.load(Ordering::Acquire) {
                queue.forward_one(&label);
            }
        };
        let thread = thread::Builder::new().name("kafka-log".to_owned()).spawn(body).ok();
        LogThread { queue, end, thread }
    }
}

impl LogQueue {
    fn forward_one(self, label: &str) {
        let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the queue is live until this thread was joined; the texts live as long as the
        // event, which is destroyed last.
        unsafe {
            let event = rd::rd_kafka_queue_poll(self.0.as_ptr(), millis(LOG_WAIT));
            if event.is_null() {
                return;
            }
            if rd::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 {
                log(label, level, text_at(facility), text_at(text));
            }
            rd::rd_kafka_event_destroy(event);
        }
    }
}

/// Failures come as events, too, and are told by whoever handles those.
fn log(client: &str, level: c_int, facility: &str, text: &str) {
    let is_told = matches!(facility, "FAIL" | "ERROR" | "FATAL");
    if level <= LEVEL_CRITICAL && !is_told {
        tracing::error!(event = "kafka.log", client, facility, "{text}");
    } else if level <= LEVEL_WARNING && !is_told {
        tracing::warn!(event = "kafka.log", client, facility, "{text}");
    } else if level <= LEVEL_INFO {
        tracing::debug!(event = "kafka.log", client, facility, "{text}");
    } else {
        tracing::trace!(event = "kafka.log", client, facility, "{text}");
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        // SAFETY: the queue is live.
        unsafe { rd::rd_kafka_queue_yield(self.queue.0.as_ptr()) };
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
        // SAFETY: nobody polls the queue any more, and the client is still there.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.0.as_ptr()) };
    }
}

/// Trouble of a client that could not do what its opening needs.
pub(super) fn unavailable(client: &Client, code: Code, what: std::fmt::Arguments<'_>) -> Trouble {
    let text = Sentence::format(format_args!("{what}: {}", faults::text_of(code)));
    client.trouble(code, text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owned_wins_over_the_user_and_the_user_over_defaults() {
        let mut settings = KafkaClient { brokers: "a:1".to_owned(), ..KafkaClient::default() };
        let user = [("linger.ms", "2"), ("acks", "0"), ("bootstrap.servers", "b:1")];
        settings.properties = user.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let plan = Plan {
            peer: "sink",
            label: "sink",
            role: Role::Producer,
            defaults: &[("linger.ms", "0"), ("partitioner", "murmur2_random")],
            owned: &[("acks", "all")],
            events: 0,
            watcher: None,
        };
        let merged = merged(&settings, &plan);
        assert_eq!(merged["linger.ms"], "2");
        assert_eq!(merged["acks"], "all");
        assert_eq!(merged["partitioner"], "murmur2_random");
        assert_eq!(merged["bootstrap.servers"], "a:1");
    }

    #[test]
    fn a_wrong_property_is_named_with_librdkafkas_reason() {
        let properties = [("linger.ms", "soon"), ("no.such", "1"), ("acks", "all")];
        let properties = properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let problems = property_problems(&properties);
        let names: Vec<_> = problems.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["linger.ms", "no.such"]);
        assert!(problems[1].1.contains("no.such"), "{}", problems[1].1);
    }
}

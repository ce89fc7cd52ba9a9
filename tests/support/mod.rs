//! What black-box tests stand on: a real Kafka, a real Redis, the program, patience with a limit.
//!
//! Every wait is for a condition and has a deadline; every process ends with the test program.
//! Topics and groups have names of their own, so that tests can share one Kafka. Nothing in here
//! knows the library: the program is tested, through what it reads, writes and prints.

pub(crate) mod certificates;
pub(crate) mod child;
pub(crate) mod clients;
pub(crate) mod cluster;
pub(crate) mod hotspur;
pub(crate) mod http;
pub(crate) mod json_schema;
pub(crate) mod kafka;
pub(crate) mod message;
pub(crate) mod names;
pub(crate) mod pipeline;
pub(crate) mod quotas;
pub(crate) mod redis;
pub(crate) mod rights;
pub(crate) mod secure_kafka;

use std::{
    fmt,
    net::TcpListener,
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Longer than anything takes on a slow machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long to let others work between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks again and again until there is an answer; after `PATIENCE`, says what was awaited.
#[track_caller]
pub(crate) fn await_some<T>(what: impl fmt::Display, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        thread::park_timeout(LOOK_AGAIN);
    }
}

/// `await_some` for a plain condition.
#[track_caller]
pub(crate) fn await_true(what: impl fmt::Display, mut look: impl FnMut() -> bool) {
    await_some(what, || look().then_some(()));
}

/// A name that nobody else uses, for a topic, a group or a folder.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_epoch.expect("a clock after 1970").as_secs();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{seconds}-{}-{count}", process::id())
}

/// A port that nobody listens on, below those that the system gives to outgoing connections: a
/// server that is restarted finds it free again.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = u64::from(process::id()) * 97;
    await_some("a free port", || {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = u16::try_from(port).expect("a port below 32,000");
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    })
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since_epoch.expect("a clock after 1970").as_millis();
    i64::try_from(millis).expect("a clock before the year 292278994")
}

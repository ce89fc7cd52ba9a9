//! What the clients of a chaos run share: the keys, their histories, and a gate that stops all.

use std::{
    sync::{
        Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{Connection, RedisResult, Value, cmd};

use crate::history::{History, Nanos, Version, Window};

/// What the keys of a group hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Json,
    Hash,
}

/// Keys that are alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) database: u8,
    pub(crate) prefix: &'static str,
    pub(crate) kind: Kind,
    pub(crate) keys: usize,
}

/// One key, and what is known of it.
pub(crate) struct Key {
    pub(crate) database: u8,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Which group, and which of it.
    pub(crate) place: (usize, usize),
    history: Mutex<History>,
}

impl Key {
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }
}

/// All of it.
pub(crate) struct World {
    start: Instant,
    /// A client holds it to read while a command is under way; whoever writes it stops all.
    pub(crate) gate: RwLock<()>,
    pub(crate) keys: Vec<Key>,
    stop: AtomicBool,
    versions: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) lost: AtomicU64,
}

impl World {
    pub(crate) fn new(groups: &[Group]) -> World {
        let keys = groups.iter().enumerate().flat_map(|(index, group)| {
            (0..group.keys).map(move |number| Key {
                database: group.database,
                name: format!("{}{number}", group.prefix),
                kind: group.kind,
                place: (index, number),
                history: Mutex::new(History::new()),
            })
        });
        World {
            start: Instant::now(),
            gate: RwLock::new(()),
            keys: keys.collect(),
            stop: AtomicBool::new(false),
            versions: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    pub(crate) fn nanos(&self, time: Instant) -> Nanos {
        u64::try_from(time.saturating_duration_since(self.start).as_nanos()).unwrap()
    }

    pub(crate) fn now(&self) -> Nanos {
        self.nanos(Instant::now())
    }

    /// A number that no other value has.
    pub(crate) fn next_version(&self) -> u64 {
        1 + self.versions.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Ends the run when it is dropped, also by a panic.
    pub(crate) fn stop_at_end(&self) -> StopAtEnd<'_> {
        StopAtEnd(self)
    }

    /// Does something, and says between which times.
    pub(crate) fn during<T>(&self, act: impl FnOnce() -> T) -> (Window, T) {
        let begun = self.now();
        let result = act();
        (Window { begun, done: self.now() }, result)
    }

    /// What the server holds, in the order of the keys. Nothing may be written meanwhile.
    pub(crate) fn content(&self, connections: &mut [Connection]) -> Vec<Held> {
        self.keys.iter().map(|key| self.held(key, &mut connections[place_of(key)])).collect()
    }

    fn held(&self, key: &Key, redis: &mut Connection) -> Held {
        let (window, left): (_, i64) =
            self.during(|| cmd("PTTL").arg(&key.name).query(redis).unwrap());
        let left = u64::try_from(left).ok();
        let expiry = left.map(|left| window.expiry(Duration::from_millis(left)));
        Held { value: read(key, redis), expiry }
    }
}

pub(crate) struct StopAtEnd<'a>(&'a World);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
    }
}

/// Databases of the run; a connection to each.
pub(crate) const DATABASES: [u8; 2] = [0, 3];

pub(crate) fn place_of(key: &Key) -> usize {
    usize::from(key.database != DATABASES[0])
}

/// What a key held when it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    /// As it stands in the copy.
    pub(crate) value: Option<Content>,
    pub(crate) expiry: Option<Window>,
}

impl Held {
    pub(crate) fn version(&self) -> Version {
        self.value.as_ref().map(Content::version)
    }
}

/// A value, to be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Text(Vec<u8>),
    /// JSON, or the fields of a hash; their order does not matter.
    Object(serde_json::Value),
}

impl Content {
    /// Of a value of a copy.
    pub(crate) fn of(kind: Kind, bytes: &[u8]) -> Content {
        match kind {
            Kind::Text => Content::Text(bytes.to_vec()),
            _ => Content::Object(serde_json::from_slice(bytes).unwrap()),
        }
    }

    fn version(&self) -> u64 {
        match self {
            Content::Text(bytes) => version_of(bytes),
            Content::Object(object) => version_of(object["version"].to_string().as_bytes()),
        }
    }
}

/// The number of a value: the first in its text, whatever its kind.
pub(crate) fn version_of(value: &[u8]) -> u64 {
    let digits = value.iter().skip_while(|byte| !byte.is_ascii_digit());
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn read(key: &Key, redis: &mut Connection) -> Option<Content> {
    if key.kind == Kind::Hash {
        let fields: RedisResult<Vec<(String, String)>> = cmd("HGETALL").arg(&key.name).query(redis);
        let fields = fields.or_else(nothing_of_another_type).unwrap();
        let object = fields.into_iter().map(|(field, value)| (field, value.into()));
        let object: serde_json::Map<_, _> = object.collect();
        return Some(Content::Object(object.into())).filter(|it| *it != empty());
    }
    let value: RedisResult<Option<Vec<u8>>> = cmd("GET").arg(&key.name).query(redis);
    let value = value.or_else(nothing_of_another_type).unwrap();
    value.map(|value| Content::of(key.kind, &value))
}

fn empty() -> Content {
    Content::Object(serde_json::Map::new().into())
}

fn nothing_of_another_type<T: Default>(error: redis::RedisError) -> RedisResult<T> {
    if error.code() == Some("WRONGTYPE") { Ok(T::default()) } else { Err(error) }
}

/// True if nobody can know from this reply whether the command was executed.
pub(crate) fn is_lost(result: &RedisResult<Value>) -> bool {
    result.as_ref().is_err_and(|error| error.code().is_none())
}

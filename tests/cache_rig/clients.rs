//! A client of a chaos run: random commands on keys of its own, each noted in the key's history.

use std::{sync::atomic::Ordering::Relaxed, thread, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use redis::{Client, Cmd, Connection, Pipeline, RedisResult, Value, cmd, pipe};

use crate::{
    history::Window,
    world::{DATABASES, Key, Kind, World, is_lost, place_of},
};

/// One thread's connections and keys.
pub(crate) struct Writer<'a> {
    world: &'a World,
    urls: [String; 2],
    connections: [Option<Connection>; 2],
    /// The keys that only this client writes.
    keys: Vec<&'a Key>,
    random: SmallRng,
}

/// Commands are that far apart on average, times two.
const PAUSE_MICROS_MAX: u64 = 1200;

/// One in so many commands empties a database, or all of them.
const FLUSH_ONE_IN: u32 = 8000;

impl<'a> Writer<'a> {
    /// Of so many clients, the one with that number.
    pub(crate) fn new(
        world: &'a World,
        urls: [String; 2],
        (number, of): (usize, usize),
        seed: u64,
    ) -> Writer<'a> {
        let keys = world.keys.iter().filter(|key| key.place.1 % of == number).collect();
        let random = SmallRng::seed_from_u64(seed.wrapping_add(number as u64));
        Writer { world, urls, connections: [None, None], keys, random }
    }

    /// Works until the run ends.
    pub(crate) fn run(mut self) {
        while !self.world.is_stopped() {
            if self.connections.iter().any(Option::is_none) {
                self.connect();
                continue;
            }
            let world = self.world;
            let Ok(gate) = world.gate.read() else { return };
            if self.random.random_ratio(1, FLUSH_ONE_IN) {
                self.flush();
            } else {
                self.change();
            }
            drop(gate);
            world.commands.fetch_add(1, Relaxed);
            let pause = self.random.random_range(0..PAUSE_MICROS_MAX);
            thread::park_timeout(Duration::from_micros(pause));
        }
    }

    fn connect(&mut self) {
        for (connection, url) in self.connections.iter_mut().zip(&self.urls) {
            let open = || Client::open(&**url).ok()?.get_connection().ok();
            *connection = connection.take().or_else(open);
        }
        if self.connections.iter().any(Option::is_none) {
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn change(&mut self) {
        let key = self.keys[self.random.random_range(0..self.keys.len())];
        let is_sure = key.history().belief().is_some();
        match self.random.random_range(0..100) {
            0..45 => self.set(key),
            45..60 => self.delete(key),
            // Only these two make known what a key holds after a reply was lost.
            _ if !is_sure => self.set(key),
            60..75 => self.expire(key),
            75..82 => self.persist(key),
            82..92 => self.rename(key),
            _ => self.set_another_type(key),
        }
    }

    fn set(&mut self, key: &Key) {
        let version = self.world.next_version();
        let padding = match self.random.random_range(0..100) {
            0 => self.random.random_range(0..40_000),
            _ => self.random.random_range(0..100),
        };
        let padding = "x".repeat(padding);
        let time_to_live = self.random.random_ratio(1, 4).then(|| self.time_to_live());
        let commands = set_commands(key, version, &padding, time_to_live);
        self.write(key, &commands, Some(version), time_to_live);
    }

    fn delete(&mut self, key: &Key) {
        let name = if self.random.random() { "DEL" } else { "UNLINK" };
        self.write(key, &one(cmd(name).arg(&key.name)), None, None);
    }

    /// To a lookup a list is no value.
    fn set_another_type(&mut self, key: &Key) {
        let mut commands = pipe();
        commands.atomic().cmd("DEL").arg(&key.name).cmd("RPUSH").arg(&key.name).arg("item");
        self.write(key, &commands, None, None);
    }

    fn write(
        &mut self,
        key: &Key,
        commands: &Pipeline,
        holds: Option<u64>,
        time_to_live: Option<Duration>,
    ) {
        let (window, result) = self.ask(key, commands);
        let expiry = time_to_live.map(|it| window.expiry(it));
        if is_lost(&result) {
            key.history().perhaps(holds, window, expiry);
        } else {
            assert!(result.is_ok(), "{}: {result:?}", key.name);
            key.history().write(holds, window, expiry);
        }
    }

    fn expire(&mut self, key: &Key) {
        let time_to_live = self.time_to_live();
        let (command, time_to_live) = if self.random.random() {
            let seconds = 1 + time_to_live.as_secs();
            (cmd("EXPIRE").arg(&key.name).arg(seconds).clone(), Duration::from_secs(seconds))
        } else {
            let millis = time_to_live.as_millis() as u64;
            (cmd("PEXPIRE").arg(&key.name).arg(millis).clone(), time_to_live)
        };
        let (window, result) = self.ask(key, &one(&command));
        self.retime(key, window, &result, Some(window.expiry(time_to_live)));
    }

    fn persist(&mut self, key: &Key) {
        let (window, result) = self.ask(key, &one(cmd("PERSIST").arg(&key.name)));
        self.retime(key, window, &result, None);
    }

    fn retime(
        &self,
        key: &Key,
        window: Window,
        result: &RedisResult<Value>,
        expiry: Option<Window>,
    ) {
        let mut history = key.history();
        let Some(version) = history.belief() else { unreachable!("it was asked for before") };
        if is_lost(result) {
            history.perhaps(version, window, expiry);
        } else if number(result) == 1 {
            history.retime(window, expiry);
        }
    }

    fn rename(&mut self, key: &Key) {
        let alike = self.keys.iter().filter(|it| it.place.0 == key.place.0 && it.name != key.name);
        let alike: Vec<&Key> = alike.copied().collect();
        let to = alike[self.random.random_range(0..alike.len())];
        let mut rename = cmd("RENAME");
        let (window, result) = self.ask(key, &one(rename.arg(&key.name).arg(&to.name)));
        let known = key.history().clone();
        let (version, expiry) = (known.belief().unwrap(), known.expiry());
        if is_lost(&result) {
            to.history().perhaps(version, window, expiry);
            key.history().perhaps(None, window, None);
        } else if result.is_ok() {
            to.history().write(version, window, expiry);
            key.history().write(None, window, None);
        }
    }

    fn flush(&mut self) {
        let key = self.keys[self.random.random_range(0..self.keys.len())];
        let all: bool = self.random.random();
        let mode = if self.random.random() { "ASYNC" } else { "SYNC" };
        let name = if all { "FLUSHALL" } else { "FLUSHDB" };
        let (window, result) = self.ask(key, &one(cmd(name).arg(mode)));
        for flushed in self.world.keys.iter().filter(|it| all || it.database == key.database) {
            flushed.history().flush(window, !is_lost(&result));
        }
    }

    /// Sends commands over the connection of that key's database.
    fn ask(&mut self, key: &Key, commands: &Pipeline) -> (Window, RedisResult<Value>) {
        let connection = &mut self.connections[place_of(key)];
        let open = connection.as_mut().expect("run connects first");
        let (window, result) = self.world.during(|| commands.query::<Value>(open));
        if is_lost(&result) {
            *connection = None;
            self.world.lost.fetch_add(1, Relaxed);
        }
        (window, result)
    }

    fn time_to_live(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(20..3000))
    }
}

fn set_commands(
    key: &Key,
    version: u64,
    padding: &str,
    time_to_live: Option<Duration>,
) -> Pipeline {
    let mut commands = pipe();
    match key.kind {
        Kind::Text => commands.cmd("SET").arg(&key.name).arg(format!("{version}:{padding}")),
        Kind::Json => {
            let value = format!(r#"{{"version":{version},"padding":"{padding}"}}"#);
            commands.cmd("SET").arg(&key.name).arg(value)
        }
        Kind::Hash => {
            commands.atomic().cmd("DEL").arg(&key.name);
            let fields = commands.cmd("HSET").arg(&key.name);
            fields.arg("version").arg(version).arg("padding").arg(padding)
        }
    };
    if let Some(time_to_live) = time_to_live {
        let millis = time_to_live.as_millis() as u64;
        if key.kind == Kind::Hash {
            commands.cmd("PEXPIRE").arg(&key.name).arg(millis);
        } else {
            commands.arg("PX").arg(millis);
        }
    }
    commands
}

fn one(command: &Cmd) -> Pipeline {
    let mut commands = pipe();
    commands.add_command(command.clone());
    commands
}

/// What a command alone in its pipeline answered.
fn number(result: &RedisResult<Value>) -> i64 {
    match result {
        Ok(Value::Array(values)) => match values[..] {
            [Value::Int(number)] => number,
            _ => panic!("no number: {values:?}"),
        },
        other => panic!("no number: {other:?}"),
    }
}

/// The databases that clients write, as URLs.
pub(crate) fn urls(url: impl Fn(u8) -> String) -> [String; 2] {
    DATABASES.map(url)
}

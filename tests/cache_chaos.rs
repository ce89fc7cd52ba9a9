//! Tables whose Redis is tormented: killed, frozen, emptied, restarted with old content, while
//! several clients write at random.
//!
//! At quiet points, when the clients are held and the server is there, the copies must equal what
//! it holds; and no lookup before may have given what was no longer true at the age it stated, nor
//! have waited for anything. `HOTSPUR_CHAOS_SECONDS` and `HOTSPUR_CHAOS_SEED` set how long it goes
//! and what is drawn; how the threads meet is not in the seed.

mod cache_rig;
#[path = "cache_rig/clients.rs"]
mod clients;
#[path = "cache_rig/history.rs"]
mod history;
#[path = "cache_rig/lookups.rs"]
mod lookups;
#[path = "cache_rig/relay.rs"]
mod relay;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;
#[path = "cache_rig/torment.rs"]
mod torment;
#[path = "cache_rig/world.rs"]
mod world;

use std::{
    env,
    io::{self, Write},
    time::{Duration, Instant},
};

use cache_rig::{Opened, open, settings, until};
use history::{History, Window};
use hotspur::clock::{Clock, TscClock};
use relay::Relay;
use server::Server;
use torment::Chaos;
use world::version_of;

/// Long enough to meet each trouble, for whoever runs all tests; CI says more.
const SECONDS: u64 = 10;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// Also where the output of tests that pass is not shown.
fn tell(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn a_copy_of_a_tormented_server_is_equal_when_it_is_quiet_and_never_lies_about_its_age() {
    let seconds = number("HOTSPUR_CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = number("HOTSPUR_CHAOS_SEED").unwrap_or_else(rand::random);
    tell(&format!("HOTSPUR_CHAOS_SEED={seed} HOTSPUR_CHAOS_SECONDS={seconds}"));
    let report = Chaos::new(seed).run(Duration::from_secs(seconds));
    tell(&format!("{report:#?}"));
    assert!(report.answers > 0 && report.cost.hits > 0 && report.quiet_points > 0);
    assert_eq!(report.cost.waits, 0, "a lookup gave its core up");
}

/// A copy of one key, and the key's history.
struct Told {
    copy: Opened,
    redis: redis::Connection,
    start: Instant,
    history: History,
}

impl Told {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn write(&mut self, version: u64) {
        let begun = self.now();
        redis::cmd("SET").arg("user:1").arg(version).exec(&mut self.redis).unwrap();
        self.history.write(Some(version), Window { begun, done: self.now() }, None);
    }

    /// Waits until the copy says that it is true as of now or later, and looks up.
    fn is_true(&mut self) -> bool {
        let told = self.now();
        let clock = TscClock::new();
        let mut as_of = 0;
        until("the copy says that it is true as of now", || {
            let (before, now) = (self.now(), clock.now());
            self.copy.tables.begin_turn(now);
            as_of = before.saturating_sub(self.copy.tables.age_ns(0, now).unwrap());
            as_of > told
        });
        let version = self.copy.tables.get(0, b"1").map(|value| version_of(value.bytes));
        self.history.allows(version, as_of, self.now())
    }
}

#[test]
fn a_copy_that_does_not_hear_of_a_change_is_caught_in_a_lie() {
    let server = Server::start();
    let relay = Relay::start(server.port());
    for (place, hears) in [(server.place("user:"), true), (relay.place("user:"), false)] {
        let mut redis = server.connect();
        let start = Instant::now();
        redis::cmd("SET").arg("user:1").arg(1).exec(&mut redis).unwrap();
        let copy = open(&settings(place)).unwrap();
        let mut told = Told { copy, redis, start, history: History::new() };
        told.write(2);
        told.copy.until("1", Some("2"));
        assert!(told.is_true());
        relay.swallow_pushes(true);
        told.write(3);
        assert_eq!(told.is_true(), hears);
        relay.swallow_pushes(false);
        told.write(4);
        told.copy.until("1", Some("4"));
        assert!(told.is_true());
        assert_eq!(told.copy.handle.status().errors(), 0);
    }
}

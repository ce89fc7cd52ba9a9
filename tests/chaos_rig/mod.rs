//! Breaks what can be broken while records come, and counts afterwards.
//!
//! A seed says what happens and after how many records; how the processes meet is not in it. Times
//! are told in records of the open loop, which comes at a known rate.

pub(crate) mod books;
pub(crate) mod load;
pub(crate) mod members;
pub(crate) mod records;
pub(crate) mod watch;

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use books::{Account, Books};
use load::Load;
use members::{Deed, Members};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use watch::{Patience, Watch};

use crate::{
    extent,
    support::{kafka::Kafka, pipeline::Pipeline},
};

/// What a pipeline promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "as everybody calls them")]
pub(crate) enum Guarantee {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl Guarantee {
    /// As the configuration has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Guarantee::AtMostOnce => "at-most-once",
            Guarantee::AtLeastOnce => "at-least-once",
            Guarantee::ExactlyOnce => "exactly-once",
        }
    }
}

/// After that the group gives a member up: the least that Kafka takes by default.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// A process that is held still stays so for that much longer.
const LONGER_THAN_SESSION: Duration = Duration::from_secs(2);

/// How often something is looked at that takes seconds.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// From one event to the next, in records: 0.1 to 2 s.
const GAP: std::ops::Range<u64> = 500..10_000;

/// The seed of the slice that everybody runs.
const SLICE_SEED: u64 = 5;

/// The records that come in that time.
pub(crate) fn records_in(time: Duration) -> u64 {
    load::RATE * time.as_millis() as u64 / 1_000
}

/// What is drawn from: told, so that a failure can be drawn again.
pub(crate) fn seed() -> u64 {
    let told = std::env::var("HOTSPUR_CHAOS_SEED").ok();
    let told = told.map(|it| it.parse().unwrap_or_else(|error| panic!("{it}: {error}")));
    told.unwrap_or_else(|| extent::choose(SLICE_SEED, rand::random()))
}

/// Also where the output of tests that pass is not shown.
pub(crate) fn tell(line: &str) {
    // Nobody to tell it to is no reason to fail.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A pipeline under load, its processes, and whoever torments them.
pub(crate) struct Chaos {
    name: &'static str,
    seed: u64,
    guarantee: Guarantee,
    pub(crate) brokers: String,
    partitions: i32,
    pub(crate) pipeline: Pipeline,
    pub(crate) members: Members,
    pub(crate) random: SmallRng,
    load: Option<Load>,
}

impl Chaos {
    /// Topics and a configuration; nothing runs yet.
    pub(crate) fn new(
        name: &'static str,
        guarantee: Guarantee,
        kafka: &Kafka,
        (partitions, places): (i32, usize),
    ) -> Chaos {
        let pipeline = Pipeline::of("chaos", records::PIPELINE, kafka)
            .file("known.jsonl", &records::table())
            .set("delivery.guarantee", guarantee.word())
            .set("delivery.breaker", false)
            .property("session.timeout.ms", &SESSION_TIMEOUT.as_millis().to_string())
            .property("heartbeat.interval.ms", "1000");
        let pipeline = match guarantee {
            Guarantee::ExactlyOnce => pipeline.set("delivery.transaction_timeout", "10s"),
            _ => pipeline,
        };
        pipeline.create_topics(kafka, partitions);
        let seed = seed();
        println!("HOTSPUR_CHAOS_SEED={seed}");
        Chaos {
            name,
            seed,
            guarantee,
            brokers: kafka.brokers().to_owned(),
            partitions,
            members: Members::new(places, guarantee),
            pipeline,
            random: SmallRng::seed_from_u64(seed),
            load: None,
        }
    }

    /// Starts the load, and every process.
    pub(crate) fn begin(&mut self) {
        self.members.start_missing(&self.pipeline);
        self.members.await_assigned();
        self.load = Some(Load::start(&self.brokers, &self.pipeline.input));
    }

    /// Does all of these, in an order and at moments of its own.
    pub(crate) fn torment(&mut self, mut deeds: Vec<Deed>) {
        deeds.shuffle(&mut self.random);
        for deed in deeds {
            self.let_pass(GAP);
            let now = self.sent();
            self.members.go_on(now, &self.pipeline, &mut self.random);
            let until = now + records_in(SESSION_TIMEOUT + LONGER_THAN_SESSION);
            self.members.suffer(deed, (now, until), &self.pipeline, &mut self.random);
        }
    }

    /// Waits for so many records, while nothing may end by itself.
    pub(crate) fn let_pass(&mut self, records: std::ops::Range<u64>) {
        let end = self.sent() + self.random.random_range(records);
        self.await_sent(end);
    }

    fn await_sent(&mut self, number: u64) {
        let mut patience = Patience::new();
        while self.sent() < number {
            assert!(!patience.is_over(Some(self.sent() as i64)), "the load does not get on");
            self.members.see_that_they_live();
            thread::park_timeout(LOOK_AGAIN / 5);
        }
    }

    fn sent(&self) -> u64 {
        self.load.as_ref().map_or(0, Load::sent)
    }

    /// Ends the load, lets the processes finish, ends them, and counts.
    pub(crate) fn settle(&mut self) -> Books {
        if let Some(last) = self.members.last_thaw() {
            self.await_sent(last);
        }
        self.members.thaw(u64::MAX);
        self.members.start_missing(&self.pipeline);
        let sent = self.load.take().expect("a load that was started").finish();
        self.finish(sent.count);
        let books = self.count(sent.count);
        let line = format!("{} at {:.0} records/s", self.summary(&books), sent.rate);
        tell(&line);
        let faults = books.faults(self.guarantee);
        let deeds = self.members.history.join("\n");
        assert!(faults.is_empty(), "{line}\n{}\n{deeds}", faults.join("\n"));
        books
    }

    /// Waits until the group has committed all of them, and ends the processes.
    pub(crate) fn finish(&mut self, total: u64) {
        let watch = self.watch_input();
        assert_eq!(watch.end(), Some(total as i64), "records in the source");
        let mut patience = Patience::new();
        loop {
            let committed = watch.committed();
            if committed == Some(total as i64) {
                break;
            }
            self.members.see_that_they_live();
            self.members.start_missing(&self.pipeline);
            if patience.is_over(committed) {
                let logs = self.members.logs();
                panic!("{committed:?} of {total} committed, and no progress:\n{logs}");
            }
            thread::park_timeout(LOOK_AGAIN);
        }
        self.members.stop_all();
    }

    /// Counts what is in the topics.
    pub(crate) fn count(&self, total: u64) -> Books {
        Books::keep(Account {
            brokers: &self.brokers,
            output: &self.pipeline.output,
            dead: &self.pipeline.dead,
            partitions: self.partitions,
            total,
            isolation: "read_committed",
        })
    }

    pub(crate) fn summary(&self, books: &Books) -> String {
        let deeds = self.members.summary();
        let (name, word, seed) = (self.name, self.guarantee.word(), self.seed);
        format!("{name}, {word}, HOTSPUR_CHAOS_SEED={seed}: {deeds}; {}", books.summary())
    }

    fn watch_input(&self) -> Watch {
        Watch::open(&self.brokers, &self.pipeline.group, &self.pipeline.input, self.partitions)
    }

    /// How long it takes from now until more results come than there are now.
    pub(crate) fn await_recovery(&mut self) -> Duration {
        let start = Instant::now();
        let output = &self.pipeline.output;
        let watch = Watch::open(&self.brokers, "recovery", output, self.partitions);
        let (mut before, mut patience) = (None, Patience::new());
        loop {
            let end = watch.end();
            before = before.or(end);
            if end > before {
                return start.elapsed();
            }
            self.members.see_that_they_live();
            assert!(!patience.is_over(None), "nothing comes:\n{}", self.members.logs());
            thread::park_timeout(LOOK_AGAIN / 5);
        }
    }
}

//! The engine on the memory transport, with the shipped pipelines and seeded records.
//!
//! Everything between a record's bytes and its result is the program's own: settings from the
//! shipped files, the table, delivery, the meter. Only the source and the sink are in memory.

use std::path::{Path, PathBuf};

use hotspur::{
    assemble::{self, Steps},
    cache::{Tables, Value, table},
    clock::{Clock, Ticks, TscClock, WallOffset},
    config::{self, Settings, Sources},
    delivery::Order,
    engine::{Engine, Options, breaker::Rule, control::Control},
    loadgen::{Payload, write_key},
    measure::Stages,
    observe::HotSide,
    record::Destination,
    transport::memory::{Discard, Replay},
};

use super::records::{self, KeyAndValue};

/// An engine that is stepped by hand.
pub(crate) type MemoryEngine = Engine<TscClock, Replay, Discard, Steps>;

/// A shipped pipeline and what it is fed with.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// How it is called in tables of results.
    pub(crate) name: &'static str,
    /// Its file below `tuning/pipelines`.
    pub(crate) file: &'static str,
    /// What its records say.
    pub(crate) payload: Payload,
    /// Different keys, each of them in the table.
    pub(crate) keys: u64,
}

impl Case {
    /// Names of about 45 bytes: md5, spliced in.
    pub(crate) fn names() -> Case {
        Case { name: "names", file: "names.toml", payload: Payload::Names, keys: 1_000 }
    }

    /// Orders of 200 bytes: a lookup in a table of `keys`, the result spliced in.
    pub(crate) fn orders_spliced(keys: u64) -> Case {
        let payload = Payload::Orders { bytes: 200 };
        Case { name: "orders, spliced", file: "orders-spliced.toml", payload, keys }
    }

    /// The same; the result is a line of text.
    pub(crate) fn orders_text(keys: u64) -> Case {
        Case { name: "orders, text", file: "orders.toml", ..Case::orders_spliced(keys) }
    }

    /// The shipped settings.
    pub(crate) fn settings(&self) -> Settings {
        let file = repository().join("tuning/pipelines").join(self.file);
        let sources = Sources {
            file: Some(file),
            profile: Some("balanced".to_owned()),
            ..Sources::default()
        };
        config::load(&sources).unwrap_or_else(|report| panic!("{report}")).settings
    }

    /// Seeded records, in the order in which they are replayed.
    pub(crate) fn records(&self, count: u64) -> Vec<KeyAndValue> {
        records::prepared(&self.payload, self.keys, count, since_start(&TscClock::new()))
    }

    /// Every key's entry, as Redis would have given it.
    pub(crate) fn tables(&self, settings: &Settings) -> Tables {
        let filled = settings.tables.iter().map(|_| filled_table(self.keys));
        Tables::new(filled.collect())
    }

    /// An engine that has been given its partition, and no record yet.
    pub(crate) fn engine(&self, records: Vec<KeyAndValue>) -> MemoryEngine {
        self.engine_that_measures(Stages::All, records)
    }

    /// The same with fewer stages measured, or none.
    pub(crate) fn engine_that_measures(
        &self,
        stages: Stages,
        records: Vec<KeyAndValue>,
    ) -> MemoryEngine {
        let settings = self.settings();
        let clock = TscClock::new();
        let pipeline = assemble::compile(&settings).expect("a shipped pipeline compiles");
        let wall = since_start(&clock);
        let steps = Steps::new(pipeline, self.tables(&settings), (clock.clone(), wall.clone()));
        engine(&settings, (clock, wall), steps, (stages, records))
    }
}

/// An engine that takes these steps.
pub(crate) fn engine(
    settings: &Settings,
    (clock, wall): (TscClock, WallOffset),
    steps: Steps,
    (stages, records): (Stages, Vec<KeyAndValue>),
) -> MemoryEngine {
    let hot = HotSide::detached(clock.now());
    let parts = (Replay::new(records, 0), Discard::new(2 * settings.limits.batch));
    let options = Options { stages, ..options(settings) };
    Engine::new((clock, wall), parts, steps, hot, Control::none(), options)
        .with_breaker(Some(NEVER))
}

/// A breaker that looks at everything, as in a run, and never opens.
const NEVER: Rule = Rule { share: 1.0, window: 1000, within_ns: u64::MAX, stops: true };

/// Steps the engine until `more` records were taken and settled.
pub(crate) fn run(engine: &mut MemoryEngine, more: u64) {
    engine.source_mut().extend(more);
    let mut is_idle = false;
    while !(is_idle && engine.in_flight() == 0) {
        is_idle = engine.turn() == 0;
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// `Replay`'s records carry a timestamp of 0; with an epoch that begins here their age is small.
pub(crate) fn since_start(clock: &TscClock) -> WallOffset {
    WallOffset::fixed(-(clock.nanos(Ticks(0), clock.now()) as i64))
}

fn filled_table(keys: u64) -> table::Reader {
    let (mut writer, reader) = table(keys as usize, 7);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for number in 1..=keys {
        key.clear();
        write_key(&mut key, number);
        value.clear();
        value.extend_from_slice(b"tier-");
        value.extend_from_slice(&key);
        writer.insert(&key, Value::text(&value), 0);
    }
    writer.publish();
    reader
}

fn options(settings: &Settings) -> Options {
    Options {
        name: settings.name.clone(),
        order: Order::ProcessThenCommit,
        in_flight: settings.limits.in_flight,
        in_flight_bytes: settings.limits.in_flight_bytes,
        batch: settings.limits.batch,
        waiting: settings.records_waiting(),
        retry: assemble::retry(settings),
        dead_letters: Destination(1),
        streams_headers: settings.dead_letters.streams_headers,
        commit_interval_ns: settings.delivery.commit_interval.as_nanos() as u64,
        transaction_timeout_ns: 1_000_000_000,
        stages: Stages::All,
        slow_ns: 1_000_000,
        publish_interval_ns: 100_000_000,
        drain_timeout_ns: settings.engine.drain_timeout.as_nanos() as u64,
    }
}

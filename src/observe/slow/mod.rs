//! Why records were slow: each leaves a line that says where its time went and what took it.
//!
//! The hot thread hands over plain values (`measure::slow`). Here they become sentences, with what
//! this thread knows beside: when it was itself kept from waking, which tells a process that stood
//! still from a thread that did. A line is one JSON object; `schema slow` describes it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde_json::{Map, Value, json};

use self::cause::{Cause, Witness};
use crate::{
    clock::{Clock, Ticks, WallOffset},
    config::settings::KeyDisplay,
    measure::{
        Regime, SlowBook, SlowRecord, Stage,
        slow::{Doing, Kept, Stall},
    },
    observe::log_file::cut,
};

pub mod cause;
mod schema;

pub use schema::schema;

/// Bytes of the file of slow records; past it no line is written, and the log says so once.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The stages of a record's way through this process, with how long each took.
pub(super) fn stages<C: Clock>(clock: &C, record: &SlowRecord) -> [(Stage, u64); 8] {
    let it = &record.stamps;
    let took = |from, to| clock.nanos(from, to);
    [
        (Stage::Queue, took(it.arrived, it.polled)),
        (Stage::Batch, took(it.polled, it.since)),
        (Stage::Held, took(it.since, it.start)),
        (Stage::Parse, took(it.start, it.parsed)),
        (Stage::Operate, took(it.parsed, it.operated)),
        (Stage::Encode, took(it.operated, it.encoded)),
        (Stage::Send, took(it.encoded, it.sent)),
        (Stage::Ack, took(it.sent, record.acknowledged)),
    ]
}

/// The stage that took most.
pub(super) fn longest<C: Clock>(clock: &C, record: &SlowRecord) -> (Stage, u64) {
    let stages = stages(clock, record);
    stages.into_iter().max_by_key(|(_, nanos)| *nanos).unwrap_or((Stage::Queue, 0))
}

/// Turns records into lines.
#[derive(Debug)]
pub struct Teller<'a, C> {
    /// The clock of the stamps.
    pub clock: &'a C,
    /// Its distance to the epoch.
    pub wall: &'a WallOffset,
    /// How keys are shown.
    pub keys: KeyDisplay,
    /// What this thread saw.
    pub witness: &'a Witness,
}

impl<C: Clock> Teller<'_, C> {
    /// One line's object.
    pub fn line(&self, record: &SlowRecord) -> Value {
        let verdict = cause::verdict(self.clock, record, self.witness);
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("ts", self.time(record.acknowledged).into());
        put("transit_ns", record.transit_ns.into());
        if let Some(source_ns) = record.stamps.source_ns {
            put("source_ns", source_ns.into());
            put("end_to_end_ns", (source_ns + record.here_ns.cast_signed()).into());
        }
        let stages = stages(self.clock, record);
        let stages =
            stages.into_iter().map(|(stage, nanos)| (stage.name().to_owned(), nanos.into()));
        put("stages", Value::Object(stages.collect()));
        put("slowest_stage", longest(self.clock, record).0.name().into());
        put("topic", String::from_utf8_lossy(record.topic.bytes()).into());
        put("partition", record.partition.into());
        put("offset", record.offset.into());
        if let Some(key) = record.key.and_then(|key| self.key(&key)) {
            put("key", key.into());
        }
        put("cause", verdict.cause.name().into());
        put("verdict", verdict.sentence.into());
        let shares = Regime::ALL.into_iter().filter(|it| record.regimes.of(*it) > 0);
        let share = |it: Regime| (it.name().to_owned(), rounded(record.regimes.share(it)));
        put("regimes", Value::Object(shares.map(share).collect()));
        if let Some(stall) = &record.stall {
            put("stall", self.stall(stall));
        }
        put("lately", taken(&record.taken));
        put("table_age_ns", record.table_age_ns.map_or(Value::Null, Value::from));
        put("in_flight", record.in_flight.into());
        put("committing", record.is_committing.into());
        put("rebalancing", record.is_rebalancing.into());
        Value::Object(line)
    }

    /// What a stall is put down to.
    pub fn cause_of(&self, stall: &Stall) -> Cause {
        cause::of_stall(self.clock, stall, self.witness)
    }

    fn stall(&self, stall: &Stall) -> Value {
        let mut object = taken(&stall.taken);
        object["from"] = self.time(stall.from).into();
        object["took_ns"] = self.clock.nanos(stall.from, stall.to).into();
        object["doing"] = doing(stall.doing).into();
        object["cause"] = self.cause_of(stall).name().into();
        object
    }

    fn time(&self, at: Ticks) -> String {
        let nanos = self.wall.epoch_nanos(self.clock, at);
        let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
        format!("{time:.9}")
    }

    fn key<const N: usize>(&self, key: &Kept<N>) -> Option<String> {
        match self.keys {
            KeyDisplay::Off => None,
            KeyDisplay::Hash => {
                Some(format!("xxh3:{:016x}", xxhash_rust::xxh3::xxh3_64(key.bytes())))
            }
            KeyDisplay::Plain if key.is_whole() => {
                Some(String::from_utf8_lossy(key.bytes()).into_owned())
            }
            KeyDisplay::Plain => Some(format!("{}…", String::from_utf8_lossy(key.bytes()))),
        }
    }
}

fn taken(taken: &crate::measure::slow::Taken) -> Value {
    json!({
        "within_ns": taken.within_ns,
        "cpu_ns": taken.cpu_ns,
        "waited_ns": taken.waited_ns,
        "involuntary_switches": taken.involuntary_switches,
        "voluntary_switches": taken.voluntary_switches,
        "minor_faults": taken.minor_faults,
        "major_faults": taken.major_faults,
        "migrated": taken.has_migrated,
    })
}

fn doing(doing: Doing) -> &'static str {
    match doing {
        Doing::Chores => "chores",
        Doing::Serving => "serving",
        Doing::Taking => "taking",
        Doing::Processing => "processing",
        Doing::Sending => "sending",
    }
}

fn rounded(share: f64) -> Value {
    ((share * 1e4).round() / 1e4).into()
}

/// The file, made with its first line.
#[derive(Debug)]
pub struct SlowFile {
    file: File,
    bytes: u64,
}

impl SlowFile {
    /// Makes it.
    pub fn create(path: &Path) -> io::Result<SlowFile> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(SlowFile { file, bytes: 0 })
    }

    /// Appends the slow records of an interval, the slowest first, and what was left out. False if
    /// the file is full.
    pub fn append<C: Clock>(
        &mut self,
        teller: &Teller<'_, C>,
        book: &SlowBook,
    ) -> io::Result<bool> {
        if self.bytes >= FILE_BYTES_MAX {
            return Ok(false);
        }
        let mut records: Vec<&SlowRecord> = book.records().collect();
        records.sort_by_key(|it| std::cmp::Reverse(it.here_ns));
        let mut lines = String::new();
        for record in records {
            lines.push_str(&teller.line(record).to_string());
            lines.push('\n');
        }
        if book.left_out > 0 {
            lines.push_str(&json!({ "left_out": book.left_out }).to_string());
            lines.push('\n');
        }
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            // What cannot be cut either is the disk's to answer for.
            let _ = cut(&mut self.file, self.bytes);
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        measure::{Stamps, slow::tests::record},
    };

    #[test]
    fn a_line_says_where_the_time_went_and_keys_are_shown_as_configured() {
        let (clock, wall) = (ManualClock::default(), WallOffset::fixed(1_795_239_420_000_000_000));
        let witness = Witness::default();
        let mut slow = record(5_000, 9_000);
        slow.stamps = Stamps {
            arrived: Ticks(1_000),
            polled: Ticks(4_500),
            since: Ticks(4_600),
            start: Ticks(4_600),
            parsed: Ticks(5_000),
            operated: Ticks(5_300),
            encoded: Ticks(5_400),
            sent: Ticks(6_000),
            source_ns: Some(-500),
            ..Stamps::NONE
        };
        slow.acknowledged = Ticks(10_000);
        slow.key = Some(Kept::of(b"user7"));
        let line =
            |keys| Teller { clock: &clock, wall: &wall, keys, witness: &witness }.line(&slow);
        let hashed = line(KeyDisplay::Hash);
        assert_eq!(hashed["ts"], "2026-11-21T05:37:00.000010000Z");
        assert_eq!(hashed["end_to_end_ns"], 8_500);
        let stages = json!({ "queue": 3_500, "batch": 100, "held": 0, "parse": 400, "operate": 300,
            "encode": 100, "send": 600, "ack": 4_000 });
        assert_eq!(hashed["stages"], stages);
        assert_eq!(hashed["slowest_stage"], "ack");
        let sum: u64 = stages.as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, slow.here_ns);
        assert!(hashed["key"].as_str().unwrap().starts_with("xxh3:"));
        assert_eq!(line(KeyDisplay::Plain)["key"], "user7");
        assert_eq!(line(KeyDisplay::Off)["key"], Value::Null);
    }

    #[test]
    fn a_file_holds_the_slowest_first_and_counts_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.slow.jsonl");
        let (clock, wall) = (ManualClock::default(), WallOffset::fixed(0));
        let witness = Witness::default();
        let keys = KeyDisplay::Hash;
        let teller = Teller { clock: &clock, wall: &wall, keys, witness: &witness };
        let mut book = SlowBook::new();
        for here_ns in [3, 9, 5] {
            book.add(record(here_ns, here_ns));
        }
        book.left_out = 2;
        assert!(SlowFile::create(&path).unwrap().append(&teller, &book).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        let transits: Vec<_> = lines.iter().map(|it| it["transit_ns"].as_u64()).collect();
        assert_eq!(transits, [Some(9), Some(5), Some(3), None]);
        assert_eq!(lines[3], json!({ "left_out": 2 }));
        assert!(SlowFile::create(&path).is_err(), "never overwritten");
    }
}

//! Load: when a record is due and what it says.
//!
//! With a rate the load is open loop: a record is due when the schedule says so, whatever became of
//! the ones before it, and it carries the time at which it was due. A system that falls behind is
//! then seen to be late, instead of quietly being asked less. Without a rate records follow as fast
//! as the sink takes them. The same seed makes the same records.
//!
//! How a record is sent is the sink's matter; a full one is waited for, so that nothing is lost.

use thiserror::Error;

use crate::{
    clock::WallOffset,
    record::{DUE_HEADER, Destination, Headers, Output},
};

pub mod judge;
pub mod keys;
pub mod payload;
pub mod runner;
pub mod schedule;

pub use judge::{Arrivals, Judge, SentKeys};
pub use keys::{KEY_PREFIX, KeyChooser, write_key};
pub use payload::Payload;
pub use runner::{LoadReport, run, run_from};
pub use schedule::Schedule;

/// What a load cannot be made of.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Not a payload that there is.
    #[error(
        "there is no payload \"{0}\"; choose names, orders, weather, or @FILE with a record a line"
    )]
    UnknownPayload(String),
    /// The file of `@FILE`.
    #[error("{path}: cannot be read as records, one a line: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file without a line.
    #[error("{0}: holds no record; write one a line")]
    EmptyFile(String),
    /// `--keys 0`.
    #[error("the number of keys must be at least 1")]
    NoKeys,
    /// `--zipf`.
    #[error("a Zipf exponent is a number from 0 (all keys alike) upwards, not {0}")]
    Zipf(f64),
    /// `--rate 0`.
    #[error("the rate must be at least 1 record per second")]
    NoRate,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Open loop: that many records per second.
    PerSecond(u64),
    /// As fast as the sink takes them.
    Unpaced,
}

/// What a load is made of.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// Records in all.
    pub count: u64,
    /// How fast.
    pub pace: Pace,
    /// What the values say.
    pub payload: Payload,
    /// How many different keys.
    pub keys: u64,
    /// The Zipf exponent of the keys; `None` draws all alike.
    pub zipf: Option<f64>,
    /// Headers of each record, in order.
    pub headers: Vec<(String, String)>,
    /// Of the random numbers.
    pub seed: u64,
    /// Each record also has the header `hotspur.due`. The clock must count from the epoch then, and
    /// is not compared with wall time on the way: the times are those of the schedule, exactly.
    pub stamps_due: bool,
}

/// Records in order, each written into memory that is used again for the next.
#[derive(Debug)]
pub struct Load {
    count: u64,
    pace: Pace,
    payload: Payload,
    chooser: KeyChooser,
    headers: Vec<u8>,
    /// Bytes of headers that all records share.
    headers_shared: usize,
    stamps_due: bool,
    wall: WallOffset,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Load {
    /// Checks and prepares; `wall` gives the times that records carry.
    pub fn new(settings: LoadSettings, wall: WallOffset) -> Result<Load, LoadError> {
        if settings.pace == Pace::PerSecond(0) {
            return Err(LoadError::NoRate);
        }
        let chooser = KeyChooser::new(settings.keys, settings.zipf, settings.seed)?;
        let mut headers = Vec::new();
        for (name, value) in &settings.headers {
            Headers::push(&mut headers, name.as_bytes(), Some(value.as_bytes()));
        }
        Ok(Load {
            count: settings.count,
            pace: settings.pace,
            payload: settings.payload,
            chooser,
            headers_shared: headers.len(),
            headers,
            stamps_due: settings.stamps_due,
            wall,
            key: Vec::with_capacity(64),
            value: Vec::with_capacity(4096),
        })
    }

    /// Writes record `number`, from 0, that is due that many nanoseconds after the epoch.
    fn compose(&mut self, number: u64, due_nanos: i64) {
        let due_ms = due_nanos.div_euclid(1_000_000);
        if self.stamps_due {
            self.headers.truncate(self.headers_shared);
            let mut digits = itoa::Buffer::new();
            let due = digits.format(due_nanos).as_bytes();
            Headers::push(&mut self.headers, DUE_HEADER, Some(due));
        }
        let key = self.chooser.next_key();
        self.key.clear();
        self.payload.write_key(&mut self.key, key);
        self.value.clear();
        self.payload.write(&mut self.value, number, &self.key, due_ms, self.chooser.random());
    }

    /// The record that was written last.
    fn composed(&self) -> Output<'_> {
        Output {
            destination: Destination(0),
            partition_number: None,
            timestamp_ms: None,
            key: Some(&self.key),
            value: Some(&self.value),
            headers: Headers::from_bytes(&self.headers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings(count: u64, pace: Pace) -> LoadSettings {
        LoadSettings {
            count,
            pace,
            payload: Payload::parse("orders").unwrap(),
            keys: 1_000,
            zipf: Some(0.99),
            headers: vec![("origin".to_owned(), "a test".to_owned())],
            seed: 7,
            stamps_due: false,
        }
    }

    fn records(seed: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
        let settings = LoadSettings { seed, ..settings(100, Pace::Unpaced) };
        let mut load = Load::new(settings, WallOffset::fixed(0)).unwrap();
        let mut record = |number| {
            load.compose(number, 5);
            let output = load.composed();
            (output.key.unwrap().to_vec(), output.value.unwrap().to_vec())
        };
        (0..100).map(&mut record).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_records() {
        assert_eq!(records(1), records(1));
        assert_ne!(records(1), records(2));
    }

    #[test]
    fn after_the_first_records_no_memory_is_taken() {
        let settings = LoadSettings { stamps_due: true, ..settings(1, Pace::Unpaced) };
        let mut load = Load::new(settings, WallOffset::fixed(0)).unwrap();
        load.compose(0, i64::MAX);
        let places = |load: &Load| (load.key.as_ptr(), load.value.as_ptr(), load.headers.as_ptr());
        let before = places(&load);
        for number in 1..10_000 {
            load.compose(number, i64::MAX);
        }
        assert_eq!(places(&load), before);
    }

    #[test]
    fn a_stamp_is_a_header_behind_the_others_and_stands_once() {
        let settings = LoadSettings { stamps_due: true, ..settings(2, Pace::Unpaced) };
        let mut load = Load::new(settings, WallOffset::fixed(0)).unwrap();
        for due in [1_795_239_420_123_456_789, 1_795_239_420_124_456_789_i64] {
            load.compose(0, due);
            let headers: Vec<_> = load.composed().headers.collect();
            let due = due.to_string();
            assert_eq!(
                headers,
                [(&b"origin"[..], Some(&b"a test"[..])), (DUE_HEADER, Some(due.as_bytes())),]
            );
        }
    }

    #[test]
    fn what_cannot_be_a_load_is_said() {
        let pace = Pace::PerSecond(0);
        let refused = |settings| Load::new(settings, WallOffset::fixed(0)).unwrap_err();
        assert!(matches!(refused(settings(1, pace)), LoadError::NoRate));
        let none = LoadSettings { keys: 0, ..settings(1, Pace::Unpaced) };
        assert!(matches!(refused(none), LoadError::NoKeys));
        let odd = LoadSettings { zipf: Some(f64::NAN), ..settings(1, Pace::Unpaced) };
        assert!(matches!(refused(odd), LoadError::Zipf(_)));
    }
}

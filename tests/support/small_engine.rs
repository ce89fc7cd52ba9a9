//! What a small engine on the memory transport is told, and the least that a process can do.

use hotspur::{
    delivery::Order,
    engine::{Options, Retry},
    measure::Stages,
    pipeline::{
        Results,
        results::{Entry, Part},
    },
    record::Destination,
};

/// Room for a few small records, and times of milliseconds; a test changes what it is about.
pub(crate) fn options() -> Options {
    Options {
        name: "small".to_owned(),
        order: Order::ProcessThenCommit,
        in_flight: 64,
        in_flight_bytes: 4096,
        batch: 16,
        waiting: 0,
        retry: Retry::NEVER,
        dead_letters: Destination(1),
        streams_headers: false,
        commit_interval_ns: 1_000_000,
        transaction_timeout_ns: 1_000_000_000,
        stages: Stages::All,
        slow_ns: 1_000_000,
        publish_interval_ns: 1_000_000,
        drain_timeout_ns: 1_000_000_000,
    }
}

/// The record is its own result, byte for byte.
pub(crate) fn echo(results: &mut Results) {
    results.push(Entry {
        destination: Destination(0),
        partition_number: None,
        timestamp_ms: None,
        key: Part::OfRecord,
        value: Part::OfRecord,
        headers: Part::OfRecord,
    });
}

//! Settings for a pipeline under test: everything that a pipeline does not look at is plain.

use std::{path::PathBuf, time::Duration};

use hotspur::config::{
    Settings,
    range::Range,
    settings::{
        Core, DeadLetters, Delivery, Engine, Guarantee, Idle, KafkaClient, KafkaSink, KafkaSource,
        KeyDisplay, Latency, Limits, Log, Measure, Observe, OnGap, Operator, Retry, SinkPartition,
        Start, State, Step, Streams, Table, TablePlace, Tombstones,
    },
};

/// Settings with these operators as steps, and tables of these names.
pub(crate) fn settings(operators: Vec<Operator>, tables: &[&str]) -> Settings {
    let second = Duration::from_secs(1);
    let step = |(index, operator)| {
        let place = format!("steps[{index}]");
        Step { name: None, when: None, operator, place }
    };
    Settings {
        name: "test".to_owned(),
        instance: "0".to_owned(),
        profile: "balanced".to_owned(),
        source: source(),
        sink: KafkaSink {
            client: KafkaClient::default(),
            topic: "out".to_owned(),
            key: "record.key".to_owned(),
            value: "event".to_owned(),
            partition: SinkPartition::Key,
        },
        streams: Streams::default(),
        dead_letters: DeadLetters {
            client: KafkaClient::default(),
            topic: "in.dead".to_owned(),
            streams_headers: false,
        },
        delivery: Delivery {
            guarantee: Guarantee::AtLeastOnce,
            commit_interval: second,
            transaction_timeout: second,
            breaker: None,
            retry: Retry { attempts: 0, backoff: second, max_backoff: second },
        },
        tables: tables.iter().map(|name| table(name)).collect(),
        steps: operators.into_iter().enumerate().map(step).collect(),
        state: State::default(),
        latency: Latency {
            origin: "record.timestamp".to_owned(),
            unit_nanos: 1_000_000,
            slow: Duration::from_millis(1),
            are_stages_sampled: false,
        },
        engine: Engine {
            core: Core::None,
            idle: Idle::Park,
            start_timeout: second,
            drain_timeout: second,
            ..Engine::default()
        },
        limits: Limits {
            record: 1 << 20,
            depth: 128,
            in_flight: 1024,
            in_flight_bytes: 16 << 20,
            batch: 256,
        },
        observe: Observe {
            out: None,
            interval: second,
            listen: None,
            token: None,
            keys: KeyDisplay::Hash,
        },
        log: Log { level: "info".to_owned(), json: None },
        measure: Measure::default(),
    }
}

fn source() -> KafkaSource {
    KafkaSource {
        client: KafkaClient::default(),
        topics: vec!["in".to_owned()],
        group: "test".to_owned(),
        start: Start::Latest,
        on_gap: OnGap::Stop,
        tombstones: Tombstones::Skip,
        range: Range::default(),
    }
}

fn table(name: &str) -> Table {
    Table::new(name, TablePlace::File(PathBuf::from("unused.jsonl")))
}

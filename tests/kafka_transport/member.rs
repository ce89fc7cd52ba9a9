//! A member of a group that keeps what it was told and lent, and what else the tests share.

use std::time::{Duration, Instant};

use hotspur::{
    clock::{Clock, Ticks, TscClock},
    config::{
        range::Range,
        settings::{self, KafkaClient, OnGap, Start, Tombstones},
    },
    record::{Destination, Headers, Output, PartitionId},
    transport::{
        Ack, Sink, Source, SourceEvent, SourceGap, Token, Trouble,
        kafka::{EmbeddedKafka, KafkaSink, KafkaSource},
    },
};

/// Long enough that only a fault reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn broker(topic: &str, partitions: u32) -> EmbeddedKafka {
    let kafka = EmbeddedKafka::new(1).unwrap();
    kafka.create_topic(topic, partitions).unwrap();
    kafka
}

pub(crate) fn client(kafka: &EmbeddedKafka) -> KafkaClient {
    client_with(kafka, &[])
}

pub(crate) fn client_with(kafka: &EmbeddedKafka, properties: &[(&str, &str)]) -> KafkaClient {
    let properties = properties.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    KafkaClient { brokers: kafka.bootstrap_servers().to_owned(), properties }
}

/// A member of the group `group` that reads topic `in`. The embedded broker lets a join wait for
/// a second less than the session lasts, and answers no fetch before its wait ends.
pub(crate) fn source_settings(kafka: &EmbeddedKafka, start: Start) -> settings::KafkaSource {
    settings::KafkaSource {
        client: client_with(
            kafka,
            &[
                ("fetch.wait.max.ms", "0"),
                ("session.timeout.ms", "3000"),
                ("heartbeat.interval.ms", "100"),
            ],
        ),
        topics: vec!["in".to_owned()],
        group: "group".to_owned(),
        start,
        on_gap: OnGap::Stop,
        tombstones: Tombstones::Pass,
        range: Range::default(),
    }
}

/// A record, owned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Copied {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) arrived: Ticks,
}

/// What a source said, owned.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Assigned(Vec<PartitionId>),
    Revoked(Vec<PartitionId>),
    Lost(Vec<PartitionId>),
    Committed(u64, Result<(), Trouble>),
    Gap(SourceGap),
    Trouble(Trouble),
}

/// A source with everything that it said and lent.
pub(crate) struct Member {
    pub(crate) source: KafkaSource,
    pub(crate) said: Vec<Said>,
    pub(crate) records: Vec<Copied>,
}

impl Member {
    pub(crate) fn join(kafka: &EmbeddedKafka, start: Start) -> Member {
        Member::with(&source_settings(kafka, start))
    }

    pub(crate) fn with(settings: &settings::KafkaSource) -> Member {
        let source = KafkaSource::open(settings, "test", TscClock::new(), None).unwrap();
        Member { source, said: Vec::new(), records: Vec::new() }
    }

    pub(crate) fn turn(&mut self) {
        self.serve();
        let records = &mut self.records;
        self.source.poll(TscClock::new().now(), 100, &mut |record| {
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            records.push(Copied {
                topic: record.topic.to_owned(),
                partition: record.partition_number,
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                key: owned(record.key),
                value: owned(record.value),
                headers: record.headers.map(|(k, v)| (k.to_vec(), owned(v))).collect(),
                arrived: record.arrived,
            });
            true
        });
    }

    pub(crate) fn serve(&mut self) {
        self.source.serve(Ticks(0));
        while let Some(event) = self.source.next_event() {
            self.said.push(match event {
                SourceEvent::Assigned(it) => Said::Assigned(it.to_vec()),
                SourceEvent::Revoked(it) => Said::Revoked(it.to_vec()),
                SourceEvent::Lost(it) => Said::Lost(it.to_vec()),
                SourceEvent::Committed { ticket, result } => Said::Committed(ticket, result),
                SourceEvent::Aborted(_) => unreachable!("it has no transactions"),
                SourceEvent::Claimed(_) => unreachable!("Kafka has no claims"),
                SourceEvent::Gap(gap) => Said::Gap(gap),
                SourceEvent::Trouble(trouble) => Said::Trouble(trouble),
                SourceEvent::Told { event, .. } => unreachable!("Kafka does not tell {event}"),
            });
        }
    }

    pub(crate) fn turn_until(&mut self, what: &str, mut is_done: impl FnMut(&Member) -> bool) {
        until(what, || {
            self.turn();
            is_done(self)
        });
    }

    /// The partitions that it has by what it said, by their numbers in the topic.
    pub(crate) fn owned(&self) -> Vec<i32> {
        let mut owned = Vec::new();
        for said in &self.said {
            match said {
                Said::Assigned(ids) => owned.extend(ids),
                Said::Revoked(ids) | Said::Lost(ids) => owned.retain(|it| !ids.contains(it)),
                _ => {}
            }
        }
        let mut numbers: Vec<_> = owned.iter().map(|it| self.source.partition(*it).1).collect();
        numbers.sort_unstable();
        numbers
    }

    /// What the source calls a partition that it has.
    pub(crate) fn number_of(&self, number: i32) -> PartitionId {
        let assigned = self.said.iter().filter_map(|it| match it {
            Said::Assigned(ids) => Some(ids),
            _ => None,
        });
        let mut ids = assigned.flatten().copied();
        ids.find(|it| self.source.partition(*it).1 == number).expect("it was assigned")
    }

    /// What the group has asked for back so far.
    pub(crate) fn revoked(&self) -> Vec<PartitionId> {
        let revoked = self.said.iter().filter_map(|it| match it {
            Said::Revoked(ids) => Some(ids),
            _ => None,
        });
        revoked.flatten().copied().collect()
    }

    pub(crate) fn commit(
        &mut self,
        ticket: u64,
        positions: &[(PartitionId, i64)],
    ) -> Result<(), Trouble> {
        self.source.commit(ticket, positions);
        let mut answer = None;
        self.turn_until("the commit's answer", |member| {
            answer = member.said.iter().find_map(|it| match it {
                Said::Committed(of, result) if *of == ticket => Some(*result),
                _ => None,
            });
            answer.is_some()
        });
        answer.unwrap()
    }

    pub(crate) fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.said.iter().filter_map(|it| match it {
            Said::Trouble(trouble) => Some(trouble),
            _ => None,
        })
    }

    pub(crate) fn values(&self) -> Vec<String> {
        let text = |it: &Copied| String::from_utf8(it.value.clone().unwrap()).unwrap();
        self.records.iter().map(text).collect()
    }
}

/// Turns until it is done. Parked threads, sockets and timers need the time; nothing is measured.
pub(crate) fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_done() {
        assert!(Instant::now() < deadline, "{what} did not happen within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

pub(crate) fn output<'a>(value: &'a [u8]) -> Output<'a> {
    Output {
        destination: Destination(0),
        partition_number: Some(0),
        timestamp_ms: None,
        key: None,
        value: Some(value),
        headers: Headers::NONE,
    }
}

pub(crate) fn sink(kafka: &EmbeddedKafka, topic: &str) -> KafkaSink {
    KafkaSink::open(&client(kafka), &[topic.to_owned()], TscClock::new()).unwrap()
}

pub(crate) fn settle(sink: &mut KafkaSink) -> Vec<Ack> {
    let mut acks = Vec::new();
    until("all acknowledgements", || {
        sink.poll_acks(Ticks(1), &mut |ack| acks.push(ack));
        sink.in_flight() == 0
    });
    acks
}

pub(crate) fn produce(kafka: &EmbeddedKafka, topic: &str, partition: i32, values: &[&str]) {
    let mut sink = sink(kafka, topic);
    for value in values {
        let output = Output { partition_number: Some(partition), ..output(value.as_bytes()) };
        sink.send(&output, Token(0)).unwrap();
    }
    assert!(settle(&mut sink).iter().all(|ack| ack.result.is_ok()));
}

//! One worker: an engine with source and sink of the real transport, over connections in memory.
//!
//! What becomes of an entry is in its number: most lead to one result, some to two or to none, and
//! some are rejected.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use hotspur::{
    clock::{ManualClock, Ticks, WallOffset},
    config::settings,
    delivery::Order,
    engine::{Chance, Engine, Options, Process, Retry, Stores, control::Control},
    observe::HotSide,
    pipeline::{
        Mark, Processed, Results,
        results::{Entry, Part},
    },
    record::{Destination, Output, PartitionId, Record},
    transport::{
        Ack, SendError, Sink, Source, SourceEvent, Token, Trouble, WaitSet,
        redis::{
            Address, Bounds, RedisSink, RedisSinkPlan, RedisSource, RedisSourcePlan, StagedSink,
            Way,
        },
    },
    verdict::{RejectClass, Rejection, Skip, SkipClass, Step, Verdict},
};

use super::server::Server;

pub(crate) const STREAMS: [&str; 2] = ["in", "in:two"];
pub(crate) const OUT: &str = "out";
pub(crate) const DEAD: &str = "dead";
pub(crate) const GROUP: &str = "workers";

/// Results that a number leads to; `None` if it is rejected.
pub(crate) fn results_of(number: u32) -> Option<u32> {
    match number % 16 {
        3 => None,
        7 => Some(0),
        11 => Some(2),
        _ => Some(1),
    }
}

/// The number in a value.
pub(crate) fn number_in(value: &[u8]) -> u32 {
    let digits = value.iter().filter(|it| it.is_ascii_digit());
    digits.fold(0, |sum, it| 10 * sum + u32::from(it - b'0'))
}

/// What all workers of a schedule have in common.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) order: Order,
    pub(crate) streams: usize,
    pub(crate) claim_idle_ms: u64,
    /// The broken variant does not claim what others had.
    pub(crate) claims: bool,
    pub(crate) max_claims: u64,
    pub(crate) deletes: bool,
    pub(crate) makes_group_anew: bool,
    pub(crate) is_in_field: bool,
    pub(crate) batch: usize,
    pub(crate) in_flight: usize,
    pub(crate) entries: usize,
    pub(crate) input_bytes: usize,
    pub(crate) commit_interval_ns: u64,
    /// The broken variant: results count as acknowledged as soon as they are handed over.
    pub(crate) is_hasty: bool,
}

pub(crate) type Worker = Engine<ManualClock, Watched, Outgoing, Scripted>;

/// A source that tells what it tells.
#[derive(Debug)]
pub(crate) struct Watched {
    source: RedisSource<ManualClock>,
    told: Option<Vec<String>>,
}

impl Watched {
    /// What it told since the last call, if anybody listens.
    pub(crate) fn take_told(&mut self) -> Vec<String> {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Source for Watched {
    fn serve(&mut self, now: Ticks) -> usize {
        self.source.serve(now)
    }

    fn next_event(&mut self) -> Option<SourceEvent<'_>> {
        let event = self.source.next_event()?;
        if let Some(told) = &mut self.told {
            told.push(format!("{event:?}"));
        }
        Some(event)
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let told = &mut self.told;
        self.source.poll(now, records_max, &mut |record| {
            let is_taken = take(record);
            if let Some(told) = told.as_mut().filter(|_| is_taken) {
                let id = record.entry_id().unwrap_or_default();
                let number = number_in(record.value.unwrap_or_default());
                let offset = record.offset;
                told.push(format!("takes {id} of {}: number {number} as {offset}", record.topic));
            }
            is_taken
        })
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        if let Some(told) = &mut self.told {
            told.push(format!("commits {positions:?}"));
        }
        self.source.commit(ticket, positions);
    }

    fn abort(&mut self, positions: &[(PartitionId, i64)]) {
        if let Some(told) = &mut self.told {
            told.push(format!("takes back {positions:?}"));
        }
        self.source.abort(positions);
    }

    fn release(&mut self, partitions: &[PartitionId]) {
        self.source.release(partitions);
    }

    fn partition(&self, partition: PartitionId) -> (&str, i32) {
        self.source.partition(partition)
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.source.wait_on(set);
    }

    fn close(&mut self) {
        self.source.close();
    }
}

/// Where results go.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Sent(RedisSink<ManualClock>),
    Staged(StagedSink),
    Hasty(RedisSink<ManualClock>, Vec<Token>),
}

impl Sink for Outgoing {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        match self {
            Outgoing::Sent(it) => it.send(output, token),
            Outgoing::Staged(it) => it.send(output, token),
            Outgoing::Hasty(it, tokens) => {
                let sent = it.send(output, token);
                tokens.extend(sent.is_ok().then_some(token));
                sent
            }
        }
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        match self {
            Outgoing::Sent(it) => it.poll_acks(now, visit),
            Outgoing::Staged(it) => it.poll_acks(now, visit),
            Outgoing::Hasty(it, tokens) => {
                it.poll_acks(now, &mut |_| {});
                let count = tokens.len();
                tokens.drain(..).for_each(|token| visit(Ack { token, at: now, result: Ok(()) }));
                count
            }
        }
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        match self {
            Outgoing::Sent(it) | Outgoing::Hasty(it, _) => it.next_trouble(),
            Outgoing::Staged(it) => it.next_trouble(),
        }
    }

    fn in_flight(&self) -> usize {
        match self {
            Outgoing::Sent(it) => it.in_flight(),
            Outgoing::Staged(it) => it.in_flight(),
            Outgoing::Hasty(_, tokens) => tokens.len(),
        }
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}
}

/// The pipeline.
#[derive(Debug)]
pub(crate) struct Scripted {
    max_claims: u64,
}

impl Stores for Scripted {}

impl Process for Scripted {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        mark(Mark::Parsed);
        if !chance.is_last {
            mark(Mark::Operated);
        }
        Processed { verdict: self.verdict(record, results), origin_ns: Some(0) }
    }

    fn results_max(&self) -> usize {
        2
    }

    fn step_name(&self, _step: Step) -> &str {
        "script"
    }
}

impl Scripted {
    fn verdict(&self, record: &Record<'_>, results: &mut Results) -> Verdict {
        if let Some(deliveries) = record.exhausted() {
            let number: u64 = deliveries.parse().expect("a number");
            assert!(number > self.max_claims, "{number} deliveries are not too many");
            let (class, reason) = (RejectClass::ClaimsExhausted, format_args!("too often"));
            return Verdict::Reject(Rejection::new(class, Step::Parse, reason));
        }
        let number = number_in(record.value.expect("every entry has a value"));
        let Some(count) = results_of(number) else {
            let reason = format_args!("the script says so");
            let class = RejectClass::Expression;
            return Verdict::Reject(Rejection::new(class, Step::Number(0), reason));
        };
        for _ in 0..count {
            results.push(Entry {
                destination: Destination(0),
                partition_number: None,
                timestamp_ms: None,
                key: Part::Absent,
                value: Part::OfRecord,
                headers: Part::Absent,
            });
        }
        match count {
            0 => Verdict::Skip(Skip { class: SkipClass::Filtered, step: Step::Number(0) }),
            _ => Verdict::Emit,
        }
    }
}

fn source_settings(plan: &Plan, consumer: &str) -> settings::RedisSource {
    settings::RedisSource {
        url: String::new(),
        shown: String::new(),
        consumer: consumer.to_owned(),
        start: settings::StreamStart::Earliest,
        field: plan.is_in_field.then(|| "n".to_owned()),
        infer: false,
        claim_idle: Duration::from_millis(plan.claim_idle_ms),
        claim_interval: match plan.claims {
            true => Duration::from_millis(plan.claim_idle_ms / 4),
            false => Duration::from_secs(1_000_000),
        },
        max_claims: plan.max_claims,
        delete_acked: plan.deletes,
        makes_group_anew: plan.makes_group_anew,
        positions: None,
    }
}

/// Starts a worker, or says why it cannot.
///
/// # Errors
///
/// As a run that does not wait for its server.
pub(crate) fn start(
    plan: &Plan,
    consumer: &str,
    (server, clock): (&Server, &ManualClock),
    hot: impl FnOnce() -> HotSide,
    is_traced: bool,
) -> Result<Worker, Trouble> {
    let (source, sink) = open(plan, consumer, server, clock)?;
    let source = Watched { source, told: is_traced.then(Vec::new) };
    let time = (clock.clone(), WallOffset::fixed(0));
    let process = Scripted { max_claims: plan.max_claims };
    let (control, options) = (Control::none(), options(plan));
    Ok(Engine::new(time, (source, sink), process, hot(), control, options))
}

fn open(
    plan: &Plan,
    consumer: &str,
    server: &Server,
    clock: &ManualClock,
) -> Result<(RedisSource<ManualClock>, Outgoing), Trouble> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let wait = (Duration::ZERO, &NEVER);
    let address = Address::in_process(Arc::new(server.clone()));
    let sink_settings = settings::RedisSink {
        url: String::new(),
        shown: String::new(),
        field: "payload".to_owned(),
        maxlen: None,
    };
    let outputs = [OUT.to_owned(), DEAD.to_owned()];
    let sink_plan = RedisSinkPlan {
        peer: "sink",
        settings: &sink_settings,
        streams: &outputs,
        letters_from: Destination(1),
        bytes: 4096,
        is_repeated: plan.order != Order::CommitThenProcess,
    };
    let mut staged = None;
    let way = match plan.order {
        Order::CommitThenProcess => Way::Ahead,
        Order::ProcessThenCommit => Way::Behind,
        Order::Together => {
            let (sink, staging) = StagedSink::new(&sink_plan);
            staged = Some(sink);
            Way::Together(staging)
        }
    };
    let settings = source_settings(plan, consumer);
    let streams: Vec<String> = STREAMS[..plan.streams].iter().map(|it| (*it).to_owned()).collect();
    let batch = plan.batch;
    let source_plan =
        RedisSourcePlan { settings: &settings, streams: &streams, group: GROUP, batch, way };
    let bounds = Bounds { entries: plan.entries, input_bytes: plan.input_bytes };
    let place = (address.clone(), bounds);
    let source = RedisSource::open_at(&source_plan, place, clock.clone(), wait)?;
    let source = source.expect("nobody stops");
    if let Some(sink) = staged {
        return Ok((source, Outgoing::Staged(sink)));
    }
    let sink = RedisSink::open_at(&sink_plan, address, clock.clone(), wait)?;
    let sink = sink.expect("nobody stops");
    let sink = match plan.is_hasty {
        true => Outgoing::Hasty(sink, Vec::new()),
        false => Outgoing::Sent(sink),
    };
    Ok((source, sink))
}

fn options(plan: &Plan) -> Options {
    Options {
        name: "simulation".into(),
        order: plan.order,
        in_flight: plan.in_flight,
        in_flight_bytes: 4096,
        batch: plan.batch,
        waiting: 0,
        retry: Retry::NEVER,
        dead_letters: Destination(1),
        streams_headers: false,
        commit_interval_ns: plan.commit_interval_ns,
        transaction_timeout_ns: 1_000_000_000,
        stages: hotspur::measure::Stages::All,
        slow_ns: 1_000_000_000_000,
        publish_interval_ns: 1_000_000_000_000,
        drain_timeout_ns: 60_000_000_000,
    }
}

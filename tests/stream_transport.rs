//! Redis Streams against a real redis-server, stepped by hand: what the seams promise of a source
//! and a sink, and that neither allocates once it is warm.

#[path = "../benches/rig/allocations.rs"]
mod allocations;
#[expect(dead_code, reason = "not every test program uses all of it")]
mod cache_rig;
#[path = "stream_transport/once.rs"]
mod once;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use hotspur::{
    clock::{Clock, TscClock},
    config::{
        range::{Point, Range},
        settings,
    },
    record::{Destination, Headers, Output, PartitionId},
    transport::{
        Sink, Source, SourceEvent, Token,
        redis::{
            Extent, PlainSource, PlainSourcePlan, PositionFile, RedisSink, RedisSinkPlan,
            RedisSource, RedisSourcePlan, StagedSink, Staging, Way,
        },
    },
};
use server::Server;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const IN: &str = "in";
const PATIENCE: Duration = Duration::from_secs(30);
const STREAM: PartitionId = PartitionId(0);

fn wait() -> (Duration, &'static AtomicBool) {
    static NEVER: AtomicBool = AtomicBool::new(false);
    (PATIENCE, &NEVER)
}

fn settings(server: &Server) -> settings::RedisSource {
    let url = server.url(0);
    settings::RedisSource {
        shown: url.clone(),
        url,
        consumer: "me".to_owned(),
        start: settings::StreamStart::Earliest,
        field: None,
        infer: false,
        claim_idle: Duration::from_secs(3600),
        claim_interval: Duration::from_millis(10),
        max_claims: 10,
        delete_acked: false,
        makes_group_anew: false,
        positions: None,
    }
}

fn source(server: &Server, batch: usize, way: Way) -> RedisSource {
    source_of(&settings(server), batch, way)
}

fn source_of(settings: &settings::RedisSource, batch: usize, way: Way) -> RedisSource {
    let streams = [IN.to_owned()];
    let plan = RedisSourcePlan { settings, streams: &streams, group: "group", batch, way };
    let opened = RedisSource::open(&plan, TscClock::new(), wait());
    opened.expect("it answers").expect("nobody stops")
}

/// One without a group.
fn reader(server: &Server, extent: Extent<'_>) -> PlainSource {
    let (settings, streams) = (settings(server), [IN.to_owned()]);
    let plan = PlainSourcePlan { settings: &settings, streams: &streams, batch: 256, extent };
    let opened = PlainSource::open(plan, TscClock::new(), wait());
    opened.expect("it answers").expect("nobody stops")
}

fn positions(folder: &TempDir) -> PositionFile {
    PositionFile::open(&folder.path().join("positions"), &[IN.to_owned()]).expect("a whole file")
}

fn sink(server: &Server, is_repeated: bool) -> RedisSink {
    let opened =
        with_plan(server, is_repeated, |plan| RedisSink::open(plan, TscClock::new(), wait()));
    opened.expect("it answers").expect("nobody stops")
}

fn staged(server: &Server) -> (StagedSink, Arc<Staging>) {
    with_plan(server, true, StagedSink::new)
}

fn with_plan<T>(
    server: &Server,
    is_repeated: bool,
    act: impl FnOnce(&RedisSinkPlan<'_>) -> T,
) -> T {
    let url = server.url(0);
    let (shown, field) = (url.clone(), "payload".to_owned());
    let settings = settings::RedisSink { url, shown, field, maxlen: Some(1000) };
    let streams = ["out".to_owned(), "dead".to_owned()];
    act(&RedisSinkPlan {
        peer: "sink",
        settings: &settings,
        streams: &streams,
        letters_from: Destination(1),
        bytes: 8 << 20,
        is_repeated,
    })
}

fn client(server: &Server) -> redis::Connection {
    redis::Client::open(server.url(0)).and_then(|it| it.get_connection()).expect("a connection")
}

fn fill(server: &Server, numbers: std::ops::Range<u64>) {
    let mut pipe = redis::pipe();
    for number in numbers {
        pipe.cmd("XADD").arg(&[IN, "*", "n"]).arg(number).ignore();
    }
    pipe.exec(&mut client(server)).expect("entries");
}

fn output(destination: u8, value: &[u8]) -> Output<'_> {
    Output {
        destination: Destination(destination),
        partition_number: None,
        timestamp_ms: None,
        key: Some(b"k"),
        value: Some(value),
        headers: Headers::NONE,
    }
}

fn len(server: &Server, stream: &str) -> u64 {
    redis::cmd("XLEN").arg(stream).query(&mut client(server)).expect("a stream")
}

/// What a loop of source and sink has come to.
#[derive(Debug, Default)]
struct Course {
    values: Vec<u64>,
    acknowledged: u64,
    commits: u64,
    aborts: u64,
    gaps: Vec<u64>,
    troubles: Vec<String>,
}

/// Source and sink, stepped as an engine would.
struct Loop<K, S = RedisSource> {
    source: S,
    sink: K,
    clock: TscClock,
    course: Course,
    is_committing: bool,
    position: i64,
    committed: i64,
}

impl<K: Sink, S: Source> Loop<K, S> {
    fn new(source: S, sink: K) -> Loop<K, S> {
        let (values, gaps) = (Vec::with_capacity(1 << 20), Vec::with_capacity(100));
        let course = Course { values, gaps, ..Course::default() };
        let (clock, is_committing) = (TscClock::new(), false);
        Loop { source, sink, clock, course, is_committing, position: 0, committed: 0 }
    }

    /// One turn; every record becomes a result, and all that has one is committed.
    fn turn(&mut self) {
        let now = self.clock.now();
        let Loop { source, sink, course, .. } = self;
        source.serve(now);
        while let Some(event) = source.next_event() {
            match event {
                SourceEvent::Committed { ticket, result } => {
                    self.is_committing = false;
                    course.commits += u64::from(result.is_ok());
                    match result {
                        Ok(()) => self.committed = ticket as i64,
                        Err(trouble) => course.troubles.push(trouble.code.to_owned()),
                    }
                }
                SourceEvent::Gap(gap) => {
                    assert_eq!(gap.resume_at, self.position, "behind all that was lent");
                    course.gaps.push(gap.records);
                }
                SourceEvent::Aborted(_) => course.aborts += 1,
                SourceEvent::Trouble(trouble) => course.troubles.push(trouble.code.to_owned()),
                _ => {}
            }
        }
        let acks =
            sink.poll_acks(now, &mut |ack| course.acknowledged += u64::from(ack.result.is_ok()));
        std::hint::black_box(acks);
        while let Some(trouble) = sink.next_trouble() {
            course.troubles.push(trouble.code.to_owned());
        }
        let position = &mut self.position;
        source.poll(now, 64, &mut |record| {
            assert_eq!(record.offset, *position, "numbered one after another");
            let value = record.value.expect("an object");
            let sent = sink.send(&output(0, value), Token(record.offset as u64));
            if sent.is_err() {
                return false;
            }
            *position += 1;
            let digits = &value[6..value.len() - 2];
            let number = digits.iter().fold(0, |sum, it| 10 * sum + u64::from(it - b'0'));
            course.values.push(number);
            true
        });
        if self.sink.in_flight() == 0 && !self.is_committing && self.position > self.committed {
            self.is_committing = true;
            self.source.commit(self.position as u64, &[(STREAM, self.position)]);
        }
    }

    #[track_caller]
    fn run_until(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self) {
            assert!(Instant::now() < deadline, "waited for {what}: {:?}", self.course.troubles);
            self.turn();
        }
    }

    #[track_caller]
    fn run_to(&mut self, records: i64) {
        self.run_until("records to be committed", |it| it.committed >= records);
    }
}

#[test]
fn no_entry_result_or_commit_allocates_once_warm() {
    let server = Server::start();
    fill(&server, 0..20_000);
    let mut course = Loop::new(source(&server, 256, Way::Behind), sink(&server, true));
    course.run_to(10_000);
    let before = allocations::calls();
    course.run_to(20_000);
    assert_eq!(allocations::calls() - before, 0);
    assert_eq!(course.course.values, (0..20_000).collect::<Vec<_>>());
    assert_eq!(course.course.acknowledged, 20_000);

    let server = Server::start();
    fill(&server, 0..20_000);
    let (sink, staging) = staged(&server);
    let mut course = Loop::new(source(&server, 256, Way::Together(staging)), sink);
    course.run_to(10_000);
    let before = allocations::calls();
    course.run_to(20_000);
    assert_eq!(allocations::calls() - before, 0, "exactly once");
    assert!(len(&server, "out") >= 1000);
}

#[test]
fn nor_does_a_reader_without_a_group_or_one_with_an_end() {
    let server = Server::start();
    fill(&server, 0..20_000);
    let folder = tempfile::tempdir().expect("a folder for a while");
    let until = Point::parse_of_streams(&["latest".to_owned()]).expect("a point");
    let range = Range { until, ..Range::default() };
    for extent in [Extent::Kept(positions(&folder)), Extent::Range(&range)] {
        let mut course = Loop::new(reader(&server, extent), sink(&server, true));
        course.run_to(10_000);
        let before = allocations::calls();
        course.run_to(20_000);
        assert_eq!(allocations::calls() - before, 0);
        assert_eq!(course.course.values, (0..20_000).collect::<Vec<_>>());
    }
    let found = positions(&folder).found()[0].expect("a position");
    assert_eq!(found.passed, Some(20_000));
    fill(&server, 20_000..20_010);
    let extent = Extent::Kept(positions(&folder));
    let mut course = Loop::new(reader(&server, extent), sink(&server, true));
    course.run_to(10);
    assert_eq!(course.course.values, (20_000..20_010).collect::<Vec<_>>());
}

#[test]
fn gaps_lie_behind_all_that_was_lent_and_are_told_once() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder for a while");
    let mut client = client(&server);
    let mut trim = |len: &str| {
        redis::cmd("XTRIM").arg(&[IN, "MAXLEN", len]).exec(&mut client).expect("a trim");
    };
    for (round, passed) in [(0, 100), (1, 200), (2, 300)] {
        fill(&server, round * 100..(round + 1) * 100);
        trim("10");
        let extent = Extent::Kept(positions(&folder));
        let mut course = Loop::new(reader(&server, extent), sink(&server, true));
        course.run_to(10);
        // What was gone before the start is none of its business.
        assert_eq!(course.course.gaps, if round == 0 { vec![] } else { vec![90] });
        assert_eq!(positions(&folder).found()[0].expect("a position").passed, Some(passed));
    }
    fill(&server, 0..20);
    let mut id = |index: usize| {
        let range: Vec<(String, Vec<String>)> =
            redis::cmd("XRANGE").arg(&[IN, "-", "+"]).query(&mut client).expect("entries");
        range[index].0.clone()
    };
    let inner = id(20);
    redis::cmd("XDEL").arg(&[IN, &inner]).exec(&mut client).expect("one in the middle");
    let mut course =
        Loop::new(reader(&server, Extent::Kept(positions(&folder))), sink(&server, true));
    course.run_until("the gap", |it| it.course.gaps == [1]);
    assert_eq!(course.course.values.len(), 19);
    course.run_until("the gap in the file", |_| {
        positions(&folder).found()[0].expect("a position").passed == Some(320)
    });
}

#[test]
fn entries_that_were_pending_and_are_gone_cost_no_allocation_either() {
    let server = Server::start();
    fill(&server, 0..1_000);
    let mut client = client(&server);
    let consumer = settings(&server).consumer;
    let read = ["GROUP", "group", &consumer, "COUNT", "1000", "STREAMS", IN, ">"];
    redis::cmd("XGROUP").arg(&["CREATE", IN, "group", "0"]).exec(&mut client).expect("a group");
    redis::cmd("XREADGROUP").arg(&read).exec(&mut client).expect("entries");
    redis::cmd("XTRIM").arg(&[IN, "MAXLEN", "0"]).exec(&mut client).expect("a trim");
    let mut course = Loop::new(source(&server, 256, Way::Behind), sink(&server, true));
    let before = allocations::calls();
    course.run_until("all of them to be missed", |it| it.course.gaps.iter().sum::<u64>() == 1_000);
    assert_eq!(allocations::calls() - before, 0);
}

#[test]
fn a_gap_of_claims_lies_behind_what_came_with_them() {
    let server = Server::start();
    fill(&server, 0..5);
    let mut client = client(&server);
    let mut run = |words: &[&str]| {
        redis::Cmd::new().arg(words).exec(&mut client).expect("it does what it is told");
    };
    run(&["XGROUP", "CREATE", IN, "group", "0"]);
    run(&["XREADGROUP", "GROUP", "group", "other", "STREAMS", IN, ">"]);
    run(&["XTRIM", IN, "MAXLEN", "0"]);
    fill(&server, 5..10);
    let settings = settings::RedisSource { claim_idle: Duration::ZERO, ..settings(&server) };
    let mut course = Loop::new(source_of(&settings, 16, Way::Behind), sink(&server, true));
    course.run_until("the gap", |it| it.course.gaps == [5]);
    course.run_to(5);
    assert_eq!(course.course.values, (5..10).collect::<Vec<_>>());
}

#[test]
fn a_record_that_is_not_taken_stays_the_first() {
    let server = Server::start();
    fill(&server, 0..10);
    let mut source = source(&server, 4, Way::Behind);
    let clock = TscClock::new();
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    let mut refuse = true;
    while seen.len() < 10 {
        assert!(Instant::now() < deadline, "{seen:?}");
        source.serve(clock.now());
        source.poll(clock.now(), 3, &mut |record| {
            refuse = !refuse;
            if !refuse {
                seen.push(String::from_utf8(record.value.expect("an object").to_vec()).unwrap());
            }
            !refuse
        });
    }
    let expected: Vec<_> = (0..10).map(|it| format!("{{\"n\":\"{it}\"}}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn while_a_group_is_behind_small_replies_are_asked_for_ahead_and_none_once_it_is_not() {
    const ENTRIES: i64 = 20_000;
    const BATCH: usize = 4;
    let server = Server::start();
    let half = ENTRIES as u64 / 2;
    fill(&server, 0..half);
    let mut client = client(&server);
    let mut course = Loop::new(source(&server, BATCH, Way::Behind), sink(&server, true));
    course.run_to(ENTRIES / 2);
    fill(&server, half..2 * half);
    let before = allocations::calls();
    course.run_until("some of them", |it| it.position > ENTRIES / 2 + 1_000);
    assert_eq!(allocations::calls() - before, 0);
    assert!(course.position < ENTRIES - 1_000);
    // Nothing is taken, and still more comes than one reply and the next one.
    let mut delivered = || -> i64 {
        let groups: Vec<HashMap<String, redis::Value>> =
            redis::cmd("XINFO").arg(&["GROUPS", IN]).query(&mut client).expect("a group");
        redis::from_redis_value(groups[0]["entries-read"].clone()).expect("a number")
    };
    let deadline = Instant::now() + PATIENCE;
    while delivered() < course.position + 8 * BATCH as i64 {
        assert!(Instant::now() < deadline, "{} taken, {}", course.position, delivered());
        let now = course.clock.now();
        course.source.serve(now);
        course.source.poll(now, BATCH, &mut |_| false);
    }
    course.run_to(ENTRIES);
    assert_eq!(course.course.values, (0..ENTRIES as u64).collect::<Vec<_>>());
    let reads = || {
        let mut client = self::client(&server);
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query(&mut client).expect("statistics");
        let line = stats.lines().find_map(|it| it.strip_prefix("cmdstat_xreadgroup:calls="));
        let calls = line.and_then(|it| it.split(',').next()?.parse::<u64>().ok());
        calls.expect("it was read")
    };
    let before = reads();
    let most = ENTRIES as u64 / (8 * BATCH as u64);
    assert!(before < most, "{before} reads, which is not {BATCH} entries at a time");
    (0..20_000).for_each(|_| course.turn());
    let after = reads();
    assert!(after - before < 50, "{} reads of nothing: the server is to wait", after - before);
}

#[test]
fn what_is_taken_back_comes_again_but_for_what_others_have() {
    let server = Server::start();
    fill(&server, 0..10);
    let (sink, staging) = staged(&server);
    let mut course = Loop::new(source(&server, 16, Way::Together(staging)), sink);
    course.is_committing = true;
    course.run_until("all entries", |it| it.position == 10);
    let mut client = client(&server);
    let range: Vec<(String, Vec<String>)> =
        redis::cmd("XRANGE").arg(&[IN, "-", "+"]).query(&mut client).expect("entries");
    let claim = ["group", "other", "0", &range[3].0];
    redis::cmd("XCLAIM").arg(IN).arg(&claim).exec(&mut client).expect("a claim");
    course.is_committing = false;
    course.run_until("the refusal", |it| it.course.troubles == ["ENTRIES_CLAIMED"]);
    assert_eq!((len(&server, "out"), course.course.commits), (0, 0), "nothing was written");
    course.source.abort(&[(STREAM, 0)]);
    (course.position, course.is_committing) = (0, false);
    course.course.values.clear();
    course.run_to(9);
    assert_eq!(course.course.values, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    assert_eq!((len(&server, "out"), course.course.aborts), (9, 1));
    let pending: (u64, String, String, Vec<Vec<String>>) =
        redis::cmd("XPENDING").arg(&[IN, "group"]).query(&mut client).expect("a group");
    assert_eq!((pending.0, &pending.1), (1, &range[3].0), "the other one's");
}

#[test]
fn results_without_an_answer_are_sent_again_unless_none_may_be_doubled() {
    for is_repeated in [true, false] {
        let server = Server::start();
        let mut sink = sink(&server, is_repeated);
        let clock = TscClock::new();
        for number in 0..100 {
            sink.send(&output(0, b"{}"), Token(number)).expect("room");
        }
        let mut client = client(&server);
        let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
        redis::cmd("CLIENT").arg(&kill).exec(&mut client).expect("it is cut off");
        let (mut tokens, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        while tokens.len() < 100 {
            assert!(Instant::now() < deadline, "{tokens:?}");
            sink.poll_acks(clock.now(), &mut |ack| tokens.push(ack.token.0));
        }
        assert_eq!(tokens, (0..100).collect::<Vec<_>>());
        assert_eq!(sink.in_flight(), 0);
        let mut troubles = std::iter::from_fn(|| sink.next_trouble()).map(|it| it.code);
        let has_told = troubles.any(|it| it == "RESULTS_LOST");
        let written = len(&server, "out");
        match is_repeated {
            true => assert!(!has_told && written >= 100, "{written}"),
            false => assert!(written == 100 && !has_told || written < 100 && has_told, "{written}"),
        }
    }
}

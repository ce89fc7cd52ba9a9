//! Who reads the socket: entries of a Redis Stream on their way to the hot thread, read by itself
//! in place, or by a side thread that feeds a bounded lock-free queue.
//!
//! Both are a consumer of a group, make the same JSON of an entry's fields and acknowledge in the
//! same batches. Bulk: all is there before. Waiting: one entry at a time, from before its `XADD` is
//! sent until it is lent; the hot thread yields, or sleeps until its socket is readable.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use hotspur::{
    clock::{Clock, TscClock},
    config::settings::{RedisSource as Settings, StreamStart},
    record::PartitionId,
    transport::{
        Source, SourceEvent, WaitSet,
        redis::{RedisSource, RedisSourcePlan, Way},
    },
};
use redis::{Connection, Value};

use super::{Plan, redis_server::Server, statistics::median};

const STREAM: &str = "in";
const GROUP: &str = "bench";
const BATCH: usize = 256;

/// Entries that the side thread may be ahead.
const QUEUE: usize = 4096;

/// Entries between two acknowledgements.
const COMMIT: u64 = 10_000;

/// Prints both ways' figures; there is no promise to keep.
pub(crate) fn show(server: &Server, plan: &Plan) {
    let Plan { rounds, entries, singles, .. } = *plan;
    println!("## Who reads the socket: {entries} entries that are there\n");
    println!(
        "{rounds} rounds of each in turn, medians; entries of four fields, {BATCH} asked for at \
         once, acknowledged by {COMMIT}.\n"
    );
    let runs: Vec<_> = (0..rounds)
        .map(|_| [bulk(server, entries, InPlace::open), bulk(server, entries, Queued::open)])
        .collect();
    println!("| way | entries/s | hot thread ns an entry | process ns an entry |");
    println!("| --- | ---: | ---: | ---: |");
    for (index, name) in ["in place", "side thread and queue"].iter().enumerate() {
        let of = |figure: usize| median(runs.iter().map(|it| it[index][figure]));
        println!("| {name} | {:.0} | {:.0} | {:.0} |", of(0), of(1), of(2));
    }
    println!("\n## Who reads the socket: one entry at a time, {singles} of them\n");
    println!("| way | hot thread | p50 µs | p99 µs |\n| --- | --- | ---: | ---: |");
    for (name, sleeps) in [("yields", false), ("sleeps", true)] {
        let show = |way: &str, figures: Vec<[f64; 2]>| {
            let of = |figure: usize| median(figures.iter().map(|it| it[figure]));
            println!("| {way} | {name} | {:.0} | {:.0} |", of(0), of(1));
        };
        let all = (0..3).map(|_| waiting(server, singles, sleeps, InPlace::open));
        show("in place", all.flatten().collect());
        let all: Vec<_> =
            (0..3).filter_map(|_| waiting(server, singles, sleeps, Queued::open)).collect();
        if !all.is_empty() {
            show("side thread and queue", all);
        }
    }
    println!();
}

/// What a hot thread takes entries from.
trait Path {
    /// Takes what is there; how many.
    fn take(&mut self, see: &mut impl FnMut(&[u8])) -> u64;
    /// All taken so far may be acknowledged.
    fn acknowledge(&mut self, taken: u64);
    /// Sleeps until there may be more; false where it has nothing to sleep on.
    fn sleep(&mut self) -> bool;
}

struct InPlace {
    source: RedisSource,
    clock: TscClock,
    is_committing: bool,
}

impl InPlace {
    fn open(server: &Server) -> InPlace {
        let (clock, url) = (TscClock::new(), server.url());
        let settings = Settings {
            shown: url.clone(),
            url,
            consumer: "hot".to_owned(),
            start: StreamStart::Earliest,
            field: None,
            infer: false,
            claim_idle: Duration::from_secs(3600),
            claim_interval: Duration::from_secs(3600),
            max_claims: 10,
            delete_acked: false,
            makes_group_anew: false,
        };
        let streams = [STREAM.to_owned()];
        let (settings, way) = (&settings, Way::Behind);
        let plan = RedisSourcePlan { settings, streams: &streams, group: GROUP, batch: BATCH, way };
        let wait = (Duration::from_secs(10), &AtomicBool::new(false));
        let source = RedisSource::open(&plan, clock.clone(), wait);
        let source = source.expect("it answers").expect("nobody stops");
        InPlace { source, clock, is_committing: false }
    }
}

impl Path for InPlace {
    fn take(&mut self, see: &mut impl FnMut(&[u8])) -> u64 {
        let now = self.clock.now();
        self.source.serve(now);
        while let Some(event) = self.source.next_event() {
            self.is_committing &= !matches!(event, SourceEvent::Committed { .. });
        }
        let taken = self.source.poll(now, BATCH, &mut |record| {
            see(record.value.unwrap_or_default());
            true
        });
        taken as u64
    }

    fn acknowledge(&mut self, taken: u64) {
        if !std::mem::replace(&mut self.is_committing, true) {
            self.source.commit(taken, &[(PartitionId(0), taken as i64)]);
        }
    }

    fn sleep(&mut self) -> bool {
        let mut set = WaitSet::new();
        self.source.wait_on(&mut set);
        set.wait(Duration::from_millis(100));
        true
    }
}

/// An entry as the side thread hands it over.
struct Handed {
    json: Vec<u8>,
}

struct Queued {
    queue: Arc<ArrayQueue<Handed>>,
    is_ending: Arc<AtomicBool>,
    side: Option<thread::JoinHandle<()>>,
}

impl Queued {
    fn open(server: &Server) -> Queued {
        let mut client = server.client();
        let _: Result<Value, _> = redis::cmd("XGROUP")
            .arg(&["CREATE", STREAM, GROUP, "0", "MKSTREAM"])
            .query(&mut client);
        let queue = Arc::new(ArrayQueue::new(QUEUE));
        let is_ending = Arc::new(AtomicBool::new(false));
        let (theirs, ending) = (Arc::clone(&queue), Arc::clone(&is_ending));
        let side = thread::spawn(move || feed(&mut client, &theirs, &ending));
        Queued { queue, is_ending, side: Some(side) }
    }
}

/// Reads, makes the JSON, and acknowledges behind itself in the same batches.
fn feed(client: &mut Connection, queue: &ArrayQueue<Handed>, is_ending: &AtomicBool) {
    let mut ids: Vec<String> = Vec::new();
    let batch = BATCH.to_string();
    let read = ["GROUP", GROUP, "side", "COUNT", &batch, "BLOCK", "100", "STREAMS", STREAM, ">"];
    type Reply = Option<Vec<(String, Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>)>>;
    while !is_ending.load(Ordering::Relaxed) {
        let reply: Reply = redis::cmd("XREADGROUP").arg(&read).query(client).expect("entries");
        for (_, entries) in reply.into_iter().flatten() {
            for (id, fields) in entries {
                let mut entry = Handed { json: json(&fields) };
                while let Err(full) = queue.push(entry) {
                    if is_ending.load(Ordering::Relaxed) {
                        return;
                    }
                    entry = full;
                    thread::yield_now();
                }
                ids.push(id);
            }
        }
        if ids.len() as u64 >= COMMIT {
            let mut ack = redis::cmd("XACK");
            ack.arg(&[STREAM, GROUP]).arg(&ids).exec(client).expect("acknowledged");
            ids.clear();
        }
    }
}

fn json(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let text = |bytes: &[u8], out: &mut Vec<u8>| {
        let text = std::str::from_utf8(bytes).expect("fields of this bench are text");
        serde_json::to_writer(out, text).expect("a vector takes everything");
    };
    for (index, (name, value)) in fields.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        text(name, &mut out);
        out.push(b':');
        text(value, &mut out);
    }
    out.push(b'}');
    out
}

impl Path for Queued {
    fn take(&mut self, see: &mut impl FnMut(&[u8])) -> u64 {
        let mut taken = 0;
        while taken < BATCH as u64 {
            let Some(entry) = self.queue.pop() else { break };
            see(&entry.json);
            taken += 1;
        }
        taken
    }

    fn acknowledge(&mut self, _taken: u64) {}

    fn sleep(&mut self) -> bool {
        false
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.side.take().map(thread::JoinHandle::join);
    }
}

/// CPU time in nanoseconds: of this thread, of the process.
fn used() -> [f64; 2] {
    [libc::CLOCK_THREAD_CPUTIME_ID, libc::CLOCK_PROCESS_CPUTIME_ID].map(|clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the place is ours and lives during the call.
        unsafe { libc::clock_gettime(clock, &mut time) };
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    })
}

fn fill(client: &mut Connection, entries: u64) {
    redis::cmd("DEL").arg(STREAM).exec(client).expect("no stream");
    for start in (0..entries).step_by(1000) {
        let mut pipe = redis::pipe();
        for number in start..start + 1000 {
            let add = pipe.cmd("XADD").arg(&[STREAM, "*", "station", "Frankfurt", "celsius"]);
            add.arg(number as f64 / 10.0).arg(&["humidity", "71", "wind", "SSW 12"]).ignore();
        }
        pipe.exec(client).expect("entries");
    }
}

/// Entries a second, and nanoseconds of hot thread and process for each.
fn bulk<W: Path>(server: &Server, entries: u64, open: impl Fn(&Server) -> W) -> [f64; 3] {
    fill(&mut server.client(), entries);
    let (start, before) = (Instant::now(), used());
    let mut way = open(server);
    let (mut taken, mut acknowledged, mut sum) = (0, 0, 0);
    while taken < entries {
        let now = way.take(&mut |value| sum += black_box(value).len());
        if now == 0 {
            thread::yield_now();
        }
        taken += now;
        if taken - acknowledged >= COMMIT {
            acknowledged = taken;
            way.acknowledge(taken);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = used();
    black_box(sum);
    let each = |index: usize| (after[index] - before[index]) / entries as f64;
    [entries as f64 / seconds, each(0), each(1)]
}

/// p50 and p99 in microseconds, from before an entry is sent until it is lent.
fn waiting<W: Path>(
    server: &Server,
    entries: usize,
    sleeps: bool,
    open: impl Fn(&Server) -> W,
) -> Option<[f64; 2]> {
    let mut client = server.client();
    redis::cmd("DEL").arg(STREAM).exec(&mut client).expect("no stream");
    let mut way = open(server);
    if sleeps && !way.sleep() {
        return None;
    }
    let (sent, lent) = (Arc::new(ArrayQueue::new(1)), Arc::new(ArrayQueue::new(1)));
    let writer = thread::spawn({
        let (sent, lent) = (Arc::clone(&sent), Arc::clone(&lent));
        move || {
            for _ in 0..entries {
                thread::sleep(Duration::from_millis(1));
                let _ = sent.push(Instant::now());
                redis::cmd("XADD").arg(&[STREAM, "*", "a", "1"]).exec(&mut client).expect("added");
                while lent.pop().is_none() {
                    thread::sleep(Duration::from_micros(50));
                }
            }
        }
    });
    let mut times = Vec::with_capacity(entries);
    while times.len() < entries {
        match way.take(&mut |value| _ = black_box(value)) {
            0 if sleeps => _ = way.sleep(),
            0 => thread::yield_now(),
            _ => {
                let start = sent.pop().expect("one was sent");
                times.push(start.elapsed().as_secs_f64() * 1e6);
                let _ = lent.push(());
            }
        }
    }
    writer.join().expect("the writer ends");
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Some([at(0.5), at(0.99)])
}

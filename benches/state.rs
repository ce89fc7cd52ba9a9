//! State by itself: what a record costs that is looked up, remembered, counted or read back.
//!
//! Keys are visited in an order that no cache foresees. Commits are part of what is measured: one
//! for so many records, drained to the last entry. Several rounds, of which the middle one counts.
//! Prints Markdown; exit status 1 if a promise is not kept. `-- --quick` takes seconds, `-- window`
//! is a window through the engine alone.

#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/memory.rs"]
#[expect(dead_code, reason = "the shipped pipelines are other benches'")]
mod memory;
#[path = "rig/records.rs"]
mod records;
#[path = "rig/stateful.rs"]
#[expect(dead_code, reason = "a test looks at turns that restore")]
mod stateful;
#[path = "rig/statistics.rs"]
mod statistics;

use std::{env, process::ExitCode, time::Instant};

use hotspur::state::{
    Aggregate, Input, Mark,
    dedup::{Admission, Dedup, DedupRules, KeyHash, Settled},
    window::{Added, Arrival, Emit, Kind, WindowRules, Windows},
};
use stateful::Turns;
use statistics::median;

/// Nanoseconds a record that is looked for among a million keys.
const DEDUP_NS_MAX: f64 = 100.0;
/// Nanoseconds a record with a window, engine and all: two million a second.
const WINDOW_NS_MAX: f64 = 500.0;
/// Seconds for a million entries.
const RESTORE_S_MAX: f64 = 3.0;

const REMEMBERED: i64 = 1_000_000;
const KEYS: u64 = 100_000;
const AGGREGATES: [Aggregate; 5] =
    [Aggregate::Records, Aggregate::Sum, Aggregate::Min, Aggregate::Max, Aggregate::Avg];

/// A commit for so many records: one every 100 ms at two million a second.
const COMMIT_EACH: u64 = 200_000;

/// Records of a turn, whose keys are foreseen together.
const TURN: u64 = 64;

/// How much is done.
struct Plan {
    records: u64,
    entries: i64,
    rounds: usize,
}

const WHOLE: Plan = Plan { records: 5_000_000, entries: 1_000_000, rounds: 5 };
const QUICK: Plan = Plan { records: 500_000, entries: 100_000, rounds: 1 };

fn main() -> ExitCode {
    let plan = if env::args().any(|it| it == "--quick") { QUICK } else { WHOLE };
    println!("# State\n\n{}", circumstances::circumstances());
    println!("Medians of {} rounds of {} records.\n", plan.rounds, plan.records);
    println!("| what | measured | at most |\n| --- | ---: | ---: |");
    let through = |what| {
        let measure: fn(&Plan) -> f64 = |it| stateful::window_nanos(it.records / 2);
        row(what, Some(WINDOW_NS_MAX), &plan, measure)
    };
    if env::args().any(|it| it == "window") {
        let is_kept = through("tumbling window, 100,000 keys, 5 aggregates, through the engine");
        return if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let rows = [
        row("dedup, 1 M remembered keys, half duplicates", Some(DEDUP_NS_MAX), &plan, seen_and_new),
        row("dedup, 1 M remembered keys, all new", Some(DEDUP_NS_MAX), &plan, all_new),
        row("dedup, 1 M remembered keys, all duplicates", Some(DEDUP_NS_MAX), &plan, all_seen),
        row("tumbling window, 100,000 keys, 5 aggregates: its store", None, &plan, tumbling),
    ];
    let whole = through("the same through the engine on the memory transport");
    let restored = [restored("windows", &plan, windows_read), restored("dedup", &plan, keys_read)];
    let is_kept = rows.into_iter().chain([whole]).chain(restored).all(|it| it);
    beside_restoring(&plan);
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What restoring another partition costs the turns of one that goes on; stated.
fn beside_restoring(plan: &Plan) {
    let runs: Vec<_> =
        (0..plan.rounds).map(|_| stateful::beside_restoring(plan.entries as u64)).collect();
    println!("\n| turns of 64 records with dedup, us | p50 | p99 | longest |");
    println!("| --- | ---: | ---: | ---: |");
    let show = |what: &str, turns: &dyn Fn(&(Turns, Turns, f64)) -> Turns| {
        let of = |figure: &dyn Fn(Turns) -> f64| median(runs.iter().map(|it| figure(turns(it))));
        let [p50, p99, max] = [of(&|it| it.p50), of(&|it| it.p99), of(&|it| it.max)];
        println!("| {what} | {p50:.1} | {p99:.1} | {max:.1} |");
    };
    show("nothing else", &|it| it.0);
    show("while another partition's keys come back", &|it| it.1);
    let seconds = median(runs.iter().map(|it| it.2));
    println!("\n{} keys came back in {seconds:.2} s beside that.", plan.entries);
}

/// Nanoseconds a record; true if they are no more than is promised.
fn row(what: &str, at_most: Option<f64>, plan: &Plan, measure: fn(&Plan) -> f64) -> bool {
    let ns = median((0..plan.rounds).map(|_| measure(plan)));
    let bound = at_most.map_or(String::new(), |it| it.to_string());
    println!("| {what}, ns a record | {ns:.1} | {bound} |");
    at_most.is_none_or(|it| ns <= it)
}

/// Seconds for all entries, in proportion to a million.
fn restored(what: &str, plan: &Plan, measure: fn(&Plan) -> f64) -> bool {
    let seconds = median((0..plan.rounds).map(|_| measure(plan))) * 1e6 / plan.entries as f64;
    println!("| 1 M entries of {what} read back, s | {seconds:.2} | {RESTORE_S_MAX} |");
    seconds <= RESTORE_S_MAX
}

/// Another number for each, in no order.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"customer00000000";
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Remembers a million keys, one a millisecond, and from then on forgets one with each.
fn dedup() -> (Dedup, i64) {
    let rules =
        DedupRules { within_ms: REMEMBERED - 1, max_keys: 1 << 20, in_flight: 1024, seed: 7 };
    let mut dedup = Dedup::new(rules);
    dedup.start(0, Mark::NONE);
    for offset in 0..REMEMBERED {
        remember(&mut dedup, scattered(offset as u64), offset, offset);
    }
    commit(&mut dedup, REMEMBERED);
    (dedup, REMEMBERED)
}

/// False if a commit has to come first.
fn offer(dedup: &mut Dedup, hash: KeyHash, time: i64, offset: i64, fresh: &mut u64) -> bool {
    match dedup.admit(hash, time, offset) {
        Admission::Fresh => {
            dedup.settle(offset, Settled::Kept, |_, _| unreachable!("nothing waits"));
            *fresh += 1;
        }
        Admission::NotYet => return false,
        Admission::Seen | Admission::Pending { .. } => {}
        Admission::Full => panic!("there is room for the keys of a period"),
    }
    true
}

fn remember(dedup: &mut Dedup, number: u64, time: i64, offset: i64) {
    let hash = dedup.hash(&key(number));
    assert!(offer(dedup, hash, time, offset, &mut 0), "there is room");
}

fn commit(dedup: &mut Dedup, position: i64) {
    dedup.begin_commit(position);
    while dedup.next_change().is_some() {}
    dedup.committed();
}

/// Offers records of which one in `new_one_in` has a new key; nanoseconds each.
fn deduplicate(plan: &Plan, new_one_in: u64) -> f64 {
    let (mut dedup, mut offset) = dedup();
    let (mut newest, mut fresh) = (REMEMBERED, 0);
    let started = Instant::now();
    let mut turn = Vec::new();
    for record in 0..plan.records {
        let is_new = record % new_one_in == 0;
        newest += i64::from(is_new);
        let back = if is_new { 1 } else { 1 + scattered(record) as i64 % (REMEMBERED - 10) };
        turn.push((dedup.hash(&key(scattered((newest - back) as u64))), newest));
        if turn.len() as u64 == TURN || record + 1 == plan.records {
            fresh += process(&mut dedup, &mut turn, &mut offset);
        }
        if record % COMMIT_EACH == 0 {
            commit(&mut dedup, offset);
        }
    }
    let ns = started.elapsed().as_nanos() as f64 / plan.records as f64;
    assert_eq!(fresh, plan.records.div_ceil(new_one_in), "each is what it was meant to be");
    ns
}

/// Offers a turn's records; how many are no duplicates.
fn process(dedup: &mut Dedup, turn: &mut Vec<(KeyHash, i64)>, offset: &mut i64) -> u64 {
    turn.iter().for_each(|(hash, _)| dedup.foresee(*hash));
    dedup.approach();
    let mut fresh = 0;
    for (hash, time) in turn.drain(..) {
        while !offer(dedup, hash, time, *offset, &mut fresh) {
            commit(dedup, *offset);
        }
        *offset += 1;
    }
    fresh
}

fn seen_and_new(plan: &Plan) -> f64 {
    deduplicate(plan, 2)
}

fn all_new(plan: &Plan) -> f64 {
    deduplicate(plan, 1)
}

fn all_seen(plan: &Plan) -> f64 {
    deduplicate(plan, u64::MAX)
}

fn rules(max_keys: usize) -> WindowRules {
    WindowRules {
        kind: Kind::Tumbling { size_ms: 60_000 },
        lateness_ms: 1_000,
        idle_ms: None,
        max_keys,
        max_age_ms: None,
        emit: Emit::Final,
        aggregates: AGGREGATES.to_vec(),
    }
}

fn add(windows: &mut Windows, number: u64, time: i64, offset: i64) -> u64 {
    let key = key(number);
    let record = Arrival { key: &key, time_ms: time, offset, now_ms: 0 };
    let value = Input::Int(offset % 1_000);
    let inputs = [Input::Absent, value, value, Input::Double(offset as f64 / 7.0), value];
    let mut results = 0;
    while windows.add(&record, &inputs) != Added::Counted {
        results += drain_results(windows);
    }
    results
}

fn drain_results(windows: &mut Windows) -> u64 {
    let mut results = 0;
    while let Some(result) = windows.next_result() {
        std::hint::black_box(result);
        results += 1;
    }
    results
}

fn commit_windows(windows: &mut Windows, position: i64) {
    windows.begin_commit(position, None);
    while windows.next_change().is_some() {}
    windows.committed();
}

/// Two windows a round, each of them closed for every key: 25 records a window and key.
fn tumbling(plan: &Plan) -> f64 {
    let mut windows = Windows::new(rules(2 * KEYS as usize));
    windows.start(0, Mark::NONE, 0);
    let step = 120_000.0 / plan.records as f64;
    let (mut offset, mut results) = (0, 0);
    let mut pass = |records: u64| {
        for _ in 0..records {
            if (offset as u64).is_multiple_of(TURN) {
                let turn = offset as u64..offset as u64 + TURN;
                turn.for_each(|it| windows.foresee(&key(scattered(it) % KEYS)));
                windows.approach();
            }
            let time = (offset as f64 * step) as i64;
            results += add(&mut windows, scattered(offset as u64) % KEYS, time, offset);
            offset += 1;
            if (offset as u64).is_multiple_of(COMMIT_EACH) {
                results += drain_results(&mut windows);
                windows.stock();
                commit_windows(&mut windows, offset);
            }
        }
    };
    pass(plan.records / 5);
    let started = Instant::now();
    pass(plan.records);
    let ns = started.elapsed().as_nanos() as f64 / plan.records as f64;
    assert!(results > KEYS, "{results} results");
    ns
}

fn windows_read(plan: &Plan) -> f64 {
    let max_keys = plan.entries as usize;
    let mut written = Windows::new(rules(max_keys));
    written.start(0, Mark::NONE, 0);
    for number in 0..plan.entries {
        add(&mut written, scattered(number as u64), 0, number);
    }
    let mark = written.begin_commit(plan.entries, None);
    let mut entries = Vec::new();
    while let Some(change) = written.next_change() {
        entries.push((change.key.to_vec(), change.value.expect("none is deleted").to_vec()));
    }
    let started = Instant::now();
    let mut read = Windows::new(rules(max_keys));
    for (key, value) in &entries {
        read.restore(key, Some(value)).expect("it was written so");
    }
    read.start(plan.entries, mark, 0);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(read.keys(), max_keys);
    seconds
}

fn keys_read(plan: &Plan) -> f64 {
    let rules =
        DedupRules { within_ms: 1, max_keys: plan.entries as usize, in_flight: 1024, seed: 7 };
    let mut written = Dedup::new(rules);
    written.start(0, Mark::NONE);
    for number in 0..plan.entries {
        remember(&mut written, scattered(number as u64), 0, number);
    }
    let mark = written.begin_commit(plan.entries);
    let mut entries = Vec::new();
    while let Some(change) = written.next_change() {
        entries.push((change.key.to_vec(), change.value.expect("none is deleted").to_vec()));
    }
    let started = Instant::now();
    let mut read = Dedup::new(rules);
    for (key, value) in &entries {
        read.restore(key, Some(value)).expect("it was written so");
    }
    read.start(plan.entries, mark);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(read.keys(), plan.entries as usize);
    seconds
}

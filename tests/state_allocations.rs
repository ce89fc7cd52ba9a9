//! State allocates nothing once it is warm: for records, results, commits, and going back.
//!
//! With a global allocator that counts. What does allocate is shown to: an estimate of different
//! values takes one block for each result.

#[path = "../benches/rig/allocations.rs"]
mod allocations;

use hotspur::state::{
    Aggregate, Input, Mark,
    dedup::{Admission, Dedup, DedupRules, Settled},
    window::{Added, Arrival, Emit, Kind, WindowRules, Windows},
};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const RECORDS: i64 = 20_000;
const COMMIT_EACH: i64 = 300;

#[test]
fn duplicates_cost_no_allocation() {
    let rules = DedupRules { within_ms: 3_000, max_keys: 4_000, in_flight: 64, seed: 7 };
    let before_start = allocations::calls();
    let mut dedup = Dedup::new(rules);
    assert!(allocations::calls() > before_start, "memory is taken at start");
    dedup.start(0, Mark::NONE);
    let before = allocations::calls();
    let (mut fresh, mut seen, mut waiting) = (0, 0, 0);
    for offset in 0..RECORDS {
        let hash = dedup.hash(&(offset / 3 * 7 % 5_000).to_le_bytes());
        dedup.foresee(hash);
        dedup.approach();
        match dedup.admit(hash, offset, offset) {
            Admission::Fresh => fresh += 1,
            Admission::Seen => seen += 1,
            Admission::Pending { .. } => waiting += 1,
            it => panic!("{it:?} at {offset}"),
        }
        // The second of three waits for the first; the third sees it, or is the first to stay.
        match offset % 3 {
            0 => {}
            1 if offset % 2 == 0 => settle_all(&mut dedup, offset - 1, Settled::Kept),
            1 => settle_all(&mut dedup, offset - 1, Settled::Refused),
            _ => settle_all(&mut dedup, offset, Settled::Kept),
        }
        if offset % COMMIT_EACH == COMMIT_EACH - 1 && offset % 3 == 2 {
            dedup.begin_commit(offset + 1);
            while dedup.next_change().is_some() {}
            dedup.committed();
        }
    }
    assert_eq!(allocations::calls() - before, 0);
    assert!(fresh > 1_000 && seen > 1_000 && waiting > 1_000, "{fresh} {seen} {waiting}");
}

/// Settles what is in flight: the record of that offset, if it is, and all that it releases.
fn settle_all(dedup: &mut Dedup, first: i64, outcome: Settled) {
    let mut next = Some(first);
    while let Some(offset) = next.take() {
        if dedup.is_in_flight(offset) {
            dedup.settle(offset, outcome, |offset, released| {
                if released == hotspur::state::dedup::Released::Process {
                    next = Some(offset);
                }
            });
        }
    }
}

fn windows(kind: Kind, emit: Emit, aggregates: &[Aggregate]) -> Windows {
    let mut windows = Windows::new(WindowRules {
        kind,
        lateness_ms: 100,
        idle_ms: Some(1_000),
        max_keys: 1_000,
        max_age_ms: None,
        emit,
        aggregates: aggregates.to_vec(),
    });
    windows.start(0, Mark::NONE, 0);
    windows
}

/// Allocations over so many records, and results.
fn run(windows: &mut Windows, from: i64, aggregates: usize) -> (u64, u64) {
    let inputs = [Input::Int(3), Input::Double(0.5), Input::Text("some text")];
    let before = allocations::calls();
    let mut results = 0;
    for offset in from..from + RECORDS {
        let key = (offset * 7 % 100).to_le_bytes();
        let (time_ms, now_ms) = (offset * 2 - offset % 5 * 13, offset);
        let record = Arrival { key: &key, time_ms, offset, now_ms };
        let inputs = &[inputs[offset as usize % 2]; 16][..aggregates];
        windows.foresee(&key[..]);
        windows.approach();
        assert!(matches!(windows.add(&record, inputs), Added::Counted | Added::Late));
        while windows.next_result().is_some() {
            results += 1;
        }
        if offset % COMMIT_EACH == COMMIT_EACH - 1 {
            windows.begin_commit(offset + 1, Some(now_ms));
            while windows.next_change().is_some() {}
            windows.committed();
        }
    }
    (allocations::calls() - before, results)
}

const KINDS: [Kind; 4] = [
    Kind::Tumbling { size_ms: 1_000 },
    Kind::Hopping { size_ms: 1_000, advance_ms: 400 },
    Kind::Session { gap_ms: 150 },
    Kind::Count { size: 9 },
];

#[test]
fn windows_cost_no_allocation() {
    let aggregates = [
        Aggregate::Records,
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Avg,
        Aggregate::First,
        Aggregate::Last,
        Aggregate::Quantile(0.9),
        Aggregate::Collect(5),
    ];
    for (kind, emit) in KINDS.into_iter().flat_map(|it| [(it, Emit::Final), (it, Emit::Updates)]) {
        for aggregates in [&aggregates[..6], &aggregates[..]] {
            let mut windows = windows(kind, emit, aggregates);
            run(&mut windows, 0, aggregates.len());
            let (calls, results) = run(&mut windows, RECORDS, aggregates.len());
            assert_eq!(calls, 0, "{kind:?}, {emit:?}, {} aggregates", aggregates.len());
            assert!(results > 100, "{results} results");
        }
    }
}

#[test]
fn an_estimate_costs_one_block_a_result_and_none_a_record() {
    let mut windows = windows(KINDS[0], Emit::Final, &[Aggregate::Distinct]);
    run(&mut windows, 0, 1);
    let (calls, results) = run(&mut windows, RECORDS, 1);
    assert!(results > 100 && results < RECORDS as u64 / 2, "{results} results");
    assert_eq!(calls, 2 * results, "it is taken and given back");
}

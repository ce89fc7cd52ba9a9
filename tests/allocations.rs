//! The engine allocates nothing for a record once it is warm, whatever becomes of the record.
//!
//! On the memory transport, with a global allocator that counts: what is counted here is ours.

#[path = "../benches/rig/allocations.rs"]
mod allocations;
#[path = "../benches/rig/memory.rs"]
mod memory;
#[path = "../benches/rig/records.rs"]
mod records;

use hotspur::measure::Counters;

use memory::{Case, MemoryEngine};
use records::KeyAndValue;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const WARM_UP: u64 = 20_000;
const RECORDS: u64 = 20_000;
const KEYS: u64 = 1_000;

/// Calls of the allocator over `RECORDS` records, and what became of all records.
fn calls(mut engine: MemoryEngine) -> (u64, Counters) {
    memory::run(&mut engine, WARM_UP);
    let before = allocations::calls();
    memory::run(&mut engine, RECORDS);
    let calls = allocations::calls() - before;
    let mut hot = engine.into_hot_side();
    (calls, hot.counters().clone())
}

fn with_values(mut records: Vec<KeyAndValue>, value: &[u8]) -> Vec<KeyAndValue> {
    records.iter_mut().for_each(|(_, it)| *it = value.to_vec());
    records
}

#[test]
fn the_allocator_counts() {
    let before = allocations::calls();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(allocations::calls() - before, 2);
}

#[test]
fn emitted_records_cost_no_allocation() {
    for case in [Case::names(), Case::orders_text(KEYS), Case::orders_spliced(KEYS)] {
        let (calls, counters) = calls(case.engine(case.records(5_000)));
        assert_eq!((calls, counters.emitted), (0, WARM_UP + RECORDS), "{}", case.name);
    }
}

#[test]
fn skipped_records_cost_no_allocation() {
    let case = Case::orders_spliced(KEYS);
    let absent = br#"{"id":"1","key":"nobody","value":7,"timestamp_sent":1}"#;
    let (calls, counters) = calls(case.engine(with_values(case.records(5_000), absent)));
    assert_eq!((calls, counters.skipped.total()), (0, WARM_UP + RECORDS));
}

#[test]
fn dead_lettered_records_cost_no_allocation() {
    let case = Case::orders_spliced(KEYS);
    let cut_off = &br#"{"id":"1","key":"user1""#[..];
    let without_key = br#"{"id":"1","value":7,"timestamp_sent":1}"#;
    for value in [cut_off, b"nonsense", without_key] {
        let (calls, counters) = calls(case.engine(with_values(case.records(5_000), value)));
        assert_eq!((calls, counters.rejected.total()), (0, WARM_UP + RECORDS));
    }
}

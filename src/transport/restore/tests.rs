//! The two ends of a restoration, beside each other on one thread and on two.

use std::{collections::BTreeMap, thread, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::limits::RESTORE_BATCH_BYTES;

fn steps() -> Vec<StatefulStep> {
    let step = |number, name: &str, operator, hash| StatefulStep {
        number,
        name: name.to_owned(),
        operator,
        hash,
    };
    vec![step(1, "2", "dedup", 7), step(3, "hourly", "window", 8)]
}

/// What was handed over, owned.
fn taken(entries: &mut RestoredEntries, items_max: usize) -> Vec<String> {
    let mut all = Vec::new();
    entries.take(items_max, &mut |partition, handed| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        all.push(match handed {
            Handed::Begin => format!("{} begin", partition.0),
            Handed::Entry { step, key, value } => {
                format!("{} {step} {}={:?}", partition.0, text(key), value.map(text))
            }
            Handed::Seed { step, value } => {
                format!("{} {step} seed={:?}", partition.0, value.map(text))
            }
            Handed::Complete => format!("{} complete", partition.0),
            Handed::Cancelled => format!("{} cancelled", partition.0),
        });
    });
    all
}

fn heard(filler: &mut Filler) -> Vec<Want> {
    let mut wants = Vec::new();
    filler.hear(&mut wants);
    wants
}

const P5: PartitionId = PartitionId(5);

#[test]
fn a_wanted_partition_is_heard_once_and_complete_when_its_end_was_taken() {
    let (shared, mut entries, mut filler) = restoration(&steps());
    assert!(shared.is_complete(P5) && !shared.is_restoring());
    shared.want(P5, 2, 9);
    assert!(!shared.is_complete(P5) && shared.is_restoring());
    let [want] = heard(&mut filler)[..] else { panic!("one is wanted") };
    assert_eq!((want.partition(), want.topic, want.number), (P5, 2, 9));
    assert!(heard(&mut filler).is_empty());

    assert!(filler.has_room());
    filler.begin(&want);
    let [dedup, window] = &steps()[..] else { panic!("two steps") };
    filler.entry(&want, (StateKind::Entry, dedup), b"k", Some(b"v"));
    filler.entry(&want, (StateKind::Entry, dedup), b"k", None);
    filler.entry(&want, (StateKind::Seed, window), b"", Some(b"12345678"));
    filler.complete(&want);
    assert!(taken(&mut entries, 10).is_empty(), "not handed over yet");
    filler.flush();
    assert_eq!(taken(&mut entries, 2), ["5 begin", "5 1 k=Some(\"v\")"]);
    assert_eq!(taken(&mut entries, 2), ["5 1 k=None", "5 3 seed=Some(\"12345678\")"]);
    assert!(!shared.is_complete(P5));
    assert_eq!(taken(&mut entries, 2), ["5 complete"]);
    assert!(shared.is_complete(P5) && !shared.is_restoring());
}

#[test]
fn what_was_on_its_way_for_an_earlier_wish_is_passed_over() {
    let (shared, mut entries, mut filler) = restoration(&steps());
    shared.want(P5, 0, 0);
    let first = heard(&mut filler)[0];
    assert!(filler.has_room());
    filler.begin(&first);
    filler.entry(&first, (StateKind::Entry, &steps()[0]), b"old", None);
    filler.flush();
    assert_eq!(taken(&mut entries, 1), ["5 begin"]);
    shared.cancel(P5);
    assert!(!filler.is_wanted(&first) && !shared.is_restoring());
    let mut wants = Vec::new();
    assert!(filler.hear(&mut wants) && wants.is_empty());
    assert_eq!(taken(&mut entries, 9), ["5 cancelled"]);
    assert!(taken(&mut entries, 9).is_empty(), "told once");

    shared.want(P5, 0, 0);
    assert!(filler.has_room());
    filler.complete(&first);
    filler.flush();
    assert!(taken(&mut entries, 9).is_empty());
    assert!(!shared.is_complete(P5), "the late end is not the new one's");
    let second = heard(&mut filler)[0];
    assert!(filler.has_room());
    filler.begin(&second);
    filler.complete(&second);
    filler.flush();
    assert_eq!(taken(&mut entries, 9), ["5 begin", "5 complete"]);
}

#[test]
fn one_that_is_taken_back_complete_and_without_a_record_is_forgotten_too() {
    let (shared, mut entries, mut filler) = restoration(&steps());
    shared.want(P5, 0, 0);
    let want = heard(&mut filler)[0];
    assert!(filler.has_room());
    filler.complete(&want);
    filler.flush();
    assert_eq!(taken(&mut entries, 9), ["5 complete"]);
    shared.cancel(P5);
    shared.want(P5, 0, 0);
    shared.cancel(P5);
    assert_eq!(taken(&mut entries, 9), ["5 cancelled"]);
    assert!(shared.is_complete(P5) && !shared.is_restoring());
    shared.want(P5, 0, 0);
    let RestoreFigures { partitions, complete, .. } = shared.figures();
    assert_eq!((partitions, complete, shared.is_restoring()), (1, 0, true));
}

#[test]
fn figures_are_those_of_the_round_and_steps_are_told_apart() {
    let (shared, mut entries, mut filler) = restoration(&steps());
    for round in 1..3 {
        shared.want(P5, 0, 0);
        shared.want(PartitionId(6), 0, 1);
        shared.want(PartitionId(7), 0, 2);
        shared.cancel(PartitionId(7));
        let wants = heard(&mut filler);
        filler.expects(10);
        assert!(filler.has_room());
        filler.entry(&wants[0], (StateKind::Entry, &steps()[0]), b"key", Some(b"value"));
        filler.entry(&wants[0], (StateKind::Entry, &steps()[1]), b"k", None);
        filler.complete(&wants[0]);
        filler.flush();
        taken(&mut entries, 9);
        filler.took(Duration::from_millis(3));
        let figures = shared.figures();
        assert_eq!((figures.partitions, figures.complete), (2, 1));
        let counts = (figures.entries, figures.entries_expected, figures.bytes);
        assert_eq!(counts, (2, 10, 9));
        let restored: Vec<_> =
            figures.steps.iter().map(|it| (&*it.step, it.restored_entries)).collect();
        assert_eq!(restored, [("2", round), ("hourly", round)]);
        assert_eq!((figures.times[2], figures.times.iter().sum::<u64>()), (round, round));
        assert_eq!(figures.time_sum, Duration::from_millis(3 * round));
        assert!(filler.has_room());
        filler.complete(&wants[1]);
        filler.flush();
        taken(&mut entries, 9);
        assert!(!shared.is_restoring());
    }
    shared.tell_kept(3, 12, 340);
    let kept = &shared.figures().steps[1];
    assert_eq!((kept.entries, kept.bytes), (12, 340));
}

#[test]
fn buffers_go_round_and_their_number_bounds_what_waits() {
    let (shared, mut entries, mut filler) = restoration(&steps());
    shared.want(P5, 0, 0);
    let want = heard(&mut filler)[0];
    let value = vec![b'x'; RESTORE_BATCH_BYTES];
    let mut handed = 0;
    while filler.has_room() {
        filler.entry(&want, (StateKind::Entry, &steps()[0]), b"k", Some(&value));
        handed += 1;
    }
    assert_eq!(handed, RESTORE_BATCHES);
    assert_eq!(entries.take(1, &mut |_, _| {}), 1);
    assert!(filler.has_room(), "the buffer that was read has come back");
    assert_eq!(entries.take(usize::MAX, &mut |_, _| {}), RESTORE_BATCHES - 1);
}

#[test]
fn all_arrives_in_order_when_both_ends_are_busy() {
    const ENTRIES: u64 = 200_000;
    let (shared, mut entries, mut filler) = restoration(&steps());
    for number in 0..4 {
        shared.want(PartitionId(number), 0, i32::from(number));
    }
    let side = thread::spawn(move || {
        let wants = heard(&mut filler);
        for number in 0..ENTRIES {
            while !filler.has_room() {
                thread::yield_now();
            }
            let want = &wants[number as usize % wants.len()];
            let bytes = number.to_ne_bytes();
            filler.entry(want, (StateKind::Entry, &steps()[0]), &bytes, Some(&bytes));
        }
        for want in &wants {
            while !filler.has_room() {
                thread::yield_now();
            }
            filler.complete(want);
        }
        filler.flush();
    });
    let mut next: BTreeMap<u16, u64> = (0..4).map(|it| (it, u64::from(it))).collect();
    while shared.is_restoring() {
        let taken = entries.take(100, &mut |partition, handed| {
            let Handed::Entry { key, value, .. } = handed else { return };
            let next = next.get_mut(&partition.0).expect("one of four");
            assert_eq!((key, value), (&next.to_ne_bytes()[..], Some(&next.to_ne_bytes()[..])));
            *next += 4;
        });
        assert!(taken <= 100);
    }
    side.join().unwrap();
    assert!(next.iter().all(|(partition, next)| *next == ENTRIES + u64::from(*partition)));
    assert_eq!(shared.figures().entries, ENTRIES);
}

proptest! {
    /// Wishes, cancels and hand-overs in any order: what is taken of a partition is always a begin,
    /// then that wish's own entries, and complete only what was.
    #[test]
    fn wishes_never_get_each_others_entries(deeds in prop::collection::vec(0..5_u8, 1..200)) {
        let (shared, mut entries, mut filler) = restoration(&steps());
        let (mut wish, mut heard_wish, mut current) = (0_u64, 0, None::<Want>);
        let mut begun = 0;
        for deed in deeds {
            match deed {
                0 if shared.is_complete(P5) => {
                    wish += 1;
                    shared.want(P5, 0, 0);
                }
                1 => shared.cancel(P5),
                2 if filler.has_room() => {
                    let mut wants = Vec::new();
                    filler.hear(&mut wants);
                    if let Some(want) = wants.pop() {
                        (current, heard_wish) = (Some(want), wish);
                        let (step, key) = (&steps()[0], heard_wish.to_ne_bytes());
                        filler.begin(&want);
                        filler.entry(&want, (StateKind::Entry, step), &key, None);
                    }
                }
                3 if filler.has_room() => {
                    current.iter().for_each(|want| filler.complete(want));
                    filler.flush();
                }
                _ => {
                    entries.take(3, &mut |_, handed| match handed {
                        Handed::Begin => begun = wish,
                        Handed::Entry { key, .. } => {
                            assert_eq!((key, begun), (&wish.to_ne_bytes()[..], wish));
                        }
                        Handed::Complete => assert_eq!((begun, heard_wish), (wish, wish)),
                        _ => {}
                    });
                }
            }
        }
    }
}

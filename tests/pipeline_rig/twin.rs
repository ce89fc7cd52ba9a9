//! What must come out, known from the log of each partition alone: one record after the other,
//! with maps that never forget.

use std::collections::{BTreeMap, BTreeSet};

/// A record of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// By whose value duplicates are known, and windows are grouped.
    pub(crate) id: u8,
    /// Event time, in milliseconds.
    pub(crate) time: i64,
    /// `e` goes on, `s` is skipped, `r` rejected.
    pub(crate) fate: u8,
}

/// The steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// For how long duplicates are known, in milliseconds of the records' timestamps.
    pub(crate) within: Option<i64>,
    /// Windows of that size, and their lateness, in milliseconds.
    pub(crate) window: Option<(i64, i64)>,
}

/// What comes out of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Out {
    /// Records as they came, by offset.
    pub(crate) emitted: BTreeSet<i64>,
    /// Records that were dead-lettered.
    pub(crate) rejected: BTreeSet<i64>,
    /// Windows: key, start, and the offsets that count.
    pub(crate) windows: BTreeSet<(u8, i64, Vec<i64>)>,
    /// Windows that were dead-lettered.
    pub(crate) rejected_windows: BTreeSet<(u8, i64)>,
}

/// Windows of so many records are passed over, of so many rejected.
pub(crate) const PASSED_OVER: usize = 2;
pub(crate) const REJECTED: usize = 3;

/// A record's timestamp is its offset.
pub(crate) fn out(log: &[Told], shape: Shape) -> Out {
    let mut out = Out::default();
    let mut seen = BTreeMap::<u8, i64>::new();
    let mut open = BTreeMap::<(u8, i64), Vec<i64>>::new();
    let mut watermark = i64::MIN;
    for (offset, told) in (0..).zip(log) {
        let stamp = offset;
        let known = seen.get(&told.id).filter(|_| shape.within.is_some());
        if known.is_some_and(|at| stamp - at <= shape.within.unwrap_or_default()) {
            continue;
        }
        if told.fate == b'r' {
            out.rejected.insert(offset);
            continue;
        }
        seen.insert(told.id, stamp);
        if told.fate == b's' {
            continue;
        }
        let Some((size, lateness)) = shape.window else {
            out.emitted.insert(offset);
            continue;
        };
        let start = told.time.div_euclid(size) * size;
        if start + size > watermark {
            open.entry((told.id, start)).or_default().push(offset);
        }
        watermark = watermark.max(told.time - lateness);
    }
    for ((id, start), offsets) in open {
        let (size, _) = shape.window.expect("there are windows");
        if start + size > watermark || offsets.len() == PASSED_OVER {
            continue;
        }
        if offsets.len() == REJECTED {
            out.rejected_windows.insert((id, start));
        } else {
            out.windows.insert((id, start, offsets));
        }
    }
    out
}

//! Results of a turn, handed over together; what the sink had no room for stays for the next turn.

use crate::{
    delivery::{Cut, Sequence, dead_letter},
    limits::CUT_LETTER_BYTES,
    pipeline::{
        Results,
        results::{Entry, Part},
    },
    record::{Destination, Record},
};

/// Bytes of results that a turn collects before it hands them over.
pub(crate) const OUTBOX_BYTES: usize = 1 << 20;

/// Results in order, whose they are, and how many have been handed over.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) results: Results,
    owners: Vec<Sequence>,
    handed_over: usize,
    entries_max: usize,
}

impl Outbox {
    /// Room for `entries`, and for those of one record more.
    pub(crate) fn with_capacity(bytes: usize, entries: usize, results_max: usize) -> Outbox {
        Outbox {
            results: Results::with_capacity(bytes, entries + results_max),
            owners: Vec::with_capacity(entries + results_max),
            handed_over: 0,
            entries_max: entries,
        }
    }

    /// True if the record of the next result has others.
    pub(crate) fn is_one_of_several(&self) -> bool {
        let owner = |at: usize| self.owners.get(at);
        let next = owner(self.handed_over);
        let before = self.handed_over.checked_sub(1).and_then(owner);
        next.is_some() && (next == before || next == owner(self.handed_over + 1))
    }

    /// True if nothing waits to be handed over.
    pub(crate) fn is_empty(&self) -> bool {
        self.handed_over == self.owners.len()
    }

    /// Everything in `results` that has no owner yet is this record's; returns how many.
    pub(crate) fn claim(&mut self, owner: Sequence) -> usize {
        let added = self.results.len() - self.owners.len();
        self.owners.resize(self.results.len(), owner);
        added
    }

    /// True if the arena is as full as a turn may leave it.
    pub(crate) fn is_full(&self) -> bool {
        self.results.bytes_len() >= OUTBOX_BYTES || self.results.len() >= self.entries_max
    }

    /// The next result to be handed over, by index, and whose it is.
    pub(crate) fn next(&self) -> Option<(usize, Sequence)> {
        self.owners.get(self.handed_over).map(|owner| (self.handed_over, *owner))
    }

    /// The next one has been handed over.
    pub(crate) fn advance(&mut self) {
        self.handed_over += 1;
        if self.is_empty() {
            self.results.clear();
            self.owners.clear();
            self.handed_over = 0;
        }
    }

    /// Adds a dead letter with the payload as kept, or, if the broker refused it before, less.
    pub(crate) fn push_letter(
        &mut self,
        destination: Destination,
        letter: &dead_letter::Letter<'_>,
        record: &Record<'_>,
        refused_before: u8,
    ) {
        let mut letter = *letter;
        let results = &mut self.results;
        let mut value = Part::OfRecord;
        if let (1.., Some(payload)) = (refused_before, record.value) {
            letter.cut = letter.cut.or(Some(Cut::of(payload)));
            let kept = if refused_before == 1 { CUT_LETTER_BYTES } else { 0 };
            let kept = &payload[..kept.min(payload.len())];
            value = results.append(|bytes| bytes.extend_from_slice(kept));
        }
        let headers = results.append(|bytes| dead_letter::write_headers(&letter, record, bytes));
        let key = Part::OfRecord;
        let (partition_number, timestamp_ms) = (None, None);
        let entry = Entry { destination, partition_number, timestamp_ms, key, value, headers };
        self.results.push(entry);
    }
}

//! What became of entries before they could be read: from time to time the server is asked how a
//! stream stands, right before it is asked for more, and that is compared with what was lent.

use std::time::Duration;

use super::{Facts, PlainSource, SourceGap, Told, faults};
use crate::{
    clock::{Clock, Ticks, TscClock},
    transport::{Trouble, redis::source::PEER},
    verdict::Sentence,
};

/// Between two looks at the same stream, where the server is not busy with others.
const EVERY: Duration = Duration::from_secs(1);

/// An answer has the first and the last entry in it: for each so many bytes, one more pause.
const BYTES_PER_PAUSE: usize = 16 << 10;

/// Which stream is looked at next, and when.
#[derive(Debug)]
pub(super) struct Looking {
    interval_ticks: u64,
    due: Ticks,
    next: usize,
    /// Streams that are to be looked at before anything is read.
    at_once: usize,
    /// The server does not answer such questions.
    is_refused: bool,
}

impl Looking {
    /// All streams are looked at first, where anybody wants to know.
    pub(super) fn new(clock: &TscClock, streams: usize, is_wanted: bool) -> Looking {
        let interval_ticks = clock.ticks(EVERY.as_nanos() as u64) / streams.max(1) as u64;
        let due = Ticks(clock.now().0 + interval_ticks);
        Looking { interval_ticks, due, next: 0, at_once: streams, is_refused: !is_wanted }
    }

    /// Over another connection all streams are looked at first.
    pub(super) fn begin_again(&mut self, streams: usize) {
        self.at_once = streams;
    }

    /// Whether others are to be looked at before anything is read.
    pub(super) fn is_first(&self) -> bool {
        self.at_once > 0 && !self.is_refused
    }

    /// The next look is the later the larger an answer is.
    pub(super) fn rest(&mut self, len: usize) {
        self.due.0 += self.interval_ticks * (len / BYTES_PER_PAUSE) as u64;
    }

    /// The stream to be looked at now, if any.
    pub(super) fn next(&mut self, now: Ticks, streams: usize) -> Option<usize> {
        if self.is_refused || self.at_once == 0 && now < self.due {
            return None;
        }
        self.at_once = self.at_once.saturating_sub(1);
        self.due = Ticks(now.0 + self.interval_ticks);
        let stream = self.next;
        self.next = (stream + 1) % streams;
        Some(stream)
    }
}

impl PlainSource {
    /// Compares how a stream stands with what was lent: nothing of what was asked for since is.
    pub(super) fn compare(&mut self, stream: usize, facts: Facts) {
        let (place, number) = (&mut self.places[stream], self.unacked.next_number(stream));
        let behind = place.behind;
        if behind > facts.last {
            place.behind = facts.last;
            self.is_astray = self.replies.owed() > 0;
        }
        let known = place.passed;
        if let Some(passed) = facts.passed(place.behind) {
            place.passed = i64::try_from(passed).ok().map(|it| it - number);
        }
        let missing = place.passed.zip(known).map_or(0, |(now, before)| now - before);
        let name = &self.streams[stream];
        if behind > facts.last {
            let text = Sentence::format(format_args!(
                "{name}: its last entry is {}, and it was read up to {behind}: the server lost \
                 entries, or this is another stream; it goes on behind the last entry",
                facts.last
            ));
            self.tell(Told::Notice { event: "stream.set_back", text, alarming: true });
        } else if missing > 0 {
            let records = missing.unsigned_abs();
            let text = Sentence::format(format_args!(
                "{name}: {records} entries that had not been read are gone from the stream \
                 (trimmed or deleted); it was read up to {behind}"
            ));
            let (partition, resume_at) = (self.partitions[stream], number);
            self.is_stale = self.keeper.is_some();
            self.tell(Told::Gap(SourceGap { partition, records, resume_at, text }));
        }
    }

    /// There is no such stream, or no right to ask: true if it goes on all the same.
    #[cold]
    pub(super) fn hear_no_facts(&mut self, stream: usize, len: usize) -> bool {
        let error = &self.reading.input()[1..len.saturating_sub(2).max(1)];
        if Facts::is_absence(error) {
            self.compare(stream, Facts::ABSENT);
            return true;
        }
        let what = "asking for gaps by XINFO STREAM";
        let Trouble { code, text, .. } = faults::trouble(PEER, self.reading.address(), what, error);
        let is_no_right = code == "NOPERM";
        if is_no_right {
            self.looking.is_refused = true;
            self.tell(Told::Notice { event: "gaps.unseen", text, alarming: false });
        }
        is_no_right
    }
}

//! Counting a record: into which windows it goes, and how these change.
//!
//! Where every window of the record is there already and its aggregates have a fixed length, they
//! are changed in place. Else a copy of the key's entry is changed and put back when all went well.

use super::{
    super::{aggregate::At, input::Input},
    Added, Arrival, Emit, Kind, Refusal, Update, Windows,
    layout::{self, Found, WINDOW_HEAD},
    timers::Timer,
};
use crate::limits::STATE_ENTRY_BYTES_MAX;

/// The windows of a size, one every `advance`, that contain a time, by their starts.
#[derive(Clone, Copy, Debug)]
struct Spans {
    next: i64,
    last: i64,
    size: i64,
    advance: i64,
}

impl Spans {
    /// Those that end after `closed_to`.
    #[inline]
    fn containing(time: i64, size: i64, advance: i64, closed_to: i64) -> Spans {
        let last = time.div_euclid(advance) * advance;
        let before = (size - 1 - (time - last)) / advance;
        let mut next = last - before * advance;
        if next + size <= closed_to {
            next += ((closed_to - next - size) / advance + 1) * advance;
        }
        Spans { next, last, size, advance }
    }
}

impl Iterator for Spans {
    type Item = (i64, i64);

    #[inline]
    fn next(&mut self) -> Option<(i64, i64)> {
        let start = self.next;
        self.next += self.advance;
        (start <= self.last).then_some((start, start + self.size))
    }
}

/// What became of the copy of an entry.
type Change = Result<(), Added>;

const FULL: fn(Refusal) -> Change = |refusal| Err(Added::Refused(refusal));

impl Windows {
    #[inline]
    pub(super) fn count(
        &mut self,
        record: &Arrival<'_>,
        inputs: &[Input<'_>],
        max_keys: usize,
    ) -> Added {
        let tag = self.keys.tag(record.key);
        let likely = self.foreseen.came(&self.keys, tag);
        let found = match self.keys.is_of(likely, record.key) {
            true => Some(likely),
            false => self.keys.find(tag, record.key),
        };
        if let Some(id) = found {
            if record.offset <= self.keys.offset(id) {
                return Added::Repeated;
            }
            if self.plan.is_fixed() && self.count_in_place(id, record, inputs) {
                return Added::Counted;
            }
        }
        self.wanted.clear();
        let changed = self.change_copy(found, record, inputs);
        let changed = changed.and_then(|()| self.judge_room(found, max_keys));
        if let Err(added) = changed {
            self.updates.clear();
            return added;
        }
        layout::set_offset(&mut self.scratch[record.key.len()..], record.offset);
        let id = match found {
            Some(id) => {
                self.undo.keep(&mut self.keys, id);
                self.keys.put(id, &self.scratch);
                id
            }
            None => {
                let id = self.keys.insert(tag, record.key.len(), &self.scratch);
                self.undo.keep_new(&mut self.keys, id);
                id
            }
        };
        self.updates.iter_mut().for_each(|it| it.entry = id);
        while let Some((due, start)) = self.wanted.pop() {
            self.push_timer(id, due, start);
        }
        self.note_full(id);
        Added::Counted
    }

    /// One more key may have windows, and there is room for its entry.
    fn judge_room(&self, found: Option<u32>, max_keys: usize) -> Change {
        if self.scratch.len() > STATE_ENTRY_BYTES_MAX {
            return FULL(Refusal::EntryBytes);
        }
        let opens = !found.is_some_and(|id| self.keys.is_open(id));
        if opens && self.keys.open() >= max_keys {
            return if self.has_due() { Err(Added::NotYet) } else { FULL(Refusal::MaxKeys) };
        }
        if found.is_none() && !self.keys.has_room() { Err(Added::NotYet) } else { Ok(()) }
    }

    /// Windows that end up to there are closed for that entry.
    fn closed_to(&self, id: Option<u32>) -> i64 {
        let restored = id.map_or(i64::MIN, |id| layout::closed_to(self.keys.value(id)));
        self.watermark.max(restored)
    }

    fn spans(&self, time: i64, closed_to: i64) -> Option<Spans> {
        match self.rules.kind {
            Kind::Tumbling { size_ms } => {
                Some(Spans::containing(time, size_ms, size_ms, closed_to))
            }
            Kind::Hopping { size_ms, advance_ms } => {
                Some(Spans::containing(time, size_ms, advance_ms, closed_to))
            }
            Kind::Session { .. } | Kind::Count { .. } => None,
        }
    }

    /// True if all windows were there.
    #[inline]
    fn count_in_place(&mut self, id: u32, record: &Arrival<'_>, inputs: &[Input<'_>]) -> bool {
        let head = record.key.len() + layout::VALUE_HEAD;
        let entry = self.keys.get(id);
        let closed_to = self.watermark.max(layout::closed_to(&entry[record.key.len()..]));
        if let Kind::Tumbling { .. } = self.rules.kind {
            // The one that is there and contains the time is the only one: no need to divide.
            let is_it = |it: &Found| it.start <= record.time_ms && record.time_ms < it.end;
            let found = layout::windows(entry, head).find(is_it);
            let Some(found) = found.filter(|it| it.end > closed_to) else { return false };
            self.count_found(id, found, record, inputs);
            return true;
        }
        let Some(spans) = self.spans(record.time_ms, closed_to) else { return false };
        let mut starts = spans.map(|it| it.0).peekable();
        if starts.peek().is_none() {
            return false;
        }
        let mut windows = layout::windows(entry, head);
        if !starts.all(|start| windows.any(|it| it.start == start)) {
            return false;
        }
        let mut at = head;
        for (start, _) in spans {
            let found = layout::windows(self.keys.get(id), at).find(|it| it.start == start);
            let found = found.expect("it was seen to be there");
            self.count_found(id, found, record, inputs);
            at = found.behind();
        }
        true
    }

    /// Counts into one window of an entry, which stays as long as it is.
    #[inline]
    fn count_found(&mut self, id: u32, found: Found, record: &Arrival<'_>, inputs: &[Input<'_>]) {
        let entry = self.undo.keep(&mut self.keys, id);
        Found { records: found.records + 1, ..found }.write(entry);
        self.plan.add_to_cells(&mut entry[found.aggregates()..], inputs);
        layout::set_offset(&mut entry[record.key.len()..], record.offset);
        if self.rules.emit == Emit::Updates {
            let Found { start, end, .. } = found;
            self.updates.push_back(Update { entry: id, start, end });
        }
    }

    fn change_copy(
        &mut self,
        found: Option<u32>,
        record: &Arrival<'_>,
        inputs: &[Input<'_>],
    ) -> Change {
        let mut copy = std::mem::take(&mut self.scratch);
        copy.clear();
        match found {
            Some(id) => copy.extend_from_slice(self.keys.get(id)),
            None => {
                copy.extend_from_slice(record.key);
                copy.extend_from_slice(&layout::empty());
            }
        }
        let closed_to = self.closed_to(found);
        let changed = match (self.spans(record.time_ms, closed_to), self.rules.kind) {
            (Some(spans), _) => self.count_in_spans(&mut copy, spans, record, inputs),
            (None, Kind::Session { gap_ms }) => {
                self.count_in_session(&mut copy, (gap_ms, closed_to), record, inputs)
            }
            (None, _) => self.count_in_count(&mut copy, closed_to, record, inputs),
        };
        self.scratch = copy;
        changed
    }

    fn count_in_spans(
        &mut self,
        copy: &mut Vec<u8>,
        spans: Spans,
        record: &Arrival<'_>,
        inputs: &[Input<'_>],
    ) -> Change {
        let mut at = record.key.len() + layout::VALUE_HEAD;
        let before = at;
        for (start, end) in spans {
            let next = layout::windows(copy, at).find(|it| it.start >= start);
            let found = match next {
                Some(found) if found.start == start => found,
                next => {
                    self.wanted.push((end, start));
                    let place = next.map_or(copy.len(), |it| it.at);
                    layout::insert(copy, place, (start, end), &self.plan)
                }
            };
            at = self.count_one(copy, found, record, inputs);
        }
        if at == before { Err(Added::Late) } else { Ok(()) }
    }

    /// Counts into one window of the copy, of which the bounds are right; where it ends then.
    fn count_one(
        &mut self,
        copy: &mut Vec<u8>,
        window: Found,
        record: &Arrival<'_>,
        inputs: &[Input<'_>],
    ) -> usize {
        let before = copy.len();
        let at = At { time: record.time_ms, offset: record.offset };
        self.plan.add(copy, window.aggregates(), inputs, at);
        let len = window.len + copy.len() - before;
        let window = Found { len, records: window.records + 1, ..window };
        window.write(copy);
        if self.rules.emit == Emit::Updates {
            let Found { start, end, .. } = window;
            self.updates.push_back(Update { entry: 0, start, end });
        }
        window.behind()
    }

    /// The record's own session reaches from its time to a gap later; with it all become one that
    /// overlap with it.
    fn count_in_session(
        &mut self,
        copy: &mut Vec<u8>,
        (gap, closed_to): (i64, i64),
        record: &Arrival<'_>,
        inputs: &[Input<'_>],
    ) -> Change {
        let (time, head) = (record.time_ms, record.key.len() + layout::VALUE_HEAD);
        let overlaps = |it: &Found| it.end > closed_to && it.start < time + gap && time < it.end;
        let first = layout::windows(copy, head).find(overlaps);
        if first.is_none() && time + gap <= closed_to {
            return Err(Added::Late);
        }
        let mut session = match first {
            Some(first) => first,
            None => {
                let next = layout::windows(copy, head).find(|it| it.start > time);
                let place = next.map_or(copy.len(), |it| it.at);
                layout::insert(copy, place, (time, time + gap), &self.plan)
            }
        };
        let start = session.start;
        session.start = session.start.min(time);
        session.end = session.end.max(time + gap);
        // Sessions do not overlap, so those that now do stand behind the first.
        while let Some(next) = layout::windows(copy, session.behind()).next().filter(overlaps) {
            self.merge(copy, &mut session, next);
        }
        let age = session.end - session.start;
        if self.rules.max_age_ms.is_some_and(|it| age > it) {
            return FULL(Refusal::MaxAge);
        }
        if first.is_none() || session.start != start {
            self.wanted.push((session.end, session.start));
        }
        self.count_one(copy, session, record, inputs);
        Ok(())
    }

    fn merge(&mut self, copy: &mut Vec<u8>, session: &mut Found, next: Found) {
        let before = copy.len();
        self.behind.clear();
        self.behind.extend_from_slice(&copy[next.at..]);
        copy.truncate(next.at);
        let (other, rest) = self.behind.split_at(next.len);
        self.plan.merge(copy, session.aggregates(), &other[WINDOW_HEAD..]);
        copy.extend_from_slice(rest);
        session.len += copy.len() + next.len - before;
        session.records += next.records;
        session.end = session.end.max(next.end);
    }

    /// The last window of a key is the one that is not full.
    fn count_in_count(
        &mut self,
        copy: &mut Vec<u8>,
        closed_to: i64,
        record: &Arrival<'_>,
        inputs: &[Input<'_>],
    ) -> Change {
        let Kind::Count { size } = self.rules.kind else { unreachable!("the kind was judged") };
        let (time, head) = (record.time_ms, record.key.len() + layout::VALUE_HEAD);
        let due = |start: i64| self.rules.max_age_ms.map(|age| start + age);
        let is_over =
            |it: &Found| it.records >= size || due(it.start).is_some_and(|due| due <= closed_to);
        let open = layout::windows(copy, head).last().filter(|it| !is_over(it));
        let mut window = match open {
            Some(open) => open,
            None => {
                let end = copy.len();
                layout::insert(copy, end, (time, time), &self.plan)
            }
        };
        window.start = window.start.min(time);
        window.end = window.end.max(time);
        if open.is_none_or(|it| it.start != window.start) {
            self.wanted.extend(due(window.start).map(|due| (due, window.start)));
        }
        self.count_one(copy, window, record, inputs);
        Ok(())
    }

    /// Remembers a count window that the last record made full.
    fn note_full(&mut self, id: u32) {
        let Kind::Count { size } = self.rules.kind else { return };
        let last = layout::windows(self.keys.get(id), self.keys.head(id)).last();
        if last.is_some_and(|it| it.records == size) {
            self.full.push_back(id);
        }
    }

    pub(super) fn push_timer(&mut self, id: u32, due: i64, start: i64) {
        let timer = Timer { due, start, prefix: self.keys.prefix(id), entry: id };
        self.keys.add_timer(id);
        self.timers.push(timer, |one, other| self.keys.order(one, other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_that_contain_a_time_and_are_open() {
        for (size, advance) in [(10, 10), (10, 5), (10, 3), (10, 1), (7, 4)] {
            for time in -30..30 {
                for closed_to in -40..40 {
                    let naive: Vec<(i64, i64)> = (-100..100)
                        .map(|it| (it * advance, it * advance + size))
                        .filter(|(start, end)| *start <= time && time < *end && *end > closed_to)
                        .collect();
                    let spans = Spans::containing(time, size, advance, closed_to);
                    assert_eq!(spans.collect::<Vec<_>>(), naive, "{time} by {size}, {advance}");
                }
            }
        }
        let spans = Spans::containing(5, 10, 10, i64::MIN);
        assert_eq!(spans.collect::<Vec<_>>(), [(0, 10)]);
    }
}

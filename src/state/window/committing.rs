//! Commits: which entries are written and deleted, what a restart finds, and going back.

use super::{
    super::{Change, Mark, RestoreError},
    Kind, Windows, layout,
};
use crate::limits::{STATE_DELETIONS_MAX, STATE_ENTRY_BYTES_MAX};

/// So many entries before one is written, what is known of it, and its bytes, are asked for.
const ENTRY_AHEAD: usize = 32;
const BYTES_AHEAD: usize = 16;

/// The last confirmed commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmed {
    position: i64,
    watermark: i64,
    /// For the idle: the largest time, and when the last record came.
    latest: i64,
    last_arrival: i64,
}

impl Default for Confirmed {
    fn default() -> Confirmed {
        let none = Mark::NONE.0;
        Confirmed { position: 0, watermark: none, latest: none, last_arrival: 0 }
    }
}

/// A commit under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    /// What is confirmed with it, but for the idle.
    point: Confirmed,
    /// Where it is to move because nothing came.
    idle: Option<i64>,
    /// So many changed entries are written.
    written: usize,
    /// So many entries without windows are looked at.
    looked_at: usize,
    is_drained: bool,
}

impl Windows {
    /// Puts back an entry as `next_change` gave it; before `start`, each key's last one last. One
    /// that counts further than a later one stays: that one is of an owner that had lost the
    /// partition.
    ///
    /// # Errors
    ///
    /// If it is not of this configuration, or there are too many.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RestoreError> {
        let tag = self.keys.tag(key);
        let found = self.keys.find(tag, key);
        let Some(value) = value else {
            found.into_iter().for_each(|id| self.keys.remove(id));
            return Ok(());
        };
        let is_short = key.len() + value.len() <= STATE_ENTRY_BYTES_MAX;
        if !is_short || !layout::is_sound(value, &self.plan) {
            return Err(RestoreError::Value);
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(key);
        self.scratch.extend_from_slice(value);
        match found {
            Some(id) if self.keys.offset(id) > layout::offset(value) => {}
            Some(id) => self.keys.put(id, &self.scratch),
            None if self.keys.has_room() => {
                self.keys.insert(tag, key.len(), &self.scratch);
            }
            None => return Err(RestoreError::TooMany(self.keys.count())),
        }
        Ok(())
    }

    /// Says, before `start`, that all entries are there of a commit of that position and mark,
    /// whether or not it was made: a record below that comes again is in them already, or never
    /// counted.
    pub fn complete_to(&mut self, position: i64, mark: Mark) {
        if position >= self.complete.0 {
            self.complete = (position, mark);
        }
    }

    /// What a commit of that position and mark says for `complete_to`: it may be further already.
    pub fn completion(&self, position: i64, mark: Mark) -> (i64, Mark) {
        if position >= self.complete.0 { (position, mark) } else { self.complete }
    }

    /// From that position on records are offered; `mark` is the last confirmed commit's, and
    /// `now_ms` the turn's time, in milliseconds since the epoch.
    pub fn start(&mut self, position: i64, mark: Mark, now_ms: i64) {
        (self.watermark, self.last_offset) = (mark.0, position - 1);
        self.latest = mark.0.saturating_add(self.rules.lateness_ms);
        self.last_arrival = now_ms;
        self.confirmed = self.point(position);
        if self.complete.0 > position {
            self.watermark = self.watermark.max(self.complete.1.0);
            self.latest = self.latest.max(self.watermark.saturating_add(self.rules.lateness_ms));
        }
        let mut ids: Vec<u32> = self.keys.ids().collect();
        if matches!(self.rules.kind, Kind::Count { .. }) {
            // In the order in which windows became full, if each entry was written as it did.
            ids.sort_by(|one, other| {
                let offsets = self.keys.offset(*one).cmp(&self.keys.offset(*other));
                offsets.then_with(|| self.keys.order(*one, *other))
            });
        }
        self.timers.reserve(ids.len());
        ids.into_iter().for_each(|id| self.note_windows(id));
    }

    fn point(&self, position: i64) -> Confirmed {
        let Windows { watermark, latest, last_arrival, .. } = *self;
        Confirmed { position, watermark, latest, last_arrival }
    }

    /// Makes timers for what an entry has.
    fn note_windows(&mut self, id: u32) {
        let (kind, max_age) = (self.rules.kind, self.rules.max_age_ms);
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.clear();
        for window in layout::windows(self.keys.get(id), self.keys.head(id)) {
            match kind {
                Kind::Count { size } if window.records >= size => self.full.push_back(id),
                Kind::Count { .. } => {
                    wanted.extend(max_age.map(|age| (window.start + age, window.start)));
                }
                _ => wanted.push((window.end, window.start)),
            }
        }
        wanted.drain(..).for_each(|(due, start)| self.push_timer(id, due, start));
        self.wanted = wanted;
        self.note_empty(id);
    }

    /// Where the watermark is to move, if nothing came for long enough.
    fn idle_watermark(&self, at_end_ms: Option<i64>) -> Option<i64> {
        let silence = at_end_ms?.saturating_sub(self.last_arrival);
        let is_idle = self.rules.idle_ms.is_some_and(|it| silence >= it);
        let moved = self.latest.saturating_add(silence) - self.rules.lateness_ms;
        let has_begun = self.watermark != Mark::NONE.0;
        Some(moved).filter(|it| is_idle && has_begun && *it > self.watermark)
    }

    /// There is something to write, or the watermark of an idle partition would close a window. For
    /// `at_end_ms` see `begin_commit`.
    pub fn wants_commit(&self, at_end_ms: Option<i64>) -> bool {
        let first = self.timers.first();
        let closes = |watermark: i64| first.is_some_and(|it| it.due <= watermark);
        let is_free = self.draining.is_none();
        let has_empties = !self.empties.is_empty() && !self.is_stalled;
        let is_wanted = self.undo.has_changes() || has_empties;
        is_free && (is_wanted || self.idle_watermark(at_end_ms).is_some_and(closes))
    }

    /// Begins a commit of all records before that position; the mark belongs to it. `at_end_ms` is
    /// the turn's time, in milliseconds since the epoch, if the partition is read to its end, and
    /// else `None`: where records are known to be on their way a partition is not idle.
    ///
    /// # Panics
    ///
    /// If another is under way, a record is left out, or updates are not taken.
    pub fn begin_commit(&mut self, position: i64, at_end_ms: Option<i64>) -> Mark {
        assert!(self.draining.is_none(), "one commit at a time");
        assert!(position > self.last_offset, "position {position} leaves out a record");
        assert!(self.updates.is_empty(), "updates are taken before a commit begins");
        let (point, idle) = (self.point(position), self.idle_watermark(at_end_ms));
        let draining = Draining { point, idle, written: 0, looked_at: 0, is_drained: false };
        self.draining = Some(draining);
        self.undo.begin_commit();
        Mark(idle.unwrap_or(self.watermark))
    }

    pub(super) fn has_changes(&self) -> bool {
        self.draining.is_some_and(|it| !it.is_drained)
    }

    /// No record is taken before the commit under way is drained, or, where it moves the watermark
    /// by itself, confirmed.
    pub fn is_held(&self) -> bool {
        self.draining.is_some_and(|it| !it.is_drained || it.idle.is_some())
    }

    /// The next entry that the commit writes; `None` once there are no more. Records are offered
    /// and results taken again only then.
    pub fn next_change(&mut self) -> Option<Change<'_>> {
        let mut draining = self.draining.filter(|it| !it.is_drained)?;
        if let Some(id) = self.undo.drained(draining.written) {
            self.prefetch_drained(draining.written);
            draining.written += 1;
            self.draining = Some(draining);
            let value = self.keys.value_mut(id);
            // Every record before the position is settled, whether it counts here or not.
            let settled_to = draining.point.position - 1;
            layout::set_offset(value, layout::offset(value).max(settled_to));
            layout::set_closed_to(value, layout::closed_to(value).max(draining.point.watermark));
            self.lent = (id, true);
            return Some(self.last_change());
        }
        let deleted = self.next_deleted(&mut draining);
        draining.is_drained = deleted.is_none();
        self.draining = Some(draining);
        let id = deleted?;
        self.buried.push(id);
        self.lent = (id, false);
        Some(self.last_change())
    }

    /// Asks for what the commit writes next but some.
    #[inline]
    fn prefetch_drained(&self, written: usize) {
        if let Some(id) = self.undo.drained(written + ENTRY_AHEAD) {
            self.keys.prefetch_entry(id);
        }
        if let Some(id) = self.undo.drained(written + BYTES_AHEAD) {
            self.keys.prefetch_block(id);
        }
    }

    /// The change that `next_change` gave last, once more.
    pub fn last_change(&self) -> Change<'_> {
        let (id, is_written) = self.lent;
        let (key, value) = (self.keys.key(id), self.keys.value(id));
        Change { key, value: is_written.then_some(value), counts_to: layout::offset(value) }
    }

    /// An entry may go if a restart from the last confirmed commit decides the same without it.
    fn next_deleted(&mut self, draining: &mut Draining) -> Option<u32> {
        while draining.looked_at < self.empties.len() {
            if self.buried.len() >= STATE_DELETIONS_MAX {
                return None;
            }
            let id = self.empties[draining.looked_at];
            if self.keys.is_open(id) {
                self.unlist(draining.looked_at);
                continue;
            }
            let value = self.keys.value(id);
            let is_written = self.keys.changed_in(id) + 1 == self.undo.current();
            let is_passed = layout::offset(value) < self.confirmed.position
                && layout::closed_to(value) <= self.confirmed.watermark;
            if is_passed && !is_written {
                self.unlist(draining.looked_at);
                return Some(id);
            }
            draining.looked_at += 1;
        }
        None
    }

    fn unlist(&mut self, at: usize) {
        let id = self.empties.swap_remove(at);
        self.keys.set_listed(id, false);
    }

    /// The commit is confirmed: entries, position and mark are safe.
    ///
    /// # Panics
    ///
    /// If none was begun and drained.
    pub fn committed(&mut self) {
        let draining = self.draining.take().filter(|it| it.is_drained);
        let draining = draining.expect("a commit was begun and drained before it is confirmed");
        self.undo.committed();
        let watermark = draining.idle.unwrap_or(draining.point.watermark);
        let is_further = draining.point.position != self.confirmed.position
            || watermark != self.confirmed.watermark;
        // From the same point the same are kept.
        self.is_stalled = self.buried.is_empty() && !is_further;
        while let Some(id) = self.buried.pop() {
            // It may have windows again, or have had some since.
            if self.keys.changed_in(id) != self.undo.current() {
                self.keys.remove(id);
            }
        }
        self.watermark = self.watermark.max(watermark);
        self.confirmed = Confirmed { watermark, ..draining.point };
    }

    /// Everything is as the last confirmed commit left it, and its position's record comes next.
    pub fn roll_back(&mut self) {
        (self.draining, self.is_stalled) = (None, false);
        self.updates.clear();
        let mut undo = std::mem::take(&mut self.undo);
        let mut changed = Vec::new();
        undo.undo(|id, before| match before {
            Some(bytes) => {
                self.keys.put(id, bytes);
                changed.push(id);
            }
            None => self.keys.remove(id),
        });
        self.undo = undo;
        self.lay_down();
        self.full.retain(|id| !self.keys.is_gone(*id));
        self.empties.retain(|id| !self.keys.is_gone(*id));
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|id| !self.keys.is_gone(*id));
        changed.into_iter().for_each(|id| self.note_windows(id));
        while let Some(id) = self.buried.pop() {
            self.note_empty(id);
        }
        let Confirmed { position, watermark, latest, last_arrival } = self.confirmed;
        (self.watermark, self.latest) = (watermark, latest);
        (self.last_arrival, self.last_offset) = (last_arrival, position - 1);
    }
}

//! Results: the updates of the last record, then windows that are full or due, one at a time.
//!
//! A window is due as soon as the watermark says so, whether its result was taken or not: no record
//! goes into it any more. So the work of a turn is bounded by how many results it takes.

use super::{
    Kind, Update, WindowResult, Windows,
    layout::{self, Found},
    timers::Timer,
};

/// What a result is of, and where it is known from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Offer {
    /// The first of the updates.
    Update,
    /// The first of the full count windows.
    Full(u32, Found),
    /// The window of the timer in hand.
    Due(u32, Found),
}

impl Windows {
    /// Takes the next result, if there is one. None comes while a commit's changes are drained.
    pub fn next_result(&mut self) -> Option<WindowResult<'_>> {
        let (offer, (entry, window)) = self.find_result()?;
        self.take_offered(offer);
        Some(self.result(entry, window, !matches!(offer, Offer::Update)))
    }

    /// The next result, if there is one, which is the next one again unless `take_result` follows.
    pub fn offer_result(&mut self) -> Option<WindowResult<'_>> {
        let (offer, (entry, window)) = self.find_result()?;
        self.offer = Some(offer);
        Some(self.result(entry, window, !matches!(offer, Offer::Update)))
    }

    /// Takes what `offer_result` gave just now.
    ///
    /// # Panics
    ///
    /// If it gave nothing.
    pub fn take_result(&mut self) {
        let offer = self.offer.take().expect("a result was offered");
        self.take_offered(offer);
    }

    fn find_result(&mut self) -> Option<(Offer, (u32, Found))> {
        if self.has_changes() {
            return None;
        }
        let (offer, of) = if let Some(&Update { entry, start, end }) = self.updates.front() {
            // Of windows with the same bounds, as those by count may have, the last was changed.
            let (bytes, head) = (self.keys.get(entry), self.keys.head(entry));
            let is_it = |it: &Found| (it.start, it.end) == (start, end);
            let found = layout::windows(bytes, head).filter(is_it).last();
            let found = found.expect("an update is taken before anything else happens");
            (Offer::Update, (entry, found))
        } else if let Some((entry, found)) = self.next_full() {
            (Offer::Full(entry, found), (entry, found))
        } else {
            let (entry, found) = self.next_due()?;
            (Offer::Due(entry, found), (entry, found))
        };
        self.render(of.0, of.1);
        Some((offer, of))
    }

    fn take_offered(&mut self, offer: Offer) {
        match offer {
            Offer::Update => _ = self.updates.pop_front(),
            Offer::Full(entry, window) => {
                self.full.pop_front();
                self.close(entry, window);
            }
            Offer::Due(entry, window) => {
                self.in_hand = None;
                self.keys.drop_timer(entry);
                self.close(entry, window);
            }
        }
    }

    /// Some window is to be closed.
    pub fn has_due(&self) -> bool {
        let is_due = self.timers.first().is_some_and(|it| it.due <= self.watermark);
        is_due || self.in_hand.is_some() || !self.full.is_empty()
    }

    /// What was rendered.
    fn result(&self, entry: u32, window: Found, is_final: bool) -> WindowResult<'_> {
        let Found { start, end, .. } = window;
        let key = self.keys.key(entry);
        WindowResult { key, start_ms: start, end_ms: end, is_final, values: &self.values }
    }

    fn render(&mut self, entry: u32, window: Found) {
        self.values.json.clear();
        self.values.ends.clear();
        let aggregates = &self.keys.get(entry)[window.aggregates()..window.behind()];
        let (json, ends) = (&mut self.values.json, &mut self.values.ends);
        self.plan.write(aggregates, window.records, json, ends);
    }

    fn next_full(&mut self) -> Option<(u32, Found)> {
        let Kind::Count { size } = self.rules.kind else { return None };
        while let Some(&id) = self.full.front() {
            let mut windows = layout::windows(self.keys.get(id), self.keys.head(id));
            if let Some(found) = windows.find(|it| it.records == size) {
                return Some((id, found));
            }
            self.full.pop_front();
        }
        None
    }

    /// The window stays in hand until its result is taken.
    fn next_due(&mut self) -> Option<(u32, Found)> {
        while let Some(timer) = self.in_hand.take().or_else(|| self.next_timer()) {
            if let Some(due) = self.due_window(timer) {
                self.in_hand = Some(timer);
                return Some(due);
            }
            self.keys.drop_timer(timer.entry);
        }
        None
    }

    fn next_timer(&mut self) -> Option<Timer> {
        let timer = self.timers.first().filter(|it| it.due <= self.watermark)?;
        self.timers.pop(|one, other| self.keys.order(one, other));
        Some(timer)
    }

    /// A timer that is in hand while everything goes back is as if it had not been taken.
    pub(super) fn lay_down(&mut self) {
        self.offer = None;
        if let Some(Timer { due, start, entry, .. }) = self.in_hand.take() {
            let is_gone = self.keys.is_gone(entry);
            if !is_gone {
                self.push_timer(entry, due, start);
            }
            self.keys.drop_timer(entry);
        }
    }

    /// The timer's window, if it is there and due. One that is due later has another timer then.
    fn due_window(&mut self, timer: Timer) -> Option<(u32, Found)> {
        let id = timer.entry;
        if self.keys.is_gone(id) {
            return None;
        }
        let mut windows = layout::windows(self.keys.get(id), self.keys.head(id));
        let found = match self.rules.kind {
            Kind::Session { .. } => windows.find(|it| (it.start..it.end).contains(&timer.start)),
            Kind::Count { size } => windows.find(|it| it.start == timer.start && it.records < size),
            Kind::Tumbling { .. } | Kind::Hopping { .. } => {
                windows.find(|it| it.start == timer.start)
            }
        }?;
        let has_grown = (found.start, found.end) != (timer.start, timer.due);
        if matches!(self.rules.kind, Kind::Session { .. }) && has_grown {
            self.push_timer(id, found.end, found.start);
            return None;
        }
        Some((id, found))
    }

    fn close(&mut self, id: u32, window: Found) {
        let entry = self.undo.keep(&mut self.keys, id);
        self.scratch.clear();
        self.scratch.extend_from_slice(entry);
        layout::remove(&mut self.scratch, window);
        self.keys.put(id, &self.scratch);
        self.note_empty(id);
    }

    /// An entry without windows is to be deleted one day.
    pub(super) fn note_empty(&mut self, id: u32) {
        if !self.keys.is_open(id) && !self.keys.set_listed(id, true) {
            self.empties.push(id);
        }
    }
}

//! What a key held and when, as its writer knows it, and whether an answer can have been true.
//!
//! A writer knows a change only by an interval: it took effect between the sending of the command
//! and the arrival of its reply, or perhaps never if the reply was lost. An answer that is true as
//! of a time is a lie if no change that gives it can have been the last one at that time or later.
//! Where the order of two changes is not known both may have been the last: the checker then
//! believes the copy. So what it calls a lie is one.

use std::{fmt, time::Duration};

/// Nanoseconds since the run began.
pub(crate) type Nanos = u64;

/// The number that a value carries; `None` where a lookup finds nothing.
pub(crate) type Version = Option<u64>;

/// A copy may let a key go as early as the longest round trip before it expires: it counts the rest
/// of a key's time from when it asked for it.
const EXPIRES_EARLY: Duration = Duration::from_millis(1100);

/// Redis counts in milliseconds, and so does whoever waits for one.
const EXPIRES_LATE: Duration = Duration::from_millis(5);

/// Some moment between two known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) begun: Nanos,
    pub(crate) done: Nanos,
}

impl Window {
    /// When a key goes that was given that time to live in this window.
    pub(crate) fn expiry(self, time_to_live: Duration) -> Window {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap();
        let begun = (self.begun + nanos(time_to_live)).saturating_sub(nanos(EXPIRES_EARLY));
        Window { begun, done: self.done + nanos(time_to_live) + nanos(EXPIRES_LATE) }
    }
}

/// From some moment of a window on, the key held that.
#[derive(Clone, Copy)]
struct Change {
    holds: Version,
    window: Window,
    /// It did happen.
    is_certain: bool,
}

/// All that may matter of one key.
#[derive(Clone)]
pub(crate) struct History {
    changes: Vec<Change>,
    /// Changes to nothing that happen by themselves, unless a later command forestalls them.
    expiries: Vec<Change>,
    /// What the key holds if it is there.
    version: Version,
    /// False after a command whose reply was lost.
    is_sure: bool,
}

impl History {
    /// A key that never was.
    pub(crate) fn new() -> History {
        let window = Window { begun: 0, done: 0 };
        let never = Change { holds: None, window, is_certain: true };
        History { changes: vec![never], expiries: Vec::new(), version: None, is_sure: true }
    }

    /// What the key holds if it is there; `None` if only a `SET` or a `DEL` makes that known.
    pub(crate) fn belief(&self) -> Option<Version> {
        Some(self.version).filter(|_| self.is_sure)
    }

    /// When it expires, if it does and is there.
    pub(crate) fn expiry(&self) -> Option<Window> {
        self.expiries.last().map(|expiry| expiry.window)
    }

    /// The key's owner wrote it.
    pub(crate) fn write(&mut self, holds: Version, window: Window, expiry: Option<Window>) {
        self.forestall(window.begun);
        self.changes.push(Change { holds, window, is_certain: true });
        let expiry = expiry.map(|window| Change { holds: None, window, is_certain: true });
        self.expiries = Vec::from_iter(expiry);
        (self.version, self.is_sure) = (holds, true);
    }

    /// The owner's command did not change the value, only when it goes.
    pub(crate) fn retime(&mut self, window: Window, expiry: Option<Window>) {
        self.write(self.version, window, expiry);
    }

    /// The owner wrote it and got no answer: it has been written, or never will be.
    pub(crate) fn perhaps(&mut self, holds: Version, window: Window, expiry: Option<Window>) {
        self.changes.push(Change { holds, window, is_certain: false });
        self.expiries.iter_mut().for_each(|it| it.is_certain &= it.window.done < window.begun);
        let expiry = expiry.map(|window| Change { holds: None, window, is_certain: false });
        self.expiries.extend(expiry);
        self.is_sure = false;
    }

    /// Someone emptied the database.
    pub(crate) fn flush(&mut self, window: Window, is_certain: bool) {
        self.changes.push(Change { holds: None, window, is_certain });
    }

    /// A new server answers in the place of one that was killed. Nothing was written meanwhile.
    pub(crate) fn restart(
        &mut self,
        killed: Nanos,
        launched: Window,
        restored: Option<(Version, Option<Window>)>,
    ) {
        self.expiries.iter_mut().for_each(|it| it.is_certain &= it.window.done < killed);
        let is_over = |expiry: &Window| expiry.done < launched.begun;
        let (version, expiry) =
            restored.filter(|it| !it.1.as_ref().is_some_and(is_over)).unwrap_or_default();
        self.write(version, launched, expiry);
    }

    /// Whether that answer, seen then, can have been true at `as_of` or later.
    pub(crate) fn allows(&self, answer: Version, as_of: Nanos, seen: Nanos) -> bool {
        let can_be_seen = |it: &&Change| it.holds == answer && it.window.begun <= seen;
        self.all().filter(can_be_seen).any(|it| !self.is_replaced(it, as_of))
    }

    /// Forgets what cannot be an answer any more that is true as of then or later.
    pub(crate) fn prune(&mut self, as_of: Nanos) {
        let kept = self.changes.iter().filter(|it| !self.is_replaced(it, as_of)).copied();
        self.changes = kept.collect();
    }

    /// In the order in which they were noted.
    fn all(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().chain(&self.expiries)
    }

    fn is_replaced(&self, change: &Change, as_of: Nanos) -> bool {
        let replaces = |it: &Change| {
            it.is_certain && it.window.begun > change.window.done && it.window.done <= as_of
        };
        self.all().any(replaces)
    }

    /// A command at that time ends what was to happen by itself. A copy that has not heard of the
    /// command lets the key go all the same, so that nothing may be seen until it has.
    fn forestall(&mut self, time: Nanos) {
        for expiry in self.expiries.drain(..) {
            let is_certain = expiry.is_certain && expiry.window.done < time;
            let done = expiry.window.done.min(time.saturating_sub(1));
            let window = Window { done, ..expiry.window };
            self.changes.push(Change { window, is_certain, ..expiry });
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { holds, window: Window { begun, done }, is_certain } in self.all() {
            let perhaps = if *is_certain { "" } else { ", perhaps" };
            writeln!(f, "  {holds:?} from {begun} to {done}{perhaps}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(begun: Nanos, done: Nanos) -> Window {
        Window { begun, done }
    }

    /// 1 at 10 to 20, 2 at 30 to 40, deleted at 50 to 60.
    fn history() -> History {
        let mut history = History::new();
        history.write(Some(1), window(10, 20), None);
        history.write(Some(2), window(30, 40), None);
        history.write(None, window(50, 60), None);
        history
    }

    #[test]
    fn an_answer_that_was_replaced_before_its_time_is_a_lie() {
        let history = history();
        for (answer, as_of, seen, is_true) in [
            (None, 0, 5, true),
            (Some(1), 0, 5, false),
            (Some(1), 5, 10, true),
            (None, 19, 25, true),
            (None, 20, 25, false),
            (Some(1), 39, 100, true),
            (Some(1), 40, 100, false),
            (Some(2), 45, 100, true),
            (Some(2), 60, 100, false),
            (None, 60, 100, true),
            (Some(3), 0, 100, false),
        ] {
            assert_eq!(history.allows(answer, as_of, seen), is_true, "{answer:?} as of {as_of}");
        }
    }

    #[test]
    fn what_may_have_happened_is_allowed_and_replaces_nothing() {
        let mut history = history();
        history.perhaps(Some(3), window(70, 80), None);
        assert!(history.allows(None, 90, 100) && history.allows(Some(3), 90, 100));
        assert_eq!(history.belief(), None);
        history.write(Some(4), window(100, 110), None);
        assert!(!history.allows(None, 110, 120) && !history.allows(Some(3), 110, 120));
        assert_eq!(history.belief(), Some(Some(4)));
        history.flush(window(105, 115), true);
        assert!(history.allows(None, 200, 200) && history.allows(Some(4), 200, 200));
    }

    #[test]
    fn a_key_goes_when_its_time_is_over_unless_it_is_written_again() {
        let mut history = history();
        history.write(Some(3), window(70, 80), Some(window(200, 210)));
        assert!(history.allows(Some(3), 209, 300) && !history.allows(Some(3), 210, 300));
        assert!(!history.allows(None, 150, 199) && history.allows(None, 150, 200));
        // The copy may not have heard of this yet at 200; later it has.
        history.retime(window(100, 110), None);
        assert!(history.allows(None, 109, 200) && !history.allows(None, 110, 200));
        assert!(history.allows(Some(3), 900, 900));
    }

    #[test]
    fn a_new_server_holds_what_its_snapshot_held() {
        let mut empty = history();
        empty.write(Some(3), window(70, 80), Some(window(150, 160)));
        let mut restored = empty.clone();
        empty.restart(100, window(110, 120), None);
        assert!(empty.allows(Some(3), 119, 130) && !empty.allows(Some(3), 120, 130));
        restored.restart(100, window(110, 120), Some((Some(1), None)));
        assert!(restored.allows(Some(1), 120, 130) && !restored.allows(Some(2), 120, 130));
        // As the copy knew it before it saw the new server.
        assert!(restored.allows(None, 100, 155) && !restored.allows(None, 120, 155));
    }

    #[test]
    fn only_what_can_be_an_answer_is_kept() {
        let mut history = history();
        history.prune(45);
        assert_eq!(history.changes.len(), 2);
        assert!(history.allows(Some(2), 45, 100) && history.allows(None, 60, 100));
        history.prune(60);
        assert_eq!(history.changes.len(), 1);
    }
}

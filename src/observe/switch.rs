//! What people ask of a running hot thread, and what it says back: a few words of memory.
//!
//! Who asks writes a word and wakes the thread. The hot thread reads that word once a turn, acts,
//! and writes which one it has heard: so an answer can say what is, not what was asked for. On its
//! side nothing here locks, waits or allocates.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use crate::observe::PauseCause;

/// Asks a thread that sleeps to take its next turn.
type Waker = Box<dyn Fn() + Send + Sync>;

/// All that was asked so far, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked(u64);

impl Asked {
    const PAUSED: u64 = 1;
    const RESUME: u64 = 2;

    /// True if the last one who asked wanted a pause.
    pub fn is_paused(self) -> bool {
        self.0 & Asked::PAUSED != 0
    }

    /// How often somebody wanted the run to go on.
    pub fn resumes(self) -> u64 {
        self.0 / Asked::RESUME
    }

    fn paused(self) -> Asked {
        Asked(self.0 | Asked::PAUSED)
    }

    fn resumed(self) -> Asked {
        Asked((self.0 & !Asked::PAUSED).wrapping_add(Asked::RESUME))
    }
}

/// Shared by those who ask and the hot thread.
#[derive(Default)]
pub struct Switch {
    asked: AtomicU64,
    /// The last word that was acted upon, and the causes that held then, as bits.
    heard: AtomicU64,
    causes: AtomicU64,
    /// The rejected among the settled that the breaker looks at, in the upper half, and those.
    rejected: AtomicU64,
    waker: OnceLock<Waker>,
}

impl Switch {
    /// Asks for a pause, again or for the first time.
    pub fn pause(&self) -> Asked {
        self.ask(Asked::paused)
    }

    /// Asks the run to go on.
    pub fn resume(&self) -> Asked {
        self.ask(Asked::resumed)
    }

    fn ask(&self, change: impl Fn(Asked) -> Asked) -> Asked {
        let next = |word| Some(change(Asked(word)).0);
        let before = self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let (Ok(before) | Err(before)) = before;
        if let Some(wake) = self.waker.get() {
            wake();
        }
        change(Asked(before))
    }

    /// What ends the hot thread's sleep. Only the first is kept: there is one hot thread.
    pub fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        // Asked before: it is heard in the first turn.
        let _ = self.waker.set(Box::new(wake));
    }

    /// What was asked so far.
    #[inline]
    pub fn asked(&self) -> Asked {
        Asked(self.asked.load(Ordering::Relaxed))
    }

    /// The hot thread has acted on this, and is paused for these causes.
    pub fn hear(&self, asked: Asked, causes: impl Iterator<Item = PauseCause>) {
        let bits = causes.fold(0, |bits, cause| bits | 1 << cause as u64);
        self.causes.store(bits, Ordering::Relaxed);
        self.heard.store(asked.0, Ordering::Release);
    }

    /// True if the hot thread has acted on this, or on something later.
    pub fn has_heard(&self, asked: Asked) -> bool {
        let heard = Asked(self.heard.load(Ordering::Acquire));
        heard == asked || heard == self.asked()
    }

    /// What the hot thread is paused for.
    pub fn causes(&self) -> impl Iterator<Item = PauseCause> {
        let bits = self.causes.load(Ordering::Relaxed);
        PauseCause::ALL.into_iter().filter(move |cause| bits & 1 << *cause as u64 != 0)
    }

    /// That many of those settled last were rejected.
    pub fn tell_rejected(&self, rejected: u32, settled: u32) {
        let word = u64::from(rejected) << u32::BITS | u64::from(settled);
        self.rejected.store(word, Ordering::Relaxed);
    }

    /// The share of rejected records among those settled last; zero before there are any.
    pub fn rejected_ratio(&self) -> f64 {
        let word = self.rejected.load(Ordering::Relaxed);
        let (rejected, settled) = (word >> u32::BITS, word & u64::from(u32::MAX));
        if settled == 0 { 0.0 } else { rejected as f64 / settled as f64 }
    }
}

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switch").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use super::*;

    #[test]
    fn asking_is_idempotent_wakes_and_is_heard() {
        let (switch, woken) = (Switch::default(), Arc::new(AtomicUsize::new(0)));
        assert!(switch.has_heard(Asked::default()), "nobody asked for anything");
        let count = Arc::clone(&woken);
        switch.wake_with(move || _ = count.fetch_add(1, Ordering::Relaxed));
        let first = switch.pause();
        assert_eq!((first, first.is_paused()), (switch.pause(), true));
        assert!(!switch.has_heard(first));
        switch.hear(switch.asked(), [PauseCause::Asked, PauseCause::Breaker].into_iter());
        assert!(switch.has_heard(first));
        let causes: Vec<_> = switch.causes().collect();
        assert_eq!(causes, [PauseCause::Asked, PauseCause::Breaker]);

        let resumed = switch.resume();
        assert_eq!((resumed.is_paused(), resumed.resumes()), (false, 1));
        let again = switch.resume();
        assert_eq!(again.resumes(), 2, "each closes the breaker anew");
        switch.hear(switch.asked(), std::iter::empty());
        assert!(switch.has_heard(resumed) && switch.has_heard(again));
        assert_eq!((switch.causes().count(), woken.load(Ordering::Relaxed)), (0, 4));
    }

    #[test]
    fn the_ratio_is_zero_before_anything_is_settled() {
        let switch = Switch::default();
        assert_eq!(switch.rejected_ratio(), 0.0);
        switch.tell_rejected(250, 1_000);
        assert_eq!(switch.rejected_ratio(), 0.25);
    }
}

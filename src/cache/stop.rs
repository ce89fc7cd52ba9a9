//! How a side thread is told to end, and how it waits so that it hears of that at once.
//!
//! It is told when the hot thread is through, not when the process is asked to end: what is in
//! flight then is still finished, and may need the table.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// One side thread's flag.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Tells the thread; whoever calls it unparks it.
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once it was told.
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Waits that long, or less if told to end. To be called by the thread itself.
    pub(super) fn wait(&self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_asked() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_thread_is_told() {
        let stop = Stop::default();
        let waiting = stop.clone();
        let thread = thread::spawn(move || waiting.wait(Duration::from_secs(3600)));
        stop.ask();
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

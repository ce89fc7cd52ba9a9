//! How a side thread is told to end, and how it waits so that it hears of that at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The process's flag is seen within this time; a thread's own, with its unpark, at once.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_millis(50);

/// Two flags: one for the whole process, one for this thread.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    process: Arc<AtomicBool>,
    thread: Arc<AtomicBool>,
}

impl Stop {
    pub(super) fn new(process: Arc<AtomicBool>) -> Stop {
        Stop { process, thread: Arc::default() }
    }

    /// Tells this thread; whoever calls it unparks it.
    pub(super) fn ask(&self) {
        self.thread.store(true, Ordering::Release);
    }

    /// True once either was told.
    pub(super) fn is_asked(&self) -> bool {
        self.thread.load(Ordering::Acquire) || self.process.load(Ordering::Acquire)
    }

    /// Waits that long, or less if told to end. To be called by the thread itself.
    pub(super) fn wait(&self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_asked() {
                return;
            }
            thread::park_timeout(left.min(LOOK_AT_LEAST_EVERY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_process_or_the_thread_is_told() {
        let process = Arc::new(AtomicBool::new(false));
        for own in [true, false] {
            let stop = Stop::new(process.clone());
            let waiting = stop.clone();
            let thread = thread::spawn(move || waiting.wait(Duration::from_secs(3600)));
            if own {
                stop.ask();
                thread.thread().unpark();
            } else {
                process.store(true, Ordering::Release);
            }
            thread.join().unwrap();
        }
    }
}

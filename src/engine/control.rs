//! How another thread asks the hot thread to stop: one flag, read once a turn, and a wakeup.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::transport::{WaitSet, Waker, Wakeup, wait};

/// The hot thread's side.
#[derive(Debug)]
pub struct Control {
    stop: Arc<AtomicBool>,
    wakeup: Option<Wakeup>,
}

/// The other side.
#[derive(Debug)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

/// Both sides.
pub fn control() -> io::Result<(Stopper, Control)> {
    let (waker, wakeup) = wait::waker()?;
    let stop = Arc::new(AtomicBool::new(false));
    let control = Control { stop: Arc::clone(&stop), wakeup: Some(wakeup) };
    Ok((Stopper { stop, waker }, control))
}

impl Stopper {
    /// Asks for the end; asking again changes nothing.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Stopper {
    /// Ends the hot thread's sleep, where it sleeps, and asks for nothing.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

impl Control {
    /// A control that nobody holds the other side of: for engines that are stepped by hand.
    pub fn none() -> Control {
        Control { stop: Arc::new(AtomicBool::new(false)), wakeup: None }
    }

    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn wait_on(&self, set: &mut WaitSet) {
        if let Some(wakeup) = &self.wakeup {
            wakeup.wait_on(set);
        }
    }

    pub(crate) fn after_wait(&self) {
        if let Some(wakeup) = &self.wakeup {
            wakeup.clear();
        }
    }
}

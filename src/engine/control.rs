//! How another thread asks the hot thread to stop, or to pause: two words, read once a turn, and a
//! wakeup.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    observe::{PauseCause, Switch, switch::Asked},
    transport::{WaitSet, Waker, Wakeup, wait},
};

/// The hot thread's side.
#[derive(Debug)]
pub struct Control {
    stop: Arc<AtomicBool>,
    switch: Arc<Switch>,
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
    let switch = Arc::default();
    let control = Control { stop: Arc::clone(&stop), switch, wakeup: Some(wakeup) };
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
        let switch = Arc::default();
        Control { stop: Arc::new(AtomicBool::new(false)), switch, wakeup: None }
    }

    /// The same, with that switch for pauses.
    pub fn with_switch(self, switch: &Arc<Switch>) -> Control {
        Control { switch: Arc::clone(switch), ..self }
    }

    #[inline]
    pub(crate) fn asked(&self) -> Asked {
        self.switch.asked()
    }

    pub(crate) fn hear(&self, asked: Asked, causes: impl Iterator<Item = PauseCause>) {
        self.switch.hear(asked, causes);
    }

    pub(crate) fn tell_rejected(&self, rejected: u32, settled: u32) {
        self.switch.tell_rejected(rejected, settled);
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

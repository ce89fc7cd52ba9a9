//! What a parked thread waits for: file descriptors and a bound in time.
//!
//! The set is filled anew before each park and holds few descriptors, in place, so that parking
//! allocates nothing. Whoever added a descriptor drains it in its own next step.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// Descriptors in one set at most.
const DESCRIPTORS_MAX: usize = 8;

/// File descriptors that end a wait when they become readable.
#[derive(Clone, Copy)]
pub struct WaitSet {
    descriptors: [libc::pollfd; DESCRIPTORS_MAX],
    len: usize,
}

impl WaitSet {
    /// An empty set.
    pub fn new() -> WaitSet {
        let none = libc::pollfd { fd: -1, events: 0, revents: 0 };
        WaitSet { descriptors: [none; DESCRIPTORS_MAX], len: 0 }
    }

    /// Adds a descriptor that becomes readable when there is something to do.
    ///
    /// # Panics
    ///
    /// If more descriptors are added than the set holds, which is a fault in a transport.
    pub fn add(&mut self, descriptor: RawFd) {
        self.descriptors[self.len] =
            libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        self.len += 1;
    }

    /// Waits until a descriptor is readable, a signal arrives, or the time is over; rounds up to
    /// whole milliseconds. Returns true if a descriptor ended the wait.
    pub fn wait(&mut self, at_most: Duration) -> bool {
        let millis = at_most.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: the first `len` entries are initialised and belong to this set.
        let ready =
            unsafe { libc::poll(self.descriptors.as_mut_ptr(), self.len as libc::nfds_t, millis) };
        ready > 0
    }
}

impl Default for WaitSet {
    fn default() -> WaitSet {
        WaitSet::new()
    }
}

impl std::fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.descriptors[..self.len].iter().map(|it| it.fd)).finish()
    }
}

/// Ends a wait from another thread.
#[derive(Debug)]
pub struct Waker {
    sender: UnixStream,
}

/// The side of a `Waker` that waits.
#[derive(Debug)]
pub struct Wakeup {
    receiver: UnixStream,
}

/// A waker and what it wakes.
pub fn waker() -> io::Result<(Waker, Wakeup)> {
    let (sender, receiver) = UnixStream::pair()?;
    sender.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    Ok((Waker { sender }, Wakeup { receiver }))
}

impl Waker {
    /// Makes the present or the next wait end.
    pub fn wake(&self) {
        // A full socket is a wakeup that is already on its way.
        let _ = (&self.sender).write(&[1]);
    }
}

impl Wakeup {
    /// Adds itself to a wait.
    pub fn wait_on(&self, set: &mut WaitSet) {
        set.add(self.receiver.as_raw_fd());
    }

    /// Forgets wakeups of the past.
    pub fn clear(&self) {
        let mut bytes = [0; 16];
        while matches!((&self.receiver).read(&mut bytes), Ok(1..)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wakeup_ends_a_wait_once() {
        let (waker, wakeup) = waker().unwrap();
        let wait = |millis| {
            let mut set = WaitSet::new();
            wakeup.wait_on(&mut set);
            set.wait(Duration::from_millis(millis))
        };
        waker.wake();
        waker.wake();
        assert!(wait(10_000), "woken before the wait began");
        wakeup.clear();
        assert!(!wait(0));
    }
}

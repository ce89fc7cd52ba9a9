//! A side thread that makes connections, because names, logins and scripts may take their time.
//!
//! The hot thread asks for one and finds it some turns later in a queue of one place, ready to be
//! used: introduced, prepared, and never waiting. What goes wrong meanwhile lies in a queue beside
//! it. After a failure the thread pauses, each time twice as long, up to a bound.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;

use super::{
    address::{Address, Socket},
    dialog::Dialog,
    faults,
};
use crate::transport::{Trouble, WaitSet, Waker, Wakeup, wait};

const THREAD_NAME: &str = "hotspur-redis";

/// The pause after a failure: at first, and at most.
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Troubles that wait to be told; further ones are not.
const TROUBLES_MAX: usize = 8;

/// Between two looks of a thread that waits for the first connection.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is done with each new connection before it is handed over.
pub(super) type Prepare = Box<dyn FnMut(&mut Dialog) -> Result<(), Trouble> + Send>;

/// Makes connections to one server.
pub(super) struct Connector {
    shared: Arc<Shared>,
    wakeup: Wakeup,
    thread: Option<JoinHandle<()>>,
    /// The thread's side where there is no thread.
    side: Option<Side>,
}

struct Shared {
    is_wanted: AtomicBool,
    /// The last connection was of no use: a pause comes before the next one.
    rests: AtomicBool,
    is_ending: AtomicBool,
    made: ArrayQueue<Socket>,
    troubles: ArrayQueue<Trouble>,
    waker: Waker,
}

impl Connector {
    /// Starts the thread, which begins with the first connection at once.
    pub(super) fn start(
        peer: &'static str,
        address: &Address,
        prepare: Prepare,
    ) -> Result<Connector, Trouble> {
        let fault = |what: &str, error| {
            let trouble = faults::lost(peer, address, &format!("{what}: {error}"));
            Trouble { heals: false, ..trouble }
        };
        let (waker, wakeup) = wait::waker().map_err(|it| fault("a wake-up pipe", it))?;
        let shared = Arc::new(Shared {
            is_wanted: AtomicBool::new(true),
            rests: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            made: ArrayQueue::new(1),
            troubles: ArrayQueue::new(TROUBLES_MAX),
            waker,
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
        let side = Side { peer, address: address.clone(), prepare, shared: theirs };
        if address.is_in_process() {
            return Ok(Connector { shared, wakeup, thread: None, side: Some(side) });
        }
        let thread = thread.spawn(|| side.run()).map_err(|it| fault("a side thread", it))?;
        Ok(Connector { shared, wakeup, thread: Some(thread), side: None })
    }

    /// Waits for the first connection, no longer than `patience` and until the flag is true.
    pub(super) fn first(
        &mut self,
        patience: Duration,
        stop: &AtomicBool,
    ) -> Result<Option<Socket>, Trouble> {
        let deadline = Instant::now() + patience;
        let mut last = None;
        loop {
            if let Some(socket) = self.take() {
                return Ok(Some(socket));
            }
            while let Some(trouble) = self.next_trouble() {
                if !trouble.heals {
                    return Err(trouble);
                }
                last = Some(trouble);
            }
            match last {
                _ if stop.load(Ordering::Acquire) => return Ok(None),
                Some(trouble) if Instant::now() >= deadline => return Err(trouble),
                _ => thread::park_timeout(LOOK_EVERY),
            }
        }
    }

    /// The next connection is made after a pause, as after a failure.
    pub(super) fn rest(&self) {
        self.shared.rests.store(true, Ordering::Release);
    }

    /// Another connection is wanted. What was made before is dropped.
    pub(super) fn ask(&self) {
        self.shared.made.pop();
        self.shared.is_wanted.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// The connection that was asked for, once it is there.
    pub(super) fn take(&mut self) -> Option<Socket> {
        if let Some(side) = &mut self.side {
            side.step();
        }
        self.shared.made.pop()
    }

    /// What went wrong, oldest first.
    pub(super) fn next_trouble(&self) -> Option<Trouble> {
        self.shared.troubles.pop()
    }

    /// A connection that is made ends the wait.
    pub(super) fn wait_on(&self, set: &mut WaitSet) {
        self.wakeup.wait_on(set);
    }

    /// Forgets wake-ups of the past.
    pub(super) fn clear(&self) {
        self.wakeup.clear();
    }

    fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref().map(JoinHandle::thread)
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread() {
            thread.unpark();
        }
        // It waits for a server at most for as long as one question may take.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("wakeup", &self.wakeup).finish_non_exhaustive()
    }
}

/// The thread's own side.
struct Side {
    peer: &'static str,
    address: Address,
    prepare: Prepare,
    shared: Arc<Shared>,
}

impl Side {
    fn run(mut self) {
        let mut pause = BACKOFF;
        let mut is_useful = true;
        while !self.is_ending() {
            if self.shared.rests.swap(false, Ordering::AcqRel) {
                is_useful = false;
                self.rest(pause);
                pause = (2 * pause).min(BACKOFF_MAX);
            }
            match self.step() {
                None => thread::park(),
                Some(true) if std::mem::replace(&mut is_useful, true) => pause = BACKOFF,
                Some(true) => {}
                Some(false) => self.shared.rests.store(true, Ordering::Release),
            }
        }
    }

    /// Tries once to make what is wanted; whether there is a connection. `None` if none is wanted.
    fn step(&mut self) -> Option<bool> {
        if !self.shared.is_wanted.load(Ordering::Acquire) {
            return None;
        }
        let made = self.connect();
        let is_made = made.is_ok();
        match made {
            Ok(socket) => {
                // Before the connection is there: who takes it may ask for another.
                self.shared.is_wanted.store(false, Ordering::Release);
                let _ = self.shared.made.push(socket);
            }
            Err(trouble) => _ = self.shared.troubles.push(trouble),
        }
        self.shared.waker.wake();
        Some(is_made)
    }

    fn connect(&mut self) -> Result<Socket, Trouble> {
        let mut dialog = Dialog::open(self.peer, &self.address)?;
        (self.prepare)(&mut dialog)?;
        dialog.into_socket().map_err(|error| {
            let why = format!("its connection cannot be used: {error}");
            faults::lost(self.peer, &self.address, &why)
        })
    }

    fn rest(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while !self.is_ending() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn is_ending(&self) -> bool {
        self.shared.is_ending.load(Ordering::Acquire)
    }
}

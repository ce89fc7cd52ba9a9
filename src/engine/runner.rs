//! The hot thread: pins itself, makes its engine where it will use it, and turns until the end.
//!
//! A fault on it is never silent: with `panic = "abort"` the process ends at once with the message,
//! otherwise `HotThread::wait` raises the same panic on the thread that waits.

use std::{
    io,
    panic::resume_unwind,
    path::Path,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use super::{Ending, Engine, Phase, Process, idle::IdleStrategy};
use crate::{
    clock::Clock,
    host::{self, ThreadUsage},
    transport::{Sink, Source},
};

const THREAD_NAME: &str = "hotspur-hot";

/// The running hot thread.
#[derive(Debug)]
pub struct HotThread {
    thread: JoinHandle<(Ending, ThreadUsage)>,
    id: Option<u32>,
}

/// How the hot thread is to run.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Pinned to it, if there is one.
    pub core: Option<usize>,
    /// As a real-time thread.
    pub is_first: bool,
    /// What follows a turn without work.
    pub idle: IdleStrategy,
    /// Bytes of heap that it brings in before its first turn.
    pub prefault: usize,
}

/// Starts the hot thread. `make` runs there, and takes the memory.
///
/// # Errors
///
/// If the system refuses a thread.
///
/// # Panics
///
/// On the hot thread, if it cannot go to a core, or be real-time, though it could a moment ago.
pub fn start<C, S, K, P>(
    manner: Manner,
    make: impl FnOnce() -> Engine<C, S, K, P> + Send + 'static,
) -> io::Result<HotThread>
where
    C: Clock,
    S: Source,
    K: Sink,
    P: Process,
{
    let (identify, identity) = mpsc::channel();
    let thread = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        if let Some(core) = manner.core {
            host::pin_current(core).expect("the core was usable when it was chosen");
        }
        if manner.is_first {
            host::scheduling::run_first().expect("a thread had the right to when one tried");
        }
        let mut engine = make();
        host::memory::prefault_stack();
        host::memory::prefault_heap(manner.prefault);
        // The other side waits for this before it does anything else.
        let _ = identify.send(host::threads::current_id(Path::new("/")));
        let before = ThreadUsage::read();
        let ending = run(&mut engine, manner.idle);
        let usage = ThreadUsage::read().since(&before);
        engine.finish();
        (ending, usage)
    })?;
    Ok(HotThread { thread, id: identity.recv().ok().flatten() })
}

impl HotThread {
    /// The system's number of the thread, where it has one.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// True once it has ended, by itself or by a fault.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the run: how it ended, and what the thread used for its turns.
    ///
    /// # Panics
    ///
    /// If the hot thread did, with the same message.
    pub fn wait(self) -> (Ending, ThreadUsage) {
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Steps an engine until its run has ended.
pub fn run<C, S, K, P>(engine: &mut Engine<C, S, K, P>, strategy: IdleStrategy) -> Ending
where
    C: Clock,
    S: Source,
    K: Sink,
    P: Process,
{
    loop {
        let work = engine.turn();
        if let Phase::Ended(ending) = engine.phase() {
            return ending;
        }
        strategy.idle(work, engine);
    }
}

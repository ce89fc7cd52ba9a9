//! What a turn without work is followed by.

use std::{hint, thread, time::Duration};

use super::{Engine, Process};
use crate::{
    clock::Clock,
    transport::{Sink, Source, WaitSet},
};

/// How the hot thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleStrategy {
    /// The next turn at once: lowest latency, one core at 100 %.
    Spin,
    /// The same with a CPU hint, which leaves more to a sibling hyperthread.
    Pause,
    /// Gives the core to others that want it.
    Yield,
    /// Sleeps until the source signals, or housekeeping is due; a wake costs one hand-off.
    Park,
}

impl IdleStrategy {
    /// The name in files and figures.
    pub const fn name(self) -> &'static str {
        match self {
            IdleStrategy::Spin => "spin",
            IdleStrategy::Pause => "pause",
            IdleStrategy::Yield => "yield",
            IdleStrategy::Park => "park",
        }
    }

    /// Called after each turn with its work count.
    pub fn idle<C, S, K, P>(self, work: usize, engine: &mut Engine<C, S, K, P>)
    where
        C: Clock,
        S: Source,
        K: Sink,
        P: Process,
    {
        if work > 0 {
            return;
        }
        match self {
            IdleStrategy::Spin => {}
            IdleStrategy::Pause => hint::spin_loop(),
            IdleStrategy::Yield => thread::yield_now(),
            IdleStrategy::Park => {
                let mut set = WaitSet::new();
                engine.wait_on(&mut set);
                let at_most = engine.nanos_to_housekeeping();
                if at_most > 0 {
                    set.wait(Duration::from_nanos(at_most));
                    engine.after_wait();
                }
            }
        }
    }
}

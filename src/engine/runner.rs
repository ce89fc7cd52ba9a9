//! The hot thread's loop: turn, idle, until the run has ended.

use super::{Ending, Engine, Phase, Process, idle::IdleStrategy};
use crate::{
    clock::Clock,
    transport::{Sink, Source},
};

/// Steps an engine until its run has ended. Called on the thread that is to be the hot one, after
/// it was pinned.
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

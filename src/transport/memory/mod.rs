//! A source and a sink in memory, for simulations and benches: no threads, no time of their own.
//!
//! `Broker` is a scripted one: a test says when the group assigns and revokes, which results are
//! acknowledged in which order, which are refused, and how a commit ends; it survives a crash of
//! the engine that used it. `Replay` and `Discard` are the fast ones: prepared records lent over
//! and over, results acknowledged at the next turn, nothing allocated. `BrokerState` reads
//! state back from a `Broker`.

mod broker;
mod replay;
mod state;

pub use broker::{Broker, BrokerSink, BrokerSource, Stored, Written};
pub use replay::{Discard, Replay};
pub use state::BrokerState;

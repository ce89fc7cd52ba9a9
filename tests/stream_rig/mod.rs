//! What the simulation of streams steps: a server in memory, and workers on it that are the real
//! engine with the real transport, whose sockets alone are missing.

pub(crate) mod books;
pub(crate) mod data;
pub(crate) mod server;
pub(crate) mod simulation;
pub(crate) mod worker;

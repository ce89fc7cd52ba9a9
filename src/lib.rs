//! JSON from Kafka, enriched from Redis, back to Kafka, in microseconds, on one pinned thread.
//!
//! # Data path
//!
//! ```text
//! source → delivery ring → codec → pipeline → codec → sink     one turn, one thread
//!                                     ↑ cache ← Redis, files   side threads
//!                        measure → observe → files, logs, HTTP side threads
//! ```
//!
//! # Floors
//!
//! A file imports only from floors below its own, or from its own folder.
//! `tests/tidy.rs` reads this table and enforces it.
//!
//! ```text
//! 6  commands
//! 5  assemble
//! 4  engine
//! 3  pipeline delivery loadgen
//! 2  codec cache state transport host observe
//! 1  config measure record verdict
//! 0  clock limits
//! ```
//!
//! # Invariants
//!
//! - `clock`: nothing else reads a clock on the hot thread; ticks become nanoseconds here alone.
//! - `limits`: every fixed bound stands here, with a name; nothing here depends on a setting.
//! - `config`: after it, nobody sees raw text from a user; all its problems are told at once.
//! - `measure`: the hot thread writes plain memory; it never locks, allocates or formats.
//! - `record`, `verdict`: borrowed or `Copy`; they own no heap memory.
//! - `codec`: only `codec::tape` knows simd-json; the bytes that arrived are never altered.
//! - `cache`: a reader never waits for a writer. Only `cache` reads tables over the network.
//! - `state`: pure, one partition a store; it says what is to be written, and never writes it.
//! - `transport`: only `transport::kafka` knows librdkafka; nothing above sees its types.
//! - `host`: asks the system about cores and memory, and places threads; it never touches records.
//! - `observe`: what was measured becomes files, lines and pages; never on the hot thread.
//! - `pipeline`: pure. Record, tables and time in, verdict and results out.
//! - `delivery`: the only place that says when an offset may move.
//! - `loadgen`: knows when a record is due and what it says, never how it is sent.
//! - `engine`: after start it never allocates, locks, logs, blocks or reads wall time.
//! - `assemble`: the only place that names concrete sources, sinks and tables.
//! - `commands`: one file a command; a command line in, an exit status out.

pub mod clock;
pub mod limits;

pub mod config;
pub mod measure;
pub mod record;
pub mod verdict;

pub mod cache;
pub mod codec;
pub mod host;
pub mod observe;
pub mod state;
pub mod transport;

pub mod delivery;
pub mod loadgen;
pub mod pipeline;

pub mod engine;

pub mod assemble;
pub mod commands;

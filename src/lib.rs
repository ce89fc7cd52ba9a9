//! JSON from Kafka or Redis Streams, enriched from Redis, back to either, in microseconds, on one
//! pinned thread.
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
//! 0  clock limits prefetch
//! ```
//!
//! # Invariants
//!
//! - `clock`: nothing else reads a clock on the hot thread; ticks become nanoseconds here alone.
//! - `limits`: every fixed bound stands here, with a name; nothing here depends on a setting.
//! - `prefetch`: a hint to the CPU; nothing is decided by it.
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
//!
//! # Operators of one's own
//!
//! What no expression can say is said in Rust: a step's operator, registered under a name by a
//! `main` of one's own. The program is then `hotspur` with all its commands, and its
//! configuration knows the step.
//!
//! ```standalone_crate
//! # mod program {
//! use hotspur::operator::{Answer, Call, Expression, Operator, Path, RejectClass};
//!
//! /// Which square of a grid a position lies in.
//! struct Geo {
//!     lat: Expression,
//!     lon: Expression,
//!     into: Path,
//!     degrees: f64,
//! }
//!
//! impl Operator for Geo {
//!     fn apply(&mut self, call: &mut Call<'_>) -> Answer {
//!         let (lat, lon) = (call.number(self.lat)?, call.number(self.lon)?);
//!         if lat.abs() > 90.0 {
//!             return Err(call.reject(RejectClass::Schema, format_args!("{lat} is no latitude")));
//!         }
//!         let [row, column] = [lat, lon].map(|it| (it / self.degrees).floor());
//!         call.write(self.into, &format_args!("{row}:{column}"))
//!     }
//! }
//!
//! # pub
//! fn main() {
//!     hotspur::run(|steps| {
//!         steps.register("geo", |keys| {
//!             let (lat, lon) = (keys.expression("lat"), keys.expression("lon"));
//!             let (into, degrees) = (keys.path("into"), keys.number_or("degrees", 1.0));
//!             move |given| Ok(Geo { lat, lon, into, degrees: given.number(degrees) })
//!         });
//!     })
//! }
//! # }
//! # // Without arguments it is the test of the program that it is with some.
//! # fn main() {
//! #     if std::env::args().len() > 1 {
//! #         program::main();
//! #     }
//! #     let folder = tempfile::tempdir().unwrap();
//! #     let write = |name: &str, text: &str| {
//! #         let path = folder.path().join(name);
//! #         std::fs::write(&path, text).unwrap();
//! #         path
//! #     };
//! #     let configuration = r#"
//! #         source.kafka.topics = ["in"]
//! #         sink.kafka.topic = "out"
//! #         [[steps]]
//! #         when = "has(event.lat)"
//! #         geo = { lat = "event.lat", lon = "event.lon", into = "cell" }
//! #     "#;
//! #     write("hotspur.cases.toml", r#"
//! #         [[cases]]
//! #         name = "a position has its square, and what has none passes"
//! #         input = ['{"lat":48.2,"lon":-16.4}', '{"at":"sea"}', '{"lat":91,"lon":0}']
//! #         output = ['{"lat":48.2,"lon":-16.4,"cell":"48:-17"}', '{"at":"sea"}']
//! #         outcomes = ["emitted", "emitted", "rejected:schema"]
//! #     "#);
//! #     let mut program = std::process::Command::new(std::env::current_exe().unwrap());
//! #     let file = write("hotspur.toml", configuration);
//! #     let tested = program.arg("--config").arg(file).arg("test").status().unwrap();
//! #     assert_eq!(tested.code(), Some(0));
//! # }
//! ```
//!
//! ```toml
//! [[steps]]
//! when = "has(event.lat)"
//! geo = { lat = "event.lat", lon = "event.lon", into = "cell" }
//! ```
//!
//! [`operator::Keys`] is what an operator can take in a step, [`operator::Call`] what it sees and
//! does for a record, [`Operator`] what is asked of it. What a call lends ends with the call:
//!
//! ```compile_fail
//! # use hotspur::operator::{Answer, Call, Expression, Operator};
//! struct Keeps {
//!     name: Expression,
//!     last: &'static str,
//! }
//!
//! impl Operator for Keeps {
//!     fn apply(&mut self, call: &mut Call<'_>) -> Answer {
//!         self.last = call.text(self.name)?;
//!         Ok(())
//!     }
//! }
//! ```

use std::ffi::OsString;

pub use pipeline::operator::{self, Operator};

pub mod clock;
pub mod limits;
pub mod prefetch;

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

/// Runs the command line of this process as `hotspur` does, with the operators that `register`
/// brings along, and ends the process with the command's status.
///
/// # Panics
///
/// As [`operator::Registry::register`].
pub fn run(register: impl FnOnce(&mut operator::Registry)) -> ! {
    let exit = run_with_args(std::env::args_os(), register);
    std::process::exit(exit.status().into())
}

/// Runs a command line, of which the first argument is the program, with the operators that
/// `register` brings along.
///
/// # Panics
///
/// As [`operator::Registry::register`].
pub fn run_with_args<I, A>(
    arguments: I,
    register: impl FnOnce(&mut operator::Registry),
) -> commands::Exit
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let mut steps = operator::Registry::new();
    register(&mut steps);
    commands::main_with(arguments, steps.operators())
}

//! Redis Streams: the hot thread itself reads and writes the sockets.
//!
//! `RedisSource` is a consumer of a group, `PlainSource` reads without one, `RedisSink` adds
//! entries to streams. Each has connections of its own, made by a side thread (`connector`) and
//! used without waiting (`channel`); commands and replies are written and read in place (`resp`).
//! What looks at streams for other commands waits for its answers and is not for the hot thread:
//! `tail` listens, `pages` reads all, `once` writes what comes again only once, `admin` asks, and
//! `watch` says how far groups are.
//! Left out: TLS, and following a cluster or a sentinel.

mod address;
mod admin;
mod channel;
mod connector;
mod dialog;
mod entries;
mod entry;
mod entry_id;
mod facts;
mod faults;
mod form;
mod keeper;
mod object;
mod once;
mod pages;
mod plain;
mod positions;
mod replies;
mod resp;
mod sink;
mod source;
mod staged;
mod tail;
mod unacked;
mod watch;

pub use address::{Address, InProcess, Wire};
pub use admin::{GroupState, RedisAdmin};
pub use entry_id::EntryId;
pub use keeper::KeptPositions;
pub use object::fields_of;
pub use once::{EntryShape, NotAdded, OnceWriter, Recording};
pub use pages::StreamPages;
pub use plain::{Extent, PlainSource, PlainSourcePlan};
pub use positions::{Position, PositionFile};
pub use sink::{RedisSink, RedisSinkPlan};
pub use source::{Bounds, RedisSource, RedisSourcePlan, Way};
pub use staged::{StagedSink, Staging};
pub use tail::StreamTail;
pub use watch::{StreamFigures, StreamWatch, Watched};

//! Kafka through librdkafka's raw bindings: the only folder that knows that library.
//!
//! The hot thread polls queues with a timeout of zero and hands over bytes; librdkafka's threads
//! do the rest, on the cores that the creating thread may run on. Reading order: `native` (owners
//! of its objects), `client` with `interceptor` and `spinning`, `source` with `membership`,
//! `assignment`, `start`, `bounds`, `lookup`, `gap`, `offsets`, `ends`, `lag`, `lent` and
//! `arrivals`, then `sink` with `producer`, `fields`, `resend` and `acknowledgements`;
//! `transactional`, `transactions` and `outage` are of both. `state` reads back what steps keep.
//! `admin` and `rights` are for before a run, `reader`, `tail`, `atomic_writer` and `groups` for
//! commands that look at topics and copy records, `embedded` for demos and tests.
//!
//! What this does not do: the newer group protocol, subscriptions by pattern.

mod acknowledgements;
mod admin;
mod arrivals;
mod assignment;
mod atomic_writer;
mod batch_limit;
mod bounds;
mod client;
mod embedded;
mod ends;
mod faults;
mod fields;
mod gap;
mod groups;
mod interceptor;
mod lag;
mod lent;
mod lookup;
mod membership;
mod metadata;
mod native;
mod offsets;
mod outage;
mod partitions;
mod producer;
mod reader;
mod resend;
mod rights;
mod sink;
mod source;
mod spinning;
mod start;
mod state;
mod tail;
mod transactional;
mod transactions;
mod wake;

pub use admin::{KafkaAdmin, NewTopic, PartitionLag};
pub use atomic_writer::{AtomicWriter, NotWritten};
pub use client::property_problems;
pub use embedded::{EmbeddedKafka, Request, RequestError};
pub use lag::{Behind, LagBoard};
pub use reader::{Span, TopicReader};
pub use sink::KafkaSink;
pub use source::KafkaSource;
pub use spinning::{Spinning, SpinningGuard};
pub use state::{StatePlan, StateRestorer};
pub use tail::TopicTail;
pub use transactional::TransactionalProducer;

//! Kafka through librdkafka's raw bindings: the only folder that knows that library.
//!
//! The hot thread polls queues with a timeout of zero and hands over bytes; librdkafka's threads
//! do the rest, on the cores that the creating thread may run on. Reading order: `native` (owners
//! of its objects), `client` with `interceptor`, `source` with `membership`, `assignment`, `start`,
//! `gap`, `offsets`, `lent` and `arrivals`, then `sink` with `producer`, `fields`, `resend` and
//! `acknowledgements`; `outage` is of both. `admin` and `rights` are for before a run, `embedded`
//! for demos and tests.
//!
//! What this does not do: transactions, the newer group protocol, subscriptions by pattern.

mod acknowledgements;
mod admin;
mod arrivals;
mod assignment;
mod batch_limit;
mod client;
mod embedded;
mod faults;
mod fields;
mod gap;
mod interceptor;
mod lent;
mod membership;
mod metadata;
mod native;
mod offsets;
mod outage;
mod producer;
mod resend;
mod rights;
mod sink;
mod source;
mod start;
mod wake;

pub use admin::{KafkaAdmin, NewTopic, PartitionLag};
pub use client::property_problems;
pub use embedded::{EmbeddedKafka, Request, RequestError};
pub use sink::KafkaSink;
pub use source::KafkaSource;

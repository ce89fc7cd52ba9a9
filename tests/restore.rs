//! State read back from a real Kafka: which entries come, from where, and what stands in the way.
//!
//! The entries are written by plain producers; the test is the source that wants partitions and the
//! engine that takes what came.

#[path = "restore/log.rs"]
mod log;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;
#[path = "restore/rig.rs"]
mod rig;
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod support;

#[path = "restore/configurations.rs"]
mod configurations;
#[path = "restore/entries.rs"]
mod entries;
#[path = "restore/source.rs"]
mod source;
#[path = "restore/topic.rs"]
mod topic;
#[path = "restore/transactions.rs"]
mod transactions;
#[path = "restore/trouble.rs"]
mod trouble;

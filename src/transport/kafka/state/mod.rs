//! Reads state back from its topic, on a side thread, for partitions that were given to us.
//!
//! State of partition p of every source topic lies in partition p of the state topic. It is read
//! from the beginning to the end that stands when reading begins, by a client without a group that
//! sees committed records only. That end is the log's own, not that of what is committed: where an
//! earlier owner died in the middle of a commit, its transaction may count and still be marked so
//! in this partition a moment later, and whoever stopped before it would lose what it wrote. So an
//! open transaction is waited for until the brokers end it.
//!
//! That nothing comes behind that end follows from the group: it takes no commit of an owner that
//! it has replaced, and an owner writes entries before the commit that counts them.
//!
//! Entries of another configuration of a step are not handed over. If any are left at the end, the
//! run ends with a sentence, or (`--reset-state`) this thread deletes them before it says that the
//! partition is complete. It does that itself, by a writer of its own that lives no longer: only it
//! knows their keys, the engine need not carry them around, and nobody else uses them any more. A
//! crash amid that leaves some, which the next run finds again.
//!
//! Reading order: `restorer`, `pass`, `reading`, `foreign`, `ends`.

mod ends;
mod foreign;
mod pass;
mod reading;
mod restorer;

pub use restorer::StateRestorer;

use crate::{config::settings::KafkaClient, transport::restore::StatefulStep};

/// What a restorer is told.
#[derive(Clone, Debug)]
pub struct StatePlan {
    /// How the topic is read.
    pub reading: KafkaClient,
    /// How it is written to.
    pub writing: KafkaClient,
    /// The state topic.
    pub topic: String,
    /// The source's topics, in its order.
    pub sources: Vec<String>,
    /// The steps that keep state.
    pub steps: Vec<StatefulStep>,
    /// Delete what was written by other configurations of steps, instead of ending the run.
    pub resets: bool,
}

//! What a transaction's cycle is made of: how long nothing is processed, how long its commit takes,
//! and how often the broker was still busy with the one before.

use std::{fs, thread, time::Duration};

use super::{broker::Broker, drains, open_loop::percentiles, system::System};

/// What librdkafka calls it when it tries again because of that; it says so under `debug = "eos"`.
const BUSY: &str = "another concurrent operation on the same transaction";

/// What it says when a transaction is committed.
const COMMITTED: &str = "CommittingTransaction -> CommitNotAcked";

/// Added to a configuration's `[delivery]`: librdkafka's words about transactions go to the log.
pub(crate) const WITH_WORDS: &str =
    "[log]\nlevel = \"trace\"\n[kafka.properties]\ndebug = \"eos\"\n";

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Transactions a second.
    pub(crate) rate: f64,
    /// p50, p99 and p99.9 in microseconds: nothing is processed; the commit is under way.
    pub(crate) stall_us: [f64; 3],
    pub(crate) commit_us: [f64; 3],
    /// Requests that were made again because the broker was busy, to a transaction.
    pub(crate) busy: f64,
}

/// One run under load.
pub(crate) fn run(broker: &Broker, system: System, length: Duration) -> Figures {
    drains::under_load(broker, system, 1, |_, process, folder| {
        thread::sleep(length);
        process.stop();
        let out = folder.join("out");
        let of = |span| percentiles(&out, span).expect("a histogram of transactions");
        let (stall_us, commit_us) = (of("transaction_stall"), of("transaction_commit"));
        let log = fs::read_to_string(folder.join("stderr")).expect("a log");
        let count = |word: &str| log.lines().filter(|it| it.contains(word)).count() as f64;
        let committed = count(COMMITTED);
        assert!(committed > 0.0, "librdkafka said nothing of its transactions: {log}");
        let (rate, busy) = (committed / length.as_secs_f64(), count(BUSY) / committed);
        Figures { rate, stall_us, commit_us, busy }
    })
}

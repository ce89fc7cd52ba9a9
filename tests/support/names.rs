//! Names that the program prints and that tests wait for, each in this one place.

/// Everything is in place; the first record may come.
pub(crate) const RUN_STARTED: &str = "run.started";

/// Where the hot thread runs, `HOT_CORE`.
pub(crate) const RUN_CORE: &str = "run.core";

/// A client thread spins on a core, `HOT_CORE`.
pub(crate) const CLIENT_SPINS: &str = "client.spins";

/// A client thread found no core to spin on.
pub(crate) const CLIENT_SLEEPS: &str = "client.sleeps";

/// A core's number, or `none`.
pub(crate) const HOT_CORE: &str = "core";

/// The number of the process.
pub(crate) const PID: &str = "pid";

/// What the hot thread is called.
pub(crate) const HOT_THREAD: &str = "hotspur-hot";

/// The group gave partitions, `PARTITIONS` of them.
pub(crate) const GROUP_ASSIGNED: &str = "group.assigned";

/// A table is complete.
pub(crate) const TABLE_LOADED: &str = "table.loaded";

/// The source of a table was lost; the last copy serves.
pub(crate) const TABLE_LOST: &str = "table.lost";

/// A table's file cannot be used; the last copy serves.
pub(crate) const TABLE_REFUSED: &str = "table.refused";

/// The first signal came; what is in flight is being finished.
pub(crate) const RUN_STOPPING: &str = "run.stopping";

/// The group took partitions without waiting for their end.
pub(crate) const GROUP_LOST: &str = "group.lost";

/// The end, with the counts below.
pub(crate) const RUN_STOPPED: &str = "run.stopped";

/// How many partitions came.
pub(crate) const PARTITIONS: &str = "partitions";

/// Records taken from the source.
pub(crate) const POLLED: &str = "polled";

/// Records of which results were acknowledged.
pub(crate) const EMITTED: &str = "emitted";

/// Records passed over.
pub(crate) const SKIPPED: &str = "skipped";

/// Records that live on in state.
pub(crate) const HELD: &str = "held";

/// Records dead-lettered.
pub(crate) const REJECTED: &str = "rejected";

/// The user of the SASL listener.
pub(crate) const SASL_USER: &str = "hotspur";

/// The password of the SASL listener.
pub(crate) const SASL_PASSWORD: &str = "hotspur";

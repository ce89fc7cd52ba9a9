//! `[delivery]`: what is promised about each record, and what is done about those that fail.

use std::time::Duration;

use super::settings::{Breaker, Retry};

/// `[delivery]`.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `guarantee`.
    pub guarantee: Guarantee,
    /// `commit_interval`.
    pub commit_interval: Duration,
    /// `transaction_timeout`.
    pub transaction_timeout: Duration,
    /// `breaker`; `None` is `false`.
    pub breaker: Option<Breaker>,
    /// `retry`.
    pub retry: Retry,
}

/// What is promised about each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Processed after a commit that covers it.
    AtMostOnce,
    /// Committed after its results are acknowledged.
    AtLeastOnce,
    /// Results, dead letters and positions in one transaction.
    ExactlyOnce,
}

impl Guarantee {
    /// The name in files and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Guarantee::AtMostOnce => "at-most-once",
            Guarantee::AtLeastOnce => "at-least-once",
            Guarantee::ExactlyOnce => "exactly-once",
        }
    }
}

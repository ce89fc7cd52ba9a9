//! When a run has met too many records that cannot be processed, and what happens then.

use std::time::Duration;

/// `[delivery.breaker]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// `rejected`: past this share it opens.
    pub rejected: f64,
    /// `window`: of so many settled records.
    pub window: usize,
    /// `within`: all of them in that time.
    pub within: Duration,
    /// `then = "stop"`: the run ends; else it waits.
    pub stops: bool,
}

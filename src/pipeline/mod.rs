//! Steps over a record: pure, record and time in, verdict and results out.

pub mod results;

pub use results::Results;

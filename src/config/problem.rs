//! A problem with the configuration: where, what, and the way out.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The run would start; `check --deny-warnings` fails.
    Warning,
    /// The run will not start.
    Error,
}

/// One problem. The place is a key path (`steps[1].lookup.table`); the loader finds the file, line
/// and column of that key when the problem is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// Key path from the top of the file.
    pub key: String,
    /// What is wrong, with the value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// An error at a key.
    pub fn error(key: impl Into<String>, message: impl Into<String>) -> Problem {
        let (key, message) = (key.into(), message.into());
        Problem { severity: Severity::Error, key, message, hint: None }
    }

    /// A warning at a key.
    pub fn warning(key: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(key, message) }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// What reaching the peers of a configuration showed: `check --connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionReport {
    /// What was found, a line each: brokers, topics with their partitions, lag, tables.
    pub lines: Vec<String>,
    /// What keeps a run from starting, at the key that names the peer.
    pub problems: Vec<Problem>,
}

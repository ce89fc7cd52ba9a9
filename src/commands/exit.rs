//! How a command ends: the exit statuses that scripts and restarters rely on.

use std::process::ExitCode;

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done as asked.
    Done,
    /// 1: what was asked came out false: a requirement, a case, a host check, a tolerance.
    False,
    /// 2: bad usage or configuration. Restarters must not restart.
    Usage,
    /// 3: something needed was not there in time, or cannot heal.
    Unavailable,
    /// 4: the breaker stopped the run. Restarters must not restart.
    Breaker,
}

impl Exit {
    /// The number.
    pub const fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::False => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 3,
            Exit::Breaker => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.status())
    }
}

/// Why a command did not do what was asked: a sentence, and the status to end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub exit: Exit,
    /// The sentence; empty if everything has been said.
    pub message: String,
}

impl Failure {
    /// Bad usage.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into() }
    }

    /// Something needed was not there.
    pub fn unavailable(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Unavailable, message: message.into() }
    }

    /// What is planned and not there.
    pub fn not_built(what: &str) -> Failure {
        Failure::usage(format!("{what} is not built yet"))
    }
}

/// What a command returns.
pub type Outcome = Result<Exit, Failure>;

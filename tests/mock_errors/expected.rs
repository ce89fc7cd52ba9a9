//! What each error has to come to.

use super::Target;

/// What a case comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The run goes on and delivers everything.
    Heals,
    /// The run goes on; what the broker would not take is dead-lettered.
    Letters,
    /// The run ends with a sentence, and one without the error does the rest.
    Ends,
}

/// By the request and the error's name.
pub(crate) fn of(_target: Target, _name: &str) -> Expected {
    Expected::Heals
}

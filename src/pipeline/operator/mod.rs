//! Operators of one's own: what a step does in Rust where no expression can say it.
//!
//! A program registers them by name ([`Registry::register`]); a step of the configuration names one
//! and says its keys. `keys` are what it takes there, `call` is what it sees and does for one
//! record, `registry` is what is known before the first step is compiled.
//!
//! What the types hold: everything that a call lends lives as long as the call, so that no
//! reference can be kept; nothing in it waits or can be waited for; what an operator changes is its
//! own, or the event by way of the call. What they cannot hold is in [`Operator`].

mod call;
mod keys;
mod registry;

pub use call::{Call, Json, Value};
pub use keys::{Expression, Flag, Given, Keys, Number, Path, Refusal, Table, Text};
pub use registry::Registry;

pub use crate::verdict::{RejectClass, SkipClass};

pub(super) use call::{Lent, Write};
pub(super) use registry::Maker;

use crate::{pipeline::failure::Failure, verdict::Awaited};

/// What a step does, in Rust.
///
/// One is made for each step that names it, by what was registered, whenever steps are compiled:
/// once or several times at start, and for each case of `hotspur test`. Its fields are a state of
/// its own: they belong to the process and not to a partition, are not kept anywhere, and are not
/// taken back when records come again. A count that must be right is a window's.
///
/// `apply` runs on the hot thread, in the turn. It must not block, take a lock that others hold for
/// long, do input or output, or allocate once it is warm: Rust's types do not keep it from that,
/// and all records behind this one wait for it. Where it does, the stage `operate` of the figures
/// and of slow records shows it, and `hotspur_stalls_total` does. A panic in it is a fault of the
/// hot thread, which ends the run.
pub trait Operator: Send + 'static {
    /// Does its work for one record.
    ///
    /// It may be called again for the same record: a record that waits for a table, or is tried
    /// again, begins anew with the first step, and behind `each` there is a call an element. So an
    /// operator reads and looks up first and then changes what is its own.
    ///
    /// # Errors
    ///
    /// Why the record goes no further: what a method of the call answered, or [`Call::skip`] or
    /// [`Call::reject`]. Nothing of the call is written then.
    fn apply(&mut self, call: &mut Call<'_>) -> Answer;
}

/// What an operator answers: on with the record, or its end.
pub type Answer = Result<(), End>;

/// Why a record goes no further.
#[derive(Clone, Copy, Debug)]
pub struct End(pub(super) Ending);

#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Skip(SkipClass),
    /// In a sentence that lies beside it.
    Told(RejectClass),
    /// About the value of the expression at that key.
    Operand(Failure, usize),
    Stale(usize),
    Wait(Awaited),
}

//! Why a record's steps end before the last, and what becomes of the record then.
//!
//! The reasons are small; sentences are put together only for the record that is rejected.

use std::fmt;

use crate::{
    codec::PathId,
    pipeline::{
        cel,
        compile::Plan,
        expression::Expression,
        failure::{Failure, Placed, Why},
    },
    verdict::{Awaited, RejectClass, Rejection, Sentence, Skip, SkipClass, Step, Verdict},
};

/// Why the steps end early.
pub(super) enum Stop<'p> {
    Skip(SkipClass),
    /// About the value of an expression.
    Operand(Failure, &'p Expression),
    /// About writing to a path.
    Target(Failure, PathId),
    Miss(usize, &'p Expression),
    Stale(usize),
    Late(usize, &'p Expression),
    Wait(Awaited),
    /// It is a duplicate of a record in flight.
    Behind,
    /// It lives on in the step's state.
    Hold,
    /// In a sentence that the step left in `Work::told`.
    Told(RejectClass),
}

/// What becomes of the record.
#[cold]
pub(super) fn stopped(plan: &Plan, stop: &Stop<'_>, told: Option<Sentence>, step: Step) -> Verdict {
    let reject =
        |class, reason: fmt::Arguments<'_>| Verdict::Reject(Rejection::new(class, step, reason));
    match stop {
        Stop::Skip(class) => Verdict::Skip(Skip { class: *class, step }),
        Stop::Operand(Failure { why: Why::Program(fault), class }, expression) => {
            let Expression::Program(program) = expression else {
                unreachable!("only a program has faults")
            };
            match fault.why {
                cel::Why::Wait(awaited) => Verdict::Wait(awaited),
                cel::Why::Stale(table) => {
                    let table = &plan.tables[table];
                    reject(*class, format_args!("the table `{table}` is too old"))
                }
                cel::Why::Late(table) => {
                    let (table, text) = (&plan.tables[table], program.text());
                    let reason =
                        format_args!("the table `{table}` had no answer in time for `{text}`");
                    reject(*class, reason)
                }
                _ => {
                    let placed = Placed { program, fault: *fault, tree: &plan.tree };
                    reject(*class, format_args!("{placed}"))
                }
            }
        }
        Stop::Operand(failure, expression) => {
            let value = expression.shown(&plan.tree);
            reject(failure.class, format_args!("`{value}` {}", failure.why.shown(&plan.tree)))
        }
        Stop::Target(failure, path) => {
            let path = plan.tree.path(*path);
            reject(failure.class, format_args!("`{path}` {}", failure.why.shown(&plan.tree)))
        }
        Stop::Miss(table, key) => {
            let (table, key) = (&plan.tables[*table], key.shown(&plan.tree));
            let reason = format_args!("the table `{table}` does not hold the key in `{key}`");
            reject(RejectClass::TableMiss, reason)
        }
        Stop::Stale(table) => {
            let table = &plan.tables[*table];
            reject(RejectClass::StaleTable, format_args!("the table `{table}` is too old"))
        }
        Stop::Late(table, key) => {
            let (table, key) = (&plan.tables[*table], key.shown(&plan.tree));
            let reason = format_args!("the table `{table}` had no answer in time for `{key}`");
            reject(RejectClass::LookupTimeout, reason)
        }
        Stop::Wait(awaited) => Verdict::Wait(*awaited),
        Stop::Behind => Verdict::Behind { holds: plan.has_state_behind(step) },
        Stop::Hold => Verdict::Hold(step),
        Stop::Told(class) => {
            let reason = told.unwrap_or_else(|| Sentence::from("no reason was given"));
            Verdict::Reject(Rejection { class: *class, step, reason })
        }
    }
}

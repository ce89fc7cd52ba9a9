//! What can be said of types before any record is there.

use cel::common::ast::IdedExpr;

use super::{CompileError, Compiler};
use crate::pipeline::cel::{Kind, arithmetic::Sign};

type Checked = Result<(), CompileError>;

impl Compiler<'_> {
    fn check(
        &self,
        expression: &IdedExpr,
        fits: bool,
        message: impl FnOnce() -> String,
    ) -> Checked {
        if fits || !self.is_checked { Ok(()) } else { self.error(expression, message()) }
    }

    /// Something that `&&`, `||`, `!` and `?:` decide by.
    pub(super) fn check_bool(
        &self,
        expression: &IdedExpr,
        kind: Option<Kind>,
        operator: &str,
    ) -> Checked {
        let fits = kind.is_none_or(|kind| kind == Kind::Bool);
        self.check(expression, fits, || {
            let kind = kind.map_or("", Kind::name);
            format!("`{operator}` wants a boolean, and this is {kind}")
        })
    }

    /// Something whose field is wanted.
    pub(super) fn check_parts(
        &self,
        expression: &IdedExpr,
        kind: Option<Kind>,
        part: &str,
    ) -> Checked {
        let fits = kind.is_none_or(|it| matches!(it, Kind::Map | Kind::Optional));
        self.check(expression, fits, || {
            let kind = kind.map_or("", Kind::name);
            format!("`{part}` cannot be: {kind} has no fields")
        })
    }

    pub(super) fn check_index(&self, expression: &IdedExpr, kind: Option<Kind>) -> Checked {
        let has_items = |kind| matches!(kind, Kind::Map | Kind::List | Kind::Optional);
        self.check(expression, kind.is_none_or(has_items), || {
            let kind = kind.map_or("", Kind::name);
            format!("`[]` cannot be: {kind} has no items")
        })
    }

    pub(super) fn check_in(&self, expression: &IdedExpr, kind: Option<Kind>) -> Checked {
        let fits = kind.is_none_or(|kind| matches!(kind, Kind::Map | Kind::List));
        self.check(expression, fits, || {
            let kind = kind.map_or("", Kind::name);
            format!("`in` wants a list or an object on its right, and this is {kind}")
        })
    }

    /// Two operands of which both types are known.
    pub(super) fn check_pair(
        &self,
        expression: &IdedExpr,
        operator: &str,
        kinds: (Option<Kind>, Option<Kind>),
        fits: impl FnOnce(Kind, Kind) -> bool,
    ) -> Checked {
        let (Some(left), Some(right)) = kinds else { return Ok(()) };
        self.check(expression, fits(left, right), || {
            let hint = match left.is_number() && right.is_number() {
                true => "; make one the other's type, as by `double(x)`",
                false => "",
            };
            let (left, right) = (left.name(), right.name());
            format!("`{operator}` does not take {left} and {right}{hint}")
        })
    }
}

pub(super) fn is_comparable(left: Kind, right: Kind) -> bool {
    let is_ordered =
        !matches!(left, Kind::Null | Kind::Type | Kind::List | Kind::Map | Kind::Optional);
    left == right && is_ordered || left.is_number() && right.is_number()
}

/// Null may be compared with anything: it asks whether something is there.
pub(super) fn may_be_equal(left: Kind, right: Kind) -> bool {
    let is_null = left == Kind::Null || right == Kind::Null;
    is_null || left == right || left.is_number() && right.is_number()
}

/// The type of what an operator makes of two operands.
pub(super) fn result(sign: Sign, left: Kind, right: Kind) -> Option<Kind> {
    use Kind::{Bytes, Double, Duration, Int, List, Text, Timestamp, Uint};
    match (sign, left, right) {
        (_, Int, Int) => Some(Int),
        (_, Uint, Uint) => Some(Uint),
        (Sign::Add | Sign::Subtract | Sign::Multiply | Sign::Divide, Double, Double) => {
            Some(Double)
        }
        (Sign::Add, Text, Text) => Some(Text),
        (Sign::Add, Bytes, Bytes) => Some(Bytes),
        (Sign::Add, List, List) => Some(List),
        (Sign::Add, Timestamp, Duration) | (Sign::Add, Duration, Timestamp) => Some(Timestamp),
        (Sign::Subtract, Timestamp, Duration) => Some(Timestamp),
        (Sign::Subtract, Timestamp, Timestamp) => Some(Duration),
        (Sign::Add | Sign::Subtract, Duration, Duration) => Some(Duration),
        _ => None,
    }
}

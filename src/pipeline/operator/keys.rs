//! The keys that an operator takes in a step, and what a step says for them.
//!
//! A key is declared once, when the operator is registered, and is a small `Copy` value from then
//! on: by it an operator asks for what the step says, at start for texts, numbers and flags, and
//! in each call for expressions, paths and tables.

use crate::config::operators::{OwnKey, OwnValue, Takes};

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name(pub(super) usize);

            impl $name {
                /// What a step says there does not do, for that reason.
                pub fn refuse(self, reason: impl Into<String>) -> Refusal {
                    Refusal { key: Some(self.0), reason: reason.into() }
                }
            }
        )*
    };
}

keys! {
    /// A key whose value is an expression, evaluated for each record: [`super::Call::value`].
    Expression,
    /// A key whose value is a path that the operator writes: [`super::Call::write`].
    Path,
    /// A key whose value names a table: [`super::Call::lookup`].
    Table,
    /// A key whose value is a text: [`Given::text`].
    Text,
    /// A key whose value is a number: [`Given::number`].
    Number,
    /// A key whose value is true or false: [`Given::flag`].
    Flag,
}

/// Takes down which keys an operator has.
#[derive(Debug, Default)]
pub struct Keys(pub(super) Vec<OwnKey>);

impl Keys {
    fn add(&mut self, name: &'static str, takes: Takes, default: Option<OwnValue>) -> usize {
        self.0.push(OwnKey { name, takes, default });
        self.0.len() - 1
    }

    /// An expression, which each step says.
    pub fn expression(&mut self, name: &'static str) -> Expression {
        Expression(self.add(name, Takes::Expression, None))
    }

    /// An expression; where a step does not say it, this one.
    pub fn expression_or(&mut self, name: &'static str, default: &str) -> Expression {
        let default = OwnValue::Text(default.to_owned());
        Expression(self.add(name, Takes::Expression, Some(default)))
    }

    /// A path to write to, which each step says.
    pub fn path(&mut self, name: &'static str) -> Path {
        Path(self.add(name, Takes::Path, None))
    }

    /// A path to write to. Where a step does not say it, nothing is written.
    pub fn path_if_any(&mut self, name: &'static str) -> Path {
        Path(self.add(name, Takes::Path, Some(OwnValue::Absent)))
    }

    /// The name of a table of the configuration, which each step says.
    pub fn table(&mut self, name: &'static str) -> Table {
        Table(self.add(name, Takes::Table, None))
    }

    /// A text, which each step says.
    pub fn text(&mut self, name: &'static str) -> Text {
        Text(self.add(name, Takes::Text, None))
    }

    /// A text; where a step does not say it, this one.
    pub fn text_or(&mut self, name: &'static str, default: &str) -> Text {
        Text(self.add(name, Takes::Text, Some(OwnValue::Text(default.to_owned()))))
    }

    /// A number, which each step says.
    pub fn number(&mut self, name: &'static str) -> Number {
        Number(self.add(name, Takes::Number, None))
    }

    /// A number; where a step does not say it, this one.
    pub fn number_or(&mut self, name: &'static str, default: f64) -> Number {
        Number(self.add(name, Takes::Number, Some(OwnValue::Number(default))))
    }

    /// True or false; where a step does not say it, false.
    pub fn flag(&mut self, name: &'static str) -> Flag {
        Flag(self.add(name, Takes::Flag, Some(OwnValue::Flag(false))))
    }
}

/// What a step says, when its operator is made.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g>(pub(in crate::pipeline) &'g [OwnValue]);

/// Which keys of an operator belong to another one is not for the types to say.
const NOT_ITS_OWN: &str = "a key belongs to the operator that declared it";

impl<'g> Given<'g> {
    fn at(self, index: usize) -> &'g OwnValue {
        self.0.get(index).expect(NOT_ITS_OWN)
    }

    /// The text at that key.
    ///
    /// # Panics
    ///
    /// If the key is another operator's, as for all of these.
    pub fn text(self, key: Text) -> &'g str {
        match self.at(key.0) {
            OwnValue::Text(text) => text,
            _ => panic!("{NOT_ITS_OWN}"),
        }
    }

    /// The number at that key.
    ///
    /// # Panics
    ///
    /// As `text`.
    pub fn number(self, key: Number) -> f64 {
        match self.at(key.0) {
            OwnValue::Number(number) => *number,
            _ => panic!("{NOT_ITS_OWN}"),
        }
    }

    /// Whether it is true at that key.
    ///
    /// # Panics
    ///
    /// As `text`.
    pub fn flag(self, key: Flag) -> bool {
        match self.at(key.0) {
            OwnValue::Flag(flag) => *flag,
            _ => panic!("{NOT_ITS_OWN}"),
        }
    }

    /// Whether the step says that path.
    pub fn has(self, key: Path) -> bool {
        *self.at(key.0) != OwnValue::Absent
    }
}

/// Why an operator cannot be made of what a step says: a problem of the configuration, told at the
/// step's operator, or at one of its keys by that key's `refuse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(in crate::pipeline) key: Option<usize>,
    pub(in crate::pipeline) reason: String,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal { key: None, reason }
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Refusal {
        Refusal::from(reason.to_owned())
    }
}

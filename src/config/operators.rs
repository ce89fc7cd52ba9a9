//! Operators that a program brings along beside the built-in ones: their names, and the keys that
//! each takes in the file.
//!
//! What they do is the pipeline's to know. What makes one travels through here unseen, from who
//! registered it to the step that names it.

use std::{any::Any, sync::Arc};

use super::{
    build::Builder,
    hints,
    keys::{self, Kind},
    problem::Problem,
    settings::Operator,
    unbuilt,
    values::Typed,
};

/// All that a program brought along.
#[derive(Clone, Debug, Default)]
pub struct OwnOperators(Vec<Arc<OwnOperator>>);

/// One of them.
#[derive(Clone, Debug)]
pub struct OwnOperator {
    /// Its key in a step.
    pub name: &'static str,
    /// The keys that it takes.
    pub keys: Vec<OwnKey>,
    /// What makes one for a step: the pipeline's own.
    pub maker: Arc<dyn Any + Send + Sync>,
}

/// A key of such an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnKey {
    /// As it stands in the file.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds where a step does not say it; `None`: each step says it.
    pub default: Option<OwnValue>,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An expression.
    Expression,
    /// A path in the event, to be written.
    Path,
    /// The name of a table.
    Table,
    /// Any text.
    Text,
    /// Any number.
    Number,
    /// True or false.
    Flag,
}

/// What a step says for a key.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnValue {
    /// An expression, a path, the name of a table, or a text.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// Nothing; or what is wrong with it has been told.
    Absent,
}

/// A step whose operator the program brought along.
#[derive(Clone, Debug)]
pub struct Own {
    /// Which one.
    pub operator: Arc<OwnOperator>,
    /// What the step says for each of its keys, defaults filled in.
    pub values: Vec<OwnValue>,
}

impl OwnOperators {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// A sentence, if a step cannot name it so, or a key of it.
    pub fn add(&mut self, operator: OwnOperator) -> Result<(), String> {
        let OwnOperator { name, keys, .. } = &operator;
        check_bare("an operator", name)?;
        let is_taken = |it: &str| it == *name;
        if keys::names_under(keys::STEPS).into_iter().any(is_taken)
            || unbuilt::names_under(keys::STEPS).any(is_taken)
        {
            return Err(format!(
                "{name:?} is a key of every step or one of Hotspur's own operators"
            ));
        }
        if self.find(name).is_some() {
            return Err(format!("there are two operators {name:?}"));
        }
        for (index, key) in keys.iter().enumerate() {
            check_bare(&format!("a key of {name:?}"), key.name)?;
            if keys[..index].iter().any(|other| other.name == key.name) {
                return Err(format!("{name:?} has two keys {:?}", key.name));
            }
        }
        self.0.push(Arc::new(operator));
        Ok(())
    }

    /// All, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &OwnOperator> {
        self.0.iter().map(Arc::as_ref)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<OwnOperator>> {
        self.0.iter().find(|it| it.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|it| it.name)
    }
}

/// What TOML takes without quotes, so that nobody has to ask whether it needs any.
fn check_bare(what: &str, name: &str) -> Result<(), String> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(is_bare) {
        true => Ok(()),
        false => Err(format!("{what} is named by letters, digits, \"_\" and \"-\", not {name:?}")),
    }
}

impl OwnOperator {
    /// What is wrong about a key that it does not have.
    pub(super) fn no_key(&self, path: &str, name: &str) -> Problem {
        let names: Vec<_> = self.keys.iter().map(|key| key.name).collect();
        let near = hints::did_you_mean(name, names.iter().copied());
        let hint = near.unwrap_or_else(|| match names.as_slice() {
            [] => format!("{} takes none", self.name),
            names => format!("{} takes {}", self.name, names.join(", ")),
        });
        Problem::error(path, "there is no such key").hint(hint)
    }
}

impl OwnKey {
    /// As the walk reads it.
    pub(super) fn kind(&self) -> Kind {
        match self.takes {
            Takes::Expression => Kind::Expression,
            Takes::Path => Kind::Path,
            Takes::Table => Kind::Text,
            Takes::Text => Kind::AnyText,
            Takes::Number => Kind::Number,
            Takes::Flag => Kind::Boolean,
        }
    }

    fn example(&self) -> String {
        let value = match self.takes {
            Takes::Expression => "\"event.key\"",
            Takes::Path => "\"result\"",
            Takes::Table => "\"users\"",
            Takes::Text => "\"…\"",
            Takes::Number => "1",
            Takes::Flag => "true",
        };
        format!("{} = {value}", self.name)
    }
}

impl Own {
    /// The tables that it asks.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let keys = self.operator.keys.iter().zip(&self.values);
        keys.filter_map(|(key, value)| match value {
            OwnValue::Text(name) if key.takes == Takes::Table => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether nothing is missing: if something is, that has been told.
    pub fn is_whole(&self) -> bool {
        let mut keys = self.operator.keys.iter().zip(&self.values);
        keys.all(|(key, value)| *value != OwnValue::Absent || key.default.is_some())
    }
}

impl Builder<'_> {
    /// `None`: there is no such operator, which has been told.
    pub(super) fn own(&mut self, place: &str, name: &str) -> Option<Operator> {
        let operator = self.walked.operators.find(name)?.clone();
        let mut value = |key: &OwnKey| self.own_value(&format!("{place}.{name}.{}", key.name), key);
        let values = operator.keys.iter().map(&mut value).collect();
        Some(Operator::Own(Own { operator, values }))
    }

    fn own_value(&mut self, place: &str, key: &OwnKey) -> OwnValue {
        match &key.default {
            Some(default) if !self.stands(place) => return default.clone(),
            _ if !self.stands(place) => _ = self.required(place, &key.example()),
            _ if key.takes == Takes::Table => _ = self.table_name(place),
            _ => {}
        }
        match self.typed(place) {
            Some(Typed::Text(text)) => OwnValue::Text(text.clone()),
            Some(Typed::Number(number)) => OwnValue::Number(*number),
            Some(Typed::Boolean(flag)) => OwnValue::Flag(*flag),
            _ => OwnValue::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(to: &mut OwnOperators, name: &'static str, keys: &[&'static str]) -> Result<(), String> {
        let key = |name: &&'static str| OwnKey { name, takes: Takes::Text, default: None };
        let keys = keys.iter().map(key).collect();
        to.add(OwnOperator { name, keys, maker: Arc::new(()) })
    }

    #[test]
    fn names_that_a_step_cannot_have_are_refused() {
        let mut operators = OwnOperators::default();
        add(&mut operators, "geo", &["lat", "lon"]).unwrap();
        for (name, keys, part) in [
            ("geo", &[][..], "two operators \"geo\""),
            ("lookup", &[], "Hotspur's own"),
            ("window", &[], "Hotspur's own"),
            ("when", &[], "a key of every step"),
            ("", &[], "letters, digits"),
            ("a.b", &[], "not \"a.b\""),
            ("längs", &[], "letters, digits"),
            ("other", &["a", "b", "a"], "two keys \"a\""),
            ("other", &["a b"], "a key of \"other\""),
        ] {
            let refused = add(&mut operators, name, keys).unwrap_err();
            assert!(refused.contains(part), "{name}: {refused}");
        }
        assert_eq!(operators.names().collect::<Vec<_>>(), ["geo"]);
    }
}

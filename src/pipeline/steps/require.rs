//! `require` with rules: what must hold at paths, checked on the tape where it stands there.
//!
//! The first rule that is broken rejects the record, and the reason names the path, the value and
//! the rule. Rules about numbers, texts and sizes concern only values of that kind, as in JSON
//! Schema: what else may stand there is said by `type`.

use std::{fmt, mem};

use regex::bytes::Regex;

use crate::{
    codec::{PathId, Value, inside, is_equal},
    config::settings::{JsonType, Rules},
    pipeline::{steps::shown, stop::Stop, work::Work},
    verdict::RejectClass,
};

/// What must hold at a path.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) path: PathId,
    rules: Rules,
    pattern: Option<Regex>,
}

/// A rule that does not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken<'r> {
    Absent,
    Type(&'r [JsonType]),
    Less(f64),
    More(f64),
    Shorter(u64),
    Longer(u64),
    Pattern(&'r str),
    NoneOf(&'r [String]),
}

impl Rule {
    /// # Errors
    ///
    /// A sentence about a pattern that is no regular expression.
    pub(crate) fn new(path: PathId, rules: &Rules) -> Result<Rule, String> {
        let pattern = rules.pattern.as_deref().map(Regex::new).transpose();
        let pattern = pattern.map_err(|error| {
            format!("the pattern {:?} is none: {error}", rules.pattern.as_deref().unwrap_or(""))
        })?;
        Ok(Rule { path, rules: rules.clone(), pattern })
    }

    /// What a value that is there breaks, but for `one_of`.
    #[inline]
    fn check(&self, value: Value<'_>) -> Result<(), Broken<'_>> {
        let types = &self.rules.types;
        if !types.is_empty() && !types.iter().any(|it| is_of_type(value, *it)) {
            return Err(Broken::Type(types));
        }
        match value {
            Value::Text(text) => {
                self.check_length(|| characters(text))?;
                match (&self.pattern, &self.rules.pattern) {
                    (Some(regex), Some(pattern)) if !regex.is_match(text.as_bytes()) => {
                        Err(Broken::Pattern(pattern))
                    }
                    _ => Ok(()),
                }
            }
            Value::Object(len) | Value::List(len) => self.check_length(|| len as u64),
            Value::Signed(number) => self.check_range(number as f64),
            Value::Unsigned(number) => self.check_range(number as f64),
            Value::Float(number) => self.check_range(number),
            Value::Bool(_) | Value::Null => Ok(()),
        }
    }

    /// The same for one that stands on no tape, or is to be one of some: as it is spelled.
    fn check_spelled(&self, json: &[u8], memory: &mut [Vec<u8>; 2]) -> Result<(), Broken<'_>> {
        self.check(value_of(json, &mut memory[0]))?;
        let one_of = &self.rules.one_of;
        if !one_of.is_empty() && !one_of.iter().any(|it| is_equal(json, it.as_bytes(), memory)) {
            return Err(Broken::NoneOf(one_of));
        }
        Ok(())
    }

    fn check_absent(&self) -> Result<(), Broken<'_>> {
        if self.rules.optional { Ok(()) } else { Err(Broken::Absent) }
    }

    fn check_length(&self, length: impl FnOnce() -> u64) -> Result<(), Broken<'_>> {
        let (min, max) = self.rules.length;
        if min.or(max).is_none() {
            return Ok(());
        }
        let length = length();
        match (min.filter(|min| length < *min), max.filter(|max| length > *max)) {
            (Some(min), _) => Err(Broken::Shorter(min)),
            (_, Some(max)) => Err(Broken::Longer(max)),
            _ => Ok(()),
        }
    }

    fn check_range(&self, number: f64) -> Result<(), Broken<'_>> {
        let (min, max) = self.rules.range;
        match (min.filter(|min| number < *min), max.filter(|max| number > *max)) {
            (Some(min), _) => Err(Broken::Less(min)),
            (_, Some(max)) => Err(Broken::More(max)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Absent => f.write_str("is absent"),
            Broken::Type(types) => {
                let names: Vec<_> = types.iter().map(|it| it.name()).collect();
                write!(f, "and not of type {}", names.join(" or "))
            }
            Broken::Less(min) => write!(f, "and less than {min}"),
            Broken::More(max) => write!(f, "and more than {max}"),
            Broken::Shorter(min) => write!(f, "and shorter than {min}"),
            Broken::Longer(max) => write!(f, "and longer than {max}"),
            Broken::Pattern(pattern) => write!(f, "and does not match {pattern:?}"),
            Broken::NoneOf(values) => write!(f, "and none of {}", values.join(", ")),
        }
    }
}

fn is_of_type(value: Value<'_>, json_type: JsonType) -> bool {
    match (json_type, value) {
        (JsonType::String, Value::Text(_))
        | (JsonType::Object, Value::Object(_))
        | (JsonType::Array, Value::List(_))
        | (JsonType::Boolean, Value::Bool(_))
        | (JsonType::Null, Value::Null)
        | (JsonType::Number, Value::Signed(_) | Value::Unsigned(_) | Value::Float(_))
        | (JsonType::Integer, Value::Signed(_) | Value::Unsigned(_)) => true,
        (JsonType::Integer, Value::Float(number)) => is_whole(number),
        _ => false,
    }
}

/// Also `1.0` and `1e3` are whole.
#[cold]
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0
}

/// What JSON says that stands on no tape; `scratch` is used where it is text with escapes.
fn value_of<'m>(json: &'m [u8], scratch: &'m mut Vec<u8>) -> Value<'m> {
    match json.first() {
        Some(b'"') => {
            scratch.clear();
            inside::push_unescaped(scratch, json);
            Value::Text(str::from_utf8(scratch).unwrap_or_default())
        }
        Some(b'{') => Value::Object(inside::count_parts(json)),
        Some(b'[') => Value::List(inside::count_parts(json)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') | None => Value::Null,
        Some(_) => {
            let number = str::from_utf8(json).unwrap_or_default();
            match (number.parse(), number.parse()) {
                (Ok(number), _) => Value::Signed(number),
                (_, Ok(number)) => Value::Unsigned(number),
                _ => Value::Float(number.parse().unwrap_or(f64::NAN)),
            }
        }
    }
}

fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

impl<'p> Work<'p, '_> {
    pub(super) fn require(&mut self, rules: &'p [Rule]) -> Result<(), Stop<'p>> {
        for rule in rules {
            if let Err(broken) = self.check(rule) {
                return Err(self.broken(rule.path, broken));
            }
        }
        Ok(())
    }

    #[inline]
    fn check(&mut self, rule: &'p Rule) -> Result<(), Broken<'p>> {
        let edits = &self.edits;
        match (edits.found(rule.path), edits.is_touched(rule.path)) {
            (Some(node), false) if rule.rules.one_of.is_empty() => {
                rule.check(self.event.value(node))
            }
            _ => self.check_spelled(rule),
        }
    }

    fn check_spelled(&mut self, rule: &'p Rule) -> Result<(), Broken<'p>> {
        let mut scratch = mem::take(&mut self.memory.one);
        let mut texts = mem::take(&mut self.memory.texts);
        let checked = match self.json_at(rule.path, &mut scratch) {
            Some(json) => rule.check_spelled(json, &mut texts),
            None => rule.check_absent(),
        };
        (self.memory.one, self.memory.texts) = (scratch, texts);
        checked
    }

    #[cold]
    fn broken(&mut self, path: PathId, broken: Broken<'_>) -> Stop<'p> {
        let mut scratch = Vec::new();
        let value = self.json_at(path, &mut scratch).map(shown);
        let path = self.plan.tree.path(path);
        match value {
            Some(value) => {
                self.reject(RejectClass::Schema, format_args!("`{path}` is {value} {broken}"))
            }
            None => self.reject(RejectClass::Schema, format_args!("`{path}` {broken}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<'r>(rule: &'r Rule, value: &str) -> Result<(), Broken<'r>> {
        rule.check_spelled(value.as_bytes(), &mut [Vec::new(), Vec::new()])
    }

    #[test]
    fn each_rule_is_checked_on_values_of_its_kind() {
        let types = vec![JsonType::Integer, JsonType::Null];
        let rule = |rules: Rules| Rule::new(PathId::ROOT, &rules).unwrap();
        let whole = rule(Rules { types, ..Rules::default() });
        for (value, is_fit) in [
            ("1", true),
            ("-1.0", true),
            ("1e2", true),
            ("1.5", false),
            ("null", true),
            ("\"1\"", false),
        ] {
            assert_eq!(check(&whole, value).is_ok(), is_fit, "{value}");
        }
        let range = rule(Rules { range: (Some(1.0), Some(2.5)), ..Rules::default() });
        assert_eq!(check(&range, "0.9"), Err(Broken::Less(1.0)));
        assert_eq!(check(&range, "2.6"), Err(Broken::More(2.5)));
        assert_eq!(check(&range, "1.00").and(check(&range, "\"9\"")), Ok(()));
        let length = rule(Rules { length: (Some(2), Some(3)), ..Rules::default() });
        assert_eq!(check(&length, "\"é\""), Err(Broken::Shorter(2)));
        assert_eq!(check(&length, r#""\u00e9é""#), Ok(()));
        assert_eq!(check(&length, "[1,2,3,4]"), Err(Broken::Longer(3)));
        assert_eq!(check(&length, "{\"a\":1}"), Err(Broken::Shorter(2)));
        let pattern = rule(Rules { pattern: Some("^é$".to_owned()), ..Rules::default() });
        assert_eq!(check(&pattern, r#""\u00e9""#).and(check(&pattern, "7")), Ok(()));
        assert_eq!(check(&pattern, "\"e\""), Err(Broken::Pattern("^é$")));
        let one_of = vec!["\"a\"".to_owned(), "1".to_owned()];
        let one_of = rule(Rules { one_of, ..Rules::default() });
        assert_eq!(check(&one_of, "1.0").and(check(&one_of, r#""\u0061""#)), Ok(()));
        assert!(check(&one_of, "\"b\"").is_err());
        let optional = rule(Rules { optional: true, ..Rules::default() });
        assert_eq!(optional.check_absent(), Ok(()));
        assert_eq!(whole.check_absent(), Err(Broken::Absent));
        let wrong = Rules { pattern: Some("(".to_owned()), ..Rules::default() };
        assert!(Rule::new(PathId::ROOT, &wrong).unwrap_err().contains("the pattern \"(\" is none"));
    }
}

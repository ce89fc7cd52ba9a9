//! `require` with rules: what must hold at paths, checked on the bytes that stand there.
//!
//! The first rule that is broken rejects the record, and the reason names the path, the value and
//! the rule. Rules about numbers, texts and sizes concern only values of that kind, as in JSON
//! Schema: what else may stand there is said by `type`.

use std::{fmt, mem};

use regex::bytes::Regex;

use crate::{
    codec::{PathId, inside, is_equal},
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

    fn check(&self, value: Option<&[u8]>, memory: &mut [Vec<u8>; 2]) -> Result<(), Broken<'_>> {
        let Some(value) = value else {
            return if self.rules.optional { Ok(()) } else { Err(Broken::Absent) };
        };
        let types = &self.rules.types;
        if !types.is_empty() && !types.iter().any(|it| is_of_type(value, *it)) {
            return Err(Broken::Type(types));
        }
        let one_of = &self.rules.one_of;
        if !one_of.is_empty() && !one_of.iter().any(|it| is_equal(value, it.as_bytes(), memory)) {
            return Err(Broken::NoneOf(one_of));
        }
        match value.first() {
            Some(b'"') => {
                let text = text_of(value, &mut memory[0]);
                self.check_length(|| characters(text))?;
                match (&self.pattern, &self.rules.pattern) {
                    (Some(regex), Some(pattern)) if !regex.is_match(text) => {
                        Err(Broken::Pattern(pattern))
                    }
                    _ => Ok(()),
                }
            }
            Some(b'[' | b'{') => self.check_length(|| inside::count_parts(value) as u64),
            Some(b'-' | b'0'..=b'9') => self.check_range(value),
            _ => Ok(()),
        }
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

    fn check_range(&self, number: &[u8]) -> Result<(), Broken<'_>> {
        let (min, max) = self.rules.range;
        if min.or(max).is_none() {
            return Ok(());
        }
        let number = parse(number).unwrap_or(f64::NAN);
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

fn is_of_type(value: &[u8], json_type: JsonType) -> bool {
    let is_number = matches!(value.first(), Some(b'-' | b'0'..=b'9'));
    match json_type {
        JsonType::String => value.starts_with(b"\""),
        JsonType::Object => value.starts_with(b"{"),
        JsonType::Array => value.starts_with(b"["),
        JsonType::Boolean => value == b"true" || value == b"false",
        JsonType::Null => value == b"null",
        JsonType::Number => is_number,
        JsonType::Integer => is_number && is_whole(value),
    }
}

/// Also `1.0` and `1e3` are whole.
fn is_whole(number: &[u8]) -> bool {
    !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
        || parse(number).is_some_and(|it| it.fract() == 0.0)
}

fn parse(number: &[u8]) -> Option<f64> {
    str::from_utf8(number).ok()?.parse().ok()
}

/// The text of JSON in quotes; `scratch` is used where it has escapes.
fn text_of<'m>(json: &'m [u8], scratch: &'m mut Vec<u8>) -> &'m [u8] {
    if memchr::memchr(b'\\', json).is_none() {
        return &json[1..json.len() - 1];
    }
    scratch.clear();
    inside::push_unescaped(scratch, json);
    scratch
}

/// Characters of a text in UTF-8.
fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|byte| (**byte & 0xc0) != 0x80).count() as u64
}

impl<'p> Work<'p, '_> {
    pub(super) fn require(&mut self, rules: &'p [Rule]) -> Result<(), Stop<'p>> {
        let mut scratch = mem::take(&mut self.memory.one);
        let mut texts = mem::take(&mut self.memory.texts);
        let broken = rules.iter().find_map(|rule| {
            let value = self.json_at(rule.path, &mut scratch);
            let broken = rule.check(value, &mut texts).err()?;
            Some((rule.path, broken, value.map(shown)))
        });
        (self.memory.one, self.memory.texts) = (scratch, texts);
        let Some((path, broken, value)) = broken else { return Ok(()) };
        let path = self.plan.tree.path(path);
        Err(match value {
            Some(value) => {
                self.reject(RejectClass::Schema, format_args!("`{path}` is {value} {broken}"))
            }
            None => self.reject(RejectClass::Schema, format_args!("`{path}` {broken}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<'r>(rule: &'r Rule, value: &str) -> Result<(), Broken<'r>> {
        rule.check(Some(value.as_bytes()), &mut [Vec::new(), Vec::new()])
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
        let mut memory = [Vec::new(), Vec::new()];
        assert_eq!(optional.check(None, &mut memory), Ok(()));
        assert_eq!(whole.check(None, &mut memory), Err(Broken::Absent));
        let wrong = Rules { pattern: Some("(".to_owned()), ..Rules::default() };
        assert!(Rule::new(PathId::ROOT, &wrong).unwrap_err().contains("the pattern \"(\" is none"));
    }
}

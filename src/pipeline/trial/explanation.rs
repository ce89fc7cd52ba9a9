//! What each step saw and did, for `--explain`.
//!
//! Every step is listed in order: those that ran with what they read, looked up, decided and
//! wrote, one whose condition was not true as passed over, those behind the end of a record as not
//! reached. A step that runs several times for one record is listed as often. How long a step takes
//! is not said: a watched step does not take what it takes in a run.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Outcome, answer::Bytes};
use crate::{
    codec::Written,
    pipeline::{Found, process::Watch},
    verdict::{Step, Verdict},
};

/// What a step saw and did.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    step: String,
    operator: &'static str,
    did: Did,
    #[serde(skip_serializing_if = "Named::is_empty")]
    read: Named<Bytes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lookups: Vec<LookedUp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decided: Vec<String>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    wrote: Named<Value>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    /// It did what it is for.
    Ran,
    /// Its condition was not true.
    PassedOver,
    /// The record had ended before.
    NotReached,
    /// The record ended here.
    Ended(Outcome),
}

/// What `Did` is called.
pub(super) const DID: [&str; 7] = [
    Did::Ran.name(),
    Did::PassedOver.name(),
    Did::NotReached.name(),
    Did::Ended(Outcome::Emitted).name(),
    Did::Ended(Outcome::Skipped).name(),
    Did::Ended(Outcome::Rejected).name(),
    Did::Ended(Outcome::Held).name(),
];

impl Did {
    const fn name(self) -> &'static str {
        match self {
            Did::Ran => "ran",
            Did::PassedOver => "passed_over",
            Did::NotReached => "not_reached",
            Did::Ended(outcome) => outcome.name(),
        }
    }
}

impl Serialize for Did {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Values by name, in the order in which they came.
#[derive(Debug)]
struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was read twice is listed once.
    fn add(&mut self, name: String, value: T) {
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, value));
        }
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// What a table's answers are called, in the order of `Found`.
pub(super) const FOUND: [&str; 5] = ["hit", "miss", "stale", "unknown", "late"];

#[derive(Debug, Serialize)]
struct LookedUp {
    table: String,
    key: Bytes,
    found: &'static str,
}

/// Takes notes while a record is processed.
#[derive(Debug)]
pub(super) struct Explanation {
    /// Names and operators of all steps.
    steps: Vec<(String, &'static str)>,
    seen: Vec<(u16, Seen)>,
}

impl Explanation {
    pub(super) fn new<'a>(steps: impl Iterator<Item = (&'a str, &'static str)>) -> Explanation {
        let steps = steps.map(|(name, operator)| (name.to_owned(), operator)).collect();
        Explanation { steps, seen: Vec::new() }
    }

    /// All steps, once the record has ended.
    pub(super) fn end(self, verdict: &Verdict) -> Vec<Seen> {
        self.end_of(0, verdict)
    }

    /// The steps behind that one, once what it gave off has ended.
    pub(super) fn end_behind(self, step: u16, verdict: &Verdict) -> Vec<Seen> {
        self.end_of(step + 1, verdict)
    }

    fn end_of(mut self, first: u16, verdict: &Verdict) -> Vec<Seen> {
        let ending = match verdict {
            Verdict::Skip(skip) => Some(skip.step),
            Verdict::Reject(rejection) => Some(rejection.step),
            Verdict::Hold(step) => Some(*step),
            Verdict::Emit | Verdict::Wait(_) | Verdict::Behind { .. } => None,
        };
        if let Some(Step::Number(step)) = ending {
            self.at(step).did = Did::Ended(Outcome::from(verdict));
        }
        for step in first..self.steps.len() as u16 {
            if !self.seen.iter().any(|(seen, _)| *seen == step) {
                self.begin(step, Did::NotReached);
            }
        }
        self.seen.into_iter().map(|(_, seen)| seen).collect()
    }

    fn begin(&mut self, step: u16, did: Did) {
        let (name, operator) = self.steps[usize::from(step)].clone();
        let (read, wrote) = (Named(Vec::new()), Named(Vec::new()));
        let (lookups, decided) = (Vec::new(), Vec::new());
        let seen = Seen { step: name, operator, did, read, lookups, decided, wrote };
        self.seen.push((step, seen));
    }

    /// The last notes about a step.
    fn at(&mut self, step: u16) -> &mut Seen {
        let index = match self.seen.iter().rposition(|(seen, _)| *seen == step) {
            Some(index) => index,
            None => {
                self.begin(step, Did::Ran);
                self.seen.len() - 1
            }
        };
        &mut self.seen[index].1
    }
}

impl Watch for Explanation {
    fn began(&mut self, step: u16) {
        self.begin(step, Did::Ran);
    }

    fn passed_over(&mut self, step: u16) {
        self.at(step).did = Did::PassedOver;
    }

    fn read(&mut self, step: u16, expression: &dyn fmt::Display, value: &[u8]) {
        self.at(step).read.add(expression.to_string(), value.into());
    }

    fn decided(&mut self, step: u16, how: &dyn fmt::Display) {
        self.at(step).decided.push(how.to_string());
    }

    fn looked_up(&mut self, step: u16, table: &str, key: &[u8], found: &Found<'_>) {
        let [hit, miss, stale, unknown, late] = FOUND;
        let found = match found {
            Found::Hit(_) => hit,
            Found::Miss => miss,
            Found::Stale => stale,
            Found::Unknown(_) => unknown,
            Found::Late => late,
        };
        let (table, key) = (table.to_owned(), key.into());
        self.at(step).lookups.push(LookedUp { table, key, found });
    }

    fn wrote(&mut self, step: u16, path: &dyn fmt::Display, written: Written, bytes: &[u8]) {
        let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
        let value = match written {
            Written::Json(_) => serde_json::from_slice(bytes).unwrap_or_else(|_| text()),
            _ => text(),
        };
        self.at(step).wrote.add(path.to_string(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verdict::{Skip, SkipClass};

    #[test]
    fn steps_that_were_passed_over_and_not_reached_are_listed_in_order() {
        let steps = [("first", "text"), ("2", "lookup"), ("3", "filter"), ("4", "text")];
        let mut explanation = Explanation::new(steps.into_iter());
        explanation.began(0);
        explanation.passed_over(0);
        explanation.began(1);
        explanation.read(1, &"event.key", b"\xff");
        explanation.looked_up(1, "users", b"\xff", &Found::Miss);
        explanation.decided(1, &"on_miss gives the value");
        explanation.wrote(1, &"cached", Written::Json(0), b"{\"a\":1}");
        explanation.began(2);
        let skip = Skip { class: SkipClass::Filtered, step: Step::Number(2) };
        let seen = explanation.end(&Verdict::Skip(skip));
        let expected = json!([
            { "step": "first", "operator": "text", "did": "passed_over" },
            {
                "step": "2", "operator": "lookup", "did": "ran",
                "read": { "event.key": { "base64": "/w==" } },
                "lookups": [{ "table": "users", "key": { "base64": "/w==" }, "found": "miss" }],
                "decided": ["on_miss gives the value"],
                "wrote": { "cached": { "a": 1 } },
            },
            { "step": "3", "operator": "filter", "did": "skipped" },
            { "step": "4", "operator": "text", "did": "not_reached" },
        ]);
        assert_eq!(serde_json::to_value(seen).unwrap(), expected);
    }

    #[test]
    fn a_record_that_ends_before_the_steps_reaches_none() {
        let rejected = crate::verdict::Rejection::new(
            crate::verdict::RejectClass::NotJson,
            Step::Parse,
            format_args!("it is no JSON"),
        );
        let explanation = Explanation::new([("1", "text")].into_iter());
        let seen = serde_json::to_value(explanation.end(&Verdict::Reject(rejected))).unwrap();
        assert_eq!(seen, json!([{ "step": "1", "operator": "text", "did": "not_reached" }]));
    }
}

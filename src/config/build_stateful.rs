//! Steps with state: what belongs to which kind of window, what cannot stand beside such a step.

use std::time::Duration;

use super::{
    build::Builder,
    keys::state,
    settings::{Dedup, Guarantee, Operator, Settings, Step, Window, WindowKind},
    units::show_duration,
    values::Typed,
};
use crate::limits::{AGGREGATES_MAX, OVERLAPPING_WINDOWS_MAX, STATEFUL_STEPS_MAX};

/// Keys that belong to some kinds of windows, with these.
const BELONGS: [(&str, &[&str]); 6] = [
    ("size", &["tumbling", "hopping", "count"]),
    ("advance", &["hopping"]),
    ("gap", &["session"]),
    ("max_age", &["session", "count"]),
    ("lateness", &["tumbling", "hopping", "session"]),
    ("late", &["tumbling", "hopping", "session"]),
];

impl Builder<'_> {
    pub(super) fn dedup(&mut self, key: &str) -> Dedup {
        let within = format!("{key}.within");
        let expression = self.required(&format!("{key}.key"), "key = \"record.key\"");
        self.required(&within, "within = \"10m\"");
        Dedup {
            key: expression,
            within: self.whole_millis(&within).unwrap_or_default(),
            max_keys: self.max_keys(key),
        }
    }

    /// `None`: it was told what is wrong.
    pub(super) fn window(&mut self, key: &str) -> Option<Box<Window>> {
        let at = |name: &str| format!("{key}.{name}");
        self.required(&at("kind"), "kind = \"tumbling\"");
        if !self.stands(&at("aggregate")) {
            let hint = "aggregate = { count = \"count()\", total = \"sum(event.amount)\" }";
            self.error(key, "this window computes nothing: aggregate is missing", hint);
        }
        let aggregates = match self.typed(&at("aggregate")) {
            Some(Typed::Pairs(pairs)) => pairs.clone(),
            _ => Vec::new(),
        };
        if aggregates.len() > AGGREGATES_MAX {
            let message = format!("{} are more than {AGGREGATES_MAX}", aggregates.len());
            self.error(&at("aggregate"), message, "a second pipeline for the others");
        }
        let word = self.text(&at("kind"));
        self.check_belonging(key, &word);
        let kind = self.window_kind(key, &word);
        let lateness = self.whole_millis(&at("lateness")).unwrap_or(state::LATENESS);
        let max_age = self.whole_millis(&at("max_age"));
        self.check_ages(key, kind?, max_age);
        Some(Box::new(Window {
            kind: kind?,
            aggregates,
            key: self.text_at(&at("key")).unwrap_or_else(|| state::KEY.to_owned()),
            time: self.text_at(&at("time")).unwrap_or_else(|| state::TIME.to_owned()),
            lateness,
            late: self.text_at(&at("late")).filter(|it| it != "skip"),
            idle: self.whole_millis(&at("idle")),
            updates: self.text(&at("emit")) == "updates",
            max_keys: self.max_keys(key),
            max_age,
        }))
    }

    fn window_kind(&mut self, key: &str, word: &str) -> Option<WindowKind> {
        let at = |name: &str| format!("{key}.{name}");
        let (size, advance, gap) = (at("size"), at("advance"), at("gap"));
        match word {
            "tumbling" => Some(WindowKind::Tumbling { size: self.length(&size, "size = \"1m\"")? }),
            "hopping" => {
                let length = self.length(&size, "size = \"5m\"");
                let step = self.length(&advance, "advance = \"1m\"");
                let (length, step) = (length?, step?);
                if step > length {
                    let [step, length] = [step, length].map(show_duration);
                    let message = format!(
                        "{step} is more than the size, {length}: what comes in \
                                           between would be in no window"
                    );
                    self.error(&advance, message, "at most the size");
                } else if length.as_nanos().div_ceil(step.as_nanos()) > OVERLAPPING_WINDOWS_MAX {
                    let message = format!(
                        "a record would count in more than {OVERLAPPING_WINDOWS_MAX} windows"
                    );
                    self.error(&advance, message, "a longer advance, or a shorter size");
                }
                Some(WindowKind::Hopping { size: length, advance: step })
            }
            "session" => Some(WindowKind::Session { gap: self.length(&gap, "gap = \"30m\"")? }),
            "count" => {
                self.required(&size, "size = 100");
                match self.typed(&size)? {
                    Typed::Integer(size) => Some(WindowKind::Count { size: *size }),
                    _ => {
                        let message = "a window by count has a number of records as its size";
                        self.error(&size, message, "size = 100, or kind = \"tumbling\"");
                        None
                    }
                }
            }
            _ => None,
        }
    }

    /// A duration that must be there.
    fn length(&mut self, key: &str, hint: &str) -> Option<Duration> {
        self.required(key, hint);
        if let Some(Typed::Integer(number)) = self.typed(key) {
            let message = format!("{number} is a number of records, and a duration is wanted");
            self.error(key, message, &format!("{hint}, or kind = \"count\""));
        }
        self.whole_millis(key)
    }

    /// A key that does nothing for this kind is a mistake.
    fn check_belonging(&mut self, key: &str, word: &str) {
        for (name, kinds) in BELONGS {
            let key = format!("{key}.{name}");
            if !word.is_empty() && !kinds.contains(&word) && self.stands(&key) {
                let message = format!("this concerns windows of kind {}", kinds.join(", "));
                self.error(&key, message, "take it out");
            }
        }
        let (idle, max_age) = (format!("{key}.idle"), format!("{key}.max_age"));
        if word == "count" && self.stands(&idle) && !self.stands(&max_age) {
            let message = "time closes a window by count only where it has a max_age";
            self.error(&idle, message, "take it out, or set max_age");
        }
    }

    fn check_ages(&mut self, key: &str, kind: WindowKind, max_age: Option<Duration>) {
        if let (WindowKind::Session { gap }, Some(age)) = (kind, max_age)
            && age < gap
        {
            let [age, gap] = [age, gap].map(show_duration);
            let message = format!("{age} is less than the gap, {gap}: no session would be allowed");
            self.error(&format!("{key}.max_age"), message, "longer than the gap");
        }
    }

    fn max_keys(&self, key: &str) -> usize {
        match self.integer(&format!("{key}.max_keys")) {
            0 => state::MAX_KEYS,
            keys => keys,
        }
    }

    /// Times of records are whole milliseconds, and so is what is compared with them.
    fn whole_millis(&mut self, key: &str) -> Option<Duration> {
        let duration = self.duration(key)?;
        if !duration.subsec_nanos().is_multiple_of(1_000_000) {
            let message = format!("{} is no whole number of milliseconds", show_duration(duration));
            self.error(key, message, "times of records are whole milliseconds");
        }
        Some(duration)
    }

    /// What a step with state cannot stand beside.
    pub(crate) fn check_stateful(&mut self, settings: &Settings) {
        let (mut each, mut window) = (None, None);
        for (index, step) in settings.steps.iter().enumerate() {
            let key = format!("{}.{}", step.place, step.operator.name());
            if matches!(step.operator, Operator::Each(_)) {
                each = Some(&step.place);
            }
            if !step.operator.keeps_state() {
                continue;
            }
            if let Some(each) = each {
                let message = format!(
                    "a step with state counts records, and behind `each` ({each}) one is several"
                );
                self.error(&key, message, "in front of each, or in a pipeline of its own");
            }
            if let Some(window) = window {
                let message = match &step.operator {
                    Operator::Window(_) => format!("there is a window before it, {window}"),
                    _ => format!(
                        "the results of a window ({window}) come from no offset of the source, by \
                         which a step with state knows what it has counted"
                    ),
                };
                self.error(&key, message, "in a pipeline of its own that reads the results");
            }
            if let Operator::Window(it) = &step.operator {
                window = Some(&step.place);
                self.warn_of_lost(&settings.steps[..index], it, step.when.is_some());
            }
            self.warn_of_key(&key, step.operator.state_key().unwrap_or_default());
        }
        self.check_surroundings(settings);
    }

    fn check_surroundings(&mut self, settings: &Settings) {
        let Some(first) = settings.steps.iter().find(|it| it.operator.keeps_state()) else {
            return;
        };
        let mut beyond = settings.steps.iter().filter(|it| it.operator.keeps_state());
        if let Some(step) = beyond.nth(STATEFUL_STEPS_MAX) {
            let key = format!("{}.{}", step.place, step.operator.name());
            let message = format!("more than {STATEFUL_STEPS_MAX} steps keep state");
            self.error(&key, message, "a second pipeline for the others");
        }
        if self.stands("source.redis") {
            let message = "steps with state read from Kafka, by whose offsets they count";
            let key = format!("{}.{}", first.place, first.operator.name());
            self.error(&key, message, "use [source.kafka]");
        }
        if settings.delivery.guarantee == Guarantee::AtMostOnce {
            let message = "at-most-once loses what was in flight, and state that knows of it would \
                           count what nobody got";
            self.error("delivery.guarantee", message, "at-least-once, or exactly-once");
        }
    }

    /// Where a record goes is forgotten with it.
    fn warn_of_lost(&mut self, before: &[Step], window: &Window, may_pass: bool) {
        for step in before.iter().filter(|_| !may_pass) {
            let operator = step.operator.name();
            if !matches!(operator, "route" | "key" | "headers") {
                continue;
            }
            let message = match window.late {
                Some(_) => "this concerns late records alone: a window's results begin anew",
                None => "this does nothing: a window's results begin anew",
            };
            self.warning(&format!("{}.{operator}", step.place), message, "behind the window");
        }
    }

    /// Records with the same key are in the same partition if it contains the record's.
    fn warn_of_key(&mut self, key: &str, expression: &str) {
        let key = format!("{key}.key");
        if !self.stands(&key) || expression.is_empty() || contains_record_key(expression) {
            return;
        }
        let message = "state belongs to one partition, and nothing says that records with this \
                       key lie in one: those elsewhere are counted apart";
        let hint = "repartition first (hotspur init repartition), or use record.key in it";
        self.warning(&key, message, hint);
    }
}

/// What leads from different keys to different ones.
const ONE_TO_ONE: [&str; 5] = ["string(", "bytes(", "hash.md5(", "hash.sha256(", "hash.xxh3("];

/// Whether the record's key is part of what an expression comes to, as it is or one to one: by its
/// text, which says so where the key stands alone, is added to something, or is put into such a
/// function. `size(record.key)` names the key and does not contain it.
fn contains_record_key(expression: &str) -> bool {
    expression.match_indices(state::KEY).any(|(at, _)| {
        let before = expression[..at].trim_end();
        let behind = expression[at + state::KEY.len()..].trim_start();
        let is_word = |before: &str| before.ends_with(|it: char| it.is_alphanumeric() || it == '_');
        let is_part = match before.strip_suffix('(') {
            Some(before) if is_word(before) => false,
            Some(_) => true,
            None => before.is_empty() || before.ends_with('+'),
        };
        let is_mapped = ONE_TO_ONE.iter().any(|it| before.ends_with(it));
        let ends = behind.is_empty() || behind.starts_with(['+', ')']);
        (is_part || is_mapped) && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_contained_where_it_can_be_told_from_the_whole() {
        for expression in [
            "record.key",
            " record.key ",
            "record.key + '/' + event.id",
            "event.id + record.key",
            "string(record.key) + event.id",
            "(event.a + ' ' + (record.key))",
            "hash.md5(record.key)",
        ] {
            assert!(contains_record_key(expression), "{expression}");
        }
        for expression in [
            "event.id",
            "size(record.key)",
            "record.key.size()",
            "record.key == 'a'",
            "'record.key'",
            "record.key_of_another",
            "event.id == 'a' ? record.key : 'b'",
            "lookup('names', record.key)",
            "my_string2(record.key)",
        ] {
            assert!(!contains_record_key(expression), "{expression}");
        }
    }
}

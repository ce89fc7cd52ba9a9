//! Which letters are meant: all that every given option allows.

use super::Arguments;
use crate::delivery::dead_letter::opened::OpenedLetter;

/// What a letter has to be.
#[derive(Debug)]
pub(super) struct Filter {
    classes: Vec<String>,
    step: Option<String>,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    partitions: Vec<i32>,
}

impl Filter {
    /// As the command line says.
    pub(super) fn of(arguments: &Arguments) -> Filter {
        Filter {
            classes: arguments.classes.clone(),
            step: arguments.step.clone(),
            since_ms: arguments.since,
            until_ms: arguments.until,
            partitions: arguments.partitions.clone(),
        }
    }

    /// Whether that letter of that time is meant.
    pub(super) fn allows(&self, letter: &OpenedLetter<'_>, timestamp_ms: Option<i64>) -> bool {
        let any_or = |is_empty: bool, is_any: bool| is_empty || is_any;
        let partition = letter.source.map(|(_, partition, _)| partition);
        any_or(self.classes.is_empty(), self.classes.iter().any(|it| it == letter.class))
            && self.step.as_deref().is_none_or(|it| it == letter.step)
            && self.since_ms.is_none_or(|since| timestamp_ms.is_some_and(|it| it >= since))
            && self.until_ms.is_none_or(|until| timestamp_ms.is_some_and(|it| it < until))
            && any_or(
                self.partitions.is_empty(),
                partition.is_some_and(|it| self.partitions.contains(&it)),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::dead_letter::opened::Position;

    #[test]
    fn a_letter_has_to_fit_every_option() {
        let all = Filter {
            classes: Vec::new(),
            step: None,
            since_ms: None,
            until_ms: None,
            partitions: Vec::new(),
        };
        let letter = OpenedLetter {
            class: "not_json",
            step: "parse",
            source: Some(("orders", 3, Position::Offset(9))),
            ..OpenedLetter::default()
        };
        assert!(all.allows(&letter, Some(5)) && all.allows(&OpenedLetter::default(), None));
        let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let allows = |filter: &Filter| filter.allows(&letter, Some(5));
        assert!(allows(&Filter { classes: names(["a", "not_json"]), ..all }));
        let all = || Filter {
            classes: Vec::new(),
            step: None,
            since_ms: None,
            until_ms: None,
            partitions: Vec::new(),
        };
        assert!(!allows(&Filter { classes: names(["a", "b"]), ..all() }));
        assert!(!allows(&Filter { step: Some("1".to_owned()), ..all() }));
        assert!(allows(&Filter { since_ms: Some(5), until_ms: Some(6), ..all() }));
        assert!(!allows(&Filter { until_ms: Some(5), ..all() }), "the end is not part of it");
        assert!(!allows(&Filter { since_ms: Some(6), ..all() }));
        assert!(allows(&Filter { partitions: vec![1, 3], ..all() }));
        assert!(!allows(&Filter { partitions: vec![9], ..all() }));
    }
}

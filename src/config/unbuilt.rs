//! What the language of the file has and this version does not do yet, all in one table.
//!
//! Such a key or value is refused with a sentence, never ignored: a promise in a file that the
//! program does not keep is worse than a program that does not start. A value that only says what
//! happens anyway is accepted; it then stands in `keys` as a choice of one.

/// What is not built.
struct Unbuilt {
    /// A pattern as in `keys`; what stands below it belongs to it.
    pattern: &'static str,
    /// Values of a key that exists; none: the whole key.
    values: &'static [&'static str],
    /// What it would do, as the subject of a sentence.
    what: &'static str,
    /// What to write meanwhile.
    instead: &'static str,
}

/// Stands for every value that `keys` does not name.
const ANY: &str = "*";

const UNBUILT: &[Unbuilt] = &[Unbuilt {
    pattern: "sink.kafka.partition",
    values: &[ANY],
    what: "an expression for the partition",
    instead: "use \"key\" or \"source\"",
}];

/// A refusal: what to say and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotBuilt {
    pub(crate) what: &'static str,
    pub(crate) instead: &'static str,
}

impl NotBuilt {
    /// The sentence.
    pub(crate) fn message(self) -> String {
        format!("{} is not built yet", self.what)
    }
}

/// Whether a whole key is not built.
pub(crate) fn key(pattern: &str) -> Option<NotBuilt> {
    let found = UNBUILT.iter().find(|it| it.values.is_empty() && it.pattern == pattern)?;
    Some(NotBuilt { what: found.what, instead: found.instead })
}

/// Whether a value that `keys` refuses is not built, rather than wrong.
pub(crate) fn value(pattern: &str, text: &str) -> Option<NotBuilt> {
    let is_value = |it: &&Unbuilt| {
        it.pattern == pattern && it.values.iter().any(|value| *value == ANY || *value == text)
    };
    let found = UNBUILT.iter().find(is_value)?;
    Some(NotBuilt { what: found.what, instead: found.instead })
}

/// Names right under a pattern that are not built, for hints.
pub(crate) fn names_under(pattern: &str) -> impl Iterator<Item = &'static str> {
    let prefix = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
    UNBUILT
        .iter()
        .filter_map(move |it| it.pattern.strip_prefix(&prefix).filter(|rest| !rest.contains('.')))
}

#[cfg(test)]
mod tests {
    use super::{super::keys, *};

    #[test]
    fn whole_keys_are_not_built_and_values_belong_to_keys_that_are() {
        for it in UNBUILT {
            let built = keys::find(it.pattern);
            assert_eq!(built.is_some(), !it.values.is_empty(), "{}", it.pattern);
            if let Some(keys::Kind::Choice(words)) = built.map(|key| key.kind) {
                assert!(it.values.iter().all(|value| !words.contains(value)), "{}", it.pattern);
            }
        }
    }

    #[test]
    fn refusals_are_sentences() {
        let message = value("sink.kafka.partition", "event.number").unwrap().message();
        assert_eq!(message, "an expression for the partition is not built yet");
        assert!(value("latency.stages", "twice").is_none());
        assert!(key("source.redis").is_none() && key("steps[].window").is_none());
    }
}

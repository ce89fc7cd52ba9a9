//! What does not change during a run: for metrics, and for the head of its histogram logs.

use crate::observe::Labels;

/// What does not change during a run.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of the pipeline.
    pub name: String,
    /// Of the process.
    pub instance: String,
    /// The profile that was chosen.
    pub profile: String,
    /// The hot core, or `none`.
    pub core: String,
    /// What is promised.
    pub guarantee: String,
    /// Names of steps and destinations.
    pub labels: Labels,
    /// What else a reader of the files should know, by name: broker, idle strategy, the host.
    pub circumstances: Vec<(&'static str, String)>,
}

impl Facts {
    /// The first lines of a histogram log: the program, then a fact a line.
    pub fn about(&self) -> String {
        let named = [
            ("name", &self.name),
            ("instance", &self.instance),
            ("profile", &self.profile),
            ("guarantee", &self.guarantee),
            ("core", &self.core),
        ];
        let circumstances = self.circumstances.iter().map(|(name, value)| (*name, value));
        let facts = named.into_iter().chain(circumstances).filter(|(_, it)| !it.is_empty());
        // A line break in a name must not become a line of the log.
        let one_line = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        facts.fold(concat!("hotspur ", env!("CARGO_PKG_VERSION")).to_owned(), |text, (name, it)| {
            format!("{text}\n{name}: {}", one_line(it))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_a_line_whatever_its_value_is() {
        let facts = Facts {
            name: "orders\n#[StartTime: 0".to_owned(),
            core: "3".to_owned(),
            circumstances: vec![("cpu", "An EPYC".to_owned()), ("kernel", String::new())],
            ..Facts::default()
        };
        let expected = concat!(
            "hotspur ",
            env!("CARGO_PKG_VERSION"),
            "\nname: orders #[StartTime: 0\ncore: 3\ncpu: An EPYC"
        );
        assert_eq!(facts.about(), expected);
    }
}

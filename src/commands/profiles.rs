//! `profiles`: lists the tuning profiles, prints one, compares two.

use super::{Failure, Outcome, print};
use crate::config::profiles::{self, BUILT_IN};

/// Arguments of `profiles`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Prints this one
    #[arg(conflicts_with = "diff")]
    pub name: Option<String>,
    /// What the second does differently from the first
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    pub diff: Option<Vec<String>>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    let text = match (&arguments.name, arguments.diff.as_deref()) {
        (Some(name), _) => profiles::find(name).ok_or_else(|| unknown(name))?.to_owned(),
        (None, Some([first, second])) => difference(first, second)?,
        _ => BUILT_IN
            .iter()
            .map(|(name, text)| format!("{name:14}{}\n", profiles::summary(text)))
            .collect(),
    };
    print(&text)
}

fn unknown(name: &str) -> Failure {
    Failure::usage(profiles::unknown("profiles", name).to_string())
}

/// Keys whose values differ, defaults and what is inherited included.
fn difference(first: &str, second: &str) -> Result<String, Failure> {
    let [left, right] = [first, second].map(profiles::effective);
    let left = left.ok_or_else(|| unknown(first))?;
    let right = right.ok_or_else(|| unknown(second))?;
    let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let value = |values: &std::collections::BTreeMap<String, String>, key: &String| {
        values.get(key).cloned().unwrap_or_else(|| "(librdkafka's default)".to_owned())
    };
    let mut rows = vec![(String::new(), first.to_owned(), second.to_owned())];
    for key in keys.into_iter().filter(|key| left.get(*key) != right.get(*key)) {
        rows.push((key.clone(), value(&left, key), value(&right, key)));
    }
    let width = |of: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0)
    };
    let (keys, lefts) = (width(|row| &row.0), width(|row| &row.1));
    let line = |(key, left, right): &(String, String, String)| {
        format!("{key:keys$}  {left:lefts$}  {right}\n")
    };
    Ok(rows.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_what_differs_and_nothing_else() {
        let text = difference("balanced", "throughput").unwrap();
        assert!(text.contains("\"linger.ms\"") && text.contains("limits.batch"), "{text}");
        assert!(!text.contains("reconnect") && !text.contains("limits.depth"), "{text}");
        assert_eq!(difference("laptop", "laptop").unwrap().lines().count(), 1);
        assert!(difference("balanced", "lowlatency").unwrap_err().message.contains("low-latency"));
    }
}

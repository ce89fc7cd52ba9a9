//! What the pipeline itself says became of records: from its counters, or from its `/metrics`.

use std::collections::BTreeMap;

use crate::{
    measure::{Counters, Grid},
    verdict::{RejectClass, SkipClass},
};

/// Sums since the pipeline's start, or of a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) polled: u64,
    pub(super) emitted: u64,
    /// By class.
    pub(super) skipped: BTreeMap<String, u64>,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) held: u64,
}

impl Books {
    /// Those of a pipeline in this process.
    pub(super) fn of(counters: &Counters) -> Books {
        let by_class = |grid: &Grid, names: &mut dyn Iterator<Item = (usize, String)>| {
            let counted = names.map(|(class, name)| (name, grid.of_class(class)));
            counted.filter(|(_, count)| *count > 0).collect()
        };
        let mut skips = SkipClass::ALL.iter().map(|it| (*it as usize, it.to_string()));
        let mut rejects = RejectClass::ALL.iter().map(|it| (*it as usize, it.to_string()));
        Books {
            polled: counters.polled,
            emitted: counters.emitted,
            skipped: by_class(&counters.skipped, &mut skips),
            rejected: by_class(&counters.rejected, &mut rejects),
            held: counters.held.total(),
        }
    }

    /// Those of a pipeline elsewhere, from the text of its metrics; `None` if it has none.
    pub(super) fn read(metrics: &str) -> Option<Books> {
        let mut books = Books::default();
        let mut is_there = false;
        for line in metrics.lines() {
            let Some((sample, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let value = value as u64;
            if sample == "hotspur_polled_records_total" {
                (books.polled, is_there) = (value, true);
            } else if sample.starts_with("hotspur_records_total{") {
                let class = label(sample, "class").unwrap_or_default().to_owned();
                match label(sample, "outcome") {
                    Some("emitted") => books.emitted += value,
                    Some("skipped") => *books.skipped.entry(class).or_default() += value,
                    Some("held") => books.held += value,
                    Some("rejected") => *books.rejected.entry(class).or_default() += value,
                    _ => {}
                }
            }
        }
        is_there.then_some(books)
    }

    /// What was added to earlier ones.
    pub(super) fn since(&self, earlier: &Books) -> Books {
        let classes = |now: &BTreeMap<String, u64>, then: &BTreeMap<String, u64>| {
            let before = |class: &String| then.get(class).copied().unwrap_or_default();
            let added =
                now.iter().map(|(it, count)| (it.clone(), count.saturating_sub(before(it))));
            added.filter(|(_, count)| *count > 0).collect()
        };
        Books {
            polled: self.polled.saturating_sub(earlier.polled),
            emitted: self.emitted.saturating_sub(earlier.emitted),
            skipped: classes(&self.skipped, &earlier.skipped),
            rejected: classes(&self.rejected, &earlier.rejected),
            held: self.held.saturating_sub(earlier.held),
        }
    }

    /// Records without a result by design.
    pub(super) fn passed_over(&self) -> u64 {
        self.skipped.values().sum::<u64>() + self.rejected.values().sum::<u64>() + self.held
    }

    /// True if nothing is under way, as far as these say.
    pub(super) fn are_balanced(&self) -> bool {
        self.polled <= self.emitted + self.passed_over()
    }
}

/// The value of a label; ours that are asked for hold no quotes.
fn label<'a>(sample: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = sample.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

/// `skipped table_miss 3`, in order.
pub(super) fn listed(classes: &BTreeMap<String, u64>) -> String {
    let each = classes.iter().map(|(class, count)| format!("{class} {count}"));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::counters::Place;

    const METRICS: &str = "\
# HELP hotspur_polled_records_total Records taken from the source.
# TYPE hotspur_polled_records_total counter
hotspur_polled_records_total 21
hotspur_records_total{outcome=\"emitted\",class=\"\",step=\"\"} 9
hotspur_records_total{outcome=\"skipped\",class=\"table_miss\",step=\"1\"} 3
hotspur_records_total{outcome=\"skipped\",class=\"table_miss\",step=\"the \\\"second\\\"\"} 2
hotspur_records_total{outcome=\"rejected\",class=\"not_json\",step=\"parse\"} 3
hotspur_records_total{outcome=\"held\",class=\"\",step=\"3\"} 1
hotspur_records_total{outcome=\"held\",class=\"\",step=\"4\"} 3
hotspur_turns_total 1e3
";

    fn sample() -> Books {
        Books {
            polled: 21,
            emitted: 9,
            skipped: [("table_miss".to_owned(), 5)].into(),
            rejected: [("not_json".to_owned(), 3)].into(),
            held: 4,
        }
    }

    #[test]
    fn books_are_read_from_metrics_and_from_counters_alike() {
        assert_eq!(Books::read(METRICS), Some(sample()));
        assert_eq!(Books::read("up 1\n"), None);
        let mut counters = Counters::ZERO;
        (counters.polled, counters.emitted) = (21, 9);
        [2, 3, 3, 3].iter().for_each(|step| _ = counters.held.count(0, Place::step(*step)));
        for step in [0, 0, 0, 1, 1] {
            counters.skipped.count(SkipClass::TableMiss as usize, Place::step(step));
        }
        (0..3).for_each(|_| {
            counters.rejected.count(RejectClass::NotJson as usize, Place::PARSE);
        });
        assert_eq!(Books::of(&counters), sample());
    }

    #[test]
    fn what_was_added_is_the_difference() {
        let (earlier, later) = (sample(), Books::read(METRICS).unwrap());
        assert_eq!(later.since(&earlier), Books::default());
        let since = later.since(&Books { skipped: BTreeMap::new(), polled: 7, ..sample() });
        assert_eq!((since.polled, since.passed_over()), (14, 5));
        assert!(sample().are_balanced() && !since.are_balanced());
        assert_eq!(listed(&since.skipped), "table_miss 5");
    }
}

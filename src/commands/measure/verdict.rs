//! Whether requirements hold, and by what figure.

use super::level::{Level, Measurement};
use crate::{
    config::requirement::{Condition, Count, Requirement, Statistic},
    observe::summary::{grouped, readable},
};

/// A requirement and what was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) requirement: Requirement,
    pub(super) holds: bool,
    pub(super) found: Found,
    /// At which of several rates: where it is worst.
    pub(super) rate: Option<u64>,
}

/// The figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found {
    /// Nanoseconds.
    Latency(u64),
    /// Records, or records per second.
    Number(u64),
    /// Nothing of the kind was measured, so nothing is known.
    Nothing,
}

impl Judged {
    /// What was found, for people.
    pub(super) fn shown(&self) -> String {
        let found = match self.found {
            Found::Latency(nanos) => readable(nanos),
            Found::Number(number) => grouped(number),
            Found::Nothing => "nothing of it was measured".to_owned(),
        };
        match self.rate {
            Some(rate) => format!("{found} at {} a second", grouped(rate)),
            None => found,
        }
    }

    pub(super) fn sentence(&self) -> String {
        format!("{}: {}", self.requirement, self.shown())
    }
}

/// Judges one by the levels for which it is to hold.
pub(super) fn judge(requirement: &Requirement, measurement: &Measurement) -> Judged {
    let levels = measurement.required_levels();
    let is_external = measurement.about.is_external;
    let (at, found, holds) = match &requirement.condition {
        Condition::Latency { span, statistic, bound, or_equal } => {
            let worst = worst(levels, |level| latency(level, span, *statistic, is_external));
            let found = worst.map_or(Found::Nothing, |(_, nanos)| Found::Latency(nanos));
            let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
            let holds = worst.is_some_and(|(_, it)| it < bound || (*or_equal && it == bound));
            (worst.map(|(rate, _)| rate), found, holds)
        }
        Condition::None(count) => {
            let worst = worst(levels, |level| Some(counted(level, *count)));
            let (rate, number) = worst.unwrap_or_default();
            (Some(rate), Found::Number(number), number == 0)
        }
        Condition::Rate(rate) => {
            let level = levels.last();
            // Rounded as it is shown.
            let achieved = level.map_or(0, |it| it.achieved().round() as u64);
            (level.map(|it| it.rate), Found::Number(achieved), achieved >= *rate)
        }
    };
    let rate = at.filter(|_| measurement.is_ramp);
    Judged { requirement: requirement.clone(), holds, found, rate }
}

/// The largest figure and its level's rate; `None` where a level has none.
fn worst(levels: &[Level], figure: impl Fn(&Level) -> Option<u64>) -> Option<(u64, u64)> {
    let figures = levels.iter().map(|level| figure(level).map(|it| (level.rate, it)));
    figures.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|(_, it)| *it)
}

fn latency(level: &Level, span: &str, statistic: Statistic, is_external: bool) -> Option<u64> {
    let histogram = level.figure(span, is_external).filter(|it| !it.is_empty())?;
    Some(match statistic {
        Statistic::Percentile(percentile) => histogram.value_at_percentile(percentile),
        Statistic::Mean => histogram.mean().round() as u64,
        Statistic::Max => histogram.max(),
    })
}

fn counted(level: &Level, count: Count) -> u64 {
    match count {
        Count::Loss => level.lost(),
        Count::Duplicates => level.arrivals().duplicates,
        Count::Reordered => level.arrivals().reordered,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::{
        super::{
            level::{About, tests::level},
            ramp,
        },
        *,
    };
    use crate::loadgen::judge::latencies;
    use crate::measure::{Span, Stage};

    /// A measurement of these levels, of a pipeline in this process.
    pub(in super::super) fn measurement(levels: Vec<Level>, texts: &[&str]) -> Measurement {
        let is_ramp = levels.len() > 1;
        let knee = ramp::knee(&levels).filter(|_| is_ramp);
        let about = About {
            name: "orders".to_owned(),
            instance: "0".to_owned(),
            profile: "balanced".to_owned(),
            guarantee: "at-least-once",
            core: Some("none".to_owned()),
            is_external: false,
            source: "in".to_owned(),
            sink: "out".to_owned(),
            warmup: Duration::from_secs(2),
            payload: "orders".to_owned(),
            keys: 1_000,
        };
        let (judged, notes, files) = (Vec::new(), Vec::new(), Vec::new());
        let mut measured = Measurement { about, levels, is_ramp, knee, judged, notes, files };
        let requirements = texts.iter().map(|it| Requirement::parse(it).unwrap());
        measured.judged = requirements.map(|it| judge(&it, &measured)).collect();
        measured
    }

    fn holds(levels: Vec<Level>, text: &str) -> bool {
        measurement(levels, &[text]).judged[0].holds
    }

    fn with_parse(nanos: u64) -> Vec<Level> {
        let mut level = level(1_000, 1_000_000);
        let mut histogram = latencies();
        histogram.record_n(nanos, 1_000).unwrap();
        level.spans = vec![(Span::Stage(Stage::Parse), histogram)];
        vec![level]
    }

    #[test]
    fn latencies_are_held_against_their_bounds() {
        assert!(holds(with_parse(1_500), "parse.p99 < 2us"));
        assert!(!holds(with_parse(1_500), "parse.max < 1us"));
        assert!(holds(with_parse(1_000), "parse.mean <= 1us"));
        assert!(!holds(with_parse(1_000), "parse.mean < 1us"));
        assert!(holds(with_parse(1), "received.p99.9 < 2ms"));
        assert!(!holds(with_parse(1), "hop.p50 < 1us"));
        assert!(!holds(with_parse(1), "held.p50 < 1h"), "what was not measured is not known");
    }

    #[test]
    fn counts_and_rates_are_held_against_theirs() {
        let bad = || {
            let mut level = level(1_000, 1_000);
            (level.heard.arrivals.received, level.heard.arrivals.duplicates) = (990, 3);
            vec![level]
        };
        for text in ["loss = 0", "duplicates = 0", "rate >= 1k"] {
            assert!(!holds(bad(), text), "{text}");
            assert!(holds(vec![level(1_000, 1_000)], text), "{text}");
        }
        assert!(holds(bad(), "reordered = 0"));
    }

    #[test]
    fn of_a_ramp_they_hold_up_to_the_knee() {
        let levels = || vec![level(1_000, 1_000), level(2_000, 2_000), level(4_000, 90_000)];
        let texts = ["received.max < 3us", "received.max < 2us", "rate >= 2k", "rate >= 3k"];
        let measured = measurement(levels(), &texts);
        assert_eq!(measured.knee, Some(1));
        assert_eq!(
            measured.judged.iter().map(|it| it.holds).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        assert_eq!(measured.judged[1].rate, Some(2_000), "where it is worst");
        let shortfalls = measured.shortfalls();
        assert_eq!(shortfalls.len(), 2, "{shortfalls:?}");
        assert!(shortfalls[0].contains("received.max < 2us: 2.00 us at 2,000 a second"));
    }
}

//! What is asked of `measure`, checked before anything is reached: rates, times, requirements.

use std::time::Duration;

use super::{Arguments, Failure};
use crate::{
    commands::load::Contents,
    config::{
        Settings,
        requirement::{Condition, Requirement},
        units,
    },
    limits::{MEASURED_RECORDS_MAX, RAMP_LEVELS_MAX},
    loadgen::Pace,
};

/// Rates of a ramp, if nobody says how many.
const LEVELS: u64 = 8;

/// The bare hop takes this part of the time, …
const HOP_PART: u32 = 4;

/// … and no less and no more than this.
const HOP_MIN: Duration = Duration::from_secs(1);
const HOP_MAX: Duration = Duration::from_secs(10);

/// Before the hop, unless the warm-up is shorter.
const HOP_WARMUP_MAX: Duration = Duration::from_secs(1);

/// Spans that are known of a pipeline that runs elsewhere.
const SPANS_ELSEWHERE: [&str; 3] = ["hop", "received", "end_to_end"];

/// The rules, for `--help`.
pub(super) const RULES: &str = "\
R is SPAN.(pN|mean|max) (<|<=) DURATION, loss = 0, duplicates = 0, reordered = 0, or rate >= N; \
[measure] require = [\"…\"] keeps them in the file. SPAN is a stage, transit or end_to_end (by the \
pipeline's own clock stamps), received (from when a record was due until its result was read from \
the sink) or hop (the same without a pipeline: until the record was read from the source). \
With --external, only the last two; end_to_end is received there.

The hop takes a quarter of --for, 1 s at least and 10 s at most, and comes first, at each rate. In \
this process the pipeline is started after it.

A rate counts as missed if more than 1 in 100 records was handed over more than 10 ms after it was \
due, or not at all a second after the end, or if the records came through, from the first result \
to the last, at less than 95 % of it. The knee of a ramp is the highest rate that was not missed, \
at which nothing was lost, and whose p99 of received is at most 5 times that of the lowest \
rate; where that is the last, the knee was not reached, which is no failure. \
Of a ramp, the requirements must hold at each rate up to the knee, and rate >= N at the knee \
itself; it fails if there is no knee.

Lost is a record that was acknowledged by the source, of which no result came, and that the \
pipeline did not skip or dead-letter by its own books: in this process its counters, with \
--external what /metrics of observe.listen says, if that can be reached.

Status 1: a requirement does not hold, or the rate was missed.";

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// The rates, rising.
    pub(super) rates: Vec<u64>,
    /// How long each is measured.
    pub(super) length: Duration,
    pub(super) warmup: Duration,
    pub(super) hop_length: Duration,
    pub(super) hop_warmup: Duration,
    pub(super) is_external: bool,
    /// Those of the file, then those of the command line.
    pub(super) requirements: Vec<Requirement>,
    pub(super) contents: Contents,
}

/// `N` or `N..N`.
pub(super) fn parse_rates(text: &str) -> Result<(u64, u64), String> {
    let Some((from, to)) = text.split_once("..") else {
        return units::parse_rate(text).map(|rate| (rate, rate));
    };
    let (from, to) = (units::parse_rate(from)?, units::parse_rate(to)?);
    match from < to {
        true => Ok((from, to)),
        false => Err(format!("a ramp rises, such as 1k..50k: {from} is not below {to}")),
    }
}

impl Plan {
    pub(super) fn new(settings: &Settings, arguments: &Arguments) -> Result<Plan, Failure> {
        let (from, to) = arguments.rate;
        let is_ramp = from < to;
        if arguments.levels.is_some() && !is_ramp {
            return Err(Failure::usage(
                "--levels is of a ramp: write --rate as from..to, such as 1k..50k",
            ));
        }
        if arguments.duration.is_zero() {
            return Err(Failure::usage("--for takes a time above 0, such as 10s"));
        }
        let levels = if is_ramp { arguments.levels.unwrap_or(LEVELS) } else { 1 };
        let rates = geometric(from, to, levels as usize);
        let longest = arguments.duration.max(arguments.warmup);
        if records(to, longest) > MEASURED_RECORDS_MAX {
            return Err(Failure::usage(format!(
                "{to} records a second for {} are too many to be told apart: at most {} at one \
                 rate; lower --rate or --for",
                units::show_duration(longest),
                MEASURED_RECORDS_MAX
            )));
        }
        let from_file = settings.measure.require.iter();
        let requirements: Vec<_> = from_file.chain(&arguments.require).cloned().collect();
        // A payload that there is not is told before anything is waited for.
        arguments.contents.load(1, Pace::PerSecond(to))?;
        if arguments.external {
            requirements.iter().try_for_each(refuse_elsewhere)?;
        }
        Ok(Plan {
            rates,
            length: arguments.duration,
            warmup: arguments.warmup,
            hop_length: (arguments.duration / HOP_PART).clamp(HOP_MIN, HOP_MAX),
            hop_warmup: arguments.warmup.min(HOP_WARMUP_MAX),
            is_external: arguments.external,
            requirements,
            contents: arguments.contents.clone(),
        })
    }

    pub(super) fn is_ramp(&self) -> bool {
        self.rates.len() > 1
    }
}

/// Records that are due in that time.
pub(super) fn records(rate: u64, length: Duration) -> u64 {
    let nanos = u128::from(rate).saturating_mul(length.as_nanos());
    u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX).max(1)
}

/// From … to, each the same multiple of the one before; fewer where they would be the same.
fn geometric(from: u64, to: u64, levels: usize) -> Vec<u64> {
    assert!(levels <= RAMP_LEVELS_MAX, "the command line is bounded");
    let factor = to as f64 / from as f64;
    let level = |index: usize| {
        let share = index as f64 / (levels - 1).max(1) as f64;
        (from as f64 * factor.powf(share)).round() as u64
    };
    let mut rates: Vec<u64> = (0..levels).map(level).collect();
    rates.dedup();
    rates
}

fn refuse_elsewhere(requirement: &Requirement) -> Result<(), Failure> {
    match &requirement.condition {
        Condition::Latency { span, .. } if !SPANS_ELSEWHERE.contains(span) => {
            Err(Failure::usage(format!(
                "--external: \"{requirement}\" cannot be told: {span} is known only of a pipeline \
                 in this process; require hop, received or end_to_end (which is received there), \
                 or leave --external out"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_by_the_same_multiple_and_end_where_they_should() {
        assert_eq!(geometric(1_000, 8_000, 4), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(geometric(500, 500, 1), [500]);
        assert_eq!(geometric(1, 3, 8), [1, 2, 3], "each rate once");
        let rates = geometric(1_000, 50_000, 8);
        assert_eq!((rates.len(), rates[0], rates[7]), (8, 1_000, 50_000));
        assert!(rates.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn rates_are_one_or_a_ramp_that_rises() {
        assert_eq!(parse_rates("20k"), Ok((20_000, 20_000)));
        assert_eq!(parse_rates("1k..50k"), Ok((1_000, 50_000)));
        for wrong in ["", "..", "1k..", "5..5", "9..3", "1..2..3", "fast"] {
            assert!(parse_rates(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_pipeline_elsewhere_its_stages_cannot_be_required() {
        let refuse = |text| refuse_elsewhere(&Requirement::parse(text).unwrap());
        for known in ["hop.p99 < 1ms", "received.max < 1s", "end_to_end.p50 < 1ms", "loss = 0"] {
            assert_eq!(refuse(known), Ok(()));
        }
        for unknown in ["parse.p99 < 1ms", "transit.mean < 1ms"] {
            let failure = refuse(unknown).unwrap_err();
            assert!(failure.message.contains(unknown), "{failure:?}");
        }
    }

    #[test]
    fn records_of_a_time_are_at_least_one() {
        assert_eq!(records(1_000, Duration::from_millis(1_500)), 1_500);
        assert_eq!(records(1, Duration::from_nanos(1)), 1);
        assert_eq!(records(u64::MAX, Duration::MAX), u64::MAX);
    }
}

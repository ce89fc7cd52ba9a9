//! The end of a run: everything it measured, and the table that a person reads.

use std::{fmt, path::PathBuf, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    clock::ClockError,
    measure::{Age, Counters, Interval, Regime, Span},
    observe::Labels,
    verdict::{RejectClass, SkipClass},
};

/// The columns between count and max.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

const SPAN_WIDTH: usize = 18;
const COUNT_WIDTH: usize = 15;
const VALUE_WIDTH: usize = 10;

/// What a run measured from its start to its end.
#[derive(Debug)]
pub struct Summary {
    /// The sum of all intervals.
    pub total: Interval,
    /// How long it took.
    pub took: Duration,
    /// The clock, and how far it was off.
    pub clock: String,
    /// Names of steps and destinations.
    pub labels: Labels,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// The latency table, then what became of the records, then what the hot thread did.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.latencies(f)?;
        writeln!(f)?;
        self.books(f)?;
        self.oddities(f)?;
        self.shares(f)
    }
}

impl Summary {
    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        latency_heading(f)?;
        for (age, span) in Age::ALL.into_iter().flat_map(|age| Span::ALL.map(|span| (age, span))) {
            let histogram = self.total.of(age).of(span);
            if !histogram.is_empty() || (age, span) == (Age::Live, Span::EndToEnd) {
                latency_row(f, &format!("{}{span}", age.prefix()), histogram)?;
            }
        }
        Ok(())
    }

    fn books(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = &self.total.counters;
        let skips = SkipClass::ALL
            .iter()
            .map(|class| (class.name(), counters.skipped.of_class(*class as usize)));
        let rejects = RejectClass::ALL
            .iter()
            .map(|class| (class.name(), counters.rejected.of_class(*class as usize)));
        let seconds = self.took.as_secs_f64();
        let rate = counters.polled as f64 / seconds.max(f64::MIN_POSITIVE);
        let rate = if seconds > 0.0 { format!("{rate:.0} a second") } else { String::new() };
        count_row(f, "polled", counters.polled, &rate)?;
        count_row(f, "emitted", counters.emitted, &self.results())?;
        count_row(f, "skipped", counters.skipped.total(), &listed(skips))?;
        count_row(f, "dead-lettered", counters.rejected.total(), &listed(rejects))?;
        self.state(f)
    }

    /// What steps with state did, where some do.
    fn state(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { held, given_off, state_changes, .. } = &self.total.counters;
        let fates = ["emitted", "skipped", "dead-lettered"].into_iter().zip(*given_off);
        let rows = [
            ("held", held.total(), "records that live on in state".to_owned()),
            ("window results", given_off.iter().sum(), listed(fates)),
            ("state changes", *state_changes, String::new()),
        ];
        let mut some = rows.iter().filter(|(_, count, _)| *count > 0);
        some.try_for_each(|(name, count, more)| count_row(f, name, *count, more))
    }

    /// Where results went, if that is more than one place.
    fn results(&self) -> String {
        let names = self.labels.destinations.iter().map(String::as_str);
        let results: Vec<_> =
            names.zip(self.total.counters.results).filter(|(_, results)| *results > 0).collect();
        if results.len() > 1 { listed(results.into_iter()) } else { String::new() }
    }

    /// What should be zero, where it is not.
    fn oddities(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = &self.total.counters;
        let ahead = format!(
            "records from ahead of this machine's clock, by {} at most: so far the clocks differ",
            readable(counters.skew_ns_max)
        );
        let above = |age| Span::ALL.map(|span| self.total.of(age).above(span)).iter().sum::<u64>();
        let above = above(Age::Live) + above(Age::Backlog);
        let rows = [
            ("refused", counters.refused, "results that the broker would not take"),
            ("commits", counters.commits_failed, "failed; what no later one covered comes again"),
            ("no origin", counters.origin_missing, "records without a time to count from"),
            ("skewed", self.total.skewed(), &ahead),
            ("past an hour", above, "latencies, in no histogram"),
            ("not logged", counters.notices_lost, "notices; the log could not keep up"),
        ];
        let mut odd = rows.into_iter().filter(|(_, count, _)| *count > 0);
        odd.try_for_each(|(name, count, what)| count_row(f, name, count, what))
    }

    fn shares(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let regimes = &self.total.regimes;
        let shares: Vec<_> = Regime::ALL
            .into_iter()
            .filter(|regime| regimes.of(*regime) > 0)
            .map(|regime| format!("{regime} {:.1} %", regimes.share(regime) * 100.0))
            .collect();
        words_row(f, "hot thread", &shares.join(", "))?;
        let saturation = regimes.saturation() * 100.0;
        let saturation = format!("{saturation:.1} % (working of working and idle)");
        words_row(f, "saturation", &saturation)?;
        words_row(f, "clock", &self.clock)
    }
}

/// What is said of the clock: its words, and how far it was off.
pub(super) fn clock_line(words: &str, error: &ClockError) -> String {
    let ClockError { parts_per_million, known_to, over } = error;
    let seconds = over.as_secs_f64();
    format!(
        "{words}; against the monotonic clock off by {parts_per_million:+.1} ± {known_to:.1} ppm \
         over {seconds:.1} s"
    )
}

/// The head of a table of latencies.
pub fn latency_heading(f: &mut impl fmt::Write) -> fmt::Result {
    write!(f, "{:<SPAN_WIDTH$}{:>COUNT_WIDTH$}", "latency", "count")?;
    for (name, _) in QUANTILES {
        write!(f, "{name:>VALUE_WIDTH$}")?;
    }
    writeln!(f, "{:>VALUE_WIDTH$}", "max")
}

/// A row of it; values are nanoseconds.
pub fn latency_row(f: &mut impl fmt::Write, name: &str, of: &Histogram<u64>) -> fmt::Result {
    write!(f, "{name:<SPAN_WIDTH$}{:>COUNT_WIDTH$}", grouped(of.len()))?;
    for (_, quantile) in QUANTILES {
        write!(f, "{:>VALUE_WIDTH$}", value(of, of.value_at_quantile(quantile)))?;
    }
    writeln!(f, "{:>VALUE_WIDTH$}", value(of, of.max()))
}

/// A count under the same columns, and what there is to say about it.
pub fn count_row(f: &mut impl fmt::Write, name: &str, count: u64, more: &str) -> fmt::Result {
    let row = format!("{name:<SPAN_WIDTH$}{:>COUNT_WIDTH$}  {more}", grouped(count));
    writeln!(f, "{}", row.trim_end())
}

/// A row with words, below the latency table.
pub(super) fn words_row(f: &mut impl fmt::Write, name: &str, words: &str) -> fmt::Result {
    writeln!(f, "{name:<SPAN_WIDTH$}  {words}")
}

/// A dash where there is nothing to take a percentile of.
fn value(of: &Histogram<u64>, nanos: u64) -> String {
    if of.is_empty() { "-".to_owned() } else { readable(nanos) }
}

/// The end of a histogram log, `name: value`: what reports want to know and no histogram holds.
pub(super) fn end_facts(total: &Interval) -> [String; 8] {
    let counters = &total.counters;
    let above: u64 = Span::ALL.map(|span| total.histograms.above(span)).iter().sum();
    [
        format!("emitted: {}", counters.emitted),
        format!("skipped: {}", counters.skipped.total()),
        format!("rejected: {}", counters.rejected.total()),
        format!("held: {}", counters.held.total()),
        format!("no origin: {}", counters.origin_missing),
        format!("skewed: {}", total.skewed()),
        format!("past an hour: {above}"),
        format!("polled: {}", counters.polled),
    ]
}

fn listed<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let counts = counts.filter(|(_, count)| *count > 0);
    let parts: Vec<_> = counts.map(|(name, count)| format!("{name} {}", grouped(count))).collect();
    parts.join(", ")
}

/// Nanoseconds in the unit that leaves one to three digits before the point, three in all.
pub fn readable(nanos: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| nanos >= *size) else {
        return format!("{nanos} ns");
    };
    let amount = nanos as f64 / size as f64;
    let decimals = match amount {
        it if it < 9.995 => 2,
        it if it < 99.95 => 1,
        _ => 0,
    };
    format!("{amount:.decimals$} {unit}")
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        measure::{RegimeClock, Stage, counters::Place},
    };

    #[test]
    fn numbers_are_written_for_people() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (9_994, "9.99 us"),
            (9_996, "10.0 us"),
            (123_456, "123 us"),
            (1_250_000, "1.25 ms"),
            (61_000_000_000, "61.0 s"),
            (3_600_000_000_000, "3600 s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(readable(nanos), text);
        }
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn the_table_is_aligned_and_the_books_are_balanced() {
        let mut total = Interval::new();
        for value in 1..=10_000 {
            total.histograms.record(Stage::Parse.into(), value);
            total.histograms.record(Span::EndToEnd, value * 1_000);
        }
        total.counters.polled = 10_000;
        total.counters.emitted = 9_998;
        total.counters.results[..2].copy_from_slice(&[9_998, 1]);
        total.counters.skipped.count(SkipClass::TableMiss as usize, Place::step(0));
        total.counters.rejected.count(RejectClass::NotJson as usize, Place::PARSE);
        let mut clock = RegimeClock::new(Ticks(0), Regime::Idle);
        clock.switch(Ticks(750), Regime::Working);
        total.regimes = clock.take(Ticks(1_000));
        let labels = Labels {
            steps: Vec::new(),
            destinations: vec!["processed".to_owned(), "orders.dead".to_owned()],
        };
        let took = Duration::from_secs(10);
        let summary = Summary { total, took, clock: "TSC".to_owned(), labels, files: Vec::new() };
        let expected = "\
latency                     count       p50       p90       p99     p99.9    p99.99       max
parse                      10,000   5.00 us   9.01 us   9.90 us   9.99 us   10.0 us   10.0 us
end_to_end                 10,000   5.00 ms   9.00 ms   9.90 ms   9.99 ms   10.0 ms   10.0 ms

polled                     10,000  1000 a second
emitted                     9,998  processed 9,998, orders.dead 1
skipped                         1  table_miss 1
dead-lettered                   1  not_json 1
hot thread          idle 75.0 %, working 25.0 %
saturation          25.0 % (working of working and idle)
clock               TSC
";
        assert_eq!(summary.to_string(), expected);
    }

    #[test]
    fn what_state_did_stands_in_the_books() {
        let mut total = Interval::new();
        (0..7).for_each(|_| _ = total.counters.held.count(0, Place::step(1)));
        (total.counters.polled, total.counters.state_changes) = (7, 2_500);
        total.counters.given_off = [3, 0, 1];
        let (took, labels) = (Duration::ZERO, Labels::default());
        let text =
            Summary { total, took, clock: "TSC".to_owned(), labels, files: Vec::new() }.to_string();
        let expected = "\
dead-lettered                   0
held                            7  records that live on in state
window results                  4  emitted 3, dead-lettered 1
state changes               2,500
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn what_should_be_zero_is_shown_only_where_it_is_not() {
        let mut total = Interval::new();
        total.histograms.record_signed(Stage::Source.into(), -5);
        total.counters.refused = 2;
        let (took, labels) = (Duration::ZERO, Labels::default());
        let text =
            Summary { total, took, clock: "TSC".to_owned(), labels, files: Vec::new() }.to_string();
        assert!(text.contains("\nskewed "), "{text}");
        assert!(text.contains("\nrefused "), "{text}");
        assert!(!text.contains("no origin"), "{text}");
        assert!(text.contains("end_to_end                      0         -"), "{text}");
    }
}

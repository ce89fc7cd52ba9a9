//! Two runs compared: how much each percentile differs, and how much of that may be noise.
//!
//! The noise comes from a bootstrap. Each run is drawn anew a few hundred times from its own cells
//! (stretches of successive intervals, with replacement), its percentiles are taken, and the spread
//! of their differences is what chance alone makes of such runs. Where a side has three files or
//! more, whole files are drawn first, so that the noise from run to run is in it, too. Within one
//! run there is no way to see that. The draw is seeded: the same files give the same answer.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    measure::Span,
    observe::{
        counts::Counts,
        report::runs::{Run, SpanFigures},
    },
};

/// What is compared; the maximum apart, which is one record and has no noise that could be told.
pub const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// What a tolerance is about.
const TOLERATED: [&str; 3] = ["p50", "p99", "p99.9"];

/// How often runs are drawn anew.
pub const DRAWS: usize = 200;

/// The part of the draws that is cut off at each end: 95 % remain.
const TAIL: f64 = 0.025;

const SEED: u64 = 0x686f_7473_7075_7200;

/// Fewer cells than that say nothing about noise.
const CELLS_MIN: usize = 5;

/// From so many files on, files are drawn and not only their cells.
const FILES_MIN: usize = 3;

/// One percentile of one span in both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The span.
    pub span: String,
    /// `p99`, `max`.
    pub quantile: &'static str,
    /// Nanoseconds in the base.
    pub base_ns: u64,
    /// Nanoseconds now.
    pub now_ns: u64,
    /// By how much it grew; 0.05 is 5 %.
    pub growth: f64,
    /// What 95 % of the draws lie between; `None` where that cannot be told.
    pub noise: Option<(f64, f64)>,
}

/// How a difference is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Chance alone may have made it.
    Noise,
    /// Slower, by more than chance.
    Slower,
    /// Faster, by more than chance.
    Faster,
    /// Nothing is known about its noise.
    Unknown,
}

impl Meaning {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Meaning::Noise => "within noise",
            Meaning::Slower => "slower",
            Meaning::Faster => "faster",
            Meaning::Unknown => "noise unknown",
        }
    }
}

impl Difference {
    /// How it is to be taken.
    pub fn meaning(&self) -> Meaning {
        match self.noise {
            None => Meaning::Unknown,
            Some((low, _)) if low > 0.0 => Meaning::Slower,
            Some((_, high)) if high < 0.0 => Meaning::Faster,
            Some(_) => Meaning::Noise,
        }
    }

    /// Between which growths the truth is likely to lie, in words: `+1.2 to +5.3 %`.
    pub fn likely(&self) -> Option<String> {
        let percent = |growth: f64| growth * 100.0;
        self.noise.map(|(low, high)| format!("{:+.1} to {:+.1} %", percent(low), percent(high)))
    }

    /// Whether a tolerance is about it: a total's p50, p99 or p99.9.
    pub fn is_tolerated(&self) -> bool {
        let totals = [Span::EndToEnd.name(), Span::Transit.name()];
        totals.contains(&self.span.as_str()) && TOLERATED.contains(&self.quantile)
    }
}

/// All percentiles of all spans that both runs have; the totals first.
pub fn differences(base: &Run, now: &Run) -> Vec<Difference> {
    let totals = now.totals().map(|it| it.name.as_str()).collect::<Vec<_>>();
    let others = now.spans.iter().map(|it| it.name.as_str()).filter(|it| !totals.contains(it));
    let names = totals.iter().copied().chain(others);
    let pairs = names.filter_map(|name| Some((base.of(name)?, now.of(name)?)));
    pairs.flat_map(|(base, now)| of_span(base, now)).collect()
}

fn of_span(base: &SpanFigures, now: &SpanFigures) -> Vec<Difference> {
    let difference = |quantile, base_ns: u64, now_ns: u64, noise| Difference {
        span: now.name.clone(),
        quantile,
        base_ns,
        now_ns,
        growth: growth(base_ns, now_ns),
        noise,
    };
    let draws = draws(base, now);
    let mut differences = Vec::new();
    for (index, (name, quantile)) in QUANTILES.into_iter().enumerate() {
        let [before, after] = [base, now].map(|it| it.total.value_at_quantile(quantile));
        let noise = draws.as_ref().map(|draws| middle(draws.iter().map(|it| it[index]).collect()));
        differences.push(difference(name, before, after, noise));
    }
    differences.push(difference("max", base.total.max(), now.total.max(), None));
    differences
}

/// From nothing to nothing is no growth; below a nanosecond counts as one.
fn growth(base_ns: u64, now_ns: u64) -> f64 {
    now_ns.max(1) as f64 / base_ns.max(1) as f64 - 1.0
}

/// The growth of each quantile in each draw.
fn draws(base: &SpanFigures, now: &SpanFigures) -> Option<Vec<[f64; QUANTILES.len()]>> {
    let (base, now) = (Drawn::of(base)?, Drawn::of(now)?);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut draw = || {
        let (before, after) = (base.draw(&mut random), now.draw(&mut random));
        std::array::from_fn(|it| growth(before[it], after[it]))
    };
    Some((0..DRAWS).map(|_| draw()).collect())
}

fn middle(mut growths: Vec<f64>) -> (f64, f64) {
    growths.sort_by(f64::total_cmp);
    let cut = (growths.len() as f64 * TAIL) as usize;
    (growths[cut], growths[growths.len() - 1 - cut])
}

/// A span's cells, by file, with places in a common list in place of values.
struct Drawn {
    values: Vec<u64>,
    files: Vec<Vec<Vec<(usize, u64)>>>,
}

impl Drawn {
    /// `None` where there are too few cells.
    fn of(figures: &SpanFigures) -> Option<Drawn> {
        let filled = |cells: &Vec<Counts>| -> Vec<Counts> {
            cells.iter().filter(|it| !it.is_empty()).cloned().collect()
        };
        let files: Vec<Vec<Counts>> =
            figures.cells.iter().map(filled).filter(|it| !it.is_empty()).collect();
        if files.iter().map(Vec::len).sum::<usize>() < CELLS_MIN {
            return None;
        }
        let mut all = Counts::default();
        files.iter().flatten().for_each(|it| all.add(it));
        let values: Vec<u64> = all.0.iter().map(|(value, _)| *value).collect();
        let place = |value: &u64| values.binary_search(value).expect("the list has every value");
        let placed = |cell: &Counts| cell.0.iter().map(|(value, it)| (place(value), *it)).collect();
        let files = files.iter().map(|cells| cells.iter().map(placed).collect()).collect();
        Some(Drawn { values, files })
    }

    fn draw(&self, random: &mut Xoshiro256PlusPlus) -> [u64; QUANTILES.len()] {
        let mut counts = vec![0_u64; self.values.len()];
        for index in 0..self.files.len() {
            let are_drawn = self.files.len() >= FILES_MIN;
            let index = if are_drawn { random.random_range(0..self.files.len()) } else { index };
            let cells = &self.files[index];
            for _ in 0..cells.len() {
                let cell = &cells[random.random_range(0..cells.len())];
                cell.iter().for_each(|(place, count)| counts[*place] += count);
            }
        }
        self.quantiles(&counts)
    }

    fn quantiles(&self, counts: &[u64]) -> [u64; QUANTILES.len()] {
        let whole: u64 = counts.iter().sum();
        let mut passed = 0;
        let mut places = 0..counts.len();
        let mut place = 0;
        QUANTILES.map(|(_, quantile)| {
            let wanted = ((quantile * whole as f64).ceil() as u64).max(1);
            while passed < wanted {
                let Some(next) = places.next() else { break };
                (place, passed) = (next, passed + counts[next]);
            }
            self.values[place]
        })
    }
}

/// Facts in which two runs differ that should be alike, in words.
pub fn unlike(base: &Run, now: &Run) -> Vec<String> {
    const ALIKE: [&str; 9] = [
        "cpu",
        "cores",
        "kernel",
        "clock source",
        "profile",
        "core",
        "idle",
        "guarantee",
        "broker",
    ];
    let mut unlike = Vec::new();
    for name in ALIKE {
        let (before, after) = (base.fact(name), now.fact(name));
        if before != after && !before.is_empty() && !after.is_empty() {
            unlike.push(format!("{name}: {} then, {} now", before.join(", "), after.join(", ")));
        }
    }
    let (before, after) = (base.rate(), now.rate());
    if (after / before.max(f64::MIN_POSITIVE) - 1.0).abs() > 0.1 {
        unlike.push(format!("rate: {before:.0} records/s then, {after:.0} now"));
    }
    unlike
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use std::collections::BTreeMap;

    /// Cells whose values come from a seed, scaled by some percent.
    fn figures(seed: u64, percent: u64, files: usize) -> SpanFigures {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut total = Histogram::<u64>::new(3).unwrap();
        let mut cell = || {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            for _ in 0..2_000 {
                let value = 1_000 + random.random_range(0..1_000_u64);
                histogram.record(value * percent).unwrap();
            }
            total.add(&histogram).unwrap();
            Counts::of(&histogram)
        };
        let cells = (0..files).map(|_| (0..20 / files).map(|_| cell()).collect()).collect();
        SpanFigures { name: "transit".to_owned(), total, cells, columns: BTreeMap::new() }
    }

    fn meanings(base: &SpanFigures, now: &SpanFigures) -> Vec<Meaning> {
        of_span(base, now).iter().map(Difference::meaning).collect()
    }

    #[test]
    fn chance_is_called_noise_and_a_real_difference_is_not() {
        use Meaning::{Faster, Noise, Slower, Unknown};
        let base = figures(1, 100, 1);
        assert_eq!(meanings(&base, &figures(2, 100, 1)), [Noise, Noise, Noise, Noise, Unknown]);
        let slower = of_span(&base, &figures(3, 110, 4));
        for it in &slower[..4] {
            assert_eq!(it.meaning(), Slower, "{it:?}");
            assert!((it.growth - 0.1).abs() < 0.02 && it.noise.unwrap().1 < 0.2, "{it:?}");
        }
        assert_eq!(meanings(&base, &figures(4, 90, 1))[..4], [Faster; 4]);
    }

    #[test]
    fn the_same_files_give_the_same_answer_and_few_cells_none() {
        let (base, now) = (figures(1, 100, 1), figures(2, 103, 4));
        assert_eq!(of_span(&base, &now), of_span(&base, &now));
        let mut few = figures(5, 100, 1);
        few.cells[0].truncate(CELLS_MIN - 1);
        assert!(of_span(&few, &now).iter().all(|it| it.meaning() == Meaning::Unknown));
    }

    #[test]
    fn a_draw_of_everything_once_has_the_quantiles_of_the_sum() {
        let figures = figures(1, 100, 1);
        let drawn = Drawn::of(&figures).unwrap();
        let mut counts = vec![0; drawn.values.len()];
        drawn.files[0].iter().flatten().for_each(|(place, count)| counts[*place] += count);
        let expected = QUANTILES.map(|(_, it)| figures.total.value_at_quantile(it));
        assert_eq!(drawn.quantiles(&counts), expected);
    }
}

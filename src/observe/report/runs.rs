//! One side of a report: logs of one or many files and hosts, merged.
//!
//! For each span there is the sum, from which percentiles come; its cells, a stretch of successive
//! intervals of one file each, which say how much percentiles vary; and its columns, stretches of
//! time over all files, which are drawn.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    limits::{REPORT_CELLS_MAX, REPORT_COLUMNS_MAX},
    measure::Span,
    observe::{
        counts::Counts,
        log_reader::{Log, LogError, LogLine},
    },
};

/// Between two intervals there may be a pause of this share of the longest one: clocks are read
/// at slightly different moments.
const PAUSE_ALLOWED: f64 = 0.1;

/// What time is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// The first that no longer counts.
    pub until_ms: Option<i64>,
}

impl Window {
    /// Whether that moment counts.
    pub fn has(&self, moment_ms: i64) -> bool {
        self.since_ms.is_none_or(|it| moment_ms >= it)
            && self.until_ms.is_none_or(|it| moment_ms < it)
    }
}

/// Merged logs.
#[derive(Debug)]
pub struct Run {
    /// A file each, in the order in which they were given.
    pub files: Vec<FileFacts>,
    /// Its spans: those that we know in their order, then others by name.
    pub spans: Vec<SpanFigures>,
    /// When the first interval began, since the epoch.
    pub start: Duration,
    /// When the last one ended.
    pub end: Duration,
    /// Time that intervals cover; what several files cover at once counts once.
    pub covered: Duration,
    /// The length of a column.
    pub column: Duration,
    /// Time that intervals cover, by column: some have an interval more than others.
    pub covered_by_column: BTreeMap<u64, Duration>,
}

/// What is known of one file.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Where it is.
    pub path: PathBuf,
    /// What it says about itself.
    pub facts: Vec<(String, String)>,
    /// When its run began, since the epoch.
    pub started: Option<Duration>,
    /// Intervals that count.
    pub intervals: usize,
    /// What was cut off, in a sentence.
    pub cut: Option<String>,
    /// Whether it says that values are nanoseconds.
    pub has_unit: bool,
    /// Pauses between intervals: how many, and how long in all.
    pub gaps: (usize, Duration),
}

impl FileFacts {
    /// What it says under that name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

/// One span of a run.
#[derive(Debug)]
pub struct SpanFigures {
    /// Its name, as in the log.
    pub name: String,
    /// All of it, in nanoseconds.
    pub total: Histogram<u64>,
    /// By file, then by stretch of time.
    pub cells: Vec<Vec<Counts>>,
    /// By the number of the column since the start of the run.
    pub columns: BTreeMap<u64, Counts>,
}

impl SpanFigures {
    /// The sum of all its values, about: as exact as the histogram's buckets.
    pub fn sum_ns(&self) -> f64 {
        self.total.mean() * self.total.len() as f64
    }
}

impl Run {
    /// Merges logs, as far as they lie in the window.
    ///
    /// # Errors
    ///
    /// If a histogram is damaged.
    pub fn merge(logs: &[Log], window: Window) -> Result<Run, LogError> {
        let chosen: Vec<Vec<&LogLine>> = logs.iter().map(|log| chosen(log, window)).collect();
        let times = || chosen.iter().flatten().map(|it| (it.start, it.start + it.length));
        let start = times().map(|(start, _)| start).min().unwrap_or_default();
        let end = times().map(|(_, end)| end).max().unwrap_or_default();
        let mut run = Run {
            files: logs.iter().zip(&chosen).map(|(log, lines)| file_facts(log, lines)).collect(),
            spans: Vec::new(),
            start,
            end,
            covered: covered(times().collect()),
            column: column_length(&chosen, end - start),
            covered_by_column: BTreeMap::new(),
        };
        run.covered_by_column = run.cover_columns(&chosen);
        for name in names(&chosen) {
            run.spans.push(run.span(name, logs, &chosen)?);
        }
        Ok(run)
    }

    fn span(
        &self,
        name: String,
        logs: &[Log],
        chosen: &[Vec<&LogLine>],
    ) -> Result<SpanFigures, LogError> {
        let mut total = Histogram::<u64>::new(3).expect("three digits fit a histogram");
        let (mut columns, mut cells) = (BTreeMap::<u64, Counts>::new(), Vec::new());
        for (log, lines) in logs.iter().zip(chosen) {
            let lines: Vec<_> = lines.iter().filter(|it| it.span == name).collect();
            let mut of_file = Vec::new();
            for together in lines.chunks(lines.len().div_ceil(REPORT_CELLS_MAX).max(1)) {
                let mut cell = Counts::default();
                for line in together {
                    let histogram = log.histogram(line)?;
                    total.add(&histogram).expect("a histogram that grows takes any other one");
                    let counts = Counts::of(&histogram);
                    columns.entry(self.column_of(line)).or_default().add(&counts);
                    cell.add(&counts);
                }
                of_file.push(cell);
            }
            cells.push(of_file);
        }
        Ok(SpanFigures { name, total, cells, columns })
    }

    /// The column that an interval belongs to, by its middle.
    fn column_of(&self, line: &LogLine) -> u64 {
        let middle = line.start + line.length / 2 - self.start;
        (middle.as_nanos() / self.column.as_nanos().max(1)) as u64
    }

    fn cover_columns(&self, chosen: &[Vec<&LogLine>]) -> BTreeMap<u64, Duration> {
        let mut times = BTreeMap::<u64, Vec<_>>::new();
        for line in chosen.iter().flatten() {
            let time = (line.start, line.start + line.length);
            times.entry(self.column_of(line)).or_default().push(time);
        }
        times.into_iter().map(|(column, times)| (column, covered(times))).collect()
    }

    /// Records a second of a span in a column.
    pub fn rate_in(&self, column: u64, counts: &Counts) -> f64 {
        let seconds = self.covered_by_column.get(&column).map_or(0.0, Duration::as_secs_f64);
        if seconds > 0.0 { counts.len() as f64 / seconds } else { 0.0 }
    }

    /// A span by its name, if it has values.
    pub fn of(&self, name: &str) -> Option<&SpanFigures> {
        self.spans.iter().find(|it| it.name == name).filter(|it| !it.total.is_empty())
    }

    /// The two totals that have values, the sum first.
    pub fn totals(&self) -> impl Iterator<Item = &SpanFigures> {
        [Span::EndToEnd, Span::Transit].into_iter().filter_map(|it| self.of(it.name()))
    }

    /// Records that came to their end; of a pipeline without origin times, those in transit.
    pub fn records(&self) -> u64 {
        self.totals().map(|it| it.total.len()).max().unwrap_or(0)
    }

    /// Records a second over the time that is covered.
    pub fn rate(&self) -> f64 {
        let seconds = self.covered.as_secs_f64();
        if seconds > 0.0 { self.records() as f64 / seconds } else { 0.0 }
    }

    /// Intervals of all files.
    pub fn intervals(&self) -> usize {
        self.files.iter().map(|it| it.intervals).sum()
    }

    /// Values of that fact in all files, each once.
    pub fn fact(&self, name: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for value in self.files.iter().filter_map(|it| it.fact(name)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// The sum of that fact over all processes; `None` if one does not say it. Of the files of one
    /// process, only the last says how it ended. One of the same name that began at another time is
    /// another process.
    pub fn sum_of_fact(&self, name: &str) -> Option<u64> {
        let mut sums = BTreeMap::<_, Option<u64>>::new();
        for file in &self.files {
            let sum =
                sums.entry((file.fact("name"), file.fact("instance"), file.started)).or_default();
            if let Some(count) = file.fact(name).and_then(|it| it.parse::<u64>().ok()) {
                *sum = Some(sum.unwrap_or(0) + count);
            }
        }
        sums.into_values().sum()
    }
}

fn chosen(log: &Log, window: Window) -> Vec<&LogLine> {
    log.lines.iter().filter(|it| window.has(it.middle_ms())).collect()
}

/// Those that we know, in their order; others by name.
fn names(chosen: &[Vec<&LogLine>]) -> Vec<String> {
    let mut names: Vec<String> = chosen.iter().flatten().map(|it| it.span.clone()).collect();
    names.sort();
    names.dedup();
    let place =
        |name: &String| Span::ALL.iter().position(|it| it.name() == name).unwrap_or(Span::COUNT);
    names.sort_by_key(place);
    names
}

fn file_facts(log: &Log, lines: &[&LogLine]) -> FileFacts {
    let mut times: Vec<_> = lines.iter().map(|it| (it.start, it.start + it.length)).collect();
    times.sort_unstable();
    times.dedup_by_key(|it| it.0);
    let longest = times.iter().map(|(start, end)| *end - *start).max().unwrap_or_default();
    let pauses = times.windows(2).map(|it| it[1].0.saturating_sub(it[0].1));
    let long: Vec<_> = pauses.filter(|it| *it > longest.mul_f64(PAUSE_ALLOWED)).collect();
    FileFacts {
        path: log.path.clone(),
        facts: log.facts.clone(),
        started: log.started,
        intervals: times.len(),
        cut: log.cut.clone(),
        has_unit: log.has_unit,
        gaps: (long.len(), long.iter().sum()),
    }
}

fn covered(mut times: Vec<(Duration, Duration)>) -> Duration {
    times.sort_unstable();
    let (mut sum, mut reached) = (Duration::ZERO, Duration::ZERO);
    for (start, end) in times {
        sum += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    sum
}

/// A whole number of the longest interval, so that each column has as many of them.
fn column_length(chosen: &[Vec<&LogLine>], whole: Duration) -> Duration {
    let interval = chosen.iter().flatten().map(|it| it.length).max().unwrap_or_default();
    let interval = interval.max(Duration::from_millis(1));
    let many = whole.as_nanos().div_ceil(interval.as_nanos() * REPORT_COLUMNS_MAX as u128).max(1);
    interval * u32::try_from(many).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_several_files_cover_counts_once() {
        let seconds = |from, to| (Duration::from_secs(from), Duration::from_secs(to));
        assert_eq!(covered(vec![seconds(5, 7), seconds(1, 3), seconds(2, 4)]).as_secs(), 5);
        assert_eq!(covered(Vec::new()), Duration::ZERO);
    }

    #[test]
    fn of_the_files_of_one_process_the_last_says_how_it_ended() {
        let file_of = |started, instance: &str, polled: Option<&str>| FileFacts {
            started: Some(Duration::from_secs(started)),
            path: PathBuf::new(),
            facts: [("instance", Some(instance)), ("polled", polled)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect(),
            intervals: 1,
            cut: None,
            has_unit: true,
            gaps: (0, Duration::ZERO),
        };
        let file = |instance, polled| file_of(1, instance, polled);
        let sum = |files: Vec<FileFacts>| {
            let run = Run { files, ..Run::merge(&[], Window::default()).unwrap() };
            run.sum_of_fact("polled")
        };
        assert_eq!(sum(vec![file("a", None), file("a", Some("5")), file("b", Some("2"))]), Some(7));
        assert_eq!(sum(vec![file("a", Some("5")), file("b", None)]), None);
        // One that was killed, and the next of its name.
        assert_eq!(sum(vec![file("a", None), file_of(2, "a", Some("5"))]), None);
    }

    #[test]
    fn a_window_has_its_beginning_and_not_its_end() {
        let window = Window { since_ms: Some(10), until_ms: Some(20) };
        assert_eq!([9, 10, 19, 20].map(|it| window.has(it)), [false, true, true, false]);
        assert!(Window::default().has(i64::MIN));
    }
}

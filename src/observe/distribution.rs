//! The percentile distribution of one span (`.hgrm`), as the HdrHistogram plotter reads it.
//!
//! The layout is that of HdrHistogram's own tools, in microseconds with three decimals: nothing of
//! a nanosecond is lost. The unit stands in a comment at the end, where plotters pass over it.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use hdrhistogram::Histogram;

/// Steps in each half of the remaining distance to 100 %, as the tools have it by default.
const STEPS_PER_HALF_DISTANCE: u32 = 5;
const NANOS_PER_MICRO: f64 = 1_000.0;

/// The file's text; values of the histogram are nanoseconds.
pub fn distribution(histogram: &Histogram<u64>) -> String {
    let mut text = String::new();
    let written = write_distribution(&mut text, histogram);
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    text
}

/// Writes the file anew, and waits until it is on the disk.
pub fn write_file(path: &Path, histogram: &Histogram<u64>) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(distribution(histogram).as_bytes())?;
    file.sync_all()
}

fn write_distribution(text: &mut String, histogram: &Histogram<u64>) -> std::fmt::Result {
    let heads = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
    writeln!(text, "{:>12} {:>14} {:>10} {:>14}\n", heads[0], heads[1], heads[2], heads[3])?;
    let mut count = 0;
    for step in histogram.iter_quantiles(STEPS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / NANOS_PER_MICRO;
        let quantile = step.quantile_iterated_to();
        write!(text, "{value:>12.3} {quantile:>2.12} {count:>10}")?;
        if quantile < 1.0 {
            write!(text, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        }
        text.push('\n');
    }
    let micros = |nanos: f64| nanos / NANOS_PER_MICRO;
    let (mean, deviation) = (micros(histogram.mean()), micros(histogram.stdev()));
    let (max, total) = (micros(histogram.max() as f64), histogram.len());
    let sub_buckets = sub_buckets(histogram);
    writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
    writeln!(text, "#[Max     = {max:>12.3}, Total count    = {total:>12}]")?;
    writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {sub_buckets:>12}]", histogram.buckets())?;
    writeln!(text, "#[Unit: us]")
}

/// What the tools call sub-buckets: it follows from the digits that are kept.
fn sub_buckets(histogram: &Histogram<u64>) -> u64 {
    (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value, percentile, total count of each row, as a plotter takes them.
    fn rows(text: &str) -> Vec<(f64, f64, u64)> {
        let numbers = |line: &str| {
            let mut words = line.split_whitespace();
            let value = words.next()?.parse().ok()?;
            Some((value, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        text.lines().filter(|line| !line.starts_with('#')).filter_map(numbers).collect()
    }

    #[test]
    fn a_distribution_reads_back_with_the_same_percentiles() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        (1..=100_000).for_each(|value| histogram.record(value * 7).unwrap());
        let text = distribution(&histogram);
        let rows = rows(&text);
        assert!(rows.len() > 50);
        for (value, quantile, _) in &rows {
            let expected = histogram.value_at_quantile(*quantile) as f64 / NANOS_PER_MICRO;
            assert!((value - expected).abs() < 0.0005, "{quantile}: {value} for {expected}");
        }
        let last = rows.last().unwrap();
        assert_eq!((last.1, last.2), (1.0, 100_000));
        assert!(rows.windows(2).all(|pair| pair[0] <= pair[1]), "rows must not go back");
    }

    #[test]
    fn the_layout_is_the_one_of_the_tools() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        histogram.record(1_234).unwrap();
        let expected = concat!(
            "       Value     Percentile TotalCount 1/(1-Percentile)\n\n",
            "       1.234 0.000000000000          1           1.00\n",
            "       1.234 1.000000000000          1\n",
            "#[Mean    =        1.234, StdDeviation   =        0.000]\n",
            "#[Max     =        1.234, Total count    =            1]\n",
            "#[Buckets =           32, SubBuckets     =         2048]\n",
            "#[Unit: us]\n",
        );
        assert_eq!(distribution(&histogram), expected);
    }

    #[test]
    fn an_empty_histogram_has_no_rows() {
        let text = distribution(&Histogram::<u64>::new(3).unwrap());
        assert!(rows(&text).is_empty());
        assert!(text.contains("Total count    =            0]"), "{text}");
    }
}

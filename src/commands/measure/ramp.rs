//! Where a rising load becomes too much: the knee, and a picture of it.
//!
//! The picture is a bar a rate, on a logarithmic scale from a tenth of the least p99 to the
//! largest: what is read off it is where the bars leap. A plotting crate would draw a curve without
//! the rates and reasons beside it, which is what one wants to know of eight points.

use super::level::Level;
use crate::{
    loadgen::Arrivals,
    observe::summary::{grouped, readable},
};

/// The knee's p99 is at most this many times that of the lowest rate.
const P99_FACTOR_MAX: u64 = 5;

const BAR_WIDTH: usize = 24;

/// The highest rate that is sound.
pub(super) fn knee(levels: &[Level]) -> Option<usize> {
    levels.iter().rposition(|level| why_failed(level, &levels[0]).is_none())
}

/// Why a level is past the knee, if it is.
pub(super) fn why_failed(level: &Level, lowest: &Level) -> Option<String> {
    if let Some(why) = level.why_missed() {
        return Some(why);
    }
    match level.lost() {
        0 => {}
        lost => return Some(format!("{} lost", grouped(lost))),
    }
    let (p99, least) = (level.p99(), lowest.p99());
    (p99 > least.saturating_mul(P99_FACTOR_MAX)).then(|| {
        format!("p99 is {:.1} times that of the lowest rate", p99 as f64 / least.max(1) as f64)
    })
}

/// A line a rate.
pub(super) fn chart(levels: &[Level], knee: Option<usize>) -> String {
    let p99s = || levels.iter().map(|it| it.p99().max(1) as f64);
    let floor = p99s().fold(f64::MAX, f64::min) / 10.0;
    let decades = (p99s().fold(0.0, f64::max) / floor).log10();
    let heads = ["a second", "through", "hop p99", "p50", "p99"];
    let mut text = row(&heads.map(str::to_owned), "p99 of received", "");
    for (index, level) in levels.iter().enumerate() {
        let share = (level.p99().max(1) as f64 / floor).log10() / decades;
        let bar = match level.arrivals().received {
            0 => String::new(),
            _ => "#".repeat((share * BAR_WIDTH as f64).round().max(1.0) as usize),
        };
        let remark = match why_failed(level, &levels[0]) {
            _ if knee == Some(index) && index + 1 == levels.len() => "<- the end".to_owned(),
            _ if knee == Some(index) => "<- the knee".to_owned(),
            Some(why) => why,
            None => String::new(),
        };
        let columns = [
            grouped(level.rate),
            grouped(level.achieved().round() as u64),
            quantile(&level.hop.arrivals, 0.99),
            quantile(level.arrivals(), 0.5),
            quantile(level.arrivals(), 0.99),
        ];
        text.push_str(&row(&columns, &bar, &remark));
    }
    text
}

fn row(columns: &[String; 5], bar: &str, remark: &str) -> String {
    let [rate, through, hop, p50, p99] = columns;
    let line =
        format!("{rate:>10}{through:>10}{hop:>10}{p50:>10}{p99:>10}  {bar:<BAR_WIDTH$}  {remark}");
    format!("{}\n", line.trim_end())
}

fn quantile(arrivals: &Arrivals, quantile: f64) -> String {
    match arrivals.received {
        0 => "-".to_owned(),
        _ => readable(arrivals.latency.value_at_quantile(quantile)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::level::tests::level, *};

    #[test]
    fn the_knee_is_the_highest_rate_that_is_sound() {
        let mut levels = vec![level(1_000, 100_000), level(2_000, 90_000), level(4_000, 499_000)];
        levels.push(level(8_000, 510_000));
        assert_eq!(knee(&levels), Some(2), "five times the lowest rate's p99 is allowed");
        levels[2].heard.arrivals.received = 3_990;
        assert_eq!(knee(&levels), Some(1), "nothing may be lost");
        levels[1].heard.report.missed_slots = 1_000;
        assert_eq!(knee(&levels), Some(0));
        levels[0].heard.report.sent = 10;
        assert_eq!(knee(&levels), None);
    }

    #[test]
    fn a_ramp_that_is_sound_to_its_end_has_no_knee_to_show() {
        let levels = [level(1_000, 100_000), level(2_000, 100_000)];
        let text = chart(&levels, knee(&levels));
        assert!(text.ends_with("<- the end\n") && !text.contains("knee"), "{text}");
    }

    #[test]
    fn a_chart_has_a_bar_a_rate_and_says_why() {
        let levels = [level(1_000, 100_000), level(10_000, 200_000), level(100_000, 100_000_000)];
        let text = chart(&levels, knee(&levels));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].contains("     1,000    100 us    100 us    100 us  ######"), "{text}");
        assert!(lines[2].ends_with("<- the knee"), "{text}");
        assert!(lines[3].contains(&"#".repeat(24)), "{text}");
        assert!(lines[3].ends_with("times that of the lowest rate"), "{text}");
        assert!(lines.iter().all(|line| line.len() < 130), "{text}");
    }
}

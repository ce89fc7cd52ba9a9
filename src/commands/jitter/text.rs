//! The result for people: stalls by size, who had the core meanwhile, the verdict.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::{
    result::{CoreResult, JitterResult},
    verdict::{called, of_second},
};
use crate::{
    config::units,
    observe::summary::{grouped, latency_heading, latency_row, readable},
};

/// Lines that are shown of neighbours, of interrupts, of soft interrupts.
const SHOWN: usize = 6;

/// All of it.
pub(super) fn of(result: &JitterResult) -> String {
    let mut text = String::new();
    let written = write(&mut text, result);
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    text
}

fn write(text: &mut String, result: &JitterResult) -> fmt::Result {
    head(text, result)?;
    if result.cores.len() > 1 {
        compared(text, result)?;
    }
    result.cores.iter().try_for_each(|core| write_core(text, core))?;
    writeln!(text)?;
    for verdict in result.cores.iter().map(|it| &it.verdict) {
        writeln!(text, "verdict: {}", verdict.sentence)?;
        if !verdict.remedy.is_empty() {
            writeln!(text, "   mend: {}", verdict.remedy)?;
        }
    }
    if let Some(best) = result.best() {
        let (core, share) = (best.record.core, percent(best.lost_share()));
        writeln!(text, "core {core} is taken away the least: {share} of its time")?;
    }
    result.notes.iter().try_for_each(|note| writeln!(text, "note: {note}"))?;
    match result.files.first().and_then(|it| it.parent()) {
        Some(folder) => writeln!(text, "{} files in {}/", result.files.len(), folder.display()),
        None => Ok(()),
    }
}

fn head(text: &mut String, result: &JitterResult) -> fmt::Result {
    let cores: Vec<_> = result.cores.iter().map(|it| it.record.core.to_string()).collect();
    let (word, turns) = match cores.len() {
        1 => ("core", ""),
        _ => ("cores", " each, in turns of a second"),
    };
    let length = units::show_duration(result.duration);
    let threshold = units::show_duration(result.threshold);
    let (cores, clock) = (cores.join(", "), &result.clock);
    writeln!(text, "{word} {cores} for {length}{turns}; stalls from {threshold} on; {clock}")?;
    let facts: Vec<_> = result.facts.iter().map(|(name, it)| format!("{name} {it}")).collect();
    writeln!(text, "{}; Hotspur {}", facts.join(", "), env!("CARGO_PKG_VERSION"))
}

/// A line a core.
fn compared(text: &mut String, result: &JitterResult) -> fmt::Result {
    writeln!(
        text,
        "\n{:<8}{:<10}{:>12}{:>11}{:>10}{:>10}{:>10}  cause",
        "core", "isolated", "a second", "lost", "p50", "p99", "worst"
    )?;
    for core in &result.cores {
        let stalls = &core.record.stalls;
        let at = |quantile| match stalls.count() {
            0 => "-".to_owned(),
            _ => readable(stalls.histogram.value_at_quantile(quantile)),
        };
        writeln!(
            text,
            "{:<8}{:<10}{:>12.1}{:>11}{:>10}{:>10}{:>10}  {}",
            core.record.core,
            if core.is_isolated { "yes" } else { "no" },
            core.per_second(stalls.count()),
            percent(core.lost_share()),
            at(0.5),
            at(0.99),
            readable(stalls.worst_ns()),
            core.verdict.cause.name()
        )?;
    }
    Ok(())
}

fn write_core(text: &mut String, core: &CoreResult) -> fmt::Result {
    let record = &core.record;
    let turn = |quantile| readable(record.turns.value_at_quantile(quantile));
    let isolated = if core.is_isolated { "isolated" } else { "not isolated" };
    let measured = units::show_about(Duration::from_nanos(record.measured_ns));
    writeln!(
        text,
        "\ncore {}, {isolated}, {measured}; a turn of the loop takes {} (p99 {})\n",
        record.core,
        turn(0.5),
        turn(0.99)
    )?;
    classes(text, core)?;
    writeln!(text)?;
    latency_heading(text)?;
    latency_row(text, "stalls", &record.stalls.histogram)?;
    writeln!(text)?;
    causes(text, core)?;
    meanwhile(text, core)?;
    let worst = record.seconds.iter().max_by_key(|it| it.shares.lost_ns);
    match worst.filter(|it| it.shares.lost_ns > 0 && record.seconds.len() > 1) {
        Some(second) => {
            let at = second.since_start_ns as f64 / 1e9;
            writeln!(text, "\nworst second, at {at:.1} s: {}", of_second(second))
        }
        None => Ok(()),
    }
}

/// From the shortest class that has any to the longest.
fn classes(text: &mut String, core: &CoreResult) -> fmt::Result {
    let stalls = &core.record.stalls;
    writeln!(
        text,
        "{:<18}{:>15}{:>12}{:>12}{:>12}",
        "size", "count", "a second", "lost", "of the time"
    )?;
    let row = |text: &mut String, name: &str, count: u64, lost_ns: u64| {
        writeln!(
            text,
            "{name:<18}{:>15}{:>12.1}{:>12}{:>12}",
            grouped(count),
            core.per_second(count),
            readable(lost_ns),
            percent(core.share(lost_ns))
        )
    };
    let all: Vec<_> = stalls.classes().collect();
    let has_any = |(_, _, count, _): &(u64, Option<u64>, u64, u64)| *count > 0;
    let first = all.iter().position(has_any).unwrap_or(all.len());
    let last = all.iter().rposition(has_any).map_or(all.len(), |it| it + 1);
    for (from, below, count, lost_ns) in &all[first.min(last)..last] {
        row(text, &size(*from, *below), *count, *lost_ns)?;
    }
    row(text, "all", stalls.count(), stalls.lost_ns())
}

/// A class in words.
pub(super) fn size(from: u64, below: Option<u64>) -> String {
    let show = |nanos| units::show_duration(Duration::from_nanos(nanos));
    match below {
        None => format!("{} and more", show(from)),
        Some(below) if from == 0 => format!("below {}", show(below)),
        Some(below) => format!("{} to {}", show(from), show(below)),
    }
}

fn causes(text: &mut String, core: &CoreResult) -> fmt::Result {
    let shares = &core.record.shares;
    let rows = [
        ("other threads", shares.threads_ns),
        ("CPU quota", shares.throttled_ns),
        ("steal", shares.steal_ns),
        ("interrupts", shares.interrupts_ns),
        ("unexplained", shares.unexplained_ns),
    ];
    let lost = shares.lost_ns.max(1) as f64;
    writeln!(text, "{:<18}{:>15}{:>12}", "lost to", "", "of the lost")?;
    for (name, nanos) in rows.into_iter().filter(|(_, nanos)| *nanos > 0) {
        let of_lost = percent(nanos as f64 / lost);
        writeln!(text, "{name:<18}{:>15}{of_lost:>12}", readable(nanos))?;
    }
    Ok(())
}

/// What the kernel counted on the core.
fn meanwhile(text: &mut String, core: &CoreResult) -> fmt::Result {
    let happenings = &core.record.happenings;
    writeln!(text, "\n{:<18}{:>15}{:>12}", "meanwhile", "count", "a second")?;
    let row = |text: &mut String, name: &str, count: u64, more: &str| {
        let rate = core.per_second(count);
        let row = format!("{name:<18}{:>15}{rate:>12.1}  {more}", grouped(count));
        writeln!(text, "{}", row.trim_end())
    };
    for (line, count) in happenings.ranked_interrupts().into_iter().take(SHOWN) {
        row(text, &format!("interrupt {}", line.label), count, &line.name)?;
    }
    let mut soft: Vec<_> = happenings.soft_interrupts.iter().collect();
    soft.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (line, count) in soft.into_iter().take(SHOWN) {
        row(text, &format!("soft {}", line.label), *count, "")?;
    }
    let switches = (happenings.involuntary_switches, "the core was taken by another thread");
    let faults = happenings.minor_faults + happenings.major_faults;
    row(text, "switches", switches.0, switches.1)?;
    row(text, "page faults", faults, "of the detector itself")?;
    for neighbour in happenings.neighbours.iter().take(SHOWN) {
        let share = percent(core.share(neighbour.ran_ns));
        let ran = readable(neighbour.ran_ns);
        writeln!(text, "{:<18}{ran:>15}{share:>12}  {}", "ran", called(neighbour))?;
    }
    let hidden = happenings.neighbours.len().saturating_sub(SHOWN);
    if hidden > 0 {
        writeln!(text, "{:<18}{:>15}", "", format!("{hidden} more"))?;
    }
    Ok(())
}

/// With as many digits as tell small shares from none.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        some if some < 0.001 => "< 0.001 %".to_owned(),
        some if some < 1.0 => format!("{some:.3} %"),
        some => format!("{some:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::result, *};

    #[test]
    fn one_core_is_a_table_of_sizes_causes_and_a_verdict() {
        let text = of(&result(&[1]));
        let lines: Vec<Vec<_>> = text.lines().map(|it| it.split_whitespace().collect()).collect();
        let has = |words: &str| {
            let words: Vec<_> = words.split_whitespace().collect();
            assert!(lines.contains(&words), "no {words:?} in\n{text}");
        };
        has("1us to 2us 250 250.0 375 us 0.037 %");
        has("200us to 500us 0 0.0 0 ns 0 %");
        has("2ms to 5ms 100 100.0 300 ms 30.0 %");
        has("all 350 350.0 300 ms 30.0 %");
        has("other threads 299 ms 99.5 %");
        has("interrupts 1.38 ms 0.458 %");
        has("interrupt LOC 250 250.0 Local timer interrupts");
        has("ran 299 ms 29.9 % `stress` (process 123)");
        has("switches 100 100.0 the core was taken by another thread");
        assert!(text.contains("verdict: other threads took 299 ms of the 300 ms lost"), "{text}");
        assert!(text.contains("`taskset -acp CORES 123`"), "{text}");
        assert!(!text.contains("the least"), "{text}");
    }

    #[test]
    fn compared_cores_have_a_line_each_and_the_best_is_named() {
        let text = of(&result(&[0, 1]));
        assert!(text.starts_with("cores 0, 1 for 1s each, in turns of a second"), "{text}");
        let lines = text.lines().filter(|it| it.ends_with("  threads")).count();
        assert_eq!(lines, 2, "{text}");
        assert!(text.contains("core 0 is taken away the least: 30.0 % of its time"), "{text}");
    }

    #[test]
    fn shares_and_sizes_are_written_for_people() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_001), "< 0.001 %");
        assert_eq!(percent(0.000_123), "0.012 %");
        assert_eq!(percent(0.301), "30.1 %");
        assert_eq!(size(0, Some(1_000)), "below 1us");
        assert_eq!(size(500_000, Some(1_000_000)), "500us to 1ms");
        assert_eq!(size(10_000_000, None), "10ms and more");
    }
}

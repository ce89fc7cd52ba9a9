//! The result for people: a table of latencies a rate, what became of the records, the verdicts.

use std::fmt::{self, Write};

use super::{
    books,
    level::{Level, Measurement},
    ramp,
};
use crate::{
    config::units,
    observe::summary::{count_row, grouped, latency_heading, latency_row},
};

/// All of it.
pub(super) fn of(measurement: &Measurement) -> String {
    let mut text = String::new();
    let written = write(&mut text, measurement);
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    text
}

fn write(text: &mut String, measurement: &Measurement) -> fmt::Result {
    head(text, measurement)?;
    if measurement.is_ramp {
        write_ramp(text, measurement)?;
    } else {
        measurement.levels.iter().try_for_each(|it| write_level(text, it, measurement))?;
    }
    if !measurement.judged.is_empty() {
        writeln!(text)?;
        for judged in &measurement.judged {
            let verdict = if judged.holds { "holds" } else { "FAILED" };
            let requirement = judged.requirement.to_string();
            writeln!(text, "{verdict:<8}{requirement:<32}  {}", judged.shown())?;
        }
    }
    if !measurement.notes.is_empty() {
        writeln!(text)?;
        measurement.notes.iter().try_for_each(|note| writeln!(text, "note: {note}"))?;
    }
    let folder = measurement.files.first().and_then(|it| it.parent());
    match folder {
        Some(folder) => {
            writeln!(text, "\n{} files in {}/", measurement.files.len(), folder.display())
        }
        None => Ok(()),
    }
}

fn head(text: &mut String, measurement: &Measurement) -> fmt::Result {
    let about = &measurement.about;
    let place = match &about.core {
        Some(core) => format!("in this process, core {core}"),
        None => "elsewhere".to_owned(),
    };
    writeln!(
        text,
        "{}: {} -> {}, {}, profile {}, {place}; Hotspur {}",
        about.name,
        about.source,
        about.sink,
        about.guarantee,
        about.profile,
        env!("CARGO_PKG_VERSION")
    )?;
    let (payload, keys) = (&about.payload, grouped(about.keys));
    let warmup = units::show_duration(about.warmup);
    writeln!(text, "load: {payload}, {keys} keys, open loop, after {warmup} of warm-up")
}

/// All rates in a line each, and one in full: the knee, or the lowest. JSON has all of all.
fn write_ramp(text: &mut String, measurement: &Measurement) -> fmt::Result {
    let [length, hop] =
        [measurement.levels[0].length, measurement.levels[0].hop_length].map(units::show_duration);
    writeln!(text, "each rate for {length}; the bare hop before them for {hop} each\n")?;
    text.push_str(&ramp::chart(&measurement.levels, measurement.knee));
    match measurement.knee {
        Some(knee) if knee + 1 == measurement.levels.len() => {
            let rate = grouped(measurement.levels[knee].rate);
            writeln!(text, "\nthe knee was not reached: {rate} records a second are sound")?;
        }
        Some(knee) => {
            let rate = grouped(measurement.levels[knee].rate);
            writeln!(text, "\nthe knee is at {rate} records a second")?;
        }
        None => writeln!(text, "\nthere is no knee: the lowest rate is too much")?,
    }
    write_level(text, &measurement.levels[measurement.knee.unwrap_or(0)], measurement)
}

fn write_level(text: &mut String, level: &Level, measurement: &Measurement) -> fmt::Result {
    let [length, hop] = [level.length, level.hop_length].map(units::show_duration);
    let rate = grouped(level.rate);
    writeln!(text, "\n{rate} records a second for {length}; the bare hop before it for {hop}\n")?;
    latency_heading(text)?;
    latency_row(text, "hop", &level.hop.arrivals.latency)?;
    for (span, histogram) in level.spans.iter().filter(|(_, it)| !it.is_empty()) {
        latency_row(text, span.name(), histogram)?;
    }
    latency_row(text, "received", &level.arrivals().latency)?;
    writeln!(text)?;
    let (report, arrivals) = (&level.heard.report, level.arrivals());
    let kept = match level.why_missed() {
        Some(_) => "MISSED",
        None => "kept",
    };
    let achieved = grouped(level.achieved().round() as u64);
    let late = grouped(report.missed_slots);
    let more = format!("{kept}, {achieved} a second came through; {late} handed over late");
    count_row(text, "rate", level.rate, &more)?;
    count_row(text, "sent", report.acknowledged, &refused(level))?;
    count_row(text, "received", arrivals.received, "")?;
    if let Some(books) = &level.books {
        let skipped = books.skipped.values().sum();
        count_row(text, "skipped", skipped, &books::listed(&books.skipped))?;
        let rejected = books.rejected.values().sum();
        count_row(text, "dead-lettered", rejected, &books::listed(&books.rejected))?;
        if books.held > 0 {
            count_row(text, "held", books.held, "live on in state")?;
        }
    }
    let unread = match (&level.books, measurement.about.is_external) {
        (None, true) => "or skipped or dead-lettered: the pipeline could not be asked",
        _ => "",
    };
    count_row(text, "lost", level.lost(), if level.lost() > 0 { unread } else { "" })?;
    count_row(text, "duplicates", arrivals.duplicates, "")?;
    count_row(text, "reordered", arrivals.reordered, "")
}

/// What the source topic did not take.
fn refused(level: &Level) -> String {
    let report = &level.heard.report;
    match report.failed {
        0 => String::new(),
        failed => {
            let code = report.refusal.map_or("", |it| it.code);
            format!("{} refused, the last with {code}", grouped(failed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{books::Books, level::tests::level, verdict::tests::measurement},
        *,
    };

    #[test]
    fn one_rate_is_a_table_the_books_and_the_verdicts() {
        let mut one = level(1_000, 250_000);
        one.heard.arrivals.received = 995;
        let skipped = [("table_miss".to_owned(), 4)].into();
        one.books =
            Some(Books { polled: 1_000, emitted: 995, skipped, rejected: [].into(), held: 0 });
        let mut measured = measurement(vec![one], &["received.p99 < 1ms", "loss = 0"]);
        measured.notes.push("the moon was full".to_owned());
        let expected = "\
orders: in -> out, at-least-once, profile balanced, in this process, core none; Hotspur VERSION
load: orders, 1,000 keys, open loop, after 2s of warm-up

1,000 records a second for 1s; the bare hop before it for 1s

latency                     count       p50       p90       p99     p99.9    p99.99       max
hop                         1,000    250 us    250 us    250 us    250 us    250 us    250 us
received                    1,000    250 us    250 us    250 us    250 us    250 us    250 us

rate                        1,000  kept, 999 a second came through; 0 handed over late
sent                        1,000
received                      995
skipped                         4  table_miss 4
dead-lettered                   0
lost                            1
duplicates                      0
reordered                       0

holds   received.p99 < 1ms                250 us
FAILED  loss = 0                          1

note: the moon was full
";
        assert_eq!(of(&measured), expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_ramp_is_its_chart_and_the_knee_in_full() {
        let text = of(&measurement(vec![level(100, 1_000), level(200, 9_000)], &[]));
        for words in ["<- the knee", "\nthe knee is at 100 records a second\n", "\n100 records a"] {
            assert!(text.contains(words), "{text}");
        }
        assert!(!text.contains("\n200 records a"), "{text}");
    }
}

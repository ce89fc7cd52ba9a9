//! The table that a person reads: one line a check, then what is to be done about each fault.

use anstyle::{AnsiColor, Style};

use super::Visit;
use crate::host::checks::{Check, Finding, Mend, Outcome};

/// Columns of a line at most; commands stand on one line whatever their length.
const WIDTH: usize = 100;
const OUTCOME: usize = 9;

/// All of it, as text.
pub(super) fn table(visit: &Visit, colour: bool) -> String {
    let name = visit.findings.iter().map(|(check, _)| check.name.len()).max().unwrap_or(0) + 2;
    let mut text = head(visit);
    for (check, finding) in &visit.findings {
        text.push_str(&line(check, finding, name, colour));
    }
    for (check, finding) in &visit.findings {
        if let Some(mend) = finding.mend.as_ref().filter(|_| finding.outcome == Outcome::Unfit) {
            text.push_str(&fault(check, finding, mend, colour));
        }
    }
    text.push_str(&format!("\n{}\n", summary(visit)));
    text
}

fn head(visit: &Visit) -> String {
    let wish = &visit.wish;
    let file = visit.tuning.file.as_ref().map(|it| format!(" of {}", it.display()));
    let asks = format!(
        "The profile {}{} asks for {}.",
        visit.tuning.profile,
        file.unwrap_or_default(),
        wish.level.words()
    );
    let judged = match wish.core {
        Some(core) => format!("Core {core} is judged: {}.", wish.why),
        None => format!("No core is judged: {}.", wish.why),
    };
    let lines = wrap(&asks, WIDTH).into_iter().chain(wrap(&judged, WIDTH));
    format!("{}\n\n", lines.collect::<Vec<_>>().join("\n"))
}

/// What is fit or unknown is told here alone, and so whole; a fault is told below, too.
fn line(check: &Check, finding: &Finding, name: usize, colour: bool) -> String {
    let (word, style) = outcome(finding.outcome, colour);
    let indent = OUTCOME + name;
    let found = match finding.outcome {
        Outcome::Unfit => vec![cut(&finding.found, WIDTH - indent)],
        _ => wrap(&finding.found, WIDTH - indent),
    };
    let found = found.join(&format!("\n{:indent$}", ""));
    format!("{style}{word:OUTCOME$}{style:#}{:name$}{found}\n", check.name)
}

fn fault(check: &Check, finding: &Finding, mend: &Mend, colour: bool) -> String {
    let (_, style) = outcome(Outcome::Unfit, colour);
    let mut text = format!("\n{style}{}{style:#}\n", check.name);
    let rows = [("found", &finding.found), ("costs", &check.cost.to_owned())];
    for (title, said) in rows {
        let said = wrap(said, WIDTH - 9).join("\n         ");
        text.push_str(&format!("  {title}  {said}\n"));
    }
    text.push_str(&format!("  mend   {}\n  lasts  {}\n", mend.how, mend.lasts));
    text
}

fn summary(visit: &Visit) -> String {
    let count = |outcome| visit.count(outcome);
    format!(
        "{} fit, {} unfit, {} unknown; looked for {:.1} s",
        count(Outcome::Fit),
        count(Outcome::Unfit),
        count(Outcome::Unknown),
        visit.took.as_secs_f64()
    )
}

fn outcome(outcome: Outcome, colour: bool) -> (&'static str, Style) {
    let (word, style) = match outcome {
        Outcome::Fit => ("fit", AnsiColor::Green.on_default()),
        Outcome::Unfit => ("UNFIT", AnsiColor::Red.on_default().bold()),
        Outcome::Unknown => ("unknown", AnsiColor::Yellow.on_default()),
    };
    (word, if colour { style } else { Style::new() })
}

/// At most so many characters, the last of them an ellipsis if there are more.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Lines of whole words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        let together = line.chars().count() + 1 + word.chars().count();
        if line.is_empty() {
            line.push_str(word);
        } else if together <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{self, Sources},
        host::{
            Cores,
            checks::{CHECKS, Host, Wish},
        },
    };

    fn visit() -> Visit {
        let sources = Sources { profile: Some("low-latency".to_owned()), ..Sources::default() };
        let tuning = config::load_tuning(&sources).unwrap();
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path(), Cores::default());
        let mut wish = Wish::of(&tuning.engine, None, &host);
        wish.core = Some(3);
        let mend = Mend::new("echo 0 > /x", "no; to keep it: y");
        let findings = vec![
            (&CHECKS[0], Finding::fit("tsc")),
            (&CHECKS[1], Finding::unfit("slow ".repeat(40), mend)),
            (&CHECKS[2], Finding::unknown("nobody knows ".repeat(12))),
        ];
        Visit { tuning, wish, findings, took: std::time::Duration::from_millis(730) }
    }

    #[test]
    fn a_fault_has_a_line_and_a_block_and_what_is_fit_a_line() {
        let text = table(&visit(), false);
        let start = "The profile low-latency asks for a core of its own.\nCore 3 is judged: ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("\nfit      clock_source  tsc\nUNFIT    clock_runs    slow slow"));
        let block = "\n  mend   echo 0 > /x\n  lasts  no; to keep it: y\n";
        assert!(text.contains("\nclock_runs\n  found  slow") && text.contains(block), "{text}");
        assert!(text.ends_with("\n1 fit, 1 unfit, 1 unknown; looked for 0.7 s\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn colours_stand_around_the_outcome_alone() {
        let text = table(&visit(), true);
        let red = AnsiColor::Red.on_default().bold();
        assert!(text.contains(&format!("{red}UNFIT    {red:#}clock_runs")), "{text:?}");
    }
}

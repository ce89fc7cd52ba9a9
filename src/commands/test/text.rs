//! How cases went, as a person reads it: a line a case, what differs below it, counts at the end.

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, InlineChange, TextDiff};

use super::Entry;
use crate::pipeline::cases::Difference;

const INDENT: &str = "        ";

/// Styles, or none of them.
struct Palette {
    good: Style,
    bad: Style,
    /// Whether there are any.
    colour: bool,
}

impl Palette {
    fn new(colour: bool) -> Palette {
        let plain = Style::new();
        match colour {
            false => Palette { good: plain, bad: plain, colour },
            true => Palette {
                good: plain.fg_color(Some(AnsiColor::Green.into())),
                bad: plain.fg_color(Some(AnsiColor::Red.into())),
                colour,
            },
        }
    }
}

/// All of it.
pub(super) fn report(entries: &[Entry<'_>], colour: bool) -> String {
    let palette = Palette::new(colour);
    let mut text = String::new();
    let (mut passed, mut failed, mut blessed) = (0, 0, 0);
    for entry in entries {
        let (word, style) = match (entry.is_blessed, entry.tried.is_passed()) {
            (true, _) => ("blessed", palette.good),
            (false, true) => ("ok", palette.good),
            (false, false) => ("FAILED", palette.bad),
        };
        let place = format!("{}:{}", entry.file.display(), entry.line);
        text.push_str(&format!("{style}{word:7}{style:#} {place}: {}\n", visible(entry.name)));
        match word {
            "ok" => passed += 1,
            "blessed" => blessed += 1,
            _ => {
                failed += 1;
                text.push_str(&details(entry, &palette));
            }
        }
    }
    let (style, failed_style) =
        if failed > 0 { (Style::new(), palette.bad) } else { (palette.good, Style::new()) };
    text.push_str(&format!("\n{style}{passed} passed{style:#}, "));
    text.push_str(&format!("{failed_style}{failed} failed{failed_style:#}"));
    if blessed > 0 {
        text.push_str(&format!(", {blessed} blessed"));
    }
    text.push('\n');
    text
}

/// What differs, without colours.
pub(super) fn plain_details(entry: &Entry<'_>) -> String {
    details(entry, &Palette::new(false))
}

fn details(entry: &Entry<'_>, palette: &Palette) -> String {
    let mut text = String::new();
    for difference in &entry.tried.differences {
        text.push_str(&format!("{INDENT}{} (- expected, + came out)\n", difference.what));
        push_diff(&mut text, difference, palette);
    }
    for ending in entry.tried.endings() {
        text.push_str(&format!("{INDENT}{}\n", visible(&ending)));
    }
    text
}

fn push_diff(text: &mut String, difference: &Difference, palette: &Palette) {
    let (expected, got) = (terminated(&difference.expected), terminated(&difference.got));
    let diff = TextDiff::from_lines(&expected, &got);
    for change in diff.ops().iter().flat_map(|op| diff.iter_inline_changes(op)) {
        let (sign, style) = match change.tag() {
            ChangeTag::Delete => ('-', palette.bad),
            ChangeTag::Insert => ('+', palette.good),
            ChangeTag::Equal => (' ', Style::new()),
        };
        let line = line(&change, style, palette.colour);
        text.push_str(&format!("{INDENT}{style}{sign} {style:#}{line}\n"));
    }
}

/// A line, with what changed within it standing out.
fn line(change: &InlineChange<'_, str>, style: Style, colour: bool) -> String {
    let piece = |(is_changed, piece): (bool, std::borrow::Cow<'_, str>)| {
        let piece = visible(piece.trim_end_matches('\n'));
        let style = if is_changed && colour { style.invert() } else { style };
        if piece.is_empty() { piece } else { format!("{style}{piece}{style:#}") }
    };
    change.iter_strings_lossy().map(piece).collect()
}

/// Nothing is no line; anything else ends its last one.
fn terminated(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

/// Characters that a terminal would obey are spelled out.
fn visible(text: &str) -> String {
    let shown = |c: char| match c.is_control() && c != '\t' {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline::cases::Tried;

    fn entry(differences: Vec<Difference>) -> Entry<'static> {
        let tried = Tried { fates: vec![], results: vec![], lost: vec![], differences };
        Entry { file: Path::new("a.cases.toml"), line: 7, name: "n", tried, is_blessed: false }
    }

    fn difference(expected: &str, got: &str) -> Difference {
        let (what, expected, got) = ("result 1, value".to_owned(), expected.into(), got.into());
        Difference { what, expected, got }
    }

    #[test]
    fn what_differs_stands_below_the_line_of_the_case() {
        let entries =
            [entry(vec![]), entry(vec![difference("a b", "a\x1b c"), difference("x", "")])];
        let expected = "\
ok      a.cases.toml:7: n
FAILED  a.cases.toml:7: n
        result 1, value (- expected, + came out)
        - a b
        + a\\u{1b} c
        result 1, value (- expected, + came out)
        - x

1 passed, 1 failed
";
        assert_eq!(report(&entries, false), expected);
        let blessed = Entry { is_blessed: true, ..entry(vec![difference("x", "y")]) };
        let text = report(&[blessed], false);
        assert_eq!(text, "blessed a.cases.toml:7: n\n\n0 passed, 0 failed, 1 blessed\n");
    }

    #[test]
    fn with_colours_the_changed_words_stand_out() {
        let text = report(&[entry(vec![difference("one two", "one three")])], true);
        for part in ["\x1b[31mFAILED", "\x1b[31m- ", "\x1b[32m+ ", "\x1b[7m\x1b[31mtwo"] {
            assert!(text.contains(part), "{part:?} in {text:?}");
        }
        let line = |style: &str, words: [&str; 2]| {
            words.iter().all(|it| text.contains(&format!("{style}{it}")))
        };
        assert!(line("", ["one", "three"]), "{text:?}");
    }
}

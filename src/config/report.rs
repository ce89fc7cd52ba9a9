//! All problems at once, each at its place: `FILE:LINE:COLUMN: error: KEY: message`, then the line
//! with a caret. Secrets on that line are masked.

use std::{fmt, ops::Range};

use super::{
    layers::Layer,
    problem::{Problem, Severity},
    secrets::MASK,
    tree::Place,
};

/// Characters of a source line that are shown at most.
const LINE_CHARACTERS_MAX: usize = 120;

/// Problems in order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The problems.
    pub problems: Vec<Located>,
}

/// A problem and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The problem.
    pub problem: Problem,
    /// The file, `environment`, `command line` or the profile; `None`: nowhere in particular.
    pub file: Option<String>,
    /// Line and column, from 1, in characters.
    pub position: Option<(usize, usize)>,
    /// The line, ready to be shown.
    pub excerpt: Option<Excerpt>,
}

/// A line and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line without indentation and secrets.
    pub line: String,
    /// Characters before the caret.
    pub before: usize,
    /// Carets.
    pub carets: usize,
}

impl Report {
    /// One problem that has no place.
    pub fn of(problem: Problem) -> Report {
        let located = Located { problem, file: None, position: None, excerpt: None };
        Report { problems: vec![located] }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|located| located.problem.severity == severity).count()
    }

    /// Whether any keeps a run from starting.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// As JSON: a list of objects.
    pub fn to_json(&self) -> serde_json::Value {
        self.problems.iter().map(Located::to_json).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for located in &self.problems {
            writeln!(f, "{located}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

impl Located {
    /// Finds the place in its layer's text. `value`: the value is meant, not the key.
    pub(crate) fn new(problem: Problem, place: &Place, value: bool, layers: &[Layer]) -> Located {
        let layer = &layers[place.layer];
        let span = if value { &place.value } else { &place.key };
        let start = boundary(&layer.text, span.start);
        let line_start = layer.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = layer.text[..start].matches('\n').count() + 1;
        let column = layer.text[line_start..start].chars().count() + 1;
        Located {
            problem,
            file: Some(layer.shown.clone()),
            position: Some((line, column)),
            excerpt: excerpt(layer, span),
        }
    }

    /// Place, key and message on one line, for logs.
    pub fn summary(&self) -> String {
        let place = match (&self.file, self.position) {
            (Some(file), Some((line, column))) => format!("{file}:{line}:{column}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        format!("{place}{}", self.problem)
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file,
            "line": self.position.map(|(line, _)| line),
            "column": self.position.map(|(_, column)| column),
            "severity": severity_name(self.problem.severity),
            "key": self.problem.key,
            "message": self.problem.message,
            "hint": self.problem.hint,
        })
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The start of the character at that byte.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The line of a span, without indentation, secrets and what is too long.
fn excerpt(layer: &Layer, span: &Range<usize>) -> Option<Excerpt> {
    let text = &layer.text;
    let start = boundary(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[line_start..].find('\n').map_or(text.len(), |at| line_start + at);
    let end = boundary(text, span.end).clamp(start, line_end);
    let (line, before) = mask(layer, line_start..line_end, start);
    let (_, after) = mask(layer, line_start..line_end, end);
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    let line: String = line.trim().chars().take(LINE_CHARACTERS_MAX).collect();
    let (before, after) = (before.saturating_sub(indent), after.saturating_sub(indent));
    let after = after.min(line.chars().count());
    let carets = after.saturating_sub(before).max(1);
    let is_visible = !line.is_empty() && before < LINE_CHARACTERS_MAX;
    is_visible.then_some(Excerpt { line, before, carets })
}

/// The line with secrets masked, and how many characters of it come before `at`.
fn mask(layer: &Layer, line: Range<usize>, at: usize) -> (String, usize) {
    let (mut shown, mut before) = (String::new(), 0);
    let mut position = line.start;
    for secret in &layer.secrets {
        let (start, end) = (secret.start.max(position), secret.end.min(line.end));
        if start >= end {
            continue;
        }
        if at < start && at >= position {
            before = shown.chars().count() + layer.text[position..at].chars().count();
        } else if (start..end).contains(&at) {
            before = shown.chars().count() + layer.text[position..start].chars().count();
        }
        shown.push_str(&layer.text[position..start]);
        shown.push_str(MASK);
        position = end;
    }
    if at >= position {
        before = shown.chars().count() + layer.text[position..at.min(line.end)].chars().count();
    }
    shown.push_str(&layer.text[position..line.end]);
    (shown, before)
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let Some((line, column)) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if self.file.is_some() {
            f.write_str(" ")?;
        }
        write!(f, "{}: ", severity_name(self.problem.severity))?;
        if !self.problem.key.is_empty() {
            write!(f, "{}: ", self.problem.key)?;
        }
        f.write_str(&self.problem.message)?;
        let hint = self.problem.hint.as_deref().unwrap_or_default();
        match &self.excerpt {
            Some(Excerpt { line, before, carets }) => {
                let (space, carets) = (" ".repeat(*before), "^".repeat(*carets));
                write!(f, "\n   | {line}\n   | {}", format!("{space}{carets} {hint}").trim_end())
            }
            None if hint.is_empty() => Ok(()),
            None => write!(f, "\n   = {hint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::layers::LayerKind, *};

    fn layer(text: &str, secrets: Vec<Range<usize>>) -> Layer {
        Layer {
            kind: LayerKind::File,
            shown: "hotspur.toml".to_owned(),
            text: text.to_owned(),
            folder: std::path::PathBuf::new(),
            secrets,
        }
    }

    fn show(text: &str, meant: &str, secrets: &[&str]) -> String {
        let span = |it: &str| {
            let start = text.find(it).unwrap();
            start..start + it.len()
        };
        let layers = [layer(text, secrets.iter().map(|it| span(it)).collect())];
        let place = Place { layer: 0, key: span(meant), value: span(meant) };
        let problem = Problem::error("a.b", "is wrong").hint("did you mean \"c\"?");
        Located::new(problem, &place, true, &layers).to_string()
    }

    #[test]
    fn the_caret_stands_under_the_value() {
        let expected = "hotspur.toml:2:5: error: a.b: is wrong\n   | b = 7 # ü\n   | \
                        \u{20}   ^ did you mean \"c\"?";
        assert_eq!(show("[a]\nb = 7 # ü\n", "7", &[]), expected);
    }

    #[test]
    fn secrets_on_the_line_are_masked_and_the_caret_follows() {
        let text = "  p = { s = \"hush-hush\", t = 1 }";
        let shown = show(text, "1", &["\"hush-hush\""]);
        let expected = "hotspur.toml:1:30: error: a.b: is wrong\n   | p = { s = ***, t = 1 }\n   | \
                        \u{20}                  ^ did you mean \"c\"?";
        assert_eq!(shown, expected);
        assert!(!show(text, "\"hush-hush\"", &["\"hush-hush\""]).contains("hush-"));
    }

    #[test]
    fn problems_without_a_place_are_told_too() {
        let report = Report::of(Problem::error("", "nothing is here").hint("write something"));
        assert_eq!(report.to_string(), "error: nothing is here\n   = write something\n");
        assert!(report.has_errors());
    }
}

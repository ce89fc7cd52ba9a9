//! Prometheus text: families of samples, each with its help and kind, in the classic format or in
//! OpenMetrics, which differ in three places: the name of a counter's family, the unit line that we
//! leave out, and the mark at the end.

use std::fmt::{Display, Write};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for.
    pub fn accepted(accept: Option<&str>) -> Format {
        match accept.is_some_and(|it| it.contains("application/openmetrics-text")) {
            true => Format::OpenMetrics,
            false => Format::Text,
        }
    }

    /// The media type of what is answered.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Only ever grows, or goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Samples are named with `_total` behind the family.
    Counter,
    /// Samples are named as the family.
    Gauge,
    /// Samples are named with `_bucket`, `_sum` and `_count` behind the family; see `sample_of`.
    Histogram,
}

/// A text under way.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: String,
    name: &'static str,
    suffix: &'static str,
}

impl Exposition {
    /// Nothing yet.
    pub fn new(format: Format) -> Exposition {
        Exposition { format, text: String::new(), name: "", suffix: "" }
    }

    /// Begins a family; `name` without `_total`.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> &mut Exposition {
        let (word, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
        };
        (self.name, self.suffix) = (name, suffix);
        let behind = if self.format == Format::Text { suffix } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name}{behind} {help}");
        let _ = writeln!(self.text, "# TYPE {name}{behind} {word}");
        self
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Exposition {
        self.sample_of(self.suffix, labels, value)
    }

    /// A sample with that behind the family's name.
    pub fn sample_of(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) -> &mut Exposition {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut exposition = Exposition::new(format);
        let labels = [("table", "a\"b\\c\nd"), ("result", "hit")];
        exposition.family(Kind::Counter, "lookups", "Lookups.").sample(&labels, 7);
        exposition.family(Kind::Gauge, "age_seconds", "Age.").sample(&[], 0.25);
        exposition.finish()
    }

    #[test]
    fn both_formats_name_a_counter_as_they_should() {
        let classic = "# HELP lookups_total Lookups.\n# TYPE lookups_total counter\n\
            lookups_total{table=\"a\\\"b\\\\c\\nd\",result=\"hit\"} 7\n\
            # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 0.25\n";
        assert_eq!(written(Format::Text), classic);
        let open = classic.replace("HELP lookups_total", "HELP lookups");
        let open = open.replace("TYPE lookups_total", "TYPE lookups");
        assert_eq!(written(Format::OpenMetrics), open + "# EOF\n");
    }

    #[test]
    fn open_metrics_is_for_who_asks() {
        let asked = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert_eq!(Format::accepted(Some(asked)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Text);
        assert_eq!(Format::accepted(None), Format::Text);
    }
}

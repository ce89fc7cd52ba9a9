//! What `measure` is to find: `transit.p99 < 100us`, `loss = 0`, `rate >= 20k`.
//!
//! Small enough to be read by hand, left to right, so that what is wrong is told with its place.
//! Which of these can be known of a run, and whether they hold, is for `measure` to say.

use std::{fmt, time::Duration};

use super::{hints, units};

/// What has percentiles: the stages in order, what is made of them, and what `measure`
/// finds itself.
pub const SPANS: [&str; 14] = [
    "source",
    "queue",
    "batch",
    "parse",
    "operate",
    "held",
    "encode",
    "send",
    "ack",
    "commit",
    "transit",
    "end_to_end",
    "received",
    "hop",
];

/// What can be counted, and is to be 0.
const COUNTS: [(&str, Count); 3] =
    [("loss", Count::Loss), ("duplicates", Count::Duplicates), ("reordered", Count::Reordered)];

const RATE: &str = "rate";

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// As it was written, without white space around it.
    pub text: String,
    /// What it says.
    pub condition: Condition,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A figure of a span is below a bound.
    Latency {
        /// One of `SPANS`.
        span: &'static str,
        /// Which figure.
        statistic: Statistic,
        /// The bound.
        bound: Duration,
        /// `<=`: the bound itself is allowed.
        or_equal: bool,
    },
    /// A count is 0.
    None(Count),
    /// Records per second are at least so many.
    Rate(u64),
}

/// A figure of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// `pN`: N of 100 values are not above it.
    Percentile(f64),
    /// The mean.
    Mean,
    /// The largest value.
    Max,
}

/// A count of what should not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Records that did not come through.
    Loss,
    /// Results that came again.
    Duplicates,
    /// Results that came behind later ones of their key.
    Reordered,
}

/// What is wrong with a text, where, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequirementError {
    /// The text.
    pub text: String,
    /// The character at which it goes wrong, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: Option<String>,
}

impl RequirementError {
    /// Text, place and what is wrong, without the hint.
    pub fn sentence(&self) -> String {
        format!("\"{}\", at character {}: {}", self.text, self.column, self.message)
    }
}

impl fmt::Display for RequirementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for RequirementError {}

const FORMS: &str = "write it as \"transit.p99 < 200us\", \"loss = 0\" or \"rate >= 20k\"";

impl Requirement {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// With the text, the place and the way out.
    pub fn parse(text: &str) -> Result<Requirement, RequirementError> {
        let text = text.trim();
        let wrong = |at: &str, message: String, hint: String| {
            // `at` is a part of `text`.
            let before = &text[..at.as_ptr() as usize - text.as_ptr() as usize];
            let (column, hint) = (before.chars().count() + 1, Some(hint));
            RequirementError { text: text.to_owned(), column, message, hint }
        };
        let is_sign = |c: char| matches!(c, '<' | '>' | '=');
        let Some(start) = text.find(is_sign) else {
            let message = "there is no <, <=, = or >=".to_owned();
            return Err(wrong(&text[text.len()..], message, FORMS.to_owned()));
        };
        let end = text[start..].find(|c| !is_sign(c)).map_or(text.len(), |it| start + it);
        let (subject, sign) = (text[..start].trim_end(), &text[start..end]);
        let bound = text[end..].trim_start();
        let bound = if bound.is_empty() { &text[text.len()..] } else { bound };
        let condition = Parts { subject, sign, bound }.condition(&wrong)?;
        Ok(Requirement { text: text.to_owned(), condition })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Left, between and right.
struct Parts<'a> {
    subject: &'a str,
    sign: &'a str,
    bound: &'a str,
}

type Wrong<'a> = &'a dyn Fn(&str, String, String) -> RequirementError;

impl Parts<'_> {
    fn condition(&self, wrong: Wrong<'_>) -> Result<Condition, RequirementError> {
        if let Some((name, count)) = COUNTS.iter().find(|(name, _)| *name == self.subject) {
            let only = || format!("write \"{name} = 0\"");
            self.expect_sign(&["="], &only(), wrong)?;
            return match self.bound {
                "0" => Ok(Condition::None(*count)),
                other => {
                    Err(wrong(other, format!("only 0 can be required, not \"{other}\""), only()))
                }
            };
        }
        if self.subject == RATE {
            self.expect_sign(&[">="], "write \"rate >= 20k\"", wrong)?;
            let rate = units::parse_rate(self.bound);
            return rate
                .map(Condition::Rate)
                .map_err(|message| wrong(self.bound, message, "write \"rate >= 20k\"".to_owned()));
        }
        self.latency(wrong)
    }

    fn latency(&self, wrong: Wrong<'_>) -> Result<Condition, RequirementError> {
        let Some((name, figure)) = self.subject.split_once('.') else {
            return Err(self.unknown(self.subject, wrong));
        };
        let Some(span) = SPANS.into_iter().find(|it| *it == name) else {
            return Err(self.unknown(name, wrong));
        };
        let statistic = statistic(figure).ok_or_else(|| {
            let message = format!("\"{figure}\" is no percentile above 0 and up to 100");
            wrong(figure, message, format!("{span}.p99, {span}.p99.9, {span}.mean or {span}.max"))
        })?;
        let form = format!("write \"{} < 200us\"", self.subject);
        self.expect_sign(&["<", "<="], &form, wrong)?;
        let bound = units::parse_duration(self.bound);
        let bound = bound.map_err(|message| wrong(self.bound, message, form))?;
        Ok(Condition::Latency { span, statistic, bound, or_equal: self.sign == "<=" })
    }

    fn expect_sign(
        &self,
        signs: &[&str],
        form: &str,
        wrong: Wrong<'_>,
    ) -> Result<(), RequirementError> {
        if signs.contains(&self.sign) {
            return Ok(());
        }
        let message =
            format!("\"{}\" takes {}, not {}", self.subject, signs.join(" or "), self.sign);
        Err(wrong(self.sign, message, form.to_owned()))
    }

    fn unknown(&self, name: &str, wrong: Wrong<'_>) -> RequirementError {
        let others = COUNTS.iter().map(|(name, _)| *name).chain([RATE]);
        let known: Vec<&str> = match self.subject.contains('.') {
            true => SPANS.to_vec(),
            false => SPANS.into_iter().chain(others).collect(),
        };
        if known.contains(&name) {
            let message = format!("what of {name}?");
            return wrong(name, message, format!("{name}.p99, {name}.mean or {name}.max"));
        }
        let hint = hints::did_you_mean(name, known.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("there is {}", known.join(", ")));
        wrong(name, format!("there is no \"{name}\" to be measured"), hint)
    }
}

fn statistic(text: &str) -> Option<Statistic> {
    match text {
        "mean" => Some(Statistic::Mean),
        "max" => Some(Statistic::Max),
        _ => {
            let digits = text.strip_prefix('p')?;
            let is_plain = digits.bytes().all(|it| it.is_ascii_digit() || it == b'.');
            let number: f64 = digits.parse().ok().filter(|_| is_plain)?;
            (number > 0.0 && number <= 100.0).then_some(Statistic::Percentile(number))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn condition(text: &str) -> Condition {
        Requirement::parse(text).unwrap_or_else(|error| panic!("{error}")).condition
    }

    #[test]
    fn all_forms_are_read() {
        let latency = |span, statistic, nanos, or_equal| {
            let bound = Duration::from_nanos(nanos);
            Condition::Latency { span, statistic, bound, or_equal }
        };
        let percentile = Statistic::Percentile;
        for (text, expected) in [
            ("parse.p99 < 2us", latency("parse", percentile(99.0), 2_000, false)),
            ("  hop.p99.99<=1m30s ", latency("hop", percentile(99.99), 90_000_000_000, true)),
            ("end_to_end.max < 1ms", latency("end_to_end", Statistic::Max, 1_000_000, false)),
            ("transit.mean<50us", latency("transit", Statistic::Mean, 50_000, false)),
            ("received.p50 < 1.5ms", latency("received", percentile(50.0), 1_500_000, false)),
            ("loss = 0", Condition::None(Count::Loss)),
            ("duplicates=0", Condition::None(Count::Duplicates)),
            ("reordered = 0", Condition::None(Count::Reordered)),
            ("rate >= 20k", Condition::Rate(20_000)),
        ] {
            assert_eq!(condition(text), expected, "{text}");
        }
        assert_eq!(Requirement::parse(" loss = 0\t").unwrap().to_string(), "loss = 0");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_the_way_out() {
        for (text, column, words) in [
            ("", 1, "there is no <, <=, = or >="),
            ("transit.p99", 12, "\"loss = 0\""),
            ("prase.p99 < 1ms", 1, "did you mean \"parse\"?"),
            ("los = 0", 1, "did you mean \"loss\"?"),
            ("nothing < 1ms", 1, "there is source, queue"),
            ("parse < 1ms", 1, "parse.p99, parse.mean or parse.max"),
            ("parse.p0 < 1ms", 7, "\"p0\" is no percentile"),
            ("parse.p100.1 < 1ms", 7, "parse.max"),
            ("parse.pNaN < 1ms", 7, "no percentile"),
            ("parse.p9e1 < 1ms", 7, "no percentile"),
            ("parse.p99 > 1ms", 11, "takes < or <=, not >"),
            ("parse.p99 < 1", 13, "a number without a unit"),
            ("parse.p99 < ", 12, "this is empty"),
            ("loss = 1", 8, "only 0 can be required"),
            ("loss == 0", 6, "takes =, not =="),
            ("rate > 5", 6, "takes >=, not >"),
            ("rate >= fast", 9, "a rate is records per second"),
        ] {
            let error = Requirement::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().contains(text.trim()), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_fits_is_read_however_it_is_spaced(
            span in prop::sample::select(&SPANS[..]),
            thousandths in 1_u32..=100_000,
            nanos in 0_u64..1 << 50,
            or_equal: bool,
            spaces in prop::collection::vec("[ \t]{0,3}", 4)
        ) {
            let percentile = f64::from(thousandths) / 1_000.0;
            let sign = if or_equal { "<=" } else { "<" };
            let [a, b, c, d] = [0, 1, 2, 3].map(|it: usize| spaces[it].as_str());
            let text = format!("{a}{span}.p{percentile}{b}{sign}{c}{nanos}ns{d}");
            let expected = Condition::Latency {
                span,
                statistic: Statistic::Percentile(percentile),
                bound: Duration::from_nanos(nanos),
                or_equal,
            };
            let read = Requirement::parse(&text).unwrap();
            prop_assert_eq!(&read.condition, &expected);
            prop_assert_eq!(Requirement::parse(&read.text).unwrap(), read);
        }

        #[test]
        fn any_text_is_read_or_refused_at_a_place_in_it(text in ".{0,40}") {
            if let Err(error) = Requirement::parse(&text) {
                prop_assert!(error.column <= text.trim().chars().count() + 1);
                prop_assert!(error.hint.is_some());
            }
        }

        #[test]
        fn what_is_nearly_one_is_read_or_refused(
            text in "(parse|hop|loss|rate|los)(\\.(p[0-9]{0,3}|max))?[ ]?[<>=]{0,3} [0-9a-z.]{0,4}"
        ) {
            let _ = Requirement::parse(&text);
        }
    }
}

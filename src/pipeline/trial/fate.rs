//! What became of a record on trial, in words and with bytes of its own.

use std::{fmt, str::FromStr};

use crate::{
    pipeline::Pipeline,
    record::Output,
    verdict::{Rejection, Skip, Step, Verdict},
};

/// What became of a record, as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Results were produced.
    Emitted,
    /// Nothing was to be emitted.
    Skipped,
    /// It could not be processed.
    Rejected,
    /// It lives on in state.
    Held,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 4] =
        [Outcome::Emitted, Outcome::Skipped, Outcome::Rejected, Outcome::Held];

    /// The name in files and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Emitted => "emitted",
            Outcome::Skipped => "skipped",
            Outcome::Rejected => "rejected",
            Outcome::Held => "held",
        }
    }
}

impl From<&Verdict> for Outcome {
    fn from(verdict: &Verdict) -> Outcome {
        match verdict {
            Verdict::Emit => Outcome::Emitted,
            Verdict::Skip(_) => Outcome::Skipped,
            Verdict::Reject(_) => Outcome::Rejected,
            Verdict::Hold(_) | Verdict::Wait(_) | Verdict::Behind { .. } => Outcome::Held,
        }
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Outcome, String> {
        Outcome::ALL.into_iter().find(|it| it.name() == text).ok_or_else(|| {
            format!("{text:?} is no outcome; they are emitted, skipped, rejected and held")
        })
    }
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// How it ended.
    pub outcome: Outcome,
    /// The class, if it was skipped or rejected.
    pub class: Option<&'static str>,
    /// Who decided that: a step's name, `parse` or `encode`.
    pub step: Option<String>,
    /// Why it was rejected, in words.
    pub reason: Option<String>,
    /// What came out.
    pub results: Vec<Produced>,
}

impl Fate {
    pub(super) fn new(verdict: &Verdict, pipeline: &Pipeline, results: Vec<Produced>) -> Fate {
        let name = |step: Step| Some(pipeline.step_name(step).to_owned());
        let (class, step, reason) = match verdict {
            Verdict::Skip(Skip { class, step }) => (Some(class.name()), name(*step), None),
            Verdict::Reject(Rejection { class, step, reason }) => {
                (Some(class.name()), name(*step), Some(reason.to_string()))
            }
            Verdict::Emit | Verdict::Hold(_) | Verdict::Wait(_) | Verdict::Behind { .. } => {
                (None, None, None)
            }
        };
        Fate { outcome: Outcome::from(verdict), class, step, reason, results }
    }
}

/// The outcome with its class, as `outcomes` of a case spell it: `skipped:duplicate`.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.outcome.name())?;
        self.class.map_or(Ok(()), |class| write!(f, ":{class}"))
    }
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Where it goes.
    pub topic: String,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; without one it is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers, in order; a value may be absent.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds since the epoch; without, the sink stamps it.
    pub timestamp_ms: Option<i64>,
}

impl Produced {
    pub(super) fn new(topic: &str, output: Output<'_>) -> Produced {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Produced {
            topic: topic.to_owned(),
            key: owned(output.key),
            value: owned(output.value),
            headers: output.headers.map(|(name, value)| (name.to_vec(), owned(value))).collect(),
            timestamp_ms: output.timestamp_ms,
        }
    }
}

//! What a trial says about a record, as one line of JSON.
//!
//! Bytes that are not UTF-8 stand in base64 under a name that says so; a header's value that is
//! not UTF-8 stands as `{"base64": …}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::{
    codec::Written,
    pipeline::{Found, trial::Outcome},
    record::Output,
    verdict::{Step, Verdict},
};

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    v: u8,
    line: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Produced>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<Seen>>,
}

impl Answer {
    pub(super) fn new<'a>(
        line: u64,
        verdict: &Verdict,
        step_name: impl Fn(Step) -> &'a str,
    ) -> Answer {
        let (class, step, reason) = match verdict {
            Verdict::Skip(skip) => (Some(skip.class.name()), Some(skip.step), None),
            Verdict::Reject(it) => (Some(it.class.name()), Some(it.step), Some(it.reason)),
            Verdict::Emit | Verdict::Hold(_) | Verdict::Wait(_) => (None, None, None),
        };
        Answer {
            v: 1,
            line,
            outcome: Outcome::from(verdict).name(),
            class,
            step: step.map(|step| step_name(step).to_owned()),
            reason: reason.map(|reason| reason.to_string()),
            results: None,
            steps: None,
        }
    }

    pub(super) fn add_results<'a>(
        &mut self,
        topic: &str,
        outputs: impl Iterator<Item = Output<'a>>,
    ) {
        let produced = outputs.map(|output| Produced {
            topic: topic.to_owned(),
            key: output.key.map(Bytes::from),
            value: output.value.map(Bytes::from),
            headers: output
                .headers
                .map(|(name, value)| {
                    (String::from_utf8_lossy(name).into_owned(), value.map(Bytes::from))
                })
                .collect(),
        });
        self.results = Some(produced.collect());
    }

    pub(super) fn explain(&mut self, seen: Vec<Seen>) {
        self.steps = Some(seen);
    }
}

/// Text where they are UTF-8.
#[derive(Debug)]
enum Bytes {
    Text(String),
    Base64(String),
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.to_owned()),
            Err(_) => Bytes::Base64(STANDARD.encode(bytes)),
        }
    }
}

/// As a header's value stands.
impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Bytes::Text(text) => serializer.serialize_str(text),
            Bytes::Base64(encoded) => serializer.collect_map([("base64", encoded)]),
        }
    }
}

#[derive(Debug)]
struct Produced {
    topic: String,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
}

impl Serialize for Produced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("topic", &self.topic)?;
        for (part, name, encoded_name) in
            [(&self.key, "key", "key_base64"), (&self.value, "value", "value_base64")]
        {
            match part {
                None => map.serialize_entry(name, &())?,
                Some(Bytes::Text(text)) => map.serialize_entry(name, text)?,
                Some(Bytes::Base64(encoded)) => map.serialize_entry(encoded_name, encoded)?,
            }
        }
        map.serialize_entry("headers", &self.headers)?;
        map.end()
    }
}

/// What a step saw or did.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrote: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Seen {
    pub(super) fn looked_up(step: String, table: &str, key: &[u8], found: &Found<'_>) -> Seen {
        let found = match found {
            Found::Hit(_) => "hit",
            Found::Miss => "miss",
            Found::Stale => "stale",
            Found::Unknown(_) => "unknown",
            Found::Late => "late",
        };
        let (table, key) = (Some(table.to_owned()), Some(key.into()));
        Seen { step, table, key, found: Some(found), wrote: None, value: None }
    }

    pub(super) fn wrote(step: String, path: String, written: Written, bytes: &[u8]) -> Seen {
        let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
        let value = match written {
            Written::Json(_) => serde_json::from_slice(bytes).unwrap_or_else(|_| text()),
            _ => text(),
        };
        let (wrote, value) = (Some(path), Some(value));
        Seen { step, table: None, key: None, found: None, wrote, value }
    }
}

//! What a trial says about a record, as one line of JSON.
//!
//! Bytes that are not UTF-8 stand in base64 under a name that says so; a header's value that is
//! not UTF-8 stands as `{"base64": …}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Fate, Outcome, Produced, Sequel, explanation::Seen};

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    v: u8,
    line: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'a [Produced]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<Seen>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    window_results: Vec<WindowResult<'a>>,
}

/// What a window gave off behind the record, and what became of it.
#[derive(Debug, Serialize)]
struct WindowResult<'a> {
    window: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    results: &'a [Produced],
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<&'a [Seen]>,
}

impl<'a> WindowResult<'a> {
    fn new(sequel: &'a Sequel) -> WindowResult<'a> {
        let Sequel { step: window, fate, seen } = sequel;
        let Fate { outcome, class, step, reason, results } = fate;
        WindowResult {
            window,
            outcome: outcome.name(),
            class: *class,
            step: step.as_deref(),
            reason: reason.as_deref(),
            results,
            steps: seen.as_deref(),
        }
    }
}

impl<'a> Answer<'a> {
    pub(super) fn new(
        line: u64,
        fate: &'a Fate,
        steps: Option<Vec<Seen>>,
        sequels: &'a [Sequel],
    ) -> Answer<'a> {
        let Fate { outcome, class, step, reason, results } = fate;
        let has_results = *outcome == Outcome::Emitted || !results.is_empty();
        Answer {
            v: 1,
            line,
            outcome: outcome.name(),
            class: *class,
            step: step.as_deref(),
            reason: reason.as_deref(),
            results: has_results.then_some(results),
            steps,
            window_results: sequels.iter().map(WindowResult::new).collect(),
        }
    }
}

/// Text where they are UTF-8.
#[derive(Debug)]
pub(super) enum Bytes {
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

impl Serialize for Produced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = |it: &Option<Vec<u8>>| it.as_deref().map(Bytes::from);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("topic", &self.topic)?;
        for (part, name, encoded_name) in
            [(&self.key, "key", "key_base64"), (&self.value, "value", "value_base64")]
        {
            match bytes(part) {
                None => map.serialize_entry(name, &())?,
                Some(Bytes::Text(text)) => map.serialize_entry(name, &text)?,
                Some(Bytes::Base64(encoded)) => map.serialize_entry(encoded_name, &encoded)?,
            }
        }
        let header = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| {
            (String::from_utf8_lossy(name).into_owned(), bytes(value))
        };
        map.serialize_entry("headers", &self.headers.iter().map(header).collect::<Vec<_>>())?;
        map.end()
    }
}

//! `load` into a stream: what the pipeline's source will read as the payload.

use std::sync::atomic::AtomicBool;

use crate::{
    clock::{Ticks, TscClock},
    config::{
        Settings,
        settings::{RedisSink as StreamSink, RedisSource as StreamSource},
    },
    record::{Destination, Headers, Output},
    transport::{
        Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet,
        redis::{RedisSink, RedisSinkPlan},
    },
};

/// Not an object, where only the fields of one can be told apart.
const NO_OBJECT: Refusal = Refusal {
    code: "NO_OBJECT",
    too_large: false,
    fatal: false,
    aborts: false,
    is_about_content: true,
};

/// Writes records into the source's first stream, in the form that the source reads.
#[derive(Debug)]
pub struct StreamFeed {
    sink: RedisSink,
    /// All fields are the record, and none holds it.
    is_object: bool,
    fields: Vec<u8>,
}

impl StreamFeed {
    /// Connects; `None` if the flag became true first.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached in time.
    pub fn open(
        settings: &Settings,
        source: &StreamSource,
        clock: TscClock,
        stop: &AtomicBool,
    ) -> Result<Option<StreamFeed>, Trouble> {
        let StreamSource { url, shown, field, .. } = source;
        let (is_object, field) = (field.is_none(), field.clone().unwrap_or_default());
        let (url, shown) = (url.clone(), shown.clone());
        let plan = RedisSinkPlan {
            peer: "source",
            settings: &StreamSink { url, shown, field, maxlen: None },
            streams: &settings.source.topics[..1],
            letters_from: Destination(1),
            bytes: settings.limits.in_flight_bytes,
            is_repeated: true,
        };
        let sink = RedisSink::open(&plan, clock, (settings.engine.start_timeout, stop))?;
        Ok(sink.map(|sink| StreamFeed { sink, is_object, fields: Vec::new() }))
    }
}

/// The members of an object as fields, text as it is and all else as JSON.
fn write_fields(value: Option<&[u8]>, fields: &mut Vec<u8>) -> Option<()> {
    type Object = serde_json::Map<String, serde_json::Value>;
    fields.clear();
    let object: Object = serde_json::from_slice(value?).ok()?;
    for (name, value) in &object {
        match value.as_str() {
            Some(text) => Headers::push(fields, name.as_bytes(), Some(text.as_bytes())),
            None => Headers::push(fields, name.as_bytes(), Some(value.to_string().as_bytes())),
        }
    }
    (!object.is_empty()).then_some(())
}

impl Sink for StreamFeed {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if !self.is_object {
            return self.sink.send(output, token);
        }
        if write_fields(output.value, &mut self.fields).is_none() {
            return Err(SendError::Refused(NO_OBJECT));
        }
        let headers = Headers::from_bytes(&self.fields);
        self.sink.send(&Output { key: None, value: None, headers, ..*output }, token)
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        self.sink.poll_acks(now, visit)
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.sink.next_trouble()
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        self.sink.next_recovery()
    }

    fn in_flight(&self) -> usize {
        self.sink.in_flight()
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.sink.wait_on(set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_fields() {
        let mut fields = Vec::new();
        let value = br#"{"a":"say \"x\"","b":12.50,"c":null,"d":{"e":[1]}}"#;
        assert_eq!(write_fields(Some(value), &mut fields), Some(()));
        let text = |it: &[u8]| String::from_utf8(it.to_vec()).unwrap();
        let pair = |(name, value): (&[u8], Option<&[u8]>)| (text(name), text(value.unwrap()));
        let found: Vec<_> = Headers::from_bytes(&fields).map(pair).collect();
        let expected = [("a", "say \"x\""), ("b", "12.5"), ("c", "null"), ("d", "{\"e\":[1]}")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for none in [&b"[]"[..], b"{}", b"nonsense"] {
            assert_eq!(write_fields(Some(none), &mut fields), None);
        }
    }
}

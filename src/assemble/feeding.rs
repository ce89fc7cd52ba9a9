//! Load into the source: a topic, or a stream in the form in which the source reads it.

use std::{sync::atomic::AtomicBool, time::Duration};

use crate::{
    clock::{Ticks, TscClock},
    config::{
        Settings,
        settings::{RedisSink as StreamSink, RedisSource as StreamSource},
    },
    record::{DUE_HEADER, Destination, Headers, Output},
    transport::{
        Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet,
        kafka::KafkaSink,
        redis::{RedisSink, RedisSinkPlan, fields_of},
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

/// Writes records into the source's first topic or stream.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a program")]
pub enum Feed {
    /// A topic.
    Topic(KafkaSink),
    /// A stream.
    Stream(StreamFeed),
}

impl Feed {
    /// Connects, and waits no longer than that and until the flag is true; then `None`, or for a
    /// topic trouble.
    ///
    /// # Errors
    ///
    /// If broker or server cannot be reached in time.
    pub fn open(
        settings: &Settings,
        peer: &'static str,
        clock: TscClock,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<Feed>, Trouble> {
        let source = &settings.source;
        match &settings.streams.source {
            Some(stream) => {
                let feed = StreamFeed::open(settings, (peer, stream), clock, wait)?;
                Ok(feed.map(Feed::Stream))
            }
            None => {
                let (client, topics) = (source.client.for_writing(), &source.topics[..1]);
                let sink = KafkaSink::open_unless(peer, &client, topics, clock, wait)?;
                Ok(Some(Feed::Topic(sink)))
            }
        }
    }
}

impl Sink for Feed {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        match self {
            Feed::Topic(it) => it.send(output, token),
            Feed::Stream(it) => it.send(output, token),
        }
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        match self {
            Feed::Topic(it) => it.poll_acks(now, visit),
            Feed::Stream(it) => it.poll_acks(now, visit),
        }
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        match self {
            Feed::Topic(it) => it.next_trouble(),
            Feed::Stream(it) => it.next_trouble(),
        }
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        match self {
            Feed::Topic(it) => it.next_recovery(),
            Feed::Stream(it) => it.next_recovery(),
        }
    }

    fn in_flight(&self) -> usize {
        match self {
            Feed::Topic(it) => it.in_flight(),
            Feed::Stream(it) => it.in_flight(),
        }
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        match self {
            Feed::Topic(it) => it.wait_on(set),
            Feed::Stream(it) => it.wait_on(set),
        }
    }
}

/// Writes records into the source's first stream, in the form that the source reads.
#[derive(Debug)]
pub struct StreamFeed {
    sink: RedisSink,
    /// All fields are the record, and none holds it.
    is_object: bool,
    fields: Vec<u8>,
}

impl StreamFeed {
    /// Connects, and waits for the server no longer than that and until the flag is true; then
    /// `None`.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached in time.
    pub fn open(
        settings: &Settings,
        (peer, source): (&'static str, &StreamSource),
        clock: TscClock,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<StreamFeed>, Trouble> {
        let StreamSource { url, shown, field, .. } = source;
        let (is_object, field) = (field.is_none(), field.clone().unwrap_or_default());
        let (url, shown) = (url.clone(), shown.clone());
        let plan = RedisSinkPlan {
            peer,
            settings: &StreamSink { url, shown, field, maxlen: None },
            streams: &settings.source.topics[..1],
            letters_from: Destination(1),
            bytes: settings.limits.in_flight_bytes,
            is_repeated: true,
        };
        let sink = RedisSink::open(&plan, clock, wait)?;
        Ok(sink.map(|sink| StreamFeed { sink, is_object, fields: Vec::new() }))
    }
}

/// The members of an object as fields, and the stamp beside them, if there is one.
fn write_fields(output: &Output<'_>, fields: &mut Vec<u8>) -> Option<()> {
    fields.clear();
    fields_of(output.value?, fields)?;
    if let Some(due) = output.headers.value_of(DUE_HEADER) {
        Headers::push(fields, DUE_HEADER, due);
    }
    Some(())
}

impl Sink for StreamFeed {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if !self.is_object {
            return self.sink.send(output, token);
        }
        if write_fields(output, &mut self.fields).is_none() {
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
    fn members_become_fields_and_the_stamp_stands_beside_them() {
        let (mut fields, mut headers) = (Vec::new(), Vec::new());
        Headers::push(&mut headers, b"origin", Some(b"a test"));
        Headers::push(&mut headers, DUE_HEADER, Some(b"17"));
        let output = |value: &'static [u8], headers| Output {
            destination: Destination(0),
            partition_number: None,
            timestamp_ms: None,
            key: Some(b"k"),
            value: Some(value),
            headers: Headers::from_bytes(headers),
        };
        let value = br#"{"a":"say \"x\"","b":12.50,"c":null,"d":{"e":[1]}}"#;
        assert_eq!(write_fields(&output(value, &headers), &mut fields), Some(()));
        let text = |it: &[u8]| String::from_utf8(it.to_vec()).unwrap();
        let pair = |(name, value): (&[u8], Option<&[u8]>)| (text(name), text(value.unwrap()));
        let found: Vec<_> = Headers::from_bytes(&fields).map(pair).collect();
        let members = [("a", "say \"x\""), ("b", "12.50"), ("c", "null"), ("d", "{\"e\":[1]}")];
        let expected = [&members[..], &[("hotspur.due", "17")]].concat();
        let owned = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(found, owned.collect::<Vec<_>>());
        for none in [&b"[]"[..], b"{}", b"nonsense"] {
            assert_eq!(write_fields(&output(none, &[]), &mut fields), None);
        }
    }
}

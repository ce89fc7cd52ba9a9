//! Messages as tests see them: every byte, every header, time and place.

use rdkafka::{
    Message as _,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::BaseRecord,
};

/// A message to be produced, or one that was read. Absent is told apart from empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The key.
    pub(crate) key: Option<Vec<u8>>,
    /// The value.
    pub(crate) value: Option<Vec<u8>>,
    /// The headers, in order.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the epoch.
    pub(crate) timestamp_ms: Option<i64>,
    /// The partition it is in, or, where it is set, shall go to.
    pub(crate) partition: Option<i32>,
    /// Its offset, once it has one.
    pub(crate) offset: i64,
}

impl Message {
    /// One with that value and nothing else.
    pub(crate) fn new(value: impl AsRef<[u8]>) -> Message {
        Message { value: Some(value.as_ref().to_vec()), ..Message::default() }
    }

    /// One without a value.
    pub(crate) fn tombstone() -> Message {
        Message::default()
    }

    /// With this key.
    pub(crate) fn key(mut self, key: impl AsRef<[u8]>) -> Message {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Message {
        self.headers.push((name.to_owned(), Some(value.as_ref().to_vec())));
        self
    }

    /// With one more header that has no value.
    pub(crate) fn header_without_value(mut self, name: &str) -> Message {
        self.headers.push((name.to_owned(), None));
        self
    }

    /// At that time.
    pub(crate) fn timestamp(mut self, timestamp_ms: i64) -> Message {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// In that partition.
    pub(crate) fn partition(mut self, partition: i32) -> Message {
        self.partition = Some(partition);
        self
    }

    /// The value as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        let value = self.value.as_deref().expect("a message with a value");
        std::str::from_utf8(value).expect("a value in UTF-8")
    }

    /// The text of the one header of that name.
    #[track_caller]
    pub(crate) fn header_text(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(it, _)| it == name);
        let (Some((_, value)), None) = (found.next(), found.next()) else {
            panic!("header {name} has to stand once in {:?}", self.headers);
        };
        let value = value.as_deref().expect("a header with a value");
        std::str::from_utf8(value).expect("a header in UTF-8")
    }

    /// What has to arrive unharmed: key, value, headers and time, without the place.
    pub(crate) fn content(&self) -> Message {
        Message { partition: None, offset: 0, ..self.clone() }
    }

    pub(super) fn read(message: &BorrowedMessage<'_>) -> Message {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec)));
        Message {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.collect(),
            timestamp_ms: message.timestamp().to_millis(),
            partition: Some(message.partition()),
            offset: message.offset(),
        }
    }

    pub(crate) fn to<'a>(&'a self, topic: &'a str) -> BaseRecord<'a, [u8], [u8]> {
        let mut record = BaseRecord::to(topic);
        record.key = self.key.as_deref();
        record.payload = self.value.as_deref();
        record.partition = self.partition;
        record.timestamp = self.timestamp_ms;
        if !self.headers.is_empty() {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &self.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            record.headers = Some(headers);
        }
        record
    }
}

//! How keys are read, whatever they hold: commands for keys, and what their replies say of each.
//!
//! Values are checked and brought into the form in which lookups use them here, on the side thread.
//! A hash becomes an object of texts, in the order of the chosen fields, or in the server's; a hash
//! that has none of the chosen fields counts as absent, as an empty one does in Redis. What is not
//! what it should be is kept as plain bytes. Fields that expire by themselves go when Redis tells.

use std::{ops::Range, time::Duration};

use ::redis::{Pipeline, Value};

use super::{link::bytes, trouble::Trouble};
use crate::{
    cache::{
        entries::OwnedValue,
        value::{Value as TableValue, ValueKind},
    },
    config::settings::RedisKind,
};

/// What a server said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its value, checked.
    Found(OwnedValue),
    /// It does not exist; or it does, but `MGET` cannot tell, because it is of another type.
    Absent,
    /// It is of another type, and the command could tell.
    Foreign,
}

/// How long a key will exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeToLive {
    /// It does not exist any more.
    Gone,
    /// Until somebody deletes it.
    Endless,
    /// So long.
    Left(Duration),
}

/// Reads keys of one kind.
#[derive(Clone, Debug)]
pub(super) struct Values {
    kind: RedisKind,
}

impl Values {
    pub(super) fn new(kind: &RedisKind) -> Values {
        Values { kind: kind.clone() }
    }

    /// Writes the commands that read these keys, of which one `MGET` takes at most so many. Each
    /// reply answers for a range of the keys, and is to be given to `readings`.
    pub(super) fn ask(
        &self,
        keys: &[Vec<u8>],
        keys_a_command: usize,
        commands: &mut Pipeline,
    ) -> Vec<Range<usize>> {
        let keys_a_command = match self.kind {
            RedisKind::String | RedisKind::Json => keys_a_command.max(1),
            RedisKind::Hash(_) => 1,
        };
        let starts = (0..keys.len()).step_by(keys_a_command);
        let ranges = starts.map(|start| start..keys.len().min(start + keys_a_command));
        let ranges: Vec<Range<usize>> = ranges.collect();
        for range in &ranges {
            let keys = &keys[range.clone()];
            match &self.kind {
                RedisKind::String | RedisKind::Json => commands.cmd("MGET").arg(keys),
                RedisKind::Hash(None) => commands.cmd("HGETALL").arg(keys),
                RedisKind::Hash(Some(fields)) => commands.cmd("HMGET").arg(keys).arg(fields),
            };
        }
        ranges
    }

    /// The command that `ask` writes.
    pub(super) fn command(&self) -> &'static str {
        match &self.kind {
            RedisKind::String | RedisKind::Json => "MGET",
            RedisKind::Hash(None) => "HGETALL",
            RedisKind::Hash(Some(_)) => "HMGET",
        }
    }

    /// True if a key of another type is told apart from one that does not exist.
    pub(super) fn tells_types(&self) -> bool {
        matches!(self.kind, RedisKind::Hash(_))
    }

    /// What a reply says of each of its keys, in their order; `shown` names the server in troubles.
    pub(super) fn readings(
        &self,
        keys: usize,
        reply: Value,
        shown: &str,
    ) -> Result<Vec<Reading>, Trouble> {
        if let RedisKind::Hash(fields) = &self.kind {
            return self.object(fields.as_deref(), reply, shown).map(|reading| vec![reading]);
        }
        let reply = reply.extract_error().map_err(|error| Trouble::of(&error, shown))?;
        match reply {
            Value::Array(values) if values.len() == keys => {
                Ok(values.into_iter().map(|value| self.one(value)).collect())
            }
            _ => Err(Trouble::nonsense(shown, self.command())),
        }
    }

    fn one(&self, value: Value) -> Reading {
        let Some(bytes) = bytes(value) else { return Reading::Absent };
        let checked = match self.kind {
            RedisKind::Json => TableValue::json(&bytes),
            _ => TableValue::text(&bytes),
        };
        let kind = checked.kind;
        let is_whole = checked.bytes.len() == bytes.len();
        let bytes = if is_whole { bytes } else { checked.bytes.to_vec() };
        Reading::Found(OwnedValue { kind, bytes })
    }

    fn object(
        &self,
        fields: Option<&[String]>,
        reply: Value,
        shown: &str,
    ) -> Result<Reading, Trouble> {
        if is_wrong_type(&reply) {
            return Ok(Reading::Foreign);
        }
        let reply = reply.extract_error().map_err(|error| Trouble::of(&error, shown))?;
        let object = match (fields, reply) {
            (None, Value::Map(pairs)) => object(pairs.into_iter()),
            // As a map was spelled before RESP3.
            (None, Value::Array(flat)) if flat.len() % 2 == 0 => {
                let mut flat = flat.into_iter();
                object(std::iter::from_fn(|| Some((flat.next()?, flat.next()?))))
            }
            (Some(fields), Value::Array(values)) if values.len() == fields.len() => {
                let names = fields.iter().map(|name| Value::BulkString(name.clone().into_bytes()));
                object(names.zip(values).filter(|(_, value)| *value != Value::Nil))
            }
            _ => return Err(Trouble::nonsense(shown, self.command())),
        };
        Ok(object.map_or(Reading::Absent, Reading::Found))
    }
}

fn is_wrong_type(reply: &Value) -> bool {
    let Value::ServerError(error) = reply else { return false };
    error.code() == "WRONGTYPE"
}

/// An object of texts; none if there is no field.
fn object(fields: impl Iterator<Item = (Value, Value)>) -> Option<OwnedValue> {
    let (mut kind, mut json) = (ValueKind::Json, Vec::new());
    for (name, value) in fields {
        json.push(if json.is_empty() { b'{' } else { b',' });
        push_text(&mut json, bytes(name), &mut kind);
        json.push(b':');
        push_text(&mut json, bytes(value), &mut kind);
    }
    if json.is_empty() {
        return None;
    }
    json.push(b'}');
    Some(OwnedValue { kind, bytes: json })
}

/// Appends a text with its quotes. What is not UTF-8 cannot be JSON, and the whole is not either.
fn push_text(json: &mut Vec<u8>, bytes: Option<Vec<u8>>, kind: &mut ValueKind) {
    let bytes = bytes.unwrap_or_default();
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            // It cannot fail: a text is always JSON, and a vector takes it.
            let _ = serde_json::to_writer(json, text);
        }
        Err(_) => {
            *kind = ValueKind::Bytes;
            json.extend_from_slice(&bytes);
        }
    }
}

/// Writes the command that asks how long a key will exist.
pub(super) fn ask_time_to_live(key: &[u8], commands: &mut Pipeline) {
    commands.cmd("PTTL").arg(key);
}

/// What its reply says. The time left counts from when the command was executed.
pub(super) fn time_to_live(reply: Value, shown: &str) -> Result<TimeToLive, Trouble> {
    let reply = reply.extract_error().map_err(|error| Trouble::of(&error, shown))?;
    match reply {
        Value::Int(-2) => Ok(TimeToLive::Gone),
        Value::Int(-1) => Ok(TimeToLive::Endless),
        Value::Int(millis) => Ok(TimeToLive::Left(Duration::from_millis(millis.max(0) as u64))),
        _ => Err(Trouble::nonsense(shown, "PTTL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    fn found(kind: ValueKind, bytes: &[u8]) -> Reading {
        Reading::Found(OwnedValue { kind, bytes: bytes.to_vec() })
    }

    fn commands(kind: &RedisKind) -> String {
        let keys: Vec<Vec<u8>> = (b'a'..=b'e').map(|it| vec![it]).collect();
        let mut pipeline = Pipeline::new();
        let ranges = Values::new(kind).ask(&keys, 2, &mut pipeline);
        assert_eq!(ranges.len(), pipeline.len());
        assert_eq!(ranges.iter().map(Range::len).sum::<usize>(), keys.len());
        let packed = String::from_utf8(pipeline.get_packed_pipeline()).unwrap();
        let words = packed.split("\r\n").filter(|it| !it.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    #[test]
    fn strings_are_asked_for_together_and_hashes_one_by_one() {
        let fields = vec!["tier".to_owned(), "x".to_owned()];
        assert_eq!(commands(&RedisKind::String), "MGET a b MGET c d MGET e");
        let all = "HGETALL a HGETALL b HGETALL c HGETALL d HGETALL e";
        assert_eq!(commands(&RedisKind::Hash(None)), all);
        let chosen = commands(&RedisKind::Hash(Some(fields)));
        assert!(chosen.starts_with("HMGET a tier x HMGET b tier x "), "{chosen}");
    }

    #[test]
    fn texts_and_json_are_checked() {
        use ValueKind::{Bytes, Json, Text};
        let reply = Value::Array(vec![bulk(b"gold"), Value::Nil, bulk(b" [7]\n"), bulk(b"\xff")]);
        let read = |kind| Values::new(&kind).readings(4, reply.clone(), "SHOWN").unwrap();
        let texts = [found(Text, b"gold"), Reading::Absent, found(Text, b" [7]\n")];
        assert_eq!(read(RedisKind::String)[..3], texts);
        assert_eq!(read(RedisKind::String)[3], found(Bytes, b"\xff"));
        let json = [found(Bytes, b"gold"), Reading::Absent, found(Json, b"[7]")];
        assert_eq!(read(RedisKind::Json)[..3], json);
        assert!(Values::new(&RedisKind::String).readings(3, reply.clone(), "SHOWN").is_err());
    }

    #[test]
    fn hashes_are_objects_of_texts() {
        use ValueKind::{Bytes, Json};
        let read = |fields: Option<&[&str]>, reply| {
            let fields = fields.map(|it| it.iter().map(|name| (*name).to_owned()).collect());
            Values::new(&RedisKind::Hash(fields))
                .readings(1, reply, "SHOWN")
                .map(|mut it| it.remove(0))
        };
        let pair = |name: &[u8], value: &[u8]| (bulk(name), bulk(value));
        let map = |pairs: &[(Value, Value)]| Value::Map(pairs.to_vec());
        let two = [pair(b"tier", b"7"), pair(b"na\"me", "é\n".as_bytes())];
        let expected = r#"{"tier":"7","na\"me":"é\n"}"#.as_bytes();
        assert_eq!(read(None, map(&two)), Ok(found(Json, expected)));
        let flat = two.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
        assert_eq!(read(None, Value::Array(flat)), Ok(found(Json, expected)));
        assert_eq!(read(None, map(&[])), Ok(Reading::Absent));
        let binary = read(None, map(&[pair(b"a", b"\xff")]));
        assert_eq!(binary, Ok(found(Bytes, b"{\"a\":\xff}")));

        let chosen = Value::Array(vec![Value::Nil, bulk(b"AT")]);
        let of = read(Some(&["tier", "country"]), chosen.clone());
        assert_eq!(of, Ok(found(Json, br#"{"country":"AT"}"#)));
        assert!(read(Some(&["tier"]), chosen).is_err());
        assert_eq!(read(Some(&["tier"]), Value::Array(vec![Value::Nil])), Ok(Reading::Absent));
    }

    #[test]
    fn a_time_to_live_may_be_endless_or_over() {
        let of = |number| time_to_live(Value::Int(number), "SHOWN").unwrap();
        assert_eq!(of(-2), TimeToLive::Gone);
        assert_eq!(of(-1), TimeToLive::Endless);
        assert_eq!(of(1500), TimeToLive::Left(Duration::from_millis(1500)));
        assert_eq!(of(i64::MAX), TimeToLive::Left(Duration::from_millis(i64::MAX as u64)));
        assert!(time_to_live(Value::Nil, "SHOWN").is_err());
    }
}

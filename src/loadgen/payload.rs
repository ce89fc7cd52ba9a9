//! What a record's value says: names, orders, weather, or lines of a file.
//!
//! Values are written by hand into the caller's memory: there is nothing in them to escape, and a
//! generator that allocates would compete with what it measures.

use std::{fs, ops::Range};

use rand::RngExt;

use crate::loadgen::{LoadError, keys};

const FIRST_NAMES: [&str; 32] = [
    "Ada",
    "Alan",
    "Barbara",
    "Bjarne",
    "Claude",
    "Dennis",
    "Donald",
    "Edsger",
    "Emmy",
    "Frances",
    "Grace",
    "Hedy",
    "Ivan",
    "Jean",
    "John",
    "Karen",
    "Katherine",
    "Ken",
    "Kristen",
    "Leslie",
    "Lynn",
    "Margaret",
    "Maurice",
    "Niklaus",
    "Radia",
    "Robin",
    "Shafi",
    "Sophie",
    "Stephanie",
    "Tony",
    "Vint",
    "Whitfield",
];

const LAST_NAMES: [&str; 32] = [
    "Allen",
    "Backus",
    "Bartik",
    "Clarke",
    "Conway",
    "Diffie",
    "Dijkstra",
    "Goldwasser",
    "Hamilton",
    "Hoare",
    "Holberton",
    "Hopper",
    "Johnson",
    "Kernighan",
    "Knuth",
    "Lamarr",
    "Lamport",
    "Liskov",
    "Lovelace",
    "McCarthy",
    "Milner",
    "Naur",
    "Noether",
    "Perlman",
    "Ritchie",
    "Shannon",
    "Shirley",
    "Stroustrup",
    "Thompson",
    "Turing",
    "Wilkes",
    "Wirth",
];

/// Fills an order up to its size.
const NOTE: &str =
    "please ring twice and leave the parcel with the neighbours on the second floor ";
const NOTE_START: &[u8] = b",\"currency\":\"EUR\",\"quantity\":1,\"note\":\"";
const NOTE_END: &[u8] = b"\"}";

/// Orders' values are below this.
const VALUE_MAX: u32 = 1_000;

/// What stands before the number of a weather station.
const STATION_PREFIX: &str = "station";

/// In tenths: degrees Celsius, hectopascal, metres a second.
const CELSIUS: Range<i32> = -200..400;
const PRESSURE: Range<i32> = 9_800..10_400;
const WIND: Range<i32> = 0..250;
/// Percent.
const HUMIDITY: Range<i32> = 15..101;

/// What values are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// `{"first_name":…,"last_name":…}`, about 45 bytes.
    Names,
    /// `{"id":…,"key":…,"value":…,"timestamp_sent":…}`: the time at which it was due, in ms.
    Orders {
        /// Further fields fill it up to that many bytes; 0 leaves the four.
        bytes: usize,
    },
    /// What a weather station measured, each key being one, and when it was due, in ms.
    Weather,
    /// One after another, again from the start after the last.
    Lines(Vec<Vec<u8>>),
}

impl Payload {
    /// Reads what stands on the command line: `names`, `orders`, `weather` or `@FILE`.
    pub fn parse(text: &str) -> Result<Payload, LoadError> {
        match text {
            "names" => Ok(Payload::Names),
            "orders" => Ok(Payload::Orders { bytes: 0 }),
            "weather" => Ok(Payload::Weather),
            _ => match text.strip_prefix('@') {
                Some(path) => lines(path),
                None => Err(LoadError::UnknownPayload(text.to_owned())),
            },
        }
    }

    /// Appends the key of that number, from 1.
    pub(super) fn write_key(&self, text: &mut Vec<u8>, number: u64) {
        match self {
            Payload::Weather => keys::write_numbered(text, STATION_PREFIX, number),
            _ => keys::write_key(text, number),
        }
    }

    /// Appends the value of record `number`.
    pub(super) fn write(
        &self,
        value: &mut Vec<u8>,
        number: u64,
        key: &[u8],
        due_ms: i64,
        random: &mut impl RngExt,
    ) {
        match self {
            Payload::Names => write_name(value, random),
            Payload::Orders { bytes } => {
                write_order(value, number, key, due_ms, random.random_range(0..VALUE_MAX));
                fill_up(value, *bytes);
            }
            Payload::Weather => write_weather(value, key, due_ms, random),
            Payload::Lines(lines) => {
                value.extend_from_slice(&lines[(number % lines.len() as u64) as usize]);
            }
        }
    }
}

/// Lines without their ends; empty ones are none.
fn lines(path: &str) -> Result<Payload, LoadError> {
    let text =
        fs::read(path).map_err(|source| LoadError::File { path: path.to_owned(), source })?;
    let lines: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        Err(LoadError::EmptyFile(path.to_owned()))
    } else {
        Ok(Payload::Lines(lines))
    }
}

fn write_name(value: &mut Vec<u8>, random: &mut impl RngExt) {
    let mut pick = |names: &[&'static str]| names[random.random_range(0..names.len())];
    let (first, last) = (pick(&FIRST_NAMES), pick(&LAST_NAMES));
    let parts = ["{\"first_name\":\"", first, "\",\"last_name\":\"", last, "\"}"];
    parts.into_iter().for_each(|part| value.extend_from_slice(part.as_bytes()));
}

fn write_order(value: &mut Vec<u8>, number: u64, key: &[u8], due_ms: i64, amount: u32) {
    let (mut id, mut sent, mut price) =
        (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
    let parts: [&[u8]; 9] = [
        b"{\"id\":\"",
        id.format(number).as_bytes(),
        b"\",\"key\":\"",
        key,
        b"\",\"value\":",
        price.format(amount).as_bytes(),
        b",\"timestamp_sent\":",
        sent.format(due_ms).as_bytes(),
        b"}",
    ];
    parts.into_iter().for_each(|part| value.extend_from_slice(part));
}

fn write_weather(value: &mut Vec<u8>, station: &[u8], due_ms: i64, random: &mut impl RngExt) {
    let parts = [b"{\"station\":\"", station, b"\",\"at\":"];
    parts.into_iter().for_each(|part| value.extend_from_slice(part));
    value.extend_from_slice(itoa::Buffer::new().format(due_ms).as_bytes());
    for (name, tenths) in [("celsius", CELSIUS), ("pressure", PRESSURE), ("wind", WIND)] {
        write_name_of(value, name);
        write_tenths(value, random.random_range(tenths));
    }
    write_name_of(value, "humidity");
    let humidity = random.random_range(HUMIDITY);
    value.extend_from_slice(itoa::Buffer::new().format(humidity).as_bytes());
    value.push(b'}');
}

fn write_name_of(value: &mut Vec<u8>, name: &str) {
    let parts = [",\"", name, "\":"];
    parts.into_iter().for_each(|part| value.extend_from_slice(part.as_bytes()));
}

/// As a decimal number with one place behind the point.
fn write_tenths(value: &mut Vec<u8>, tenths: i32) {
    if tenths < 0 {
        value.push(b'-');
    }
    let tenths = tenths.unsigned_abs();
    value.extend_from_slice(itoa::Buffer::new().format(tenths / 10).as_bytes());
    value.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
}

/// Adds fields to an object, so that it has `bytes`, or as few more as it must.
fn fill_up(value: &mut Vec<u8>, bytes: usize) {
    if value.len() >= bytes {
        return;
    }
    value.pop();
    value.extend_from_slice(NOTE_START);
    let missing = bytes.saturating_sub(value.len() + NOTE_END.len());
    value.extend(NOTE.bytes().cycle().take(missing));
    value.extend_from_slice(NOTE_END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
    use serde_json::Value;

    fn values(payload: &Payload, count: u64) -> Vec<Vec<u8>> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut value = |number| {
            let mut text = Vec::new();
            payload.write(&mut text, number, b"user9", 1_795_239_420_123, &mut random);
            text
        };
        (0..count).map(&mut value).collect()
    }

    #[test]
    fn names_are_small_objects_of_two_texts() {
        let values = values(&Payload::parse("names").unwrap(), 1_000);
        for value in &values {
            let name: Value = serde_json::from_slice(value).unwrap();
            assert_eq!(name.as_object().unwrap().len(), 2, "{name}");
            assert!(name["first_name"].is_string() && name["last_name"].is_string(), "{name}");
        }
        let mean = values.iter().map(Vec::len).sum::<usize>() / values.len();
        assert!((40..=50).contains(&mean), "{mean}");
    }

    #[test]
    fn orders_have_exactly_the_four_fields() {
        for (number, value) in values(&Payload::parse("orders").unwrap(), 100).iter().enumerate() {
            let order: Value = serde_json::from_slice(value).unwrap();
            let amount = order["value"].as_u64().unwrap();
            let start = format!(r#"{{"id":"{number}","key":"user9","value":{amount},"#);
            let expected = format!(r#"{start}"timestamp_sent":1795239420123}}"#);
            assert_eq!(value, expected.as_bytes());
            assert!(amount < u64::from(VALUE_MAX));
        }
    }

    #[test]
    fn orders_can_be_filled_up_to_a_size() {
        for value in values(&Payload::Orders { bytes: 200 }, 100) {
            assert_eq!(value.len(), 200);
            let order: Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(order["key"], "user9");
        }
        let len = |bytes| values(&Payload::Orders { bytes }, 1).remove(0).len();
        let four_fields = len(0);
        assert_eq!(len(four_fields), four_fields);
        let all_fields = len(four_fields + 1);
        assert_eq!(all_fields, four_fields - 1 + NOTE_START.len() + NOTE_END.len());
        assert_eq!(len(all_fields + 1), all_fields + 1);
    }

    #[test]
    fn observations_are_numbers_of_a_station_within_what_weather_is() {
        let payload = Payload::parse("weather").unwrap();
        let mut key = Vec::new();
        payload.write_key(&mut key, 42);
        assert_eq!(key, b"station42");
        for value in values(&payload, 1_000) {
            let it: Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(
                (it["station"].as_str(), &it["at"]),
                (Some("user9"), &1_795_239_420_123_u64.into())
            );
            for (name, from, to) in [
                ("celsius", -20.0, 40.0),
                ("pressure", 980.0, 1040.0),
                ("wind", 0.0, 25.0),
                ("humidity", 15.0, 101.0),
            ] {
                let number = it[name].as_f64().unwrap();
                assert!((from..to).contains(&number), "{name} in {it}");
            }
        }
        for (tenths, text) in [(-7, "-0.7"), (0, "0.0"), (-200, "-20.0"), (10_399, "1039.9")] {
            let mut written = Vec::new();
            write_tenths(&mut written, tenths);
            assert_eq!(written, text.as_bytes());
        }
    }

    #[test]
    fn lines_of_a_file_come_in_turn() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"{\"a\":1}\r\n\nnot json\n").unwrap();
        let payload = Payload::parse(&format!("@{}", file.path().display())).unwrap();
        let values = values(&payload, 3);
        assert_eq!(values, [&b"{\"a\":1}"[..], b"not json", b"{\"a\":1}"]);
    }

    #[test]
    fn what_is_no_payload_is_said_with_what_there_is() {
        let error = Payload::parse("wether").unwrap_err().to_string();
        assert!(error.contains("\"wether\"") && error.contains("orders, weather"), "{error}");
        let error = Payload::parse("@/no/such/file").unwrap_err().to_string();
        assert!(error.starts_with("/no/such/file: "), "{error}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let path = empty.path().display().to_string();
        let error = Payload::parse(&format!("@{path}")).unwrap_err();
        assert!(matches!(error, LoadError::EmptyFile(it) if it == path));
    }
}

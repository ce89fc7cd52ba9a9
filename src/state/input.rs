//! What a step hands to an aggregate: the value of an expression, small and borrowed.

use std::io::Write;

use base64::display::Base64Display;

use super::aggregate::Number;

/// A value that goes into an aggregate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// There is none: the aggregate passes it over.
    Absent,
    /// Null: passed over as well.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer, perhaps past what `Int` holds.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'a str),
    /// Bytes; as JSON they are base64 text, as CEL has it.
    Bytes(&'a [u8]),
    /// JSON as it stands in a record: an object, a list, a number by its own spelling.
    Json(&'a [u8]),
}

impl Input<'_> {
    /// Aggregates pass it over.
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Input::Absent | Input::Null) || self == Input::Json(b"null")
    }

    /// What can be added and compared: integers and finite numbers.
    pub(super) fn number(self) -> Option<Number> {
        match self {
            Input::Int(number) => Some(Number::Int(i128::from(number))),
            Input::Uint(number) => Some(Number::Int(i128::from(number))),
            Input::Double(number) => Some(Number::Double(number)).filter(|_| number.is_finite()),
            _ => None,
        }
    }

    /// Appends it as JSON. What JSON cannot say, a number that is not finite, is null.
    pub(super) fn write_json(self, json: &mut Vec<u8>) {
        let written = match self {
            Input::Absent | Input::Null => json.write_all(b"null"),
            Input::Bool(it) => write!(json, "{it}"),
            Input::Int(number) => json.write_all(itoa::Buffer::new().format(number).as_bytes()),
            Input::Uint(number) => json.write_all(itoa::Buffer::new().format(number).as_bytes()),
            Input::Double(number) => return write_double(number, json),
            Input::Text(text) => serde_json::to_writer(&mut *json, text).map_err(Into::into),
            Input::Bytes(bytes) => {
                let engine = &base64::engine::general_purpose::STANDARD;
                write!(json, "\"{}\"", Base64Display::new(bytes, engine))
            }
            Input::Json(bytes) => json.write_all(bytes),
        };
        written.expect("memory takes every byte");
    }

    /// Feeds what tells it from others: equal numbers are one value, whatever their type.
    pub(super) fn hash(self) -> u64 {
        use xxhash_rust::xxh3::xxh3_64_with_seed as hash;
        let of_integer = |number: i128| hash(&number.to_le_bytes(), 1);
        match self {
            Input::Absent | Input::Null => hash(b"", 0),
            Input::Bool(it) => hash(&[u8::from(it)], 2),
            Input::Int(number) => of_integer(i128::from(number)),
            Input::Uint(number) => of_integer(i128::from(number)),
            // Every double of that size is an integer, and fits.
            Input::Double(number) if number.trunc() == number && number.abs() < 1e38 => {
                of_integer(number as i128)
            }
            Input::Double(number) => hash(&number.to_bits().to_le_bytes(), 3),
            Input::Text(text) => hash(text.as_bytes(), 4),
            Input::Bytes(bytes) => hash(bytes, 5),
            Input::Json(bytes) => hash(bytes, 6),
        }
    }
}

/// The shortest text that reads as the same number; null if it is not finite.
pub(super) fn write_double(number: f64, json: &mut Vec<u8>) {
    serde_json::to_writer(json, &number).expect("memory takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(input: Input<'_>) -> String {
        let mut json = Vec::new();
        input.write_json(&mut json);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn every_kind_of_value_becomes_json() {
        assert_eq!(json(Input::Absent), "null");
        assert_eq!(json(Input::Bool(true)), "true");
        assert_eq!(json(Input::Int(i64::MIN)), "-9223372036854775808");
        assert_eq!(json(Input::Uint(u64::MAX)), "18446744073709551615");
        assert_eq!(json(Input::Double(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(json(Input::Double(f64::NAN)), "null");
        assert_eq!(json(Input::Text("a\"\n\u{e9}")), "\"a\\\"\\n\u{e9}\"");
        assert_eq!(json(Input::Bytes(b"\xff\x00")), "\"/wA=\"");
        assert_eq!(json(Input::Json(b"12.50")), "12.50");
    }

    #[test]
    fn equal_numbers_are_one_value_and_kinds_are_told_apart() {
        assert_eq!(Input::Int(7).hash(), Input::Double(7.0).hash());
        assert_eq!(Input::Int(7).hash(), Input::Uint(7).hash());
        assert_eq!(Input::Double(0.0).hash(), Input::Double(-0.0).hash());
        let different = [
            Input::Int(7),
            Input::Double(7.5),
            Input::Text("7"),
            Input::Bytes(b"7"),
            Input::Json(b"7"),
        ];
        let hashes: std::collections::BTreeSet<u64> =
            different.iter().map(|it| it.hash()).collect();
        assert_eq!(hashes.len(), different.len());
    }
}

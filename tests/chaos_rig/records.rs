//! Numbered records with keys, and what has to become of each: known from its number alone.

use std::fmt::Write;

/// How many keys there are.
pub(crate) const KEYS: u64 = 97;

/// The one key that the table does not have: its records are skipped.
const STRANGER: u64 = 7;

/// Of so many records one is no JSON, and so a dead letter.
const ONE_POISON_IN: u64 = 100;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Emitted,
    Skipped,
    Dead,
}

/// Which key that number has.
pub(crate) fn key(number: u64) -> u64 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % KEYS
}

/// What becomes of it.
pub(crate) fn fate(number: u64) -> Fate {
    if number % ONE_POISON_IN == ONE_POISON_IN / 2 {
        Fate::Dead
    } else if key(number) == STRANGER {
        Fate::Skipped
    } else {
        Fate::Emitted
    }
}

/// Writes key and value of a record over what was there.
pub(crate) fn write(number: u64, key_text: &mut String, value: &mut String) {
    let key = key(number);
    key_text.clear();
    value.clear();
    // Writing to a string cannot fail.
    let _ = write!(key_text, "k{key}");
    let _ = match fate(number) {
        Fate::Dead => write!(value, "poison, number\":{number}"),
        _ => write!(value, "{{\"key\":\"k{key}\",\"number\":{number}}}"),
    };
}

/// The number in a result or in a dead letter's payload.
pub(crate) fn number_in(value: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"number\":";
    let at = value.windows(NAME.len()).position(|it| it == NAME)?;
    let digits = value[at + NAME.len()..].iter().take_while(|it| it.is_ascii_digit());
    digits.copied().fold(None, |sum, digit| Some(sum.unwrap_or(0) * 10 + u64::from(digit - b'0')))
}

/// The number of a key's text.
pub(crate) fn key_in(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.strip_prefix('k')?.parse().ok()
}

/// The table that the steps look in, as lines of JSON.
pub(crate) fn table() -> String {
    let known = (0..KEYS).filter(|it| *it != STRANGER);
    known.map(|it| format!("{{\"key\":\"k{it}\",\"value\":\"tier {it}\"}}\n")).collect()
}

/// Tables and steps of the pipeline that is tormented.
pub(crate) const PIPELINE: &str = r#"
hotspur = 1

[tables.known]
file = "known.jsonl"

[[steps]]
lookup = { table = "known", key = "event.key", into = "tier", on_miss = "skip" }
"#;

//! The records that the two shipped pipelines take, and what has to become of them.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::support::{message::Message, now_ms};

/// An order, sent now.
pub(crate) fn order(id: u64, key: &str, value: impl std::fmt::Display) -> String {
    let sent = now_ms();
    format!(r#"{{"id":"{id}","key":"{key}","value":{value},"timestamp_sent":{sent}}}"#)
}

/// A name.
pub(crate) fn name(number: u64) -> String {
    format!(r#"{{"first_name":"Ada {number}","last_name":"Lovelace"}}"#)
}

/// The md5 of these bytes in lower-case hex.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the names pipeline makes of an object without a `hash`: the same bytes and one more field.
pub(crate) fn with_hash(input: &[u8]) -> Vec<u8> {
    let close = input.iter().rposition(|&byte| byte == b'}').expect("an object");
    let is_empty = input[..close].iter().rfind(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let comma = if is_empty { "" } else { "," };
    let field = format!(r#"{comma}"hash":"{}""#, md5_hex(input));
    [&input[..close], field.as_bytes(), &input[close..]].concat()
}

/// Orders of all kinds, numbered by their values: of ten, one has an unknown key, one lacks it, one
/// is no JSON, and seven can be enriched. The number is the record's key too.
pub(crate) fn mixed_orders(count: u64) -> Vec<Message> {
    let text = |number: u64| match number % 10 {
        3 => order(number, "stranger", number),
        5 => format!(r#"{{"id":"{number}","value":{number}}}"#),
        7 => format!("order {number}"),
        _ => order(number, "user1", number),
    };
    (0..count).map(|it| Message::new(text(it)).key(it.to_string())).collect()
}

/// What becomes of `mixed_orders`: numbers that are emitted, skipped, dead-lettered.
pub(crate) fn fates(count: u64) -> [Vec<u64>; 3] {
    let (skipped, others): (Vec<u64>, Vec<u64>) = (0..count).partition(|it| it % 10 == 3);
    let (dead, emitted) = others.into_iter().partition(|it| matches!(it % 10, 5 | 7));
    [emitted, skipped, dead]
}

/// How often each number occurs as a key.
pub(crate) fn numbers(messages: &[Message]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        let key = message.key.as_deref().expect("a key");
        let number = std::str::from_utf8(key).ok().and_then(|key| key.parse().ok());
        *counts.entry(number.expect("a number as key")).or_default() += 1;
    }
    counts
}

/// Expects each of these numbers, each once.
#[track_caller]
pub(crate) fn assert_each_once(messages: &[Message], expected: &[u64]) {
    let counts = numbers(messages);
    let doubled: Vec<_> = counts.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{} numbers came more than once: {doubled:?}", doubled.len());
    assert_none_lost(messages, expected);
    assert_eq!(counts.len(), expected.len(), "numbers came that nobody expects");
}

/// Expects each of these numbers, as often as it likes.
#[track_caller]
pub(crate) fn assert_none_lost(messages: &[Message], expected: &[u64]) {
    let counts = numbers(messages);
    let lost: Vec<_> = expected.iter().filter(|it| !counts.contains_key(it)).collect();
    assert!(lost.is_empty(), "{} numbers are lost: {lost:?}", lost.len());
}

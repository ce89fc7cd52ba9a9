//! Whether two spellings say the same JSON: `1.50` and `1.5`, `"é"` and `"\u00e9"`, fields in
//! another order. Integers are compared exactly, other numbers as doubles; of doubles of a field
//! the last counts, as everywhere.

use crate::codec::inside::{Part, Parts, push_unescaped};

/// True if both say the same. `scratch` is memory for texts with escapes.
pub fn is_equal(one: &[u8], other: &[u8], scratch: &mut [Vec<u8>; 2]) -> bool {
    if one == other {
        return true;
    }
    match (one.first(), other.first()) {
        (Some(b'"'), Some(b'"')) => is_same_text(one, other, scratch),
        (Some(b'{'), Some(b'{')) => {
            is_within(one, other, scratch) && is_within(other, one, scratch)
        }
        (Some(b'['), Some(b'[')) => {
            let mut others = Parts::of(other);
            let is_same = |part: Part| {
                let there = others.next().map(|it| &other[it.value]);
                there.is_some_and(|there| is_equal(&one[part.value], there, scratch))
            };
            Parts::of(one).all(is_same) && others.next().is_none()
        }
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => is_same_number(one, other),
        _ => false,
    }
}

/// True if what an object's fields say the other's of the same names say, too.
fn is_within(one: &[u8], other: &[u8], scratch: &mut [Vec<u8>; 2]) -> bool {
    Parts::of(one).all(|part| {
        let mine = last_named(one, quoted(one, &part), scratch);
        let there = last_named(other, quoted(one, &part), scratch);
        match (mine, there) {
            (Some(mine), Some(there)) => is_equal(mine, there, scratch),
            _ => false,
        }
    })
}

fn quoted<'j>(json: &'j [u8], part: &Part) -> &'j [u8] {
    &json[part.name.start - 1..part.name.end + 1]
}

fn last_named<'j>(json: &'j [u8], name: &[u8], scratch: &mut [Vec<u8>; 2]) -> Option<&'j [u8]> {
    let mut parts = Parts::of(json);
    let mut found = None;
    for part in &mut parts {
        if is_same_text(quoted(json, &part), name, scratch) {
            found = Some(&json[part.value]);
        }
    }
    found
}

fn is_same_text(one: &[u8], other: &[u8], scratch: &mut [Vec<u8>; 2]) -> bool {
    if memchr::memchr(b'\\', one).or(memchr::memchr(b'\\', other)).is_none() {
        return one == other;
    }
    for (text, out) in [one, other].into_iter().zip(&mut *scratch) {
        out.clear();
        push_unescaped(out, text);
    }
    scratch[0] == scratch[1]
}

fn is_same_number(one: &[u8], other: &[u8]) -> bool {
    let [Ok(one), Ok(other)] = [one, other].map(str::from_utf8) else { return false };
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.parse::<f64>().is_ok_and(|one| other.parse() == Ok(one)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_do_not_matter_and_values_do() {
        let mut scratch = [Vec::new(), Vec::new()];
        let mut is_equal = |one: &str, other: &str| {
            let both = is_equal(one.as_bytes(), other.as_bytes(), &mut scratch);
            assert_eq!(both, super::is_equal(other.as_bytes(), one.as_bytes(), &mut scratch));
            both
        };
        for (one, other) in [
            ("1.50", "1.5"),
            ("-0", "0"),
            ("1e2", "100"),
            (r#""é""#, r#""\u00e9""#),
            (r#"{"a":1, "b":[1,2]}"#, r#"{"b":[1, 2.0],"\u0061":1.0}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("null", "null"),
        ] {
            assert!(is_equal(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "2"),
            ("9007199254740993", "9007199254740992"),
            ("1", "\"1\""),
            (r#""a""#, r#""\u0062""#),
            ("[1]", "[1,2]"),
            ("[2,1]", "[1,2]"),
            ("[]", "{}"),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
            ("null", "false"),
        ] {
            assert!(!is_equal(one, other), "{one} {other}");
        }
    }
}

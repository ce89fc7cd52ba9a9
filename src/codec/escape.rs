//! Text into JSON: what must be escaped is, everything else is copied as it stands.
//!
//! Eight bytes are looked at in one go, because most text needs no escape at all. Characters past
//! ASCII go out as they are: the input is UTF-8 already.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Appends `text` in quotes, escaped so that any JSON parser reads it back. `text` is UTF-8.
#[inline]
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if is_clean(text) {
        out.extend_from_slice(text);
    } else {
        push_escaped(out, text);
    }
    out.push(b'"');
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        push_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// True if nothing needs an escape. The last eight bytes are looked at as one word, some of them
/// once more, so that a text of eight or more leaves none to be gone through singly.
#[inline]
fn is_clean(text: &[u8]) -> bool {
    let is_clean = |word: &[u8; 8]| !holds_escape(u64::from_le_bytes(*word));
    match text.last_chunk() {
        Some(last) => is_clean(last) && text.as_chunks().0.iter().all(is_clean),
        None => !text.iter().any(|byte| needs_escape(*byte)),
    }
}

fn first_to_escape(text: &[u8]) -> Option<usize> {
    let (words, tail) = text.as_chunks::<8>();
    let clean = words.iter().take_while(|word| !holds_escape(u64::from_le_bytes(**word))).count();
    let start = clean * 8;
    let rest = if clean == words.len() { tail } else { &text[start..] };
    rest.iter().position(|byte| needs_escape(*byte)).map(|at| start + at)
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// True if any of eight bytes needs an escape; never wrong about a word without one.
#[inline]
fn holds_escape(word: u64) -> bool {
    // A byte's high bit comes out set where the byte is zero, or below 0x20: the borrow trick,
    // which errs only above a byte that was hit already.
    let zero = |it: u64| it.wrapping_sub(ONES) & !it;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) & HIGHS != 0
}

#[cold]
fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digits = b"0123456789abcdef";
            let [high, low] = [byte >> 4, byte & 15].map(|it| digits[usize::from(it)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_ascii_character_at_every_place_is_read_back() {
        for code in 0..=0x7f_u8 {
            for before in 0..17 {
                let text = format!("{}{}é{}", "x".repeat(before), char::from(code), "ÿ".repeat(9));
                let json = quoted(&text);
                assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
                let plain = json.len() == text.len() + 2;
                assert_eq!(plain, !needs_escape(code), "{json}");
            }
        }
        assert_eq!(quoted("a\"\\\n\u{1}"), r#""a\"\\\n\u0001""#);
        assert_eq!(quoted(""), r#""""#);
    }
}

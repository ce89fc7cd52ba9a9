//! Names of entries: the time in milliseconds and a number, both of which only grow in a stream.

use std::{fmt, str::FromStr};

/// The id of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since the epoch, as the server had it.
    pub ms: u64,
    /// Number among those of the same millisecond.
    pub number: u64,
}

/// Bytes of the longest id.
pub(super) const ID_BYTES: usize = 41;

impl EntryId {
    /// Before all entries.
    pub const ZERO: EntryId = EntryId { ms: 0, number: 0 };

    /// Reads an id; one without a number is the first of its millisecond.
    pub fn parse(bytes: &[u8]) -> Option<EntryId> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
        let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
        let is_fit = digits(ms) && digits(number);
        is_fit.then(|| Some(EntryId { ms: ms.parse().ok()?, number: number.parse().ok()? }))?
    }

    /// The last id before this one.
    pub fn before(self) -> EntryId {
        match self {
            EntryId { ms: 0, number: 0 } => self,
            EntryId { ms, number: 0 } => EntryId { ms: ms - 1, number: u64::MAX },
            EntryId { ms, number } => EntryId { ms, number: number - 1 },
        }
    }

    /// Writes it into `text`, which holds the longest; the part that it takes.
    pub(super) fn write(self, text: &mut [u8; ID_BYTES]) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let ms = digits.format(self.ms).as_bytes();
        let mut len = ms.len();
        text[..len].copy_from_slice(ms);
        text[len] = b'-';
        let number = digits.format(self.number).as_bytes();
        text[len + 1..][..number.len()].copy_from_slice(number);
        len += 1 + number.len();
        &text[..len]
    }
}

impl FromStr for EntryId {
    type Err = ();

    fn from_str(text: &str) -> Result<EntryId, ()> {
        EntryId::parse(text.as_bytes()).ok_or(())
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        let id = |ms, number| EntryId { ms, number };
        for (text, expected) in [
            ("0-0", Some(id(0, 0))),
            ("1526919030474-55", Some(id(1_526_919_030_474, 55))),
            ("18446744073709551615-18446744073709551615", Some(id(u64::MAX, u64::MAX))),
            ("7", Some(id(7, 0))),
            ("", None),
            ("-", None),
            ("+1-2", None),
            ("1-2-3", None),
            ("18446744073709551616-0", None),
        ] {
            assert_eq!(EntryId::parse(text.as_bytes()), expected, "{text}");
            if let Some(id) = expected.filter(|_| text.contains('-')) {
                assert_eq!(id.write(&mut [0; ID_BYTES]), text.as_bytes());
                assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn each_id_has_one_before_it() {
        let id = |ms, number| EntryId { ms, number };
        assert_eq!(id(5, 3).before(), id(5, 2));
        assert_eq!(id(5, 0).before(), id(4, u64::MAX));
        assert_eq!(EntryId::ZERO.before(), EntryId::ZERO);
        assert!(id(4, u64::MAX) < id(5, 0));
    }
}

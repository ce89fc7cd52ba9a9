//! The keys of the state topic: whose entry it is, then the step's own key.
//!
//! A key says the source topic, the step and the hash of the step's configuration; the partition is
//! that of the record. The hash stands in every key, not in an entry beside them: so whoever reads
//! knows at each entry whether it may be used, in whatever order and however far the topic has been
//! compacted; entries of another configuration never meet those of this one, and which of them are
//! to be deleted is known when they have been read once.
//!
//! ```text
//! version, kind: 1 byte each │ topic: length (2 bytes), text │ step: so, too │ hash: 8 │ key
//! ```

/// Of this layout.
const VERSION: u8 = 1;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StateKind {
    /// Of the step's own; its key is the step's, its value too.
    Entry = 0,
    /// What the step's keys are hashed with in that partition: a value of 8 bytes, which is written
    /// once. There is one, and its key is empty.
    Seed = 1,
}

/// The key of a record in the state topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateKey<'a> {
    /// What the entry is.
    pub kind: StateKind,
    /// The source topic.
    pub topic: &'a str,
    /// The step's name, else its number from 1, as in dead letters.
    pub step: &'a str,
    /// Of the step's configuration.
    pub hash: u64,
    /// The step's own key.
    pub key: &'a [u8],
}

impl<'a> StateKey<'a> {
    /// Appends the key.
    ///
    /// # Panics
    ///
    /// If a name is longer than 65,535 bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([VERSION, self.kind as u8]);
        for name in [self.topic, self.step] {
            let len = u16::try_from(name.len()).expect("a name of at most 65,535 bytes");
            bytes.extend(len.to_be_bytes());
            bytes.extend(name.as_bytes());
        }
        bytes.extend(self.hash.to_be_bytes());
        bytes.extend(self.key);
    }

    /// Reads a key. `None`: it is not of this program, or of a later version of it.
    pub fn read(bytes: &'a [u8]) -> Option<StateKey<'a>> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        let kind = match (version, kind) {
            (VERSION, 0) => StateKind::Entry,
            (VERSION, 1) => StateKind::Seed,
            _ => return None,
        };
        let (topic, rest) = name(rest)?;
        let (step, rest) = name(rest)?;
        let (hash, key) = rest.split_first_chunk()?;
        Some(StateKey { kind, topic, step, hash: u64::from_be_bytes(*hash), key })
    }
}

fn name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: StateKey<'_> =
        StateKey { kind: StateKind::Entry, topic: "orders", step: "2", hash: 0x1234, key: b"k" };

    fn written(key: &StateKey<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.write(&mut bytes);
        bytes
    }

    #[test]
    fn the_layout_stays_as_it_is() {
        // Topics of earlier runs are read by it.
        let entry = b"\x01\x00\x00\x06orders\x00\x012\0\0\0\0\0\0\x12\x34k";
        assert_eq!(written(&KEY), entry);
        let seed = StateKey { kind: StateKind::Seed, key: b"", ..KEY };
        assert_eq!(written(&seed), b"\x01\x01\x00\x06orders\x00\x012\0\0\0\0\0\0\x12\x34");
    }

    #[test]
    fn what_is_no_key_of_ours_is_none() {
        let whole = written(&StateKey { key: b"", ..KEY });
        assert!(StateKey::read(&whole).is_some());
        for len in 0..whole.len() {
            assert_eq!(StateKey::read(&whole[..len]), None, "cut after {len} bytes");
        }
        let with = |index: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[index] = byte;
            bytes
        };
        for bytes in [with(0, 2), with(1, 2), with(4, 0xff), b"order-17".to_vec()] {
            assert_eq!(StateKey::read(&bytes), None);
        }
    }

    fn kinds() -> impl Strategy<Value = StateKind> {
        prop_oneof![Just(StateKind::Entry), Just(StateKind::Seed)]
    }

    proptest! {
        #[test]
        fn a_key_comes_back(
            kind in kinds(), topic in ".{0,20}", step in ".{0,20}", hash: u64, key: Vec<u8>
        ) {
            let key = StateKey { kind, topic: &topic, step: &step, hash, key: &key };
            let bytes = written(&key);
            prop_assert_eq!(StateKey::read(&bytes), Some(key));
        }

        #[test]
        fn different_keys_are_different_bytes(
            one in (kinds(), "[a1]{0,3}", "[a1]{0,3}", 0..2_u64, "[a1]{0,3}"),
            other in (kinds(), "[a1]{0,3}", "[a1]{0,3}", 0..2_u64, "[a1]{0,3}"),
        ) {
            let of = |(kind, topic, step, hash, key): &(StateKind, String, String, u64, String)| {
                let key = key.as_bytes();
                written(&StateKey { kind: *kind, topic, step, hash: *hash, key })
            };
            prop_assert_eq!(one == other, of(&one) == of(&other));
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_refused(bytes: Vec<u8>) {
            if let Some(key) = StateKey::read(&bytes) {
                prop_assert_eq!(written(&key), bytes);
            }
        }
    }
}

//! Keys of records that are to come, in order: what each will look at is asked for in time.
//!
//! A key leads to memory in three steps, each of which says where the next one is: where its probe
//! begins, what is known of its entry, the entry's bytes. Records are processed at some pace; a
//! step is asked for a few records before the next one is, so that no step waits for the one
//! before, and little is brought near that is pushed out again before its record comes.

use std::collections::VecDeque;

use super::keys::{Keys, NO_ENTRY};
use crate::limits::STATE_KEYS_FORESEEN_MAX;

/// So many records before one comes, each step is asked for.
const PROBE_AHEAD: usize = 15;
const ENTRY_AHEAD: usize = 10;
const BYTES_AHEAD: usize = 5;

/// So many keys may have been foreseen of records that did not come.
const PASSED_OVER_MAX: usize = 32;

/// A key that was foreseen.
#[derive(Clone, Copy, Debug)]
struct Coming {
    tag: u32,
    /// Its entry, likely.
    entry: u32,
}

/// The keys that were foreseen and did not come yet.
#[derive(Debug)]
pub(super) struct Foreseen {
    coming: VecDeque<Coming>,
}

impl Foreseen {
    pub(super) fn new() -> Foreseen {
        Foreseen { coming: VecDeque::with_capacity(STATE_KEYS_FORESEEN_MAX) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.coming.capacity() * size_of::<Coming>()
    }

    /// A record with a key of that tag is to come, behind all others.
    #[inline]
    pub(super) fn push(&mut self, tag: u32) {
        if self.coming.len() == STATE_KEYS_FORESEEN_MAX {
            self.coming.pop_front();
        }
        self.coming.push_back(Coming { tag, entry: NO_ENTRY });
    }

    /// Asks for what the first of them will look at.
    pub(super) fn approach(&mut self, keys: &Keys) {
        let first = |coming: &VecDeque<Coming>, count: usize| count.min(coming.len());
        let coming = &mut self.coming;
        coming.range(..first(coming, PROBE_AHEAD)).for_each(|it| keys.prefetch_probe(it.tag));
        let entries = first(coming, ENTRY_AHEAD);
        coming.range_mut(..entries).for_each(|it| it.entry = keys.prefetch_guess(it.tag));
        coming.range(..first(coming, BYTES_AHEAD)).for_each(|it| keys.prefetch_block(it.entry));
    }

    /// A record with such a key has come: asks for what those behind it will look at. The entry
    /// that it likely has, or `NO_ENTRY`.
    #[inline]
    pub(super) fn came(&mut self, keys: &Keys, tag: u32) -> u32 {
        let is_it = |it: &Coming| it.tag == tag;
        let Some(at) = self.coming.iter().take(PASSED_OVER_MAX).position(is_it) else {
            return NO_ENTRY;
        };
        let mut entry = NO_ENTRY;
        for _ in 0..=at {
            entry = self.coming.pop_front().map_or(NO_ENTRY, |it| it.entry);
            if let Some(it) = self.coming.get(PROBE_AHEAD) {
                keys.prefetch_probe(it.tag);
            }
            if let Some(it) = self.coming.get_mut(ENTRY_AHEAD) {
                it.entry = keys.prefetch_guess(it.tag);
            }
            if let Some(it) = self.coming.get(BYTES_AHEAD) {
                keys.prefetch_block(it.entry);
            }
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of that many keys, and the keys' tags, in order.
    fn keys(count: usize) -> (Keys, Vec<u32>) {
        let mut keys = Keys::new(count);
        let key = |number: usize| number.to_be_bytes();
        let tags: Vec<u32> = (0..count).map(|it| keys.tag(&key(it))).collect();
        for (number, tag) in tags.iter().enumerate() {
            keys.insert(*tag, 8, &key(number));
        }
        (keys, tags)
    }

    #[test]
    fn what_comes_as_foreseen_mostly_has_its_entry_and_what_does_not_has_none() {
        let (keys, tags) = keys(100);
        let mut foreseen = Foreseen::new();
        tags.iter().for_each(|it| foreseen.push(*it));
        foreseen.approach(&keys);
        let came: Vec<u32> = tags.iter().map(|it| foreseen.came(&keys, *it)).collect();
        let likely = (0..100).filter(|it| came[*it as usize] == *it).count();
        // Few share a line with more keys than it has cells; of those any entry is guessed.
        assert!(likely > 80, "{came:?}");
        assert_eq!(foreseen.came(&keys, tags[0]), NO_ENTRY);
    }

    #[test]
    fn records_that_do_not_come_are_passed_over_and_older_keys_give_way() {
        let (keys, tags) = keys(3 * STATE_KEYS_FORESEEN_MAX);
        let mut foreseen = Foreseen::new();
        let before = foreseen.bytes();
        tags.iter().for_each(|it| foreseen.push(*it));
        assert_eq!(foreseen.bytes(), before);
        let first = 2 * STATE_KEYS_FORESEEN_MAX;
        foreseen.approach(&keys);
        assert_eq!(foreseen.came(&keys, tags[first - 1]), NO_ENTRY);
        for number in (first..tags.len()).step_by(PASSED_OVER_MAX) {
            foreseen.came(&keys, tags[number]);
            let left = tags.len() - number - 1;
            assert_eq!(foreseen.coming.len(), left, "all before {number} are gone");
        }
    }
}

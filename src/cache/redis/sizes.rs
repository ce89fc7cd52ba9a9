//! How many keys are asked for at once, decided by how large the last replies were.
//!
//! A server keeps all that it has answered until it is read, and may close a connection for which
//! it keeps too much (`client-output-buffer-limit`). So a round asks for so many keys as should
//! bring a bounded number of bytes, one key at least; after a connection that was cut off it asks
//! for far less, and dares more slowly, up to half of what went wrong.

use std::time::{Duration, Instant};

use crate::limits::{
    TABLE_MGET_KEYS_MAX, TABLE_PAGE_KEYS_MAX, TABLE_REPLY_BYTES, TABLE_ROUND_BYTES,
    TABLE_ROUND_KEYS_MAX,
};

/// What a key is thought to bring before anything is known.
const BYTES_A_KEY: usize = 32 << 10;

/// What a key brings beside its value.
const FRAME_BYTES: usize = 16;

const PAGE_KEYS_MIN: usize = 64;

/// So long after it was cut off a connection may be given another chance.
const CAUTIOUS_FOR: Duration = Duration::from_secs(3600);

/// What is asked for at once.
#[derive(Debug)]
pub(super) struct Sizes {
    bytes_a_key: usize,
    round_bytes: usize,
    /// `round_bytes` may grow so far.
    ceiling: usize,
    page_keys: usize,
    last_cut: Option<Instant>,
    seen_keys: usize,
    seen_bytes: usize,
}

impl Sizes {
    pub(super) fn new() -> Sizes {
        Sizes {
            bytes_a_key: BYTES_A_KEY,
            round_bytes: TABLE_ROUND_BYTES,
            ceiling: TABLE_ROUND_BYTES,
            page_keys: TABLE_PAGE_KEYS_MAX,
            last_cut: None,
            seen_keys: 0,
            seen_bytes: 0,
        }
    }

    /// Keys in one command.
    pub(super) fn command_keys(&self) -> usize {
        let bytes = self.round_bytes.min(TABLE_REPLY_BYTES);
        (bytes / self.bytes_a_key).clamp(1, TABLE_MGET_KEYS_MAX)
    }

    /// Keys in one round.
    pub(super) fn round_keys(&self) -> usize {
        (self.round_bytes / self.bytes_a_key).clamp(1, TABLE_ROUND_KEYS_MAX)
    }

    /// Keys that a `SCAN` is to look at.
    pub(super) fn page_keys(&self) -> usize {
        self.page_keys
    }

    /// True if less cannot be asked for.
    pub(super) fn is_least(&self) -> bool {
        self.round_bytes <= self.bytes_a_key
    }

    /// A reply has brought so many keys with so many bytes of values.
    pub(super) fn saw(&mut self, keys: usize, bytes: usize) {
        self.seen_keys += keys;
        self.seen_bytes += bytes + keys * FRAME_BYTES;
    }

    /// All replies of a round have come. Large values are believed at once, small ones in steps.
    pub(super) fn end_round(&mut self) {
        if self.seen_keys > 0 {
            let seen = self.seen_bytes.div_ceil(self.seen_keys);
            self.bytes_a_key = seen.max(self.bytes_a_key / 4).max(1);
            self.round_bytes = (self.round_bytes + self.round_bytes / 64 + 1).min(self.ceiling);
        }
        (self.seen_keys, self.seen_bytes) = (0, 0);
    }

    /// The connection was closed while replies were on their way.
    pub(super) fn cut_off(&mut self, now: Instant) {
        self.ceiling = (self.round_bytes / 2).max(1);
        self.round_bytes = (self.round_bytes / 4).max(1);
        self.page_keys = (self.page_keys / 2).max(PAGE_KEYS_MIN);
        self.bytes_a_key = self.bytes_a_key.max(BYTES_A_KEY);
        self.last_cut = Some(now);
        (self.seen_keys, self.seen_bytes) = (0, 0);
    }

    /// Everything was read once. After a long time without a cut there may be no reason any more.
    pub(super) fn end_pass(&mut self, now: Instant) {
        if self.last_cut.is_some_and(|cut| now.saturating_duration_since(cut) > CAUTIOUS_FOR) {
            *self = Sizes { bytes_a_key: self.bytes_a_key, ..Sizes::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(sizes: &mut Sizes, keys: usize, bytes_each: usize) {
        sizes.saw(keys, keys * bytes_each);
        sizes.end_round();
    }

    #[test]
    fn small_values_come_in_large_rounds_and_large_ones_one_by_one() {
        let mut sizes = Sizes::new();
        assert_eq!((sizes.command_keys(), sizes.round_keys()), (128, 512));
        for _ in 0..6 {
            see(&mut sizes, 512, 32);
        }
        assert_eq!(sizes.command_keys(), TABLE_MGET_KEYS_MAX);
        assert_eq!(sizes.round_keys(), TABLE_ROUND_KEYS_MAX);
        see(&mut sizes, 4, 100 << 20);
        assert_eq!((sizes.command_keys(), sizes.round_keys()), (1, 1));
        assert!(sizes.is_least());
    }

    #[test]
    fn a_cut_makes_rounds_smaller_down_to_one_key_and_they_do_not_grow_back_beyond_a_half() {
        let (mut sizes, now) = (Sizes::new(), Instant::now());
        sizes.cut_off(now);
        for _ in 0..1000 {
            see(&mut sizes, 1, 3984);
        }
        assert_eq!(sizes.round_keys(), TABLE_ROUND_BYTES / 2 / 4000);
        for _ in 0..16 {
            sizes.cut_off(now);
        }
        assert_eq!((sizes.command_keys(), sizes.round_keys()), (1, 1));
        assert!(sizes.is_least() && sizes.page_keys() == PAGE_KEYS_MIN);
        sizes.end_pass(now);
        assert!(sizes.is_least());
        sizes.end_pass(now + 2 * CAUTIOUS_FOR);
        assert_eq!(sizes.page_keys(), TABLE_PAGE_KEYS_MAX);
        assert_eq!(sizes.round_keys(), 512);
    }
}

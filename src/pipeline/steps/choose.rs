//! `filter` and `sample`: whether a record goes on.
//!
//! A sample is drawn by a hash, not by chance: the same value has the same fate in every run and on
//! every machine, and the records of one key go on together or not at all.

use std::mem;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    pipeline::{
        Lookup,
        expression::Expression,
        process::Watch,
        stop::Stop,
        work::{Sources, Work},
    },
    verdict::SkipClass,
};

/// A hash below this is in the sample.
pub(crate) fn threshold(share: f64) -> u128 {
    // Exact: a power of two only moves the exponent, and 1.0 lets every hash pass.
    (share * 2.0_f64.powi(64)) as u128
}

impl<'p> Work<'p, '_> {
    pub(super) fn filter<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        expression: &'p Expression,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        match self.is_true(index, expression, sources, watch)? {
            true => Ok(()),
            false => {
                watch.decided(index, &"the condition is not true");
                Err(Stop::Skip(SkipClass::Filtered))
            }
        }
    }

    pub(super) fn sample<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        threshold: u128,
        by: Option<&'p Expression>,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        let mut text = mem::take(&mut self.memory.one);
        text.clear();
        let pushed = match by {
            Some(by) => self.push_text(index, by, &mut text, sources, watch).map(|_| ()),
            None => {
                let (record, mut digits) = (self.record, itoa::Buffer::new());
                text.extend_from_slice(record.topic.as_bytes());
                text.extend_from_slice(b":");
                text.extend_from_slice(digits.format(record.partition_number).as_bytes());
                text.extend_from_slice(b":");
                let offset = record.entry_id().unwrap_or_else(|| digits.format(record.offset));
                text.extend_from_slice(offset.as_bytes());
                Ok(())
            }
        };
        let hash = xxh3_64(&text);
        self.memory.one = text;
        pushed?;
        let is_in = u128::from(hash) < threshold;
        watch
            .decided(index, &if is_in { "it is in the sample" } else { "it is not in the sample" });
        if is_in { Ok(()) } else { Err(Stop::Skip(SkipClass::Sampled)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_goes_on() {
        assert_eq!((threshold(0.0), threshold(1.0), threshold(0.5)), (0, 1 << 64, 1 << 63));
        for share in [0.01, 0.1, 0.9] {
            let threshold = threshold(share);
            let is_in = |number: &u32| u128::from(xxh3_64(&number.to_le_bytes())) < threshold;
            let part = (0..100_000).filter(is_in).count() as f64 / 100_000.0;
            assert!((part - share).abs() < 0.005, "{part} of {share}");
        }
    }
}

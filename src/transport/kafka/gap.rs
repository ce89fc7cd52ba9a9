//! Offsets that are gone: what a log's bounds mean for a position outside of them. Pure rules.
//!
//! A log loses its beginning when retention or an administrator overtakes the reader, and its end
//! when a leader was elected that did not have it, or when the topic was made again. Holes inside a
//! log, left by compaction or by the markers of transactions, are no loss and are never told of.

use super::{assignment::Place, faults, native::OFFSET_NONE};
use crate::verdict::Sentence;

/// What librdkafka says of a log that lost its end, before the offset at which that is now.
const END: &str = "broker end offset is ";

/// So much of a topic's name fits into a sentence beside the numbers and the way out.
const TOPIC_BYTES_MAX: usize = 60;

/// A partition whose position the broker does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) place: Place,
    /// The offset after the last record that was lent, or where the partition began.
    pub(super) position: i64,
    pub(super) cause: Cause,
}

/// Why the position is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is outside of the log, on whichever side.
    OutOfRange,
    /// The log was cut below it, as the leaders' epochs prove: what has stayed ends here. Less than
    /// zero: nothing of it has stayed.
    Cut(i64),
    /// The topic was deleted and made again: this log has nothing to do with the one before.
    Replaced,
}

impl Cause {
    /// What the text of `_AUTO_OFFSET_RESET` tells.
    pub(super) fn of(text: &str) -> Cause {
        let Some(at) = text.find(END) else { return Cause::OutOfRange };
        let is_part = |c: char| c.is_ascii_digit() || c == '-';
        let end = text[at + END.len()..].split(|c| !is_part(c)).next();
        Cause::Cut(end.and_then(|it| it.parse().ok()).unwrap_or(OFFSET_NONE))
    }
}

/// Offsets that are gone, and where the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: i64,
    /// The last one that is missing.
    pub(super) last: i64,
    /// What is read next.
    pub(super) resume_at: i64,
    /// It is another log.
    is_replaced: bool,
}

impl Gap {
    /// What is missing before `position`, or behind it, in a log from `low` to before `high`.
    /// Nothing: the position is there after all.
    pub(super) fn find(cause: Cause, position: i64, low: i64, high: i64) -> Option<Gap> {
        let is_replaced = match cause {
            Cause::Cut(end) => end < 0,
            Cause::Replaced => true,
            Cause::OutOfRange => false,
        };
        let end = match cause {
            Cause::Cut(end) => end.max(low),
            Cause::Replaced => low,
            Cause::OutOfRange => high,
        };
        if position < low {
            return Some(Gap { first: position, last: low - 1, resume_at: low, is_replaced });
        }
        let gap = Gap { first: end, last: position - 1, resume_at: end, is_replaced };
        (end < position).then_some(gap)
    }

    /// How many offsets.
    pub(super) fn len(self) -> u64 {
        u64::try_from(self.last - self.first + 1).unwrap_or_default()
    }

    /// The sentence, without what becomes of it. A long name is cut, and no number.
    pub(super) fn sentence(self, topic: &str, partition: i32) -> Sentence {
        let Gap { first, last, resume_at, is_replaced } = self;
        let (topic, len) = (faults::cut(topic, TOPIC_BYTES_MAX), self.len());
        let now = match is_replaced {
            true => "it is another log, which begins",
            false if resume_at > last => "the log begins",
            false => "the log ends",
        };
        Sentence::format(format_args!(
            "{topic}[{partition}]: offsets {first} to {last} are gone, {len} of them: {now} at \
             {resume_at}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::bindings::rd_kafka_resp_err_t as Code;

    #[test]
    fn a_position_inside_the_log_misses_nothing() {
        for position in [5, 7, 9] {
            assert_eq!(Gap::find(Cause::OutOfRange, position, 5, 9), None);
        }
        assert_eq!(Gap::find(Cause::Cut(9), 9, 5, 9), None);
    }

    #[test]
    fn retention_takes_the_beginning() {
        let gap = Gap::find(Cause::OutOfRange, 3, 5, 9).unwrap();
        assert_eq!((gap.first, gap.last, gap.resume_at, gap.len()), (3, 4, 5, 2));
        let text = "orders[1]: offsets 3 to 4 are gone, 2 of them: the log begins at 5";
        assert_eq!(gap.sentence("orders", 1).as_str(), text);
        assert_eq!(Gap::find(Cause::Cut(4), 3, 5, 9), Some(gap), "cut, then overtaken");
        let empty = Gap::find(Cause::OutOfRange, 3, 9, 9).unwrap();
        assert_eq!((empty.last, empty.resume_at), (8, 9));
    }

    #[test]
    fn a_leader_that_did_not_have_it_takes_the_end() {
        let gap = Gap::find(Cause::OutOfRange, 12, 5, 9).unwrap();
        assert_eq!((gap.first, gap.last, gap.resume_at, gap.len()), (9, 11, 9, 3));
        let text = "orders[1]: offsets 9 to 11 are gone, 3 of them: the log ends at 9";
        assert_eq!(gap.sentence("orders", 1).as_str(), text);
        let grown_again = Gap::find(Cause::Cut(8), 12, 5, 20).unwrap();
        assert_eq!((grown_again.first, grown_again.resume_at), (8, 8));
        let another_log = Gap::find(Cause::Cut(-1), 12, 0, 20).unwrap();
        assert_eq!((another_log.first, another_log.last, another_log.resume_at), (0, 11, 0));
        assert_eq!(Gap::find(Cause::Replaced, 12, 0, 20), Some(another_log));
        let text = "orders[1]: offsets 0 to 11 are gone, 12 of them: it is another log, which \
                    begins at 0";
        assert_eq!(another_log.sentence("orders", 1).as_str(), text);
    }

    #[test]
    fn the_cause_is_in_librdkafkas_text() {
        let gone = "fetch failed due to requested offset not available on the broker: Broker: \
                    Offset out of range (broker 1)";
        assert_eq!(Cause::of(gone), Cause::OutOfRange);
        let cut = "Partition log truncation detected at offset 12 (leader epoch 3): broker end \
                   offset is 8 (offset leader epoch 2). Reset to INVALID.: Local: Partition log \
                   truncation detected (broker 1)";
        assert_eq!(Cause::of(cut), Cause::Cut(8));
        let replaced = "No epoch found less or equal to offset 12 (leader epoch 3): broker end \
                        offset is -1 (offset leader epoch -1). Reset using configured policy.: \
                        Local: Partition log truncation detected (broker 1)";
        assert_eq!(Cause::of(replaced), Cause::Cut(-1));
    }

    #[test]
    fn a_long_name_leaves_the_numbers_alone() {
        let first = 1 << 40;
        let gap = Gap::find(Cause::OutOfRange, first, first + 10, first + 10).unwrap();
        let told = gap.sentence(&"t".repeat(249), 12);
        assert!(told.as_str().ends_with("begins at 1099511627786"), "{told}");
        let way_out =
            faults::trouble("source", Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, told.as_str());
        assert!(way_out.text.as_str().contains("begins at 1099511627786 (source"), "{way_out:?}");
    }
}

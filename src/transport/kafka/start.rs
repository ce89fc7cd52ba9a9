//! Where a partition begins: pure rules over what the group has committed.
//!
//! A partition with an offset begins there. Without one, it matters whether the group is new to
//! the topic (then the configured start applies) or the partition is new to the group (then it is
//! read from its oldest record, or what came before it was noticed would be lost). Members that
//! start together must agree, though each sees the others' first commits: so every commit carries
//! how many partitions the topic had when the group first came to it, and a partition below that
//! number that has no offset yet belongs to that first start. A commit also carries by which
//! `--from` the group came to be where it is, if by one (see `bounds`), and what the state of the
//! partition says beside the offset, if steps keep any.

use std::fmt;

use crate::{
    limits::{SENTENCE_BYTES, STATEFUL_STEPS_MAX},
    transport::Note,
};

/// What a commit's text begins with; the number follows.
const MARK: &str = "hotspur/1 partitions=";

/// Stands before the mark of `--from`, where there is one.
const FROM: &str = "from=";

/// Stands before the numbers of the state, where there are some; commas are between them.
const STATE: &str = "state=";

/// Bytes of the longest text: signs, digits and spaces included.
pub(super) const TEXT_BYTES_MAX: usize =
    MARK.len() + 11 + 1 + FROM.len() + 16 + 1 + STATE.len() + STATEFUL_STEPS_MAX * (20 + 1);

// One fits in a sentence, so that the hot thread writes it without a heap.
const _: () = assert!(TEXT_BYTES_MAX <= SENTENCE_BYTES);

/// What every commit says beside the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// How many partitions the topic had at the group's first start.
    pub(super) first_count: i32,
    /// The mark of `--from`.
    pub(super) from: Option<u64>,
}

/// What the group has committed for one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: Option<i64>,
    /// How many partitions the topic had at the group's first start, if the commit says so.
    pub(super) first_count: Option<i32>,
    /// The mark of `--from`, if the commit has one.
    pub(super) from: Option<u64>,
    /// What it says of the state.
    pub(super) note: Note,
}

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the offset that is committed.
    At(i64),
    /// At the configured start.
    Start,
    /// At the oldest record.
    Earliest,
}

/// How many partitions the topic had when the group first came to it: told by its commits, or
/// `count_now` if there are none. 0 where the commits are another program's and do not say.
pub(super) fn first_count(count_now: i32, committed: &[Committed]) -> i32 {
    let mut offsets = committed.iter().filter(|it| it.offset.is_some()).peekable();
    match offsets.peek() {
        None => count_now,
        Some(_) => offsets.filter_map(|it| it.first_count).max().unwrap_or(0),
    }
}

/// Where the partition begins whose commits are `committed`.
pub(super) fn begin(partition: i32, committed: Committed, first_count: i32) -> Begin {
    match committed.offset {
        Some(offset) => Begin::At(offset),
        None if partition < first_count => Begin::Start,
        None => Begin::Earliest,
    }
}

/// The text that a commit carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text(pub(super) Mark, pub(super) Note);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(Mark { first_count, from }, note) = self;
        write!(f, "{MARK}{first_count}")?;
        if let Some(from) = from {
            write!(f, " {FROM}{from:016x}")?;
        }
        for (index, number) in note.numbers().iter().enumerate() {
            match index {
                0 => write!(f, " {STATE}{number}")?,
                _ => write!(f, ",{number}")?,
            }
        }
        Ok(())
    }
}

/// What a commit says. Words that are not known belong to later versions.
pub(super) fn committed(offset: i64, text: &[u8]) -> Committed {
    let offset = (offset >= 0).then_some(offset);
    match parse(text) {
        Some(Text(Mark { first_count, from }, note)) => {
            Committed { offset, first_count: Some(first_count), from, note }
        }
        None => Committed { offset, ..Committed::default() },
    }
}

fn parse(text: &[u8]) -> Option<Text> {
    let rest = std::str::from_utf8(text).ok()?.strip_prefix(MARK)?;
    let mut words = rest.split(' ');
    let first_count = words.next()?.parse().ok()?;
    let (mut from, mut note) = (None, Note::default());
    for word in words {
        if let Some(digits) = word.strip_prefix(FROM) {
            from = from.or(u64::from_str_radix(digits, 16).ok());
        } else if let Some(numbers) = word.strip_prefix(STATE) {
            note = parse_note(numbers).unwrap_or_default();
        }
    }
    Some(Text(Mark { first_count, from }, note))
}

/// Nothing where it is not as it is written here.
fn parse_note(numbers: &str) -> Option<Note> {
    let mut note = Note::default();
    for number in numbers.split(',') {
        if note.numbers().len() == STATEFUL_STEPS_MAX {
            return None;
        }
        note.push(number.parse().ok()?);
    }
    Some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64, first_count: i32) -> Committed {
        let (offset, first_count) = (Some(offset), Some(first_count));
        Committed { offset, first_count, ..Committed::default() }
    }

    fn note(numbers: &[i64]) -> Note {
        let mut note = Note::default();
        numbers.iter().for_each(|it| note.push(*it));
        note
    }

    #[test]
    fn a_new_group_starts_where_it_is_told() {
        let nothing = Committed::default();
        let count = first_count(3, &[nothing; 3]);
        assert_eq!(count, 3);
        assert!((0..3).all(|it| begin(it, nothing, count) == Begin::Start));
    }

    #[test]
    fn a_member_that_comes_second_to_a_new_group_starts_there_too() {
        let committed = [at(7, 2), Committed::default()];
        let count = first_count(2, &committed);
        assert_eq!(begin(0, committed[0], count), Begin::At(7));
        assert_eq!(begin(1, committed[1], count), Begin::Start);
    }

    #[test]
    fn a_partition_that_came_later_is_read_from_its_oldest_record() {
        let committed = [at(7, 2), at(9, 2), Committed::default()];
        let count = first_count(3, &committed);
        assert_eq!(count, 2);
        assert_eq!(begin(2, committed[2], count), Begin::Earliest);
    }

    #[test]
    fn commits_of_another_program_make_the_group_an_old_one() {
        let foreign = Committed { offset: Some(4), ..Committed::default() };
        let count = first_count(2, &[foreign, Committed::default()]);
        assert_eq!(begin(0, foreign, count), Begin::At(4));
        assert_eq!(begin(1, Committed::default(), count), Begin::Earliest);
    }

    #[test]
    fn the_text_of_a_commit_comes_back() {
        let longest = [i64::MIN; STATEFUL_STEPS_MAX];
        for from in [None, Some(0xfedc_ba98_7654_3210), Some(0)] {
            for numbers in [&[][..], &[12, -5], &longest] {
                let (first_count, note) =
                    (if from.is_some() { i32::MIN } else { 12 }, note(numbers));
                let text = Text(Mark { first_count, from }, note).to_string();
                assert!(text.len() <= TEXT_BYTES_MAX, "{text}");
                let first_count = Some(first_count);
                let all = Committed { offset: Some(3), first_count, from, note };
                assert_eq!(committed(3, text.as_bytes()), all, "{text}");
            }
        }
    }

    #[test]
    fn words_that_are_not_known_are_read_past() {
        let read = |text: &str| committed(3, text.as_bytes());
        let known = Committed { from: Some(10), ..at(3, 5) };
        assert_eq!(read("hotspur/1 partitions=5 watermark=9 from=a x"), known);
        let known = Committed { note: note(&[12, -5]), ..known };
        assert_eq!(read("hotspur/1 partitions=5 x state=12,-5 from=a y=1"), known);
        let too_many = ["1"; STATEFUL_STEPS_MAX + 1].join(",");
        for numbers in ["", "1,", "1;2", "x", "9223372036854775808", &too_many] {
            let text = format!("hotspur/1 partitions=5 state={numbers}");
            assert_eq!(read(&text), at(3, 5), "{text}");
        }
        for foreign in ["", "x", "hotspur/1 partitions=", "state=1"] {
            assert_eq!(read(foreign), Committed { offset: Some(3), ..Committed::default() });
        }
        assert_eq!(committed(-1001, b"\xff"), Committed::default());
    }
}

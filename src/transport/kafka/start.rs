//! Where a partition begins: pure rules over what the group has committed.
//!
//! A partition with an offset begins there. Without one, it matters whether the group is new to
//! the topic (then the configured start applies) or the partition is new to the group (then it is
//! read from its oldest record, or what came before it was noticed would be lost). Members that
//! start together must agree, though each sees the others' first commits: so every commit carries
//! how many partitions the topic had when the group first came to it, and a partition below that
//! number that has no offset yet belongs to that first start. A commit also carries by which
//! `--from` the group came to be where it is, if by one (see `bounds`).

/// What a commit's text begins with; the number follows.
const MARK: &str = "hotspur/1 partitions=";

/// Stands before the mark of `--from`, where there is one.
const FROM: &str = "from=";

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

/// The text that each commit carries.
pub(super) fn metadata(mark: Mark) -> String {
    let Mark { first_count, from } = mark;
    match from {
        Some(from) => format!("{MARK}{first_count} {FROM}{from:016x}"),
        None => format!("{MARK}{first_count}"),
    }
}

/// What a commit says. Words that are not known belong to later versions.
pub(super) fn committed(offset: i64, text: &[u8]) -> Committed {
    let offset = (offset >= 0).then_some(offset);
    let mark = parse_metadata(text);
    Committed {
        offset,
        first_count: mark.map(|it| it.first_count),
        from: mark.and_then(|it| it.from),
    }
}

fn parse_metadata(text: &[u8]) -> Option<Mark> {
    let rest = std::str::from_utf8(text).ok()?.strip_prefix(MARK)?;
    let mut words = rest.split(' ');
    let first_count = words.next()?.parse().ok()?;
    let from = words.find_map(|it| u64::from_str_radix(it.strip_prefix(FROM)?, 16).ok());
    Some(Mark { first_count, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Committed = Committed { offset: None, first_count: None, from: None };

    fn at(offset: i64, first_count: i32) -> Committed {
        Committed { offset: Some(offset), first_count: Some(first_count), from: None }
    }

    #[test]
    fn a_new_group_starts_where_it_is_told() {
        let count = first_count(3, &[NOTHING; 3]);
        assert_eq!(count, 3);
        assert!((0..3).all(|it| begin(it, NOTHING, count) == Begin::Start));
    }

    #[test]
    fn a_member_that_comes_second_to_a_new_group_starts_there_too() {
        let committed = [at(7, 2), NOTHING];
        let count = first_count(2, &committed);
        assert_eq!(begin(0, committed[0], count), Begin::At(7));
        assert_eq!(begin(1, NOTHING, count), Begin::Start);
    }

    #[test]
    fn a_partition_that_came_later_is_read_from_its_oldest_record() {
        let committed = [at(7, 2), at(9, 2), NOTHING];
        let count = first_count(3, &committed);
        assert_eq!(count, 2);
        assert_eq!(begin(2, NOTHING, count), Begin::Earliest);
    }

    #[test]
    fn commits_of_another_program_make_the_group_an_old_one() {
        let foreign = Committed { offset: Some(4), first_count: None, from: None };
        let count = first_count(2, &[foreign, NOTHING]);
        assert_eq!(begin(0, foreign, count), Begin::At(4));
        assert_eq!(begin(1, NOTHING, count), Begin::Earliest);
    }

    #[test]
    fn the_text_of_a_commit_comes_back() {
        for from in [None, Some(0xfedc_ba98_7654_3210), Some(0)] {
            let mark = Mark { first_count: 12, from };
            assert_eq!(parse_metadata(metadata(mark).as_bytes()), Some(mark));
        }
        let mark = Mark { first_count: 5, from: Some(10) };
        assert_eq!(parse_metadata(b"hotspur/1 partitions=5 watermark=9 from=a x"), Some(mark));
        for foreign in [&b""[..], b"x", b"hotspur/1 partitions=", b"\xff"] {
            assert_eq!(parse_metadata(foreign), None);
        }
    }
}

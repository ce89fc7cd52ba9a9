//! Where a partition begins: pure rules over what the group has committed.
//!
//! A partition with an offset begins there. Without one, it matters whether the group is new to
//! the topic (then the configured start applies) or the partition is new to the group (then it is
//! read from its oldest record, or what came before it was noticed would be lost). Members that
//! start together must agree, though each sees the others' first commits: so every commit carries
//! how many partitions the topic had when the group first came to it, and a partition below that
//! number that has no offset yet belongs to that first start.

/// What a commit's text begins with; the number follows.
const MARK: &str = "hotspur/1 partitions=";

/// What the group has committed for one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: Option<i64>,
    /// How many partitions the topic had at the group's first start, if the commit says so.
    pub(super) first_count: Option<i32>,
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
pub(super) fn metadata(first_count: i32) -> String {
    format!("{MARK}{first_count}")
}

/// Reads the number out of a commit's text. Words after it belong to later versions.
pub(super) fn parse_metadata(text: &[u8]) -> Option<i32> {
    let rest = std::str::from_utf8(text).ok()?.strip_prefix(MARK)?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Committed = Committed { offset: None, first_count: None };

    fn at(offset: i64, first_count: i32) -> Committed {
        Committed { offset: Some(offset), first_count: Some(first_count) }
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
        let foreign = Committed { offset: Some(4), first_count: None };
        let count = first_count(2, &[foreign, NOTHING]);
        assert_eq!(begin(0, foreign, count), Begin::At(4));
        assert_eq!(begin(1, NOTHING, count), Begin::Earliest);
    }

    #[test]
    fn the_text_of_a_commit_comes_back() {
        assert_eq!(parse_metadata(metadata(12).as_bytes()), Some(12));
        assert_eq!(parse_metadata(b"hotspur/1 partitions=5 watermark=9"), Some(5));
        for foreign in [&b""[..], b"x", b"hotspur/1 partitions=", b"\xff"] {
            assert_eq!(parse_metadata(foreign), None);
        }
    }
}

//! How a stream stands, as `XINFO STREAM` says it, and what that means for who has read to an id.

use super::{
    entry_id::EntryId,
    positions::Position,
    resp::{Item, Items},
};

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Entries in it.
    pub(super) len: u64,
    /// Entries that were ever added, where the server knows: from 7.0 on.
    pub(super) added: Option<u64>,
    /// The first entry that is there.
    pub(super) first: Option<EntryId>,
    /// The last entry that was added, there or not.
    pub(super) last: EntryId,
}

impl Facts {
    /// Of a stream that is not there.
    pub(super) const ABSENT: Facts =
        Facts { len: 0, added: Some(0), first: None, last: EntryId::ZERO };

    /// Reads the reply.
    pub(super) fn parse(reply: &[u8]) -> Option<Facts> {
        let (mut items, mut facts) = (Items::of(reply), Facts::default());
        for _ in 0..items.array()? / 2 {
            let name = items.bytes()?;
            let mut value = items;
            match (name, value.next()) {
                (b"length", Some(Item::Integer(len))) => facts.len = u64::try_from(len).ok()?,
                (b"entries-added", Some(Item::Integer(it))) => facts.added = u64::try_from(it).ok(),
                (b"last-generated-id", Some(Item::Bytes(id))) => facts.last = EntryId::parse(id)?,
                (b"first-entry", Some(Item::Array(_))) => {
                    facts.first = value.bytes().and_then(EntryId::parse);
                }
                _ => {}
            }
            items.pass()?;
        }
        Some(facts)
    }

    /// Whether the server's answer says that there is no such stream.
    pub(super) fn is_absence(error: &[u8]) -> bool {
        error.starts_with(b"ERR no such key")
    }

    /// How many entries were added up to that id, there or not. It can be told where all that is
    /// there lies on one side of the id.
    pub(super) fn passed(&self, behind: EntryId) -> Option<u64> {
        if behind >= self.last {
            self.added
        } else if self.first.is_none_or(|it| it > behind) {
            self.added?.checked_sub(self.len)
        } else {
            None
        }
    }

    /// How many entries are left behind a position, where that can be told; those that were
    /// deleted among them are counted, too.
    pub(super) fn left(&self, Position { behind, passed }: Position) -> Option<u64> {
        if behind >= self.last {
            Some(0)
        } else if self.first.is_none_or(|it| it > behind) {
            Some(self.len)
        } else {
            Some(self.added?.saturating_sub(passed?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, number: 0 }
    }

    #[test]
    fn a_reply_is_read_with_or_without_entries_and_of_older_servers() {
        let reply = b"*10\r\n$6\r\nlength\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n8-0\r\n\
            $13\r\nentries-added\r\n:9\r\n$11\r\nfirst-entry\r\n*2\r\n$3\r\n6-0\r\n\
            *2\r\n$6\r\nlength\r\n$1\r\n5\r\n$10\r\nlast-entry\r\n*2\r\n$3\r\n8-0\r\n*0\r\n";
        let expected = Facts { len: 2, added: Some(9), first: Some(id(6)), last: id(8) };
        assert_eq!(Facts::parse(reply), Some(expected));
        let old = b"*6\r\n$6\r\nlength\r\n:0\r\n$17\r\nlast-generated-id\r\n$3\r\n8-0\r\n\
            $11\r\nfirst-entry\r\n*-1\r\n";
        assert_eq!(Facts::parse(old), Some(Facts { last: id(8), ..Facts::default() }));
        assert_eq!(Facts::parse(b":1\r\n"), None);
    }

    #[test]
    fn what_was_passed_can_be_told_on_either_side_of_all_that_is_there() {
        let facts = Facts { len: 2, added: Some(9), first: Some(id(6)), last: id(8) };
        let passed = |ms| facts.passed(id(ms));
        let found: Vec<_> = (4..10).map(passed).collect();
        assert_eq!(found, [Some(7), Some(7), None, None, Some(9), Some(9)]);
        let empty = Facts { len: 0, first: None, ..facts };
        assert_eq!([3, 8].map(|ms| empty.passed(id(ms))), [Some(9); 2]);
        assert_eq!(Facts { added: None, ..facts }.passed(id(9)), None);
        let left = |ms, passed| facts.left(Position { behind: id(ms), passed });
        assert_eq!([left(5, None), left(8, None)], [Some(2), Some(0)]);
        assert_eq!([left(6, None), left(7, Some(8))], [None, Some(1)]);
        assert_eq!(Facts::ABSENT.passed(EntryId::ZERO), Some(0));
    }
}

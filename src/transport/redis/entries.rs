//! Entries of a reply that is whole, for who may wait for all of it.

use super::{
    entry_id::EntryId,
    resp::{Item, Items},
};

/// Names and values of an entry's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) items: Items<'a>,
    /// Of both.
    pub(super) words: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.words = self.words.checked_sub(2)?;
        Some((self.items.bytes()?, self.items.bytes()?))
    }
}

/// Visits each entry of an array of them, which comes next; how many there were. An entry that is
/// gone has none of its fields and is not visited.
pub(super) fn visit(
    items: &mut Items<'_>,
    mut see: impl FnMut(EntryId, Fields<'_>),
) -> Option<u64> {
    let count = items.array()?;
    for _ in 0..count {
        items.array()?;
        let id = EntryId::parse(items.bytes()?)?;
        let mut behind = *items;
        if let Some(Item::Array(words)) = behind.next() {
            see(id, Fields { items: behind, words });
        }
        items.pass()?;
    }
    Some(count as u64)
}

/// The same of each stream of a reply to `XREAD`, which is nil where nothing came.
pub(super) fn visit_streams(reply: &[u8], mut see: impl FnMut(EntryId, Fields<'_>)) -> Option<u64> {
    let (mut items, mut count) = (Items::of(reply), 0);
    for _ in 0..items.array()? {
        let (Some(_), Some(_)) = (items.array(), items.bytes()) else { return None };
        count += visit(&mut items, &mut see)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &[u8] =
        b"*3\r\n*2\r\n$3\r\n1-0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$0\r\n\r\n\
        *2\r\n$3\r\n2-0\r\n*-1\r\n*2\r\n$3\r\n3-1\r\n*0\r\n";

    #[test]
    fn entries_are_visited_with_their_fields() {
        let mut seen = Vec::new();
        let mut see = |id: EntryId, fields: Fields<'_>| {
            let words: Vec<_> = fields.flat_map(|(name, value)| [name, value]).collect();
            seen.push((id.to_string(), String::from_utf8(words.join(&b' ')).unwrap()));
        };
        assert_eq!(visit(&mut Items::of(ENTRIES), &mut see), Some(3));
        let reply = [b"*1\r\n*2\r\n$1\r\ns\r\n", ENTRIES].concat();
        assert_eq!(visit_streams(&reply, &mut see), Some(3));
        assert_eq!(visit_streams(b"*-1\r\n", &mut see), Some(0));
        assert_eq!(visit_streams(&reply[..40], &mut see), None);
        let once = [("1-0", "a 1 b "), ("3-1", "")];
        let once = once.map(|(id, words)| (id.to_owned(), words.to_owned()));
        assert_eq!(seen[..4], [once.clone(), once].concat());
    }
}

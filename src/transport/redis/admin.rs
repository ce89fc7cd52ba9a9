//! What streams and groups there are, for who asks before a run. May wait, so never on the hot
//! thread.

use std::{sync::atomic::AtomicBool, time::Duration};

use super::{
    address::Address,
    dialog::Dialog,
    entry_id::EntryId,
    resp::{Item, Items},
};
use crate::transport::Trouble;

/// Keys that the server looks at before it answers.
const KEYS_A_PAGE: &str = "1000";

/// A connection that asks.
#[derive(Debug)]
pub struct RedisAdmin {
    dialog: Dialog,
}

/// A consumer group of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Consumers in it.
    pub consumers: u64,
    /// Entries that were delivered and not acknowledged.
    pub pending: u64,
    /// Entries that nobody had yet, where the server knows how many those are.
    pub lag: Option<u64>,
    /// The last entry that was delivered.
    pub delivered: EntryId,
}

impl RedisAdmin {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or does not let us in.
    pub fn connect(peer: &'static str, url: &str, shown: &str) -> Result<RedisAdmin, Trouble> {
        let address = Address::of(peer, url, shown)?;
        Ok(RedisAdmin { dialog: Dialog::open(peer, &address)? })
    }

    /// The same, again and again while the trouble heals: no longer than that time, and until the
    /// flag is true, then `None`.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn connect_unless(
        peer: &'static str,
        (url, shown): (&str, &str),
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<RedisAdmin>, Trouble> {
        let address = Address::of(peer, url, shown)?;
        Ok(Dialog::open_unless(peer, &address, wait)?.map(|dialog| RedisAdmin { dialog }))
    }

    /// Entries in a stream; `None` if there is no such key.
    ///
    /// # Errors
    ///
    /// Also if the key holds something else.
    pub fn entries(&mut self, stream: &str) -> Result<Option<u64>, Trouble> {
        let what = format!("XLEN {stream}");
        let len = self.number(&what, &[b"XLEN", stream.as_bytes()])?;
        let is_there = self.number(&what, &[b"EXISTS", stream.as_bytes()])? > 0;
        Ok(is_there.then_some(len))
    }

    fn number(&mut self, what: &str, words: &[&[u8]]) -> Result<u64, Trouble> {
        let reply = self.dialog.require(what, words)?;
        Ok(Items::of(&reply).integer().and_then(|it| u64::try_from(it).ok()).unwrap_or(0))
    }

    /// The streams that there are whose names begin so, in order. Names that are no text are none.
    ///
    /// # Errors
    ///
    /// As the server has them.
    pub fn streams(&mut self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let pattern = pattern(prefix);
        let (mut names, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let words = ["SCAN", &cursor, "MATCH", &pattern, "COUNT", KEYS_A_PAGE];
            let words = [&words[..], &["TYPE", "stream"]].concat();
            let words: Vec<_> = words.iter().map(|it| it.as_bytes()).collect();
            let reply = self.dialog.require("SCAN", &words)?;
            cursor = take_page(&reply, &mut names).unwrap_or_default();
            if matches!(cursor.as_str(), "" | "0") {
                break;
            }
        }
        // A page may repeat what another one had.
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// A group of a stream that is there; `None` if it has no such group.
    ///
    /// # Errors
    ///
    /// As the server has them.
    pub fn group(&mut self, stream: &str, group: &str) -> Result<Option<GroupState>, Trouble> {
        let words = [&b"XINFO"[..], b"GROUPS", stream.as_bytes()];
        let reply = self.dialog.require(&format!("XINFO GROUPS {stream}"), &words)?;
        Ok(find(&reply, group.as_bytes()))
    }

    /// Names of the groups of a stream that is there, in their order.
    ///
    /// # Errors
    ///
    /// As the server has them.
    pub fn groups(&mut self, stream: &str) -> Result<Vec<String>, Trouble> {
        let words = [&b"XINFO"[..], b"GROUPS", stream.as_bytes()];
        let reply = self.dialog.require(&format!("XINFO GROUPS {stream}"), &words)?;
        let mut names = Vec::new();
        visit(&reply, |name, _| names.push(String::from_utf8_lossy(name).into_owned()));
        names.sort();
        Ok(names)
    }

    /// Entries of a stream that a group has not done: those that it was given and has not
    /// acknowledged, and those that it was not given. Where the server does not know how many the
    /// latter are, as many as the stream has if there are any.
    ///
    /// # Errors
    ///
    /// As the server has them.
    pub fn behind(&mut self, stream: &str, group: &str) -> Result<u64, Trouble> {
        let Some(entries) = self.entries(stream)? else { return Ok(0) };
        let Some(GroupState { pending, lag, delivered, .. }) = self.group(stream, group)? else {
            return Ok(entries);
        };
        if let Some(lag) = lag {
            return Ok(pending + lag);
        }
        let after = format!("({delivered}");
        let words = [&b"XRANGE"[..], stream.as_bytes(), after.as_bytes(), b"+", b"COUNT", b"1"];
        let reply = self.dialog.require(&format!("XRANGE {stream}"), &words)?;
        let is_at_end = Items::of(&reply).array() == Some(0);
        Ok(if is_at_end { pending } else { pending + entries })
    }
}

/// What begins so, as the server matches names.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(2 * prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "*"
}

/// Adds the names of a page; where the next one begins.
fn take_page(reply: &[u8], names: &mut Vec<String>) -> Option<String> {
    let mut items = Items::of(reply);
    let cursor = items.array().and(items.bytes())?;
    for _ in 0..items.array()? {
        names.extend(std::str::from_utf8(items.bytes()?).map(str::to_owned));
    }
    std::str::from_utf8(cursor).ok().map(str::to_owned)
}

fn find(reply: &[u8], group: &[u8]) -> Option<GroupState> {
    let mut found = None;
    visit(reply, |name, state| {
        if name == group {
            found = Some(state);
        }
    });
    found
}

/// Each group of a reply to `XINFO GROUPS`.
fn visit<'a>(reply: &'a [u8], mut see: impl FnMut(&'a [u8], GroupState)) -> Option<()> {
    let mut items = Items::of(reply);
    for _ in 0..items.array()? {
        let (mut state, mut group) = (GroupState::default(), &b""[..]);
        for _ in 0..items.array()? / 2 {
            let name = items.bytes()?;
            let mut value = items;
            let number = |item| match item {
                Some(Item::Integer(number)) => u64::try_from(number).ok(),
                _ => None,
            };
            match name {
                b"name" => group = value.bytes().unwrap_or_default(),
                b"consumers" => state.consumers = number(value.next()).unwrap_or(0),
                b"pending" => state.pending = number(value.next()).unwrap_or(0),
                b"lag" => state.lag = number(value.next()),
                b"last-delivered-id" => {
                    state.delivered = value.bytes().and_then(EntryId::parse).unwrap_or_default();
                }
                _ => {}
            }
            items.pass()?;
        }
        see(group, state);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &[u8] = b"*2\r\n*4\r\n$4\r\nname\r\n$1\r\na\r\n$7\r\npending\r\n:3\r\n\
        *10\r\n$4\r\nname\r\n$1\r\nb\r\n$9\r\nconsumers\r\n:2\r\n$7\r\npending\r\n:5\r\n\
        $17\r\nlast-delivered-id\r\n$3\r\n7-1\r\n$3\r\nlag\r\n*-1\r\n";

    #[test]
    fn names_of_a_page_are_taken_and_a_prefix_is_no_pattern() {
        let mut names = vec!["a".to_owned()];
        let page = b"*2\r\n$2\r\n17\r\n*3\r\n$1\r\nb\r\n$2\r\n\xff\xff\r\n$3\r\na.c\r\n";
        assert_eq!(take_page(page, &mut names), Some("17".to_owned()));
        assert_eq!(names, ["a", "b", "a.c"]);
        assert_eq!(take_page(b"*0\r\n", &mut names), None);
        assert_eq!(pattern("a[b]*.?\\^"), "a\\[b\\]\\*.\\?\\\\\\^*");
    }

    #[test]
    fn a_group_is_found_among_others() {
        let expected = GroupState {
            consumers: 2,
            pending: 5,
            lag: None,
            delivered: EntryId { ms: 7, number: 1 },
        };
        assert_eq!(find(GROUPS, b"b"), Some(expected));
        assert_eq!(find(GROUPS, b"a").unwrap().pending, 3);
        assert_eq!(find(GROUPS, b"c"), None);
    }
}

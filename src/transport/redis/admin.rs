//! What streams and groups there are, for who asks before a run. May wait, so never on the hot
//! thread.

use super::{
    address::Address,
    dialog::Dialog,
    resp::{Item, Items},
};
use crate::transport::Trouble;

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
}

impl RedisAdmin {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or does not let us in.
    pub fn connect(peer: &'static str, url: &str, shown: &str) -> Result<RedisAdmin, Trouble> {
        let address = Address::parse(url, shown).map_err(|text| Trouble {
            peer,
            code: "ERR",
            text: text.as_str().into(),
            heals: false,
        })?;
        Ok(RedisAdmin { dialog: Dialog::open(peer, &address)? })
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
}

fn find(reply: &[u8], group: &[u8]) -> Option<GroupState> {
    let mut items = Items::of(reply);
    for _ in 0..items.array()? {
        let (mut state, mut is_it) = (GroupState::default(), false);
        for _ in 0..items.array()? / 2 {
            let name = items.bytes()?;
            let mut value = items;
            let number = |item| match item {
                Some(Item::Integer(number)) => u64::try_from(number).ok(),
                _ => None,
            };
            match name {
                b"name" => is_it = value.bytes() == Some(group),
                b"consumers" => state.consumers = number(value.next()).unwrap_or(0),
                b"pending" => state.pending = number(value.next()).unwrap_or(0),
                b"lag" => state.lag = number(value.next()),
                _ => {}
            }
            items.pass()?;
        }
        if is_it {
            return Some(state);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &[u8] = b"*2\r\n*4\r\n$4\r\nname\r\n$1\r\na\r\n$7\r\npending\r\n:3\r\n\
        *8\r\n$4\r\nname\r\n$1\r\nb\r\n$9\r\nconsumers\r\n:2\r\n$7\r\npending\r\n:5\r\n\
        $3\r\nlag\r\n*-1\r\n";

    #[test]
    fn a_group_is_found_among_others() {
        let expected = GroupState { consumers: 2, pending: 5, lag: None };
        assert_eq!(find(GROUPS, b"b"), Some(expected));
        assert_eq!(find(GROUPS, b"a").unwrap().pending, 3);
        assert_eq!(find(GROUPS, b"c"), None);
    }
}

//! What streams and groups there are, for who asks before a run. May wait, so never on the hot
//! thread.

use super::{
    address::Address,
    dialog::Dialog,
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
        let expected = GroupState { consumers: 2, pending: 5, lag: None };
        assert_eq!(find(GROUPS, b"b"), Some(expected));
        assert_eq!(find(GROUPS, b"a").unwrap().pending, 3);
        assert_eq!(find(GROUPS, b"c"), None);
    }
}

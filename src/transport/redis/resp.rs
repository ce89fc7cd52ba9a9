//! What goes over the wire: commands written into a buffer, replies found and read where they lie.
//!
//! Version 2 of the protocol, in which nothing comes that was not asked for. A reply may arrive in
//! pieces: `Scanner` remembers how far it got, so that a large one is not looked at again and
//! again. Once it is whole, `Items` walks over it without copying anything.

use memchr::memchr;

/// Begins a command of that many words.
pub(super) fn begin(out: &mut Vec<u8>, words: usize) {
    push_header(out, b'*', words);
}

/// Adds a word.
pub(super) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    push_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Adds a number as a word.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    word(out, itoa::Buffer::new().format(number).as_bytes());
}

/// A whole command.
pub(super) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    begin(out, words.len());
    words.iter().for_each(|it| word(out, it));
}

fn push_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What came is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Finds the end of one reply.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    at: usize,
    /// Items that are still to come; none before the first.
    left: u64,
    has_begun: bool,
}

impl Scanner {
    /// The length of the reply that `bytes` begin with, once all of it is there. Until then it
    /// has to be called with the same bytes and those that came behind them; or with fewer where
    /// they went with their connection, before it begins anew with the next one.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        if !self.has_begun {
            (self.has_begun, self.left) = (true, 1);
        }
        while self.left > 0 {
            let Some(rest) = bytes.get(self.at..) else { return Ok(None) };
            let Some(head) = Head::read(rest)? else { return Ok(None) };
            let len = head.len + head.body();
            if bytes.len() - self.at < len {
                return Ok(None);
            }
            self.at += len;
            self.left -= 1;
            if head.kind == b'*' {
                self.left += u64::try_from(head.number).unwrap_or(0);
            }
        }
        let len = self.at;
        *self = Scanner::default();
        Ok(Some(len))
    }
}

/// The first line of an item.
#[derive(Clone, Copy, Debug)]
struct Head {
    kind: u8,
    /// Of a length or an integer.
    number: i64,
    /// With the end of the line.
    len: usize,
}

impl Head {
    #[inline]
    fn read(bytes: &[u8]) -> Result<Option<Head>, Broken> {
        let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
        let line = bytes[..end].strip_suffix(b"\r").ok_or(Broken)?;
        let (&kind, rest) = line.split_first().ok_or(Broken)?;
        let number = match kind {
            b'$' | b'*' | b':' => parse(rest).ok_or(Broken)?,
            b'+' | b'-' => 0,
            _ => return Err(Broken),
        };
        Ok(Some(Head { kind, number, len: end + 1 }))
    }

    /// Bytes that follow the line and belong to the item itself.
    fn body(&self) -> usize {
        match usize::try_from(self.number) {
            Ok(len) if self.kind == b'$' => len + 2,
            _ => 0,
        }
    }
}

fn parse(digits: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(if is_negative { -number } else { number })
}

/// A number that is written in digits.
pub(super) fn unsigned(digits: &[u8]) -> Option<u64> {
    u64::try_from(parse(digits)?).ok()
}

/// One part of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A word or bytes.
    Bytes(&'a [u8]),
    /// An error, with its code.
    Error(&'a [u8]),
    Integer(i64),
    Nil,
    /// That many items follow.
    Array(usize),
}

/// Walks over a reply that is whole, an array before its items.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a> {
    bytes: &'a [u8],
}

impl<'a> Items<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Items<'a> {
        Items { bytes }
    }

    /// What was not walked over yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next item, if it is bytes.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        match self.next()? {
            Item::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The next item, if it is a number.
    pub(super) fn integer(&mut self) -> Option<i64> {
        match self.next()? {
            Item::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// How many items the next one says follow, nil being none.
    pub(super) fn array(&mut self) -> Option<usize> {
        match self.next()? {
            Item::Array(len) => Some(len),
            Item::Nil => Some(0),
            _ => None,
        }
    }

    /// Passes over the next item and all that belongs to it.
    pub(super) fn pass(&mut self) -> Option<()> {
        let mut left = 1usize;
        while left > 0 {
            left -= 1;
            if let Item::Array(len) = self.next()? {
                left += len;
            }
        }
        Some(())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    /// `None` also where the rest is no whole item.
    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let head = Head::read(self.bytes).ok()??;
        let line = &self.bytes[1..head.len - 2];
        let rest = &self.bytes[head.len..];
        let item = match (head.kind, usize::try_from(head.number)) {
            (b'+', _) => Item::Bytes(line),
            (b'-', _) => Item::Error(line),
            (b':', _) => Item::Integer(head.number),
            (_, Err(_)) => Item::Nil,
            (b'*', Ok(len)) => Item::Array(len),
            (_, Ok(len)) => Item::Bytes(rest.get(..len)?),
        };
        self.bytes = rest.get(head.body()..)?;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] =
        b"*3\r\n$3\r\n0-0\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n\
        *2\r\n$3\r\n2-0\r\n*-1\r\n:-7\r\n";

    #[test]
    fn commands_are_arrays_of_bytes() {
        let mut out = Vec::new();
        command(&mut out, &[b"SET", b"\r\n", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$0\r\n\r\n");
    }

    #[test]
    fn a_reply_in_pieces_ends_where_the_whole_one_does() {
        let whole = [NESTED, b"+OK\r\n"].concat();
        for step in 1..=whole.len() {
            let mut scanner = Scanner::default();
            let ends = (step..whole.len() + step).step_by(step).map(|end| end.min(whole.len()));
            let found = ends.map(|end| (end, scanner.scan(&whole[..end]).unwrap()));
            let (at, len) = found.into_iter().find(|(_, len)| len.is_some()).unwrap();
            assert_eq!(len, Some(NESTED.len()), "in pieces of {step}");
            assert!(at >= NESTED.len() && at < NESTED.len() + step, "as soon as it is there");
        }
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(b"+OK\r\n"), Ok(Some(5)));
        assert_eq!(scanner.scan(b":1\r\n:2\r\n"), Ok(Some(4)), "it can be used again");
    }

    #[test]
    fn of_a_reply_that_went_with_its_connection_nothing_more_comes() {
        for end in 0..NESTED.len() {
            let mut scanner = Scanner::default();
            assert_eq!(scanner.scan(&NESTED[..end]), Ok(None));
            assert_eq!(scanner.scan(b""), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"$x\r\n", b"*\r\n", b"+OK\n", b"\r\n"] {
            assert_eq!(Scanner::default().scan(bytes), Err(Broken), "{bytes:?}");
        }
        assert_eq!(Items::of(b"$5\r\nab").next(), None);
    }

    #[test]
    fn items_come_in_order_and_can_be_passed_over() {
        let mut items = Items::of(NESTED);
        assert_eq!((items.array(), items.bytes()), (Some(3), Some(&b"0-0"[..])));
        let mut walk = items;
        assert_eq!(walk.array(), Some(2));
        assert_eq!(walk.pass(), Some(()));
        assert_eq!((walk.array(), walk.bytes()), (Some(2), Some(&b"2-0"[..])));
        assert_eq!(walk.next(), Some(Item::Nil));
        assert_eq!(items.pass(), Some(()));
        assert_eq!(items.integer(), Some(-7));
        assert_eq!(items.next(), None);
        assert_eq!(Items::of(b"-ERR no\r\n").next(), Some(Item::Error(b"ERR no")));
    }
}

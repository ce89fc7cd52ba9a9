//! Replies that bring entries, taken apart as they come: an entry can be lent before the one behind
//! it has arrived, so that no more has to be kept than one entry.

use std::collections::VecDeque;

use super::{
    entry_id::EntryId,
    resp::{Broken, Item, Items, Scanner},
};

/// What was asked for, in the order of the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `XREADGROUP … >`: entries that nobody had; or `XREAD`: those behind an id.
    New,
    /// `XREADGROUP … id`: entries that this consumer had before, of one stream.
    Own(usize),
    /// `XACK` of an entry that is not in the stream any more, before anything else is asked.
    Forgotten,
    /// `XPENDING`: how often the entries of the next reply were delivered.
    Counts,
    /// `XCLAIM … JUSTID` of entries that are in flight here.
    Kept,
    /// `XAUTOCLAIM`: entries of others that were idle for too long, of one stream.
    Claim(usize),
    /// `XRANGE`: entries of one stream.
    Range(usize),
    /// `XINFO STREAM`: how one stream stands.
    Facts(usize),
}

impl Asked {
    /// The command that asks for it.
    pub(super) fn command(self) -> &'static str {
        match self {
            Asked::New | Asked::Own(_) => "XREADGROUP",
            Asked::Forgotten => "XACK",
            Asked::Counts => "XPENDING",
            Asked::Kept => "XCLAIM",
            Asked::Claim(_) => "XAUTOCLAIM",
            Asked::Range(_) => "XRANGE",
            Asked::Facts(_) => "XINFO",
        }
    }
}

/// What comes next; each is as long as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More has to arrive.
    Wait,
    /// Nothing to be looked at.
    Passed(usize),
    /// An entry of that stream, which stays until `entry_done`.
    Entry(usize, usize),
    /// All counts.
    Counts(usize),
    /// How that stream stands.
    Facts(usize, usize),
    /// Ids that were claimed and are not in the stream any more.
    Deleted(usize, usize),
    /// An error instead of a reply.
    Error(Asked, usize),
    /// The reply is over.
    Ended(Ended),
}

/// What a reply was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) asked: Asked,
    /// Entries in it.
    pub(super) entries: usize,
    /// Of a claim: where the next one goes on.
    pub(super) cursor: EntryId,
    /// Bytes at its end.
    pub(super) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Streams { left: usize },
    Entries { stream: usize, left: usize, streams_left: usize },
    Deleted { stream: usize },
}

/// Where in the replies we are.
#[derive(Debug)]
pub(super) struct Replies {
    asked: VecDeque<Asked>,
    place: Place,
    scanner: Scanner,
    entries: usize,
    cursor: EntryId,
    has_deleted: bool,
}

/// Entries that were delivered before which are asked for at once.
pub(super) const ENTRIES_AT_ONCE: u64 = 128;

/// Replies that are owed at most: one for each entry of a page that is gone, and a few.
const OWED_MAX: usize = ENTRIES_AT_ONCE as usize + 8;

impl Replies {
    pub(super) fn new() -> Replies {
        Replies {
            asked: VecDeque::with_capacity(OWED_MAX),
            place: Place::Head,
            scanner: Scanner::default(),
            entries: 0,
            cursor: EntryId::ZERO,
            has_deleted: false,
        }
    }

    /// Nothing is owed any more: the connection is another.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
        self.place = Place::Head;
        self.scanner = Scanner::default();
    }

    pub(super) fn ask(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    pub(super) fn owed(&self) -> usize {
        self.asked.len()
    }

    /// Replies that have not begun.
    pub(super) fn unbegun(&self) -> usize {
        self.asked.len() - usize::from(self.place != Place::Head)
    }

    /// The reply that is under way.
    pub(super) fn front(&self) -> Option<Asked> {
        self.asked.front().copied()
    }

    /// The entry that `step` told of is dealt with.
    #[inline]
    pub(super) fn entry_done(&mut self) {
        if let Place::Entries { left, .. } = &mut self.place {
            *left -= 1;
        }
    }

    /// What the bytes begin with. All but an entry counts as consumed.
    #[inline]
    pub(super) fn step(&mut self, input: &[u8], names: &[String]) -> Result<Step, Broken> {
        let Some(&asked) = self.asked.front() else { return Ok(Step::Wait) };
        match self.place {
            Place::Entries { stream, left: 1.., .. } => {
                let len = self.scanner.scan(input)?;
                Ok(len.map_or(Step::Wait, |len| Step::Entry(stream, len)))
            }
            Place::Entries { stream, streams_left, .. } => {
                self.place = match self.has_deleted {
                    true => Place::Deleted { stream },
                    false => Place::Streams { left: streams_left },
                };
                Ok(Step::Passed(0))
            }
            Place::Deleted { stream } => {
                let Some(len) = self.scanner.scan(input)? else { return Ok(Step::Wait) };
                self.place = Place::Streams { left: 0 };
                Ok(Step::Deleted(stream, len))
            }
            Place::Streams { left: 0 } => Ok(Step::Ended(self.end(asked, 0))),
            Place::Streams { left } => self.stream(left, input, names),
            Place::Head if input.is_empty() => Ok(Step::Wait),
            Place::Head => self.head(asked, input),
        }
    }

    fn head(&mut self, asked: Asked, input: &[u8]) -> Result<Step, Broken> {
        if !matches!(input[0], b'*' | b'-' | b'$' | b':') {
            return Err(Broken);
        }
        (self.entries, self.cursor, self.has_deleted) = (0, EntryId::ZERO, false);
        let mut items = Items::of(input);
        let len = |items: &Items<'_>| input.len() - items.rest().len();
        match items.next() {
            None => Ok(Step::Wait),
            Some(Item::Error(_)) => {
                self.asked.pop_front();
                Ok(Step::Error(asked, len(&items)))
            }
            Some(Item::Integer(_)) if asked == Asked::Forgotten => {
                self.asked.pop_front();
                Ok(Step::Passed(len(&items)))
            }
            _ if matches!(asked, Asked::Counts | Asked::Kept | Asked::Facts(_)) => {
                let Some(len) = self.scanner.scan(input)? else { return Ok(Step::Wait) };
                self.asked.pop_front();
                Ok(match asked {
                    Asked::Facts(stream) => Step::Facts(stream, len),
                    Asked::Counts => Step::Counts(len),
                    _ => Step::Passed(len),
                })
            }
            Some(Item::Nil) => Ok(Step::Ended(self.end(asked, len(&items)))),
            Some(Item::Array(count)) => {
                let Asked::Claim(stream) = asked else {
                    self.place = match asked {
                        Asked::Range(stream) => {
                            self.entries = count;
                            Place::Entries { stream, left: count, streams_left: 0 }
                        }
                        _ => Place::Streams { left: count },
                    };
                    return Ok(Step::Passed(len(&items)));
                };
                let (cursor, left) = (items.bytes(), items.array());
                let (Some(cursor), Some(left)) = (cursor, left) else { return Ok(Step::Wait) };
                self.cursor = EntryId::parse(cursor).ok_or(Broken)?;
                // Servers before 7.0 do not tell them.
                (self.has_deleted, self.entries) = (count > 2, left);
                self.place = Place::Entries { stream, left, streams_left: 0 };
                Ok(Step::Passed(len(&items)))
            }
            Some(_) => Err(Broken),
        }
    }

    fn stream(&mut self, left: usize, input: &[u8], names: &[String]) -> Result<Step, Broken> {
        let mut items = Items::of(input);
        let (pair, name, count) = (items.array(), items.bytes(), items.array());
        let (Some(_), Some(name), Some(count)) = (pair, name, count) else {
            return Ok(Step::Wait);
        };
        let stream = names.iter().position(|it| it.as_bytes() == name).ok_or(Broken)?;
        self.entries += count;
        self.place = Place::Entries { stream, left: count, streams_left: left - 1 };
        Ok(Step::Passed(input.len() - items.rest().len()))
    }

    fn end(&mut self, asked: Asked, len: usize) -> Ended {
        self.asked.pop_front();
        self.place = Place::Head;
        Ended { asked, entries: self.entries, cursor: self.cursor, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_STREAMS: &[u8] = b"*2\r\n*2\r\n$1\r\na\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nx\r\n\
        $1\r\n1\r\n*2\r\n$3\r\n2-0\r\n*-1\r\n*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$3\r\n3-0\r\n*0\r\n";
    const CLAIMED: &[u8] = b"*3\r\n$3\r\n9-4\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*0\r\n*1\r\n$3\r\n2-0\r\n";

    /// What comes of the bytes when they arrive one by one.
    fn steps(asked: &[Asked], bytes: &[u8]) -> Vec<Step> {
        let names = ["a".to_owned(), "b".to_owned()];
        let mut replies = Replies::new();
        asked.iter().for_each(|it| replies.ask(*it));
        let (mut all, mut start) = (Vec::new(), 0);
        for end in 0..=bytes.len() {
            loop {
                let step = replies.step(&bytes[start..end], &names).unwrap();
                let len = match step {
                    Step::Wait => break,
                    Step::Entry(_, len) => {
                        replies.entry_done();
                        len
                    }
                    Step::Passed(len) | Step::Counts(len) | Step::Error(_, len) => len,
                    Step::Deleted(_, len) | Step::Facts(_, len) => len,
                    Step::Ended(Ended { len, .. }) => len,
                };
                start += len;
                if !matches!(step, Step::Passed(_)) {
                    all.push(step);
                }
            }
        }
        assert_eq!((start, replies.owed()), (bytes.len(), 0));
        all
    }

    #[test]
    fn entries_come_one_by_one_and_replies_in_their_order() {
        let ended = |asked, entries| Ended { asked, entries, cursor: EntryId::ZERO, len: 0 };
        let nil = Step::Ended(Ended { len: 5, ..ended(Asked::New, 0) });
        let bytes = [TWO_STREAMS, b"*-1\r\n:1\r\n*0\r\n-NOGROUP gone\r\n"].concat();
        let asked = [Asked::New, Asked::New, Asked::Forgotten, Asked::Counts, Asked::Own(1)];
        let entries = [Step::Entry(0, 31), Step::Entry(0, 18), Step::Entry(1, 17)];
        let rest =
            [Step::Ended(ended(Asked::New, 3)), nil, Step::Counts(4), Step::Error(asked[4], 15)];
        assert_eq!(steps(&asked, &bytes), [&entries[..], &rest].concat());
    }

    #[test]
    fn a_claim_says_where_it_goes_on_and_what_is_gone() {
        let ended = Ended {
            asked: Asked::Claim(1),
            entries: 1,
            cursor: EntryId { ms: 9, number: 4 },
            len: 0,
        };
        let expected = [Step::Entry(1, 17), Step::Deleted(1, 13), Step::Ended(ended)];
        assert_eq!(steps(&[Asked::Claim(1)], CLAIMED), expected);
    }

    #[test]
    fn a_range_is_of_one_stream_and_facts_come_whole() {
        let range = b"*2\r\n*2\r\n$3\r\n1-0\r\n*0\r\n*2\r\n$3\r\n2-0\r\n*0\r\n*0\r\n";
        let facts = b"*2\r\n$6\r\nlength\r\n:2\r\n";
        let ended =
            |asked, entries| Step::Ended(Ended { asked, entries, cursor: EntryId::ZERO, len: 0 });
        let asked = [Asked::Range(1), Asked::Range(0), Asked::Facts(1)];
        let entries = [Step::Entry(1, 17), Step::Entry(1, 17), ended(asked[0], 2)];
        let expected = [&entries[..], &[ended(asked[1], 0), Step::Facts(1, 20)]].concat();
        assert_eq!(steps(&asked, &[&range[..], facts].concat()), expected);
    }

    #[test]
    fn what_is_no_reply_is_broken() {
        let mut replies = Replies::new();
        replies.ask(Asked::New);
        assert_eq!(replies.step(b"HTTP", &[]), Err(Broken));
        assert_eq!(replies.step(b"*1\r\n", &[]), Ok(Step::Passed(4)));
        assert_eq!(replies.step(b"*2\r\n$1\r\nz\r\n*0\r\n", &[]), Err(Broken), "another's stream");
    }
}

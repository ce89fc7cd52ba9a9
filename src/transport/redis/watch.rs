//! How far behind a group or a reader is, and who has what: asked by a side thread of its own,
//! every second.
//!
//! The hot thread knows what it lent; what it has not been given, and what others have, only the
//! server knows. While it does not answer, the last figures stand.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    address::Address,
    dialog::Dialog,
    entry_id::EntryId,
    facts::Facts,
    keeper::KeptPositions,
    positions::Position,
    resp::{self, Item, Items},
};
use crate::transport::Trouble;

const THREAD_NAME: &str = "hotspur-watch";

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// A stream, as its group stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Its name.
    pub stream: String,
    /// Entries that nobody was given yet, or of a reader that it has not done, where that is known.
    pub lag: Option<u64>,
    /// How long the first of them has been there.
    pub lag_age: Duration,
    /// How long the oldest entry that was given and not acknowledged has been there.
    pub pending_age: Duration,
    /// Consumers and how many entries each was given and has not acknowledged.
    pub pending: Vec<(String, u64)>,
}

/// Whose place in the streams is looked at.
#[derive(Debug)]
pub enum Watched {
    /// That of a consumer group.
    Group(String),
    /// That of a reader without one.
    Plain(KeptPositions),
}

/// The figures of all streams, for any thread; asked for as long as it lives.
pub struct StreamWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    figures: Mutex<Vec<StreamFigures>>,
    is_ending: AtomicBool,
}

impl StreamWatch {
    /// Starts the side thread. The URL was used before, so it is right.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn start(
        url: &str,
        shown: &str,
        streams: &[String],
        who: Watched,
    ) -> std::io::Result<StreamWatch> {
        let shared = Arc::new(Shared::default());
        let Ok(address) = Address::parse(url, shown) else {
            return Ok(StreamWatch { shared, thread: None });
        };
        let side = Side { address, streams: streams.to_vec(), who, shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
        let thread = Some(thread.spawn(move || side.run())?);
        Ok(StreamWatch { shared, thread })
    }

    /// What is known now.
    pub fn read(&self) -> Vec<StreamFigures> {
        self.shared.figures().clone()
    }
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for StreamWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWatch").field("figures", &self.read()).finish_non_exhaustive()
    }
}

impl Shared {
    fn figures(&self) -> MutexGuard<'_, Vec<StreamFigures>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Side {
    address: Address,
    streams: Vec<String>,
    who: Watched,
    shared: Arc<Shared>,
}

impl Side {
    fn run(self) {
        let mut dialog = None;
        while !self.shared.is_ending.load(Ordering::Acquire) {
            if dialog.is_none() {
                dialog = Dialog::open("source", &self.address).ok();
            }
            let looked = dialog.as_mut().map(|dialog| self.look(dialog));
            match looked {
                Some(Ok(figures)) => *self.shared.figures() = figures,
                // The hot thread tells what is wrong.
                Some(Err(_)) => dialog = None,
                None => {}
            }
            thread::park_timeout(EVERY);
        }
    }

    fn look(&self, dialog: &mut Dialog) -> Result<Vec<StreamFigures>, Trouble> {
        let now_ms = now_ms(&dialog.require("TIME", &[b"TIME"])?);
        let age = |id: Option<EntryId>| {
            Duration::from_millis(id.map_or(0, |it| now_ms.saturating_sub(it.ms)))
        };
        let mut all = Vec::with_capacity(self.streams.len());
        for (index, name) in self.streams.iter().enumerate() {
            let (mut figures, behind) = match &self.who {
                Watched::Group(group) => of_group(dialog, name, group.as_bytes(), age)?,
                Watched::Plain(kept) => of_reader(dialog, name, kept.read(index))?,
            };
            let behind = [b"(", behind.as_bytes()].concat();
            let next = [&b"XRANGE"[..], name.as_bytes(), &behind, b"+", b"COUNT", b"1"];
            figures.lag_age = age(first_id(&dialog.require("XRANGE", &next)?));
            all.push(figures);
        }
        Ok(all)
    }
}

/// How a group stands, but for the age of its lag, and the last id that it was given.
fn of_group(
    dialog: &mut Dialog,
    name: &str,
    group: &[u8],
    age: impl Fn(Option<EntryId>) -> Duration,
) -> Result<(StreamFigures, String), Trouble> {
    let stream = name.as_bytes();
    let groups = dialog.require("XINFO GROUPS", &[b"XINFO", b"GROUPS", stream])?;
    let consumers = [&b"XINFO"[..], b"CONSUMERS", stream, group];
    let consumers = dialog.require("XINFO CONSUMERS", &consumers)?;
    let pending = dialog.require("XPENDING", &[b"XPENDING", stream, group])?;
    let (lag, delivered) = lag(&groups, group).unwrap_or_default();
    let figures = StreamFigures {
        stream: name.to_owned(),
        lag,
        lag_age: Duration::ZERO,
        pending_age: age(oldest_pending(&pending)),
        pending: consumers_of(&consumers).unwrap_or_default(),
    };
    Ok((figures, delivered))
}

/// The same of a reader; nothing is pending with anybody.
fn of_reader(
    dialog: &mut Dialog,
    name: &str,
    position: Position,
) -> Result<(StreamFigures, String), Trouble> {
    let facts = match dialog.ask(&[b"XINFO", b"STREAM", name.as_bytes()])? {
        Ok(reply) => Facts::parse(&reply).unwrap_or_default(),
        Err(error) if Facts::is_absence(&error) => Facts::ABSENT,
        Err(error) => return dialog.refused("XINFO STREAM", &error),
    };
    let (stream, lag) = (name.to_owned(), facts.left(position));
    Ok((StreamFigures { stream, lag, ..StreamFigures::default() }, position.behind.to_string()))
}

/// By the server's clock, which made the ids.
fn now_ms(time: &[u8]) -> u64 {
    let mut items = Items::of(time);
    let (_, seconds, micros) = (items.array(), items.bytes(), items.bytes());
    let [seconds, micros] = [seconds, micros].map(|it| it.and_then(resp::unsigned).unwrap_or(0));
    seconds * 1000 + micros / 1000
}

/// What stands under each name, of a list of lists of names and values.
fn each_of<'a>(
    reply: &'a [u8],
    mut see: impl FnMut(&'a [u8], Items<'a>),
    mut end: impl FnMut(),
) -> Option<()> {
    let mut items = Items::of(reply);
    for _ in 0..items.array()? {
        for _ in 0..items.array()? / 2 {
            let name = items.bytes()?;
            see(name, items);
            items.pass()?;
        }
        end();
    }
    Some(())
}

/// The lag of a group, and the last id that it was given.
fn lag(groups: &[u8], group: &[u8]) -> Option<(Option<u64>, String)> {
    let mut found = None;
    let (name, lag, last) = (cell(None), cell(None), cell(String::new()));
    let see = |field: &[u8], mut value: Items<'_>| match (field, value.next()) {
        (b"name", Some(Item::Bytes(bytes))) => name.set(Some(bytes == group)),
        (b"lag", Some(Item::Integer(entries))) => lag.set(u64::try_from(entries).ok()),
        (b"last-delivered-id", Some(Item::Bytes(id))) => {
            last.set(String::from_utf8_lossy(id).into_owned());
        }
        _ => {}
    };
    each_of(groups, see, || {
        let (is_it, lag, last) = (name.take() == Some(true), lag.take(), last.take());
        found = found.take().or_else(|| is_it.then_some((lag, last)));
    })?;
    found
}

fn cell<T>(value: T) -> std::cell::Cell<T> {
    std::cell::Cell::new(value)
}

fn consumers_of(reply: &[u8]) -> Option<Vec<(String, u64)>> {
    let mut all = Vec::new();
    let (name, pending) = (cell(String::new()), cell(0));
    let see = |field: &[u8], mut value: Items<'_>| match (field, value.next()) {
        (b"name", Some(Item::Bytes(bytes))) => {
            name.set(String::from_utf8_lossy(bytes).into_owned());
        }
        (b"pending", Some(Item::Integer(entries))) => pending.set(entries.unsigned_abs()),
        _ => {}
    };
    each_of(reply, see, || all.push((name.take(), pending.take())))?;
    Some(all)
}

/// `XPENDING` without a range: a count, the lowest id, the highest, consumers.
fn oldest_pending(reply: &[u8]) -> Option<EntryId> {
    let mut items = Items::of(reply);
    items.array().and(items.integer())?;
    EntryId::parse(items.bytes()?)
}

fn first_id(range: &[u8]) -> Option<EntryId> {
    let mut items = Items::of(range);
    (items.array()? > 0).then_some(())?;
    items.array()?;
    EntryId::parse(items.bytes()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_the_server_are_read() {
        let groups =
            b"*2\r\n*4\r\n$4\r\nname\r\n$1\r\na\r\n$3\r\nlag\r\n:9\r\n*6\r\n$4\r\nname\r\n\
            $1\r\nb\r\n$17\r\nlast-delivered-id\r\n$3\r\n7-1\r\n$3\r\nlag\r\n*-1\r\n";
        assert_eq!(lag(groups, b"b"), Some((None, "7-1".to_owned())));
        assert_eq!(lag(groups, b"a").unwrap().0, Some(9));
        assert_eq!(lag(groups, b"c"), None);
        let consumers =
            b"*1\r\n*6\r\n$4\r\nname\r\n$1\r\nx\r\n$7\r\npending\r\n:3\r\n$4\r\nidle\r\n:5\r\n";
        assert_eq!(consumers_of(consumers), Some(vec![("x".to_owned(), 3)]));
        let pending = b"*4\r\n:2\r\n$3\r\n5-0\r\n$3\r\n9-0\r\n*0\r\n";
        assert_eq!(oldest_pending(pending), Some(EntryId { ms: 5, number: 0 }));
        assert_eq!(oldest_pending(b"*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n"), None);
        assert_eq!(now_ms(b"*2\r\n$2\r\n12\r\n$6\r\n345678\r\n"), 12_345);
        assert_eq!(first_id(b"*0\r\n"), None);
        assert_eq!(first_id(b"*1\r\n*2\r\n$3\r\n4-2\r\n*0\r\n"), EntryId::parse(b"4-2"));
    }
}

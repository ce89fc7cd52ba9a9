//! One stream from its beginning to its end as it is now, page by page: no group, nothing
//! acknowledged.
//!
//! For programs that look at what lies in a stream and then end. Beside each entry comes what a
//! hash says of it under its id. Here waiting is allowed, so it is not for the hot thread.

use std::{
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use super::{
    address::Address,
    dialog::Dialog,
    entries::{self, Fields},
    entry_id::{EntryId, ID_BYTES},
    faults,
    form::split,
    resp::{Item, Items},
};
use crate::{
    clock::Ticks,
    limits::{STREAM_PAGE_BYTES, STREAM_PAGE_ENTRIES},
    record::{ENTRY_ID, Headers, PartitionId, Record},
    transport::Trouble,
};

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries to reach it again.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads one stream to its end.
#[derive(Debug)]
pub struct StreamPages {
    peer: &'static str,
    address: Address,
    stream: String,
    /// The hash.
    beside: String,
    /// The field of an entry's value.
    field: &'static [u8],
    /// None until the server is reached again.
    dialog: Option<Dialog>,
    away_since: Option<Instant>,
    entries: u64,
    first: EntryId,
    last: EntryId,
    behind: EntryId,
    /// Entries read so far, and how many are asked for at once.
    number: i64,
    page: usize,
    headers: Vec<u8>,
}

impl StreamPages {
    /// Reaches the server within that time and finds the end of the stream. One that is not there
    /// has no entries. `None` if the flag became true first.
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or the key holds something else.
    pub fn open(
        peer: &'static str,
        (url, shown): (&str, &str),
        (stream, field, beside): (&str, &'static [u8], &str),
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<StreamPages>, Trouble> {
        let address = Address::of(peer, url, shown)?;
        let Some(mut dialog) = Dialog::open_unless(peer, &address, wait)? else { return Ok(None) };
        let len = dialog.require(&format!("XLEN {stream}"), &[b"XLEN", stream.as_bytes()])?;
        let len = Items::of(&len).integer().unwrap_or(0).unsigned_abs();
        let mut end = |command: &str, from: &[u8], to: &[u8]| {
            let words = [command.as_bytes(), stream.as_bytes(), from, to, b"COUNT", b"1"];
            let reply = dialog.require(&format!("{command} {stream}"), &words)?;
            let mut id = EntryId::ZERO;
            entries::visit(&mut Items::of(&reply), |it, _| id = it);
            Ok(id)
        };
        let (first, last) = (end("XRANGE", b"-", b"+")?, end("XREVRANGE", b"+", b"-")?);
        Ok(Some(StreamPages {
            peer,
            address,
            stream: stream.to_owned(),
            beside: beside.to_owned(),
            field,
            dialog: Some(dialog),
            away_since: None,
            entries: len,
            first,
            last,
            behind: EntryId::ZERO,
            number: 0,
            // How large entries are is not known yet.
            page: STREAM_PAGE_ENTRIES / 16,
            headers: Vec::new(),
        }))
    }

    /// Entries that it held when this was opened.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The oldest of them; `EntryId::ZERO` if there were none.
    pub fn first(&self) -> EntryId {
        self.first
    }

    /// True once everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.behind >= self.last
    }

    /// How much the hash holds.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or the key holds something else.
    pub fn held_beside(&mut self) -> Result<u64, Trouble> {
        let (what, key) = (format!("HLEN {}", self.beside), self.beside.clone());
        let reply = self.dialog()?.require(&what, &[b"HLEN", key.as_bytes()])?;
        Ok(Items::of(&reply).integer().unwrap_or(0).unsigned_abs())
    }

    /// Lends the entries of a page, in their order, and what the hash says of each. The offset of
    /// a record is its number among those that were lent; its id stands where a source puts it.
    /// A server that went away is reached again.
    ///
    /// # Errors
    ///
    /// If the stream cannot be read any more, or nothing answers for half a minute.
    pub fn read(
        &mut self,
        mut visit: impl FnMut(&Record<'_>, Option<&[u8]>),
    ) -> Result<(), Trouble> {
        match self.read_page() {
            Ok((page, held)) => {
                self.away_since = None;
                self.lend(&page, &held, &mut visit)
            }
            Err(trouble) => {
                self.dialog = None;
                let since = *self.away_since.get_or_insert_with(Instant::now);
                if !trouble.heals || since.elapsed() > PATIENCE {
                    return Err(trouble);
                }
                thread::park_timeout(PAUSE);
                Ok(())
            }
        }
    }

    fn dialog(&mut self) -> Result<&mut Dialog, Trouble> {
        Ok(match &mut self.dialog {
            Some(dialog) => dialog,
            none => none.insert(Dialog::open_patient(self.peer, &self.address)?),
        })
    }

    /// The next entries, and what the hash says of them, as the server has them.
    fn read_page(&mut self) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
        let (stream, beside) = (self.stream.clone(), self.beside.clone());
        let (from, to) = (format!("({}", self.behind), self.last.to_string());
        let count = self.page.to_string();
        let words = ["XRANGE", &stream, &from, &to, "COUNT", &count].map(str::as_bytes);
        let page = self.dialog()?.require(&format!("XRANGE {stream}"), &words)?;
        let mut ids = Vec::new();
        entries::visit(&mut Items::of(&page), |id, _| ids.push(id.to_string()));
        // Large entries come in small pages.
        self.page = match page.len() > STREAM_PAGE_BYTES {
            true => (self.page / 2).max(1),
            false => (self.page * 2).min(STREAM_PAGE_ENTRIES),
        };
        if ids.is_empty() {
            // The rest of it is gone meanwhile.
            self.last = self.behind;
            return Ok((page, b"*0\r\n".to_vec()));
        }
        let words =
            [b"HMGET", beside.as_bytes()].into_iter().chain(ids.iter().map(|it| it.as_bytes()));
        let words: Vec<&[u8]> = words.collect();
        let held = self.dialog()?.require(&format!("HMGET {beside}"), &words)?;
        Ok((page, held))
    }

    fn lend(
        &mut self,
        page: &[u8],
        held: &[u8],
        visit: &mut impl FnMut(&Record<'_>, Option<&[u8]>),
    ) -> Result<(), Trouble> {
        let StreamPages { stream, field, behind, number, headers, .. } = self;
        let mut held = Items::of(held);
        held.array();
        let seen = entries::visit(&mut Items::of(page), |id, Fields { items, words }| {
            headers.clear();
            Headers::push(headers, ENTRY_ID, Some(id.write(&mut [0; ID_BYTES])));
            let (key, value) = split(items, words, field, headers);
            let record = Record {
                partition: PartitionId(0),
                topic: stream,
                partition_number: 0,
                offset: *number,
                timestamp_ms: i64::try_from(id.ms).ok(),
                key,
                value,
                headers: Headers::from_bytes(headers),
                arrived: Ticks::default(),
            };
            let said = match held.next() {
                Some(Item::Bytes(said)) => Some(said),
                _ => None,
            };
            visit(&record, said);
            (*behind, *number) = (id, *number + 1);
        });
        let broken = || faults::lost(self.peer, &self.address, "what it says is no reply");
        seen.map(|_| ()).ok_or_else(broken)
    }
}

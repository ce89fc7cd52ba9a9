//! What comes into one stream from now on: no group, nothing acknowledged.
//!
//! For programs that listen to what others write. Here waiting is allowed, so it is not for the
//! hot thread.

use std::{sync::atomic::AtomicBool, thread, time::Duration};

use super::{address::Address, dialog::Dialog, entries, entry_id::EntryId, faults, resp::Items};
use crate::{
    clock::Clock,
    record::{Headers, PartitionId, Record},
    transport::Trouble,
};

/// Entries asked for at once.
const ENTRIES_AT_ONCE: &[u8] = b"1000";

/// Listens to one stream.
#[derive(Debug)]
pub struct StreamTail {
    peer: &'static str,
    address: Address,
    stream: String,
    /// None until the server is reached again.
    dialog: Option<Dialog>,
    behind: EntryId,
    headers: Vec<u8>,
}

impl StreamTail {
    /// Reaches the server within that time and finds the end of the stream, which need not be
    /// there; `None` if the flag became true first.
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or the key holds something else.
    pub fn open(
        peer: &'static str,
        (url, shown): (&str, &str),
        stream: &str,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<StreamTail>, Trouble> {
        let address = Address::of(peer, url, shown)?;
        let Some(mut dialog) = Dialog::open_unless(peer, &address, wait)? else { return Ok(None) };
        let words = [&b"XREVRANGE"[..], stream.as_bytes(), b"+", b"-", b"COUNT", b"1"];
        let reply = dialog.require(&format!("XREVRANGE {stream}"), &words)?;
        let mut behind = EntryId::ZERO;
        entries::visit(&mut Items::of(&reply), |id, _| behind = id);
        let (stream, dialog) = (stream.to_owned(), Some(dialog));
        Ok(Some(StreamTail { peer, address, stream, dialog, behind, headers: Vec::new() }))
    }

    /// Waits at most `wait` for an entry, and lends all that are there, in their order, with all
    /// their fields as headers. `arrived` is when they were taken, on that clock. A server that
    /// went away is reached again.
    ///
    /// # Errors
    ///
    /// If the stream cannot be read any more and that does not heal.
    pub fn read(
        &mut self,
        wait: Duration,
        clock: &impl Clock,
        visit: impl FnMut(&Record<'_>),
    ) -> Result<(), Trouble> {
        let read = self.read_once(wait, clock, visit);
        read.or_else(|trouble| {
            self.dialog = None;
            if !trouble.heals {
                return Err(trouble);
            }
            thread::park_timeout(wait);
            Ok(())
        })
    }

    fn read_once(
        &mut self,
        wait: Duration,
        clock: &impl Clock,
        mut visit: impl FnMut(&Record<'_>),
    ) -> Result<(), Trouble> {
        let dialog = match &mut self.dialog {
            Some(dialog) => dialog,
            none => none.insert(Dialog::open_patient(self.peer, &self.address)?),
        };
        // No time at all would be for ever.
        let wait_ms = wait.as_millis().max(1).to_string();
        let behind = self.behind.to_string();
        let stream = self.stream.as_bytes();
        let words = [&b"XREAD"[..], b"COUNT", ENTRIES_AT_ONCE, b"BLOCK", wait_ms.as_bytes()];
        let words = [&words[..], &[b"STREAMS", stream, behind.as_bytes()]].concat();
        let reply = dialog.require(&format!("XREAD {}", self.stream), &words)?;
        let arrived = clock.now();
        let StreamTail { stream, headers, behind, .. } = self;
        let seen = entries::visit_streams(&reply, |id, fields| {
            headers.clear();
            fields.for_each(|(name, value)| Headers::push(headers, name, Some(value)));
            *behind = id;
            visit(&Record {
                partition: PartitionId(0),
                topic: stream,
                partition_number: 0,
                offset: 0,
                timestamp_ms: i64::try_from(id.ms).ok(),
                key: None,
                value: None,
                headers: Headers::from_bytes(headers),
                arrived,
            });
        });
        let broken = || faults::lost(self.peer, &self.address, "what it says is no reply");
        seen.map(|_| ()).ok_or_else(broken)
    }
}

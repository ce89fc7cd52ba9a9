//! Entries that were delivered before: this consumer's own, and those of others that may be dead.
//!
//! How often an entry was delivered is asked for right before it is taken, over the same
//! connection. One that was delivered more often than it may be claimed is lent a last time,
//! marked, and the pipeline rejects it: what kills each worker that touches it must not go on for
//! ever. What comes again only because a connection broke is not held against it, and neither is
//! what is still in flight here after so long: it is kept before anything is claimed, which counts
//! as no delivery.

use super::{ENTRIES_AT_ONCE, Group, Told};
use crate::{
    clock::{Clock, Ticks},
    config::settings,
    record::PartitionId,
    transport::{
        SourceClaim,
        redis::{
            entry_id::{EntryId, ID_BYTES},
            replies::Asked,
            resp::{self, Items},
        },
    },
    verdict::Sentence,
};

/// When it claims, where it is, and what it knows of the next entries.
#[derive(Debug)]
pub(super) struct Claiming {
    interval_ticks: u64,
    claims_max: u64,
    due: Ticks,
    /// A round is under way: of that stream, from that id on.
    at: Option<(usize, EntryId)>,
    /// Ids and how often each was delivered, in order.
    counts: Vec<(EntryId, u64)>,
    /// They are of what is to be claimed next.
    is_counted: bool,
    /// Entries that the claim under way brought.
    claimed: u64,
    /// Own entries are those of a process before this one.
    is_start: bool,
}

impl Claiming {
    pub(super) fn new(settings: &settings::RedisSource, clock: &impl Clock) -> Claiming {
        let interval_ticks = clock.ticks(settings.claim_interval.as_nanos() as u64);
        Claiming {
            interval_ticks,
            claims_max: settings.max_claims,
            due: clock.now(),
            at: None,
            counts: Vec::with_capacity(ENTRIES_AT_ONCE as usize),
            is_counted: false,
            claimed: 0,
            is_start: true,
        }
    }

    /// What is to be claimed now, if anything.
    pub(super) fn next(&mut self, now: Ticks) -> Option<(usize, EntryId)> {
        if self.at.is_none() && now >= self.due {
            self.at = Some((0, EntryId::ZERO));
        }
        self.at
    }

    /// A round begins at its own time again.
    pub(super) fn begin_again(&mut self) {
        (self.at, self.is_counted, self.claimed) = (None, false, 0);
    }

    /// Own entries of a stream were read; whether of all.
    pub(super) fn own_read(&mut self, of_all: bool) {
        self.is_start &= !of_all;
    }

    /// Takes how often entries were delivered, own ones of before or those to be claimed.
    pub(super) fn take_counts(&mut self, reply: &[u8]) {
        self.is_counted = self.at.is_some();
        self.counts.clear();
        let mut items = Items::of(reply);
        for _ in 0..items.array().unwrap_or(0).min(self.counts.capacity()) {
            let (_, id, _) = (items.array(), items.bytes(), items.pass());
            let (_, deliveries) = (items.pass(), items.integer());
            let id = id.and_then(EntryId::parse);
            let deliveries = deliveries.and_then(|it| u64::try_from(it).ok());
            self.counts.extend(id.zip(deliveries));
        }
    }

    /// True if it is known how often what is to be claimed was delivered.
    pub(super) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// Those to be claimed, and others that are idle for almost as long.
    pub(super) fn counted(&self) -> impl Iterator<Item = EntryId> + Clone {
        self.counts.iter().map(|it| it.0)
    }

    /// How often an entry was delivered, if that was too often.
    pub(super) fn exhausted(&self, id: EntryId, is_claimed: bool) -> Option<u64> {
        if !is_claimed && !self.is_start {
            return None;
        }
        let at = self.counts.binary_search_by_key(&id, |it| it.0).ok()?;
        Some(self.counts[at].1).filter(|deliveries| *deliveries > self.claims_max)
    }

    /// An entry of that reply was lent.
    #[inline]
    pub(super) fn lent(&mut self, asked: Option<Asked>) {
        self.claimed += u64::from(matches!(asked, Some(Asked::Claim(_))));
    }

    /// What to say of a claim that is over.
    pub(super) fn take_claimed(&mut self, stream: usize, names: &[String]) -> Option<Told> {
        let entries = std::mem::take(&mut self.claimed);
        (entries > 0).then(|| {
            let text = Sentence::format(format_args!(
                "{}: {entries} entries were idle for longer than claim_idle and are claimed: \
                 whoever had them is slow, frozen or dead",
                names[stream]
            ));
            Told::Claimed(SourceClaim { partition: PartitionId(stream as u16), entries, text })
        })
    }

    /// Goes on behind a claim; true if it was the last of a round.
    pub(super) fn ends_round(&mut self, now: Ticks, cursor: EntryId, streams: usize) -> bool {
        self.is_counted = false;
        let Some((stream, _)) = self.at else { return false };
        self.at = match cursor {
            EntryId::ZERO if stream + 1 < streams => Some((stream + 1, EntryId::ZERO)),
            EntryId::ZERO => None,
            cursor => Some((stream, cursor)),
        };
        if self.at.is_none() {
            self.due = Ticks(now.0 + self.interval_ticks);
        }
        self.at.is_none()
    }
}

/// Asks for this consumer's entries of a stream behind that id, and how often each was delivered.
pub(super) fn ask_own(out: &mut Vec<u8>, group: &Group, stream: &str, behind: EntryId) {
    let mut text = [0; ID_BYTES];
    let behind = behind.write(&mut text);
    let mut exclusive = [b'('; 1 + ID_BYTES];
    exclusive[1..=behind.len()].copy_from_slice(behind);
    let (stream, exclusive) = (stream.as_bytes(), &exclusive[..=behind.len()]);
    resp::begin(out, 7);
    for word in [b"XPENDING", stream, group.name(), exclusive, b"+"] {
        resp::word(out, word);
    }
    resp::number(out, ENTRIES_AT_ONCE);
    resp::word(out, group.consumer());
    resp::begin(out, 9);
    for word in [&b"XREADGROUP"[..], b"GROUP", group.name(), group.consumer(), b"COUNT"] {
        resp::word(out, word);
    }
    resp::number(out, ENTRIES_AT_ONCE);
    for word in [b"STREAMS", stream, behind] {
        resp::word(out, word);
    }
}

/// So long must an entry be idle that its deliveries are asked for: some that are not idle for long
/// enough will be when they are claimed.
fn almost_idle_ms(group: &Group) -> u64 {
    group.claim_idle_ms() - group.claim_idle_ms() / 8
}

/// Asks how often entries of a stream were delivered that are to be claimed from that id on.
pub(super) fn ask_counts(out: &mut Vec<u8>, group: &Group, stream: &str, from: EntryId) {
    let mut text = [0; ID_BYTES];
    resp::begin(out, 8);
    for word in [b"XPENDING", stream.as_bytes(), group.name(), b"IDLE"] {
        resp::word(out, word);
    }
    resp::number(out, almost_idle_ms(group));
    for word in [from.write(&mut text), b"+"] {
        resp::word(out, word);
    }
    resp::number(out, ENTRIES_AT_ONCE);
}

/// Keeps entries that are in flight here: they are not idle any more, and no delivery is counted.
/// What others claimed meanwhile stays theirs.
pub(super) fn keep(
    out: &mut Vec<u8>,
    group: &Group,
    stream: &str,
    ids: impl Iterator<Item = EntryId> + Clone,
) {
    resp::begin(out, 6 + ids.clone().count());
    for word in [b"XCLAIM", stream.as_bytes(), group.name(), group.consumer()] {
        resp::word(out, word);
    }
    resp::number(out, almost_idle_ms(group));
    ids.for_each(|id| resp::word(out, id.write(&mut [0; ID_BYTES])));
    resp::word(out, b"JUSTID");
}

/// Claims entries of a stream from that id on.
pub(super) fn ask_claim(out: &mut Vec<u8>, group: &Group, stream: &str, from: EntryId) {
    let mut text = [0; ID_BYTES];
    let (stream, from) = (stream.as_bytes(), from.write(&mut text));
    resp::begin(out, 8);
    for word in [b"XAUTOCLAIM", stream, group.name(), group.consumer()] {
        resp::word(out, word);
    }
    resp::number(out, group.claim_idle_ms());
    for word in [from, b"COUNT"] {
        resp::word(out, word);
    }
    resp::number(out, ENTRIES_AT_ONCE);
}

//! What is done before records come and after: the group is made, the consumer goes.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Acking, BATCHES_AHEAD, Claiming, ENTRIES_AHEAD, EVENTS_MAX, PEER, RedisSource, Told};
use crate::{
    clock::{Clock, TscClock},
    config::settings::{self, StreamStart},
    limits::{ENTRIES_UNACKED_MAX, STREAMS_MAX},
    record::PartitionId,
    transport::{
        Trouble,
        redis::{
            address::Address,
            channel::{Channel, Plan},
            connector::Prepare,
            dialog::Dialog,
            entry_id::EntryId,
            form::Shaper,
            replies::Replies,
            resp::{self, Items},
            staged::Staging,
            unacked::Unacked,
        },
    },
};

/// Bytes of replies that the reading connection keeps, where entries are not larger.
pub(in crate::transport::redis) const INPUT_BYTES: usize = 1 << 20;

/// Bytes that requests start with room for.
pub(in crate::transport::redis) const REQUEST_BYTES: usize = 64 << 10;

/// Removes the consumers that have nothing pending and were not heard of for so long, except one;
/// or, if that time is negative, only that one. A client that looked first would lose what is
/// delivered between its look and its removal; on the server nothing comes between.
pub(super) const REMOVE_CONSUMERS: &[u8] = b"\
local removed = 0
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local it = {}
  for at = 1, #info, 2 do it[info[at]] = info[at + 1] end
  local is_own, idle = it['name'] == ARGV[2], tonumber(ARGV[3])
  local is_meant = idle < 0 and is_own or idle >= 0 and not is_own and it['idle'] >= idle
  if is_meant and it['pending'] == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], it['name'])
    removed = removed + 1
  end
end
return removed";

/// The group and who we are in it.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    consumer: String,
    claim_idle_ms: u64,
    is_made_anew: bool,
    /// It was, and nobody was told yet.
    was_made_anew: AtomicBool,
}

impl Group {
    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    pub(super) fn consumer(&self) -> &[u8] {
        self.consumer.as_bytes()
    }

    pub(super) fn claim_idle_ms(&self) -> u64 {
        self.claim_idle_ms
    }

    /// One that is gone is made anew, and does not end the run.
    pub(super) fn is_made_anew(&self) -> bool {
        self.is_made_anew
    }

    pub(super) fn take_made_anew(&self) -> bool {
        self.was_made_anew.swap(false, Ordering::AcqRel)
    }

    /// Makes the group of a stream, and the stream if it is not there; true if it was not.
    fn make(&self, dialog: &mut Dialog, stream: &str, from: &str) -> Result<bool, Trouble> {
        let words =
            ["XGROUP", "CREATE", stream, &self.name, from, "MKSTREAM"].map(|it| it.as_bytes());
        match dialog.ask(&words)? {
            Ok(_) => Ok(true),
            Err(error) if error.starts_with(b"BUSYGROUP") => Ok(false),
            Err(error) => dialog.refused(&format!("XGROUP CREATE {stream}"), &error),
        }
    }

    /// Takes the consumer out of the group where nothing is pending for it, in bounded time.
    pub(super) fn leave(&self, address: &Address, streams: &[String]) {
        let Ok(mut dialog) = Dialog::open(PEER, address) else { return };
        for stream in streams {
            let words = [
                &b"EVAL"[..],
                REMOVE_CONSUMERS,
                b"1",
                stream.as_bytes(),
                self.name(),
                self.consumer(),
                b"-1",
            ];
            // One that stays is removed by others later.
            if dialog.ask(&words).is_err() {
                return;
            }
        }
    }
}

/// What a source of streams is made of.
#[derive(Debug)]
pub struct RedisSourcePlan<'a> {
    /// What `[source.redis]` says.
    pub settings: &'a settings::RedisSource,
    /// The streams.
    pub streams: &'a [String],
    /// The consumer group.
    pub group: &'a str,
    /// Entries asked for at once.
    pub batch: usize,
    /// When entries are acknowledged.
    pub way: Way,
}

/// What a source takes at the start and never exceeds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries that are lent and not acknowledged.
    pub entries: usize,
    /// Bytes of replies that each connection keeps, where entries are not larger.
    pub input_bytes: usize,
}

impl Bounds {
    /// Those of a run.
    pub const OF_A_RUN: Bounds = Bounds { entries: ENTRIES_UNACKED_MAX, input_bytes: INPUT_BYTES };
}

/// When entries are acknowledged.
#[derive(Clone, Debug)]
pub enum Way {
    /// At most once: before they are processed.
    Ahead,
    /// At least once: after their results were.
    Behind,
    /// Exactly once: with them, which wait here.
    Together(Arc<Staging>),
}

impl RedisSource {
    /// Connects, makes the group where there is none, and waits for the server no longer than that
    /// and until the flag is true: then `None`. Threads that this starts inherit the calling
    /// thread's affinity.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached in time, or will never do.
    pub fn open(
        plan: &RedisSourcePlan<'_>,
        clock: TscClock,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<RedisSource>, Trouble> {
        let settings = plan.settings;
        let fault = |text: String| Trouble {
            peer: PEER,
            code: "ERR",
            text: text.as_str().into(),
            heals: false,
        };
        let address = Address::parse(&settings.url, &settings.shown).map_err(fault)?;
        RedisSource::open_at(plan, (address, Bounds::OF_A_RUN), clock, wait)
    }
}

impl<C: Clock + Clone> RedisSource<C> {
    /// The same with a clock of any kind and other bounds, at an address other than the plan's.
    ///
    /// # Errors
    ///
    /// As `open`.
    pub fn open_at(
        plan: &RedisSourcePlan<'_>,
        (address, bounds): (Address, Bounds),
        clock: C,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<RedisSource<C>>, Trouble> {
        let RedisSourcePlan { settings, streams, group, batch, .. } = *plan;
        assert!(streams.len() <= STREAMS_MAX, "the configuration was checked");
        let group = Arc::new(Group {
            name: group.to_owned(),
            consumer: settings.consumer.clone(),
            claim_idle_ms: settings.claim_idle.as_millis() as u64,
            is_made_anew: settings.makes_group_anew,
            was_made_anew: AtomicBool::new(false),
        });
        let prepare = prepare(&group, streams, settings.start);
        let channel = |prepare| Plan {
            peer: PEER,
            address: address.clone(),
            prepare,
            clock: clock.clone(),
            input_bytes: bounds.input_bytes,
        };
        let Some(reading) = Channel::open(channel(prepare), wait)? else { return Ok(None) };
        let Some(acking) = Channel::open(channel(ping()), wait)? else { return Ok(None) };
        let mut events = VecDeque::with_capacity(2 * EVENTS_MAX);
        events.push_back(Told::Assigned);
        Ok(Some(RedisSource {
            streams: streams.to_vec(),
            partitions: (0..streams.len() as u16).map(PartitionId).collect(),
            shaper: Shaper::new(settings),
            batch: batch as u64,
            is_behind: false,
            batch_ahead: (ENTRIES_AHEAD / streams.len() as u64)
                .clamp(batch as u64, BATCHES_AHEAD * batch as u64),
            claiming: Claiming::new(settings, &clock),
            acking: Acking::new(acking, settings, plan.way.clone(), bounds.entries),
            staging: match &plan.way {
                Way::Together(staging) => Some(Arc::clone(staging)),
                Way::Ahead | Way::Behind => None,
            },
            reading,
            replies: Replies::new(),
            requests: Vec::with_capacity(REQUEST_BYTES),
            written: 0,
            own: Some((0, EntryId::ZERO)),
            unacked: Unacked::new(streams.len(), bounds.entries),
            has_snapshot: false,
            gone: 0,
            group,
            events,
            was_polled: false,
            is_failed: false,
            is_closed: false,
        }))
    }
}

/// Asks for entries that nobody had; where there are none, the server waits for some as long as it
/// is told to.
pub(super) fn ask_new(
    out: &mut Vec<u8>,
    group: &Group,
    streams: &[String],
    count: u64,
    block_ms: Option<u64>,
) {
    resp::begin(out, 7 + 2 * usize::from(block_ms.is_some()) + 2 * streams.len());
    for word in [&b"XREADGROUP"[..], b"GROUP", group.name(), group.consumer(), b"COUNT"] {
        resp::word(out, word);
    }
    resp::number(out, count);
    if let Some(block_ms) = block_ms {
        resp::word(out, b"BLOCK");
        resp::number(out, block_ms);
    }
    resp::word(out, b"STREAMS");
    streams.iter().for_each(|it| resp::word(out, it.as_bytes()));
    streams.iter().for_each(|_| resp::word(out, b">"));
}

/// What is done with each new connection that reads.
fn prepare(group: &Arc<Group>, streams: &[String], start: StreamStart) -> Prepare {
    let (group, streams) = (Arc::clone(group), streams.to_vec());
    let (mut is_first, mut last) = (true, None);
    Box::new(move |dialog| {
        dialog.require("PING", &[b"PING"])?;
        if let Some(last) = &last {
            end_last(dialog, last)?;
        }
        last = dialog.ask(&[b"CLIENT", b"INFO"])?.ok().and_then(|it| identity(&it));
        if !is_first && !group.is_made_anew {
            // A group that is gone is found out by the first read.
            return Ok(());
        }
        let from = if is_first { first_id(start, dialog)? } else { "0".to_owned() };
        for stream in &streams {
            let is_new = group.make(dialog, stream, &from)?;
            if is_new && !is_first {
                group.was_made_anew.store(true, Ordering::Release);
            }
        }
        is_first = false;
        Ok(())
    })
}

/// Number and address of this client as the server has them. Nothing is known if it is an old one,
/// or does not let us ask.
fn identity(info: &[u8]) -> Option<[String; 2]> {
    let text = std::str::from_utf8(Items::of(info).bytes()?).ok()?;
    let field = |name| text.split_whitespace().find_map(|it| it.strip_prefix(name));
    Some([field("id=")?.to_owned(), field("addr=")?.to_owned()])
}

/// Ends the last connection at the server, which may not know yet that it is lost: entries that it
/// gave to that one later would lie with nobody until they are idle for long enough. Only one of
/// that number and from that address is meant: a server that was restarted counts anew.
fn end_last(dialog: &mut Dialog, [number, address]: &[String; 2]) -> Result<(), Trouble> {
    let words = ["CLIENT", "KILL", "ID", number, "ADDR", address].map(str::as_bytes);
    // One that does not let us has the entries claimed.
    dialog.ask(&words).map(|_| ())
}

/// A server that is still loading says so.
pub(in crate::transport::redis) fn ping() -> Prepare {
    Box::new(|dialog| dialog.require("PING", &[b"PING"]).map(|_| ()))
}

/// The id behind which a new group begins.
fn first_id(start: StreamStart, dialog: &mut Dialog) -> Result<String, Trouble> {
    let from = |ms: u64| EntryId { ms, number: 0 }.before().to_string();
    Ok(match start {
        StreamStart::Earliest => "0".to_owned(),
        StreamStart::Latest => "$".to_owned(),
        StreamStart::Id(ms, number) => EntryId { ms, number }.before().to_string(),
        StreamStart::Time(ms) => from(u64::try_from(ms).unwrap_or(0)),
        StreamStart::Age(age) => from(server_ms(dialog)?.saturating_sub(age.as_millis() as u64)),
    })
}

/// The time by the server's clock, which makes the ids.
pub(in crate::transport::redis) fn server_ms(dialog: &mut Dialog) -> Result<u64, Trouble> {
    let reply = dialog.require("TIME", &[b"TIME"])?;
    let mut items = Items::of(&reply);
    let seconds = items.array().and(items.bytes()).and_then(resp::unsigned);
    Ok(seconds.map_or_else(wall_ms, |it| it * 1000))
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

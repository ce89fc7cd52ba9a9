//! Where each stream begins and ends, before records come.

use std::{collections::VecDeque, sync::atomic::AtomicBool, time::Duration};

use super::{
    Channel, EVENTS_MAX, Ending, EntryId, Facts, Keeper, Looking, PEER, Place, PlainSource,
    Position, Replies, Shaper, Told, Unacked,
};
use crate::{
    clock::TscClock,
    config::{
        range::{self, Point, Range},
        settings::{self, Start, StreamStart},
    },
    limits::{ENTRIES_UNACKED_MAX, STREAMS_MAX},
    record::PartitionId,
    transport::{
        Trouble,
        redis::{
            address::Address,
            channel::Plan,
            dialog::Dialog,
            positions::PositionFile,
            source::{INPUT_BYTES, REQUEST_BYTES, ping, server_ms},
        },
    },
    verdict::Sentence,
};

/// What a source without a group is made of.
#[derive(Debug)]
pub struct PlainSourcePlan<'a> {
    /// What `[source.redis]` says.
    pub settings: &'a settings::RedisSource,
    /// The streams.
    pub streams: &'a [String],
    /// Entries asked for at once.
    pub batch: usize,
    /// What says where it begins and ends.
    pub extent: Extent<'a>,
}

/// What says where it begins and ends.
#[derive(Debug)]
pub enum Extent<'a> {
    /// Positions in a file, else `start`; it does not end.
    Kept(PositionFile),
    /// The options of a run, else `start`; nothing is remembered.
    Range(&'a Range),
}

impl PlainSource {
    /// Connects, and waits for the server no longer than that and until the flag is true: then
    /// `None`. Where positions are kept, those from which it begins are in the file afterwards.
    /// Threads that this starts inherit the calling thread's affinity.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached in time, or will never be, or the file cannot be written.
    pub fn open(
        plan: PlainSourcePlan<'_>,
        clock: TscClock,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<PlainSource>, Trouble> {
        let PlainSourcePlan { settings, streams, batch, extent } = plan;
        assert!(streams.len() <= STREAMS_MAX, "the configuration was checked");
        let fault = |text: String| Trouble {
            peer: PEER,
            code: "ERR",
            text: text.as_str().into(),
            heals: false,
        };
        let address = Address::parse(&settings.url, &settings.shown).map_err(fault)?;
        let channel = Plan {
            peer: PEER,
            address: address.clone(),
            prepare: ping(),
            clock: clock.clone(),
            input_bytes: INPUT_BYTES,
        };
        let Some(reading) = Channel::open(channel, wait)? else { return Ok(None) };
        let mut surveyor = Surveyor { dialog: Dialog::open(PEER, &address)?, now_ms: None };
        let mut events = VecDeque::with_capacity(2 * EVENTS_MAX);
        events.push_back(Told::Assigned);
        let is_kept = matches!(extent, Extent::Kept(_));
        let (places, keeper, ending) = match extent {
            Extent::Kept(file) => {
                events.extend(goes_on(&file));
                let places = surveyor.kept(settings, streams, &file)?;
                let position = |it: &Place| Position {
                    behind: it.behind,
                    passed: it.passed.and_then(|it| u64::try_from(it).ok()),
                };
                let positions = places.iter().map(position).collect();
                (places, Some(Keeper::start(PEER, file, positions)?), None)
            }
            Extent::Range(range) => {
                let places = surveyor.range(settings, streams, range)?;
                let left = places.iter().filter(|it| !it.is_done).count();
                (places, None, range.until.as_ref().map(|_| Ending { left, next: 0 }))
            }
        };
        Ok(Some(PlainSource {
            streams: streams.to_vec(),
            partitions: (0..streams.len() as u16).map(PartitionId).collect(),
            places,
            shaper: Shaper::new(settings),
            batch: batch as u64,
            reading,
            replies: Replies::new(),
            requests: Vec::with_capacity(REQUEST_BYTES),
            written: 0,
            ending,
            looking: Looking::new(&clock, streams.len(), is_kept),
            is_astray: false,
            unacked: Unacked::new(streams.len(), ENTRIES_UNACKED_MAX),
            keeper,
            ticket: None,
            committing: Vec::with_capacity(STREAMS_MAX),
            is_sent: false,
            is_stale: false,
            events,
            was_polled: false,
            is_failed: false,
            is_closed: false,
        }))
    }
}

/// Says so where positions were found.
fn goes_on(file: &PositionFile) -> Option<Told> {
    let (all, known) = (file.found().len(), file.found().iter().flatten().count());
    (known > 0).then(|| {
        let text = Sentence::format(format_args!(
            "{known} of {all} streams go on where {} says",
            file.path().display()
        ));
        Told::Notice { event: "positions.found", text, alarming: false }
    })
}

/// Finds out where streams begin and end.
struct Surveyor {
    dialog: Dialog,
    /// The server's time, once it was asked for.
    now_ms: Option<u64>,
}

impl Surveyor {
    fn kept(
        &mut self,
        settings: &settings::RedisSource,
        streams: &[String],
        file: &PositionFile,
    ) -> Result<Vec<Place>, Trouble> {
        let place = |(stream, found): (&String, &Option<Position>)| {
            let Position { behind, passed } = match found {
                Some(position) => *position,
                None => {
                    let facts = self.facts(stream)?;
                    let behind = self.behind(settings.start, &facts)?;
                    Position { behind, passed: facts.passed(behind) }
                }
            };
            let passed = passed.and_then(|it| i64::try_from(it).ok());
            Ok(Place { behind, last: EntryId::ZERO, is_done: false, passed })
        };
        streams.iter().zip(file.found()).map(place).collect()
    }

    fn range(
        &mut self,
        settings: &settings::RedisSource,
        streams: &[String],
        range: &Range,
    ) -> Result<Vec<Place>, Trouble> {
        let place = |stream: &String| {
            let facts = self.facts(stream)?;
            let from = range.from.as_ref().and_then(|it| start_of(it, stream));
            let behind = self.behind(from.unwrap_or(settings.start), &facts)?;
            let last = match &range.until {
                None => EntryId::ZERO,
                // Of streams without an end of their own, where others have one, nothing is taken.
                Some(until) => match start_of(until, stream) {
                    Some(until) => self.behind(until, &facts)?.min(facts.last),
                    None => EntryId::ZERO,
                },
            };
            Ok(Place { behind, last, is_done: last <= behind, passed: None })
        };
        streams.iter().map(place).collect()
    }

    fn facts(&mut self, stream: &str) -> Result<Facts, Trouble> {
        let what = format!("XINFO STREAM {stream}");
        match self.dialog.ask(&[b"XINFO", b"STREAM", stream.as_bytes()])? {
            Ok(reply) => Ok(Facts::parse(&reply).unwrap_or_default()),
            Err(error) if Facts::is_absence(&error) => Ok(Facts::ABSENT),
            Err(error) => self.dialog.refused(&what, &error),
        }
    }

    /// The id behind which that start is.
    fn behind(&mut self, start: StreamStart, facts: &Facts) -> Result<EntryId, Trouble> {
        let of_ms = |ms: u64| EntryId { ms, number: 0 }.before();
        Ok(match start {
            StreamStart::Earliest => EntryId::ZERO,
            StreamStart::Latest => facts.last,
            StreamStart::Id(ms, number) => EntryId { ms, number }.before(),
            StreamStart::Time(ms) => of_ms(u64::try_from(ms).unwrap_or(0)),
            StreamStart::Age(age) => {
                let now_ms = match self.now_ms {
                    Some(now_ms) => now_ms,
                    None => *self.now_ms.insert(server_ms(&mut self.dialog)?),
                };
                of_ms(now_ms.saturating_sub(age.as_millis() as u64))
            }
        })
    }
}

/// What a point means for a stream; `None` if it is of others.
fn start_of(point: &Point, stream: &str) -> Option<StreamStart> {
    match &point.place {
        range::Place::Everywhere(start) => Some(match *start {
            Start::Earliest => StreamStart::Earliest,
            Start::Latest => StreamStart::Latest,
            Start::Time(ms) => StreamStart::Time(ms),
            Start::Age(age) => StreamStart::Age(age),
        }),
        range::Place::Entries(entries) => {
            let entry = entries.iter().find(|it| it.stream == stream)?;
            Some(StreamStart::Id(entry.ms, entry.number))
        }
        range::Place::Offsets(_) => None,
    }
}

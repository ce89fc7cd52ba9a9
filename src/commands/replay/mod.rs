//! `replay`: dead letters sent through once more, each exactly once.
//!
//! # What decides
//!
//! Every letter that is replayed is recorded under its own topic, partition and offset in
//! `<dead letters>.replayed`, in one transaction with its copy. Before anything is copied, all that
//! was ever recorded is read, and a letter that is among it is never copied again, whatever filters
//! chose it then or choose it now. That record alone decides. Each replay reads the letters from
//! the beginning: one that an earlier replay passed over (a filter, the loop guard, a stop) is not
//! recorded, so it is there for a later one with other filters.
//!
//! The group `<group>.replay` decides nothing. Its offsets are written in the same transactions, so
//! that the tools that everybody has show how far replays have come: in each partition it stands
//! before the first letter that has not been replayed.
//!
//! In a Redis there is a hash of that name, the letter's entry id under which it is recorded, and
//! one script a letter instead of the transaction; a group of its own there is none.
//!
//! # What can go wrong
//!
//! A kill at any moment leaves a transaction that is there as a whole or not at all. The id under
//! which transactions are written belongs to the dead letters' topic and never changes: a replay
//! that begins ends what an earlier one left open, shuts out one that still runs, and only then
//! reads what is recorded. So of two at the same time the older one stops, and nothing is doubled.
//! The script looks for itself whether a letter is recorded: of two at the same time each letter is
//! of whoever comes first.

mod batch;
mod course;
mod fate;
mod filter;
mod target;
mod writer;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    Exit, Failure, Outcome,
    letters::{Letters, PEER, failure, parse_class},
    print,
    signals::SignalActions,
};
use crate::{
    config::{Loaded, Settings, units},
    delivery::dead_letter::replayed,
    transport::{
        kafka::{AtomicWriter, KafkaAdmin, NewTopic, NotWritten},
        redis::{OnceWriter, RedisAdmin},
    },
};

use course::Course;
use target::{Admin, Target};
use writer::Writer;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What was replayed is recorded in the topic <dead letters>.replayed (in a Redis a \
    hash of that name), as one with its copy: no letter is copied twice, whatever filters are \
    given, and a replay that was interrupted goes on where it was. Letters that are passed over \
    stay."
)]
pub struct Arguments {
    /// Where to: `source`, the topic each came from; `pipeline`, through the steps here to the
    /// sink; or a topic or stream
    #[arg(long, value_name = "source|pipeline|TOPIC", default_value = "source")]
    pub to: String,
    /// Only letters of that class; may be given again
    #[arg(long = "class", value_name = "C", value_parser = parse_class)]
    pub classes: Vec<String>,
    /// Only letters of that step: its name, else its number from 1, or parse, encode, sink
    #[arg(long, value_name = "S")]
    pub step: Option<String>,
    /// Only letters of that time or later: RFC 3339, or an age such as 2h
    #[arg(long, value_name = "T", value_parser = units::parse_moment)]
    pub since: Option<i64>,
    /// Only letters before that time
    #[arg(long, value_name = "T", value_parser = units::parse_moment)]
    pub until: Option<i64>,
    /// Only records that came from a partition of that number; may be given again
    #[arg(long = "partition", value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    pub partitions: Vec<i32>,
    /// Ends after so many
    #[arg(long, value_name = "N", value_parser = units::parse_count)]
    pub max_records: Option<u64>,
    /// Letters that were replayed so often are passed over
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_replays: u32,
    /// Letters per second, open loop
    #[arg(long, value_name = "N", value_parser = units::parse_rate)]
    pub rate: Option<u64>,
    /// Says what would be done, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the command.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> Outcome {
    let settings = &loaded.settings;
    let signals =
        SignalActions::listen().map_err(|it| Failure::unavailable(format!("signals: {it}")))?;
    let stop = Arc::clone(signals.stop_flag());
    let prepared = prepare(loaded, arguments, &stop);
    if prepared.is_err() && stop.load(Ordering::Acquire) {
        tracing::info!(event = "replay.stopped", "told to end before anything was done");
        return Ok(Exit::Done);
    }
    let (target, writer, letters, replayed) = prepared?;
    announce(settings, arguments, replayed);
    let mut course = Course::new(settings, arguments, target, writer, stop);
    let ended = course.follow(letters);
    print(&course.to_text())?;
    ended?;
    Ok(if course.has_failures() { Exit::False } else { Exit::Done })
}

/// From connecting to the first letter.
fn prepare(
    loaded: &Loaded,
    arguments: &Arguments,
    stop: &AtomicBool,
) -> Result<(Target, Writer, Letters, u64), Failure> {
    let settings = &loaded.settings;
    // First, so that a topic that is not there is told before anything is made or shut out.
    drop(Letters::open(settings, stop)?);
    let target = Target::open(loaded, arguments, connect(settings, stop)?, stop)?;
    let mut writer = match (arguments.dry_run, target.admin()) {
        (true, _) => Writer::Nothing,
        (false, Admin::Topics(admin)) => begin_transactions(settings, admin, stop)?,
        (false, Admin::Streams(_)) => Writer::Streams(begin_scripts(settings)?),
    };
    // In this order: what is recorded is complete once nobody else can write, and letters that
    // come from now on are of a later replay.
    let mut letters = Letters::open(settings, stop)?;
    if let (Writer::Streams(writer), Some(first)) = (&mut writer, letters.first_entry()) {
        // What is recorded of letters that were trimmed is of no more use.
        let hash = replayed::topic_of(&settings.dead_letters.topic);
        writer.forget_before(&hash, first).map_err(failure)?;
    }
    let replayed = letters.learn_replayed(settings, stop)?;
    Ok((target, writer, letters, replayed))
}

fn announce(settings: &Settings, arguments: &Arguments, replayed: u64) {
    tracing::info!(
        event = "replay.starting",
        dead_letters = settings.dead_letters.topic,
        to = arguments.to,
        replayed_before = replayed,
        dry_run = arguments.dry_run
    );
}

fn connect(settings: &Settings, stop: &AtomicBool) -> Result<Admin, Failure> {
    let wait = (settings.engine.start_timeout, stop);
    if let Some(source) = &settings.streams.source {
        let admin = RedisAdmin::connect_unless(PEER, (&source.url, &source.shown), wait);
        let admin = admin.map_err(failure)?;
        return admin.map(Admin::Streams).ok_or_else(|| Failure::unavailable("told to end"));
    }
    let client = &settings.dead_letters.client;
    KafkaAdmin::connect_unless(PEER, client, wait.0, stop).map(Admin::Topics).map_err(failure)
}

fn begin_scripts(settings: &Settings) -> Result<OnceWriter, Failure> {
    let source = settings.streams.source.as_ref();
    let place = source.map(|it| (it.url.as_str(), it.shown.as_str())).unwrap_or_default();
    OnceWriter::connect(PEER, place).map_err(failure)
}

/// Makes the topic of what is recorded, if it is not there, and becomes the one that writes.
fn begin_transactions(
    settings: &Settings,
    admin: &KafkaAdmin,
    stop: &AtomicBool,
) -> Result<Writer, Failure> {
    let dead = &settings.dead_letters;
    let name = replayed::topic_of(&dead.topic);
    if admin.partitions(&name).map_err(failure)?.is_none() {
        let name = name.clone();
        let topic = NewTopic { name, partitions: 1, replication: None, is_compacted: true };
        admin.create_topic(&topic).map_err(failure)?;
        admin.await_topic(&topic.name).map_err(failure)?;
    } else if admin.is_compacted(&name) == Some(false) {
        return Err(Failure::unavailable(format!(
            "dead_letters: topic {name:?} is not compacted, so what is recorded in it would be \
             forgotten and letters copied again: give it cleanup.policy=compact"
        )));
    }
    let id = format!("{}.replay", dead.topic);
    let group = format!("{}.replay", settings.source.group);
    let wait = (settings.engine.start_timeout, stop);
    let mut writer = AtomicWriter::open(PEER, &dead.client, (&id, &group), wait).map_err(failed)?;
    let records = writer.destination(&name).map_err(failure)?;
    Ok(Writer::Topics(writer, records))
}

/// The sentence and status of a transaction that did not come about.
fn failed(failed: NotWritten) -> Failure {
    match failed {
        NotWritten::Trouble(trouble) => failure(trouble),
        NotWritten::Refused(refusal) => Failure::unavailable(format!(
            "{PEER}: the broker refuses what would be written: {}",
            refusal.code
        )),
        NotWritten::Fenced => Failure::unavailable(
            "another `hotspur replay` of these dead letters has begun (or the broker gave up a \
             transaction that took too long): this one ends. What it had not committed is left to \
             the next, and nothing is copied twice",
        ),
    }
}

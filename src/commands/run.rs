//! `run`: the pipeline, until a signal or the end that it was told.

use std::{sync::Arc, time::Duration};

use super::{Exit, Failure, Outcome, print, progress::LoadProgress, signals::SignalActions};
use crate::{
    assemble::{self, Finished, LoadedTables, Machine, Running, StartError},
    cache::TableStatus,
    config::{
        Loaded, Settings,
        range::{Point, Range},
        settings::Guarantee,
        units,
    },
    engine::{Cause, Ending, breaker::Opened},
    observe::Summary,
    pipeline::Pipeline,
    transport::restore::STATE_CHANGED,
    verdict::{RejectClass, SkipClass},
};

/// Tables that have a line each at the start.
const TABLES_TOLD_MAX: usize = 4;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Starts there, not where the group is: earliest, latest, a time (2026-11-21T05:37:00Z), an
    /// age (1h), or topic:partition:offset, which may be given again for other partitions. The same
    /// group started with the same --from goes on where it was. Redis Streams (stream:id) are read
    /// without a group then, and nothing is remembered
    #[arg(long, value_name = "P")]
    pub from: Vec<String>,
    /// Takes nothing from there on, and ends when all before it is done; of Kafka it wants a group
    /// of its own.
    /// latest is the end as it is at the start; of partitions without an offset of their own,
    /// where others have one, nothing is taken
    #[arg(long, value_name = "P")]
    pub until: Vec<String>,
    /// The consumer group, instead of the file's
    #[arg(long)]
    pub group: Option<String>,
    /// Forgets the state of steps that were changed, or are not there any more, since it was
    /// written; without this such a run stops. In this run only
    #[arg(long)]
    pub reset_state: bool,
}

impl Arguments {
    /// What they set in the configuration, as `-s` would.
    pub fn sets(&self) -> impl Iterator<Item = String> {
        self.group.iter().map(|group| format!("source.kafka.group={group}"))
    }

    /// With Redis Streams a range is read without a group, and a group stands elsewhere.
    ///
    /// # Errors
    ///
    /// If a group is named that would not be used, or acknowledgements are asked for that nobody
    /// gives.
    pub fn fit_streams(&self, settings: &mut Settings) -> Result<(), Failure> {
        let Some(source) = &settings.streams.source else { return Ok(()) };
        let is_range = !self.from.is_empty() || !self.until.is_empty();
        let why = match (is_range, &source.positions) {
            (true, _) => Some("with --from or --until"),
            (false, Some(_)) => Some("with source.redis.positions"),
            (false, None) => None,
        };
        if let (Some(group), Some(why)) = (&self.group, why) {
            return Err(Failure::usage(format!(
                "--group {group}: {why} streams are read without a group; take it out"
            )));
        }
        if is_range && settings.delivery.guarantee == Guarantee::ExactlyOnce {
            let text = "--from and --until read streams without a group, and exactly-once ties \
                        results to acknowledgements in one; add -s \
                        delivery.guarantee=at-least-once";
            return Err(Failure::usage(text.to_owned()));
        }
        if let Some(group) = &self.group {
            settings.source.group.clone_from(group);
        }
        Ok(())
    }

    /// What is to be read.
    ///
    /// # Errors
    ///
    /// If that is no point, or an end has no group of its own where it wants one.
    pub fn range(&self, settings: &Settings) -> Result<Range, Failure> {
        let (source, is_of_streams) = (&settings.source, settings.streams.source.is_some());
        let point = |option: &str, words| {
            let parsed = match is_of_streams {
                true => Point::parse_of_streams(words),
                false => Point::parse(words),
            };
            parsed.map_err(|it| Failure::usage(format!("{option}: {it}")))
        };
        let from = point("--from", &self.from)?;
        let until = point("--until", &self.until)?;
        if until.is_some() && self.group.is_none() && !is_of_streams {
            let group = &source.group;
            return Err(Failure::usage(format!(
                "--until wants a group of its own, or {group} would stand where this run ends: \
                 add --group, such as --group {group}-rerun"
            )));
        }
        let range = Range { from, until, is_group_named: self.group.is_some() };
        match range.problem(&source.topics) {
            Some(problem) => Err(Failure::usage(problem)),
            None => Ok(range),
        }
    }
}

/// Runs the command.
pub fn run(loaded: &Loaded) -> Outcome {
    let settings = &loaded.settings;
    let pipeline = assemble::compile(settings).map_err(|error| failure(error, Some(loaded)))?;
    let machine = Machine::prepare(&settings.engine).map_err(|it| failure(it, Some(loaded)))?;
    let signals = SignalActions::listen().map_err(|it| failure(it.into(), None))?;
    tracing::info!(
        event = "run.starting",
        name = settings.name,
        instance = settings.instance,
        profile = settings.profile,
        configuration = %loaded.file.display(),
        version = env!("CARGO_PKG_VERSION")
    );
    let running =
        match launch(loaded, &machine, pipeline, &signals, &settings.source.client.brokers) {
            Err(StartError::Stopped) => return Ok(stopped_early()),
            running => running.map_err(|error| failure(error, Some(loaded)))?,
        };
    let finished = conclude(running)?;
    outcome(&finished.ending, settings.delivery.guarantee)
}

/// Somebody asked for the end during the start: nothing was in flight, all is done as asked.
pub(super) fn stopped_early() -> Exit {
    tracing::info!(event = "run.stopped", "told to end before the start was complete");
    Exit::Done
}

/// From connecting to the hot thread's first turn, with log lines on the way. `broker` is in words,
/// for who reads the files.
pub(super) fn launch(
    loaded: &Loaded,
    machine: &Machine,
    pipeline: Pipeline,
    signals: &SignalActions,
    broker: &str,
) -> Result<Running, StartError> {
    let settings = &loaded.settings;
    announce(settings, machine);
    let exposing = assemble::expose(settings, machine, broker)?;
    if let Some(address) = exposing.address() {
        tracing::info!(event = "run.listening", address = %address);
    }
    let steps = assemble::stateful_steps(settings);
    assemble::await_topics(settings, &steps, signals.stop_flag())?;
    assemble::check_range(settings)?;
    let tables = load_tables(settings, signals)?;
    let running =
        assemble::start(settings, machine, pipeline, tables, exposing, signals.stop_flag())?;
    if !running.intruders.is_empty() {
        tracing::warn!(
            event = "core.shared",
            threads = running.intruders.join(" "),
            "threads of this process may run on the hot core"
        );
    }
    let stopper = Arc::clone(&running.stopper);
    signals.on_stop(move || stopper.stop());
    signals.on_write(running.file_writer());
    signals.on_reread(rereader(loaded, &running));
    tracing::info!(event = "run.started", pid = std::process::id());
    Ok(running)
}

/// Reads tables' files and secrets again. Where a secret cannot be read, the old one stays.
fn rereader(loaded: &Loaded, running: &Running) -> impl Fn() + Send + 'static {
    let (reread, before) = (loaded.reread(), loaded.settings.clone());
    let tables = running.table_rereader();
    move || match reread.settings() {
        Ok(settings) => {
            let renewed = tables(&settings);
            if !renewed.is_empty() {
                let tables = renewed.join(" ");
                tracing::info!(event = "table.login_changed", tables, "for the next connection");
            }
        }
        Err(report) => {
            tables(&before);
            tracing::warn!(event = "reread.refused", reason = %report, "the old secrets stay");
        }
    }
}

/// Waits for the end and tells what the run came to: a log line, the table, the files.
pub(super) fn conclude(running: Running) -> Result<Finished, Failure> {
    let finished = running.wait();
    tell_end(&finished);
    let mut text = finished.summary.to_string();
    if let Some(folder) = finished.summary.files.first().and_then(|it| it.parent()) {
        text.push_str(&format!(
            "\n{} histogram files in {}/\n",
            finished.summary.files.len(),
            folder.display()
        ));
    }
    print(&text)?;
    Ok(finished)
}

fn announce(settings: &Settings, machine: &Machine) {
    let plain = settings.read_plainly();
    let positions = plain.filter(|_| !settings.source.range.is_given());
    let positions = positions.and_then(|it| it.positions.as_ref());
    tracing::info!(
        event = "run.path",
        source = settings.source.topics.join(" "),
        brokers = settings.source.client.brokers,
        group = plain.is_none().then_some(settings.source.group.as_str()),
        positions = positions.map(|it| it.display().to_string()),
        sink = settings.sink.topic,
        dead_letters = settings.dead_letters.topic,
        guarantee = settings.delivery.guarantee.name()
    );
    let range = &settings.source.range;
    if range.is_given() {
        let written = |point: &Option<Point>| point.as_ref().map(|it| it.written.clone());
        let start = match plain {
            Some(_) => "source.redis.start",
            None => "the group's offsets, else source.kafka.start",
        };
        tracing::info!(
            event = "run.range",
            from = written(&range.from).as_deref().unwrap_or(start),
            until = written(&range.until).as_deref().unwrap_or("a signal"),
            remembered = plain.map(|_| "nothing: started again, it begins anew")
        );
    }
    let core = machine.choice.core.map_or_else(|| "none".to_owned(), |it| it.to_string());
    tracing::info!(
        event = "run.core",
        core,
        isolated = machine.choice.isolated,
        idle = machine.idle.name(),
        scheduling = if machine.is_first { "fifo" } else { "normal" },
        memory = if machine.is_locked { "locked" } else { "pageable" },
        housekeeping = %machine.housekeeping
    );
    if !machine.choice.caveats.is_empty() {
        tracing::warn!(event = "core.caveat", "{}", machine.choice.caveats.join("; "));
    }
}

/// Loads all tables, telling progress after one second, two, four and so on.
fn load_tables(settings: &Settings, signals: &SignalActions) -> Result<LoadedTables, StartError> {
    let mut progress = LoadProgress::in_log();
    let show = |status: &TableStatus| progress.show(status);
    let tables = LoadedTables::open(&settings.tables, signals.stop_flag(), show)?;
    tell_tables(&tables, progress.elapsed());
    Ok(tables)
}

/// A line for each table, or one for all where there are many: a start is a few lines.
fn tell_tables(tables: &LoadedTables, took: Duration) {
    if tables.statuses().count() <= TABLES_TOLD_MAX {
        return tables.statuses().for_each(|it| it.tell_loaded());
    }
    tracing::info!(
        event = "tables.loaded",
        tables = tables.statuses().count(),
        entries = tables.statuses().map(|it| it.entries()).sum::<u64>(),
        took = units::show_about(took)
    );
}

pub(super) fn tell_end(finished: &Finished) {
    let Finished { ending, summary, hot_usage } = finished;
    let counters = &summary.total.counters;
    tracing::info!(
        event = "run.stopped",
        polled = counters.polled,
        emitted = counters.emitted,
        skipped = counters.skipped.total(),
        rejected = counters.rejected.total(),
        held = counters.held.total(),
        unfinished = ending.unfinished,
        classes = classes(summary),
        hot_thread_switches_voluntary = hot_usage.voluntary_switches,
        hot_thread_switches_involuntary = hot_usage.involuntary_switches,
        hot_thread_minor_faults = hot_usage.minor_faults,
        hot_thread_major_faults = hot_usage.major_faults
    );
}

/// `skipped:table_miss=3 rejected:not_json=1`.
fn classes(summary: &Summary) -> String {
    let counters = &summary.total.counters;
    let skipped = SkipClass::ALL
        .iter()
        .map(|it| (format!("skipped:{it}"), counters.skipped.of_class(*it as usize)));
    let rejected = RejectClass::ALL
        .iter()
        .map(|it| (format!("rejected:{it}"), counters.rejected.of_class(*it as usize)));
    let counted = skipped.chain(rejected).filter(|(_, count)| *count > 0);
    counted.map(|(class, count)| format!("{class}={count}")).collect::<Vec<_>>().join(" ")
}

/// The status that an ending stands for.
pub(super) fn outcome(ending: &Ending, guarantee: Guarantee) -> Outcome {
    let fate = match guarantee {
        Guarantee::AtLeastOnce | Guarantee::ExactlyOnce => "they will come again",
        Guarantee::AtMostOnce => "at most once, they may be lost",
    };
    match ending.cause {
        Cause::Failed(trouble) if trouble.code == STATE_CHANGED => {
            Err(Failure::usage(trouble.text.to_string()))
        }
        Cause::Failed(trouble) => {
            Err(Failure::unavailable(format!("{}: {}", trouble.peer, trouble.text)))
        }
        Cause::Breaker(opened) => {
            Err(Failure { exit: Exit::Breaker, message: broken(&opened, ending.unfinished) })
        }
        Cause::Asked if ending.unfinished > 0 => Err(Failure::unavailable(format!(
            "engine.drain_timeout is over with {} records unfinished: {fate}",
            ending.unfinished
        ))),
        Cause::Asked => Ok(Exit::Done),
    }
}

/// What the breaker saw, and what to do about it.
fn broken(opened: &Opened, unfinished: usize) -> String {
    let again = match unfinished {
        0 => String::new(),
        count => format!("\n{count} records were not finished in time and will come again"),
    };
    format!(
        "the breaker stopped the run: {opened}{again}\nwhat was settled is committed, and a run \
         goes on behind it: mend the cause first; or, if these records may all go to the dead \
         letters, start with -s delivery.breaker=false"
    )
}

/// The sentence and status that a start's error stands for.
pub(super) fn failure(error: StartError, loaded: Option<&Loaded>) -> Failure {
    match error {
        StartError::Configuration(problems) => match loaded {
            Some(loaded) => Failure::usage(loaded.locate(problems).to_string()),
            None => Failure::usage(
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            ),
        },
        StartError::Host(error) => Failure::usage(error.to_string()),
        StartError::Files(error) => Failure::usage(error.to_string()),
        StartError::Refused(problem) => Failure::usage(problem),
        error @ (StartError::Table(_)
        | StartError::Broker(_)
        | StartError::Listen(..)
        | StartError::System(_)
        | StartError::Taken(_)
        | StartError::Stopped) => Failure::unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        transport::{Trouble, restore::STATE_PEER},
        verdict::Sentence,
    };

    #[test]
    fn a_step_that_was_changed_is_the_configurations_fault() {
        let ended = |code| {
            let text = Sentence::from("step 2 (dedup) was changed");
            let trouble = Trouble { peer: STATE_PEER, code, text, heals: false };
            let ending = Ending { cause: Cause::Failed(trouble), unfinished: 0 };
            outcome(&ending, Guarantee::AtLeastOnce).unwrap_err()
        };
        let changed = ended(STATE_CHANGED);
        assert_eq!(changed.exit, Exit::Usage, "who restarts must not restart it");
        assert_eq!(changed.message, "step 2 (dedup) was changed");
        assert_eq!(ended("STATE_UNREADABLE").exit, Exit::Unavailable);
    }
}

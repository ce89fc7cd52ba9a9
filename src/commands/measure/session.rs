//! One measurement from beginning to end: the hops, then the rates, with the books kept between.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    Failure,
    books::Books,
    files::Files,
    level::{self, About, Level, Measurement},
    plan::Plan,
    ramp,
    stretch::{Generator, Heard, Watch},
    verdict,
};
use crate::{
    assemble::{self, Feed, GroupStanding, Running, Tail},
    clock::{Clock, EpochClock, TscClock},
    commands::{letters, remote, run},
    config::{
        Settings,
        settings::{Guarantee, Observe},
        units,
    },
    loadgen::LoadReport,
    measure::Interval,
    observe::summary::grouped,
    transport::Trouble,
};

/// How often is looked whether the group has caught up, and a process elsewhere is asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A group that has not come nearer for that long is not waited for.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// A clock that was set by more than this makes a note.
const SET_BY_MAX: i64 = 1_000_000;

/// The pipeline that is measured.
pub(super) enum Subject<'a> {
    /// In this process.
    Here(&'a Running),
    /// In another one, which may be asked.
    Elsewhere(&'a Observe),
}

/// What a pipeline says of itself, if it does.
#[derive(Default)]
struct Reading {
    books: Option<Books>,
    interval: Option<Box<Interval>>,
    why_none: Option<String>,
}

impl Subject<'_> {
    fn read(&self) -> Reading {
        match self {
            Subject::Here(running) => {
                let interval = running.snapshot();
                let books = interval.as_ref().map(|it| Books::of(&it.counters));
                Reading { books, interval, why_none: None }
            }
            Subject::Elsewhere(observe) => match remote::get(observe, "/metrics") {
                Ok(metrics) => match Books::read(&metrics) {
                    Some(books) => Reading { books: Some(books), ..Reading::default() },
                    None => Reading::without("what answers there is no Hotspur"),
                },
                Err(why) => Reading::without(&why),
            },
        }
    }

    /// Once it says the same for a while. One elsewhere hands its sums out once an interval: what
    /// it did before would else be found among what is measured.
    fn read_at_rest(&self, stop: &AtomicBool) -> Reading {
        let mut last = self.read();
        let Subject::Elsewhere(observe) = self else { return last };
        let rest = 2 * observe.interval;
        let (begun, mut since) = (Instant::now(), Instant::now());
        let is_over = || stop.load(Ordering::Acquire) || begun.elapsed() >= 5 * rest;
        while last.books.is_some() && since.elapsed() < rest && !is_over() {
            thread::park_timeout(LOOK_EVERY);
            let now = self.read();
            if now.books != last.books {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }

    fn is_over(&self) -> bool {
        matches!(self, Subject::Here(running) if running.is_finished())
    }
}

impl Reading {
    fn without(why: &str) -> Reading {
        Reading { why_none: Some(why.to_owned()), ..Reading::default() }
    }

    /// What was added since an earlier one.
    fn books_since(&self, before: &Reading) -> Option<Books> {
        Some(self.books.as_ref()?.since(before.books.as_ref()?))
    }
}

/// Without a pipeline each record is a result.
struct Bare;

impl Watch for Bare {
    fn is_over(&self) -> bool {
        false
    }

    fn expected(&self, acknowledged: u64) -> Option<u64> {
        Some(acknowledged)
    }
}

/// With one, what it passed over is none.
struct Piped<'a> {
    subject: &'a Subject<'a>,
    before: &'a Reading,
    asked: Cell<Option<Instant>>,
}

impl Watch for Piped<'_> {
    fn is_over(&self) -> bool {
        self.subject.is_over()
    }

    fn expected(&self, acknowledged: u64) -> Option<u64> {
        self.before.books.as_ref()?;
        if self.asked.get().is_some_and(|it| it.elapsed() < LOOK_EVERY) {
            return None;
        }
        let books = self.subject.read().books_since(self.before);
        self.asked.set(Some(Instant::now()));
        let books = books.filter(|it| it.polled >= acknowledged && it.are_balanced())?;
        Some(acknowledged.saturating_sub(books.passed_over()))
    }
}

/// Everything that a measurement holds on to.
pub(super) struct Session<'a> {
    settings: &'a Settings,
    plan: &'a Plan,
    files: Option<Files>,
    generator: Generator<'a>,
    notes: Vec<String>,
    stop: &'a AtomicBool,
}

impl<'a> Session<'a> {
    /// Waits for brokers and topics, and connects the generator.
    pub(super) fn open(
        settings: &'a Settings,
        plan: &'a Plan,
        files: Option<Files>,
        stop: &'a AtomicBool,
    ) -> Result<Session<'a>, Failure> {
        let steps = assemble::stateful_steps(settings);
        assemble::await_topics(settings, &steps, stop).map_err(|it| run::failure(it, None))?;
        let ticks = TscClock::new();
        let wait = (settings.engine.start_timeout, stop);
        let feed = Feed::open(settings, "load", ticks.clone(), wait).map_err(letters::failure)?;
        let feed = feed.ok_or_else(told_to_end)?;
        let (contents, clock) = (&plan.contents, EpochClock::new());
        let generator = Generator { feed, contents, clock, ticks, stop };
        Ok(Session { settings, plan, files, generator, notes: Vec::new(), stop })
    }

    /// The bare hop at each rate.
    pub(super) fn hops(&mut self) -> Result<Vec<Heard>, Failure> {
        let source = &self.settings.source;
        let mut tail = self.tail("source", &source.topics[0], Tail::of_source)?;
        let plan = self.plan;
        let hop = |rate: &u64| {
            let rate = *rate;
            tracing::info!(
                event = "measure.hop",
                rate,
                length = units::show_duration(plan.hop_length),
                topic = source.topics[0]
            );
            if !plan.hop_warmup.is_zero() {
                self.generator.drive(&mut tail, (rate, plan.hop_warmup), &Bare, None)?;
            }
            let now = self.generator.clock.now();
            let seconds = self.files.as_ref().map(|it| it.seconds(Some("hop"), now));
            let heard = self.generator.drive(&mut tail, (rate, plan.hop_length), &Bare, seconds)?;
            match heard.arrivals.received {
                0 => Err(Failure::unavailable(format!(
                    "no record came back from the source topic {:?}: is it on these brokers, and \
                     may it be read?",
                    source.topics[0]
                ))),
                _ => Ok(heard),
            }
        };
        plan.rates.iter().map(hop).collect()
    }

    /// The pipeline at each rate.
    pub(super) fn levels(
        &mut self,
        subject: &Subject<'_>,
        hops: Vec<Heard>,
    ) -> Result<Vec<Level>, Failure> {
        self.await_caught_up(subject)?;
        let sink = &self.settings.sink;
        let mut tail = self.tail("sink", &sink.topic, Tail::of_sink)?;
        let plan = self.plan;
        let rates = plan.rates.iter().zip(hops);
        rates.map(|(rate, hop)| self.level(subject, &mut tail, *rate, hop)).collect()
    }

    fn level(
        &mut self,
        subject: &Subject<'_>,
        tail: &mut Tail,
        rate: u64,
        hop: Heard,
    ) -> Result<Level, Failure> {
        let plan = self.plan;
        let length = units::show_duration(plan.length);
        tracing::info!(event = "measure.level", rate, length, topic = self.settings.sink.topic);
        if !plan.warmup.is_zero() {
            self.warm_up(subject, tail, rate)?;
        }
        let before = subject.read_at_rest(self.stop);
        let now = self.generator.clock.now();
        let seconds = self.files.as_ref().map(|it| it.seconds(None, now));
        let watch = Piped { subject, before: &before, asked: Cell::new(None) };
        let heard = self.generator.drive(tail, (rate, plan.length), &watch, seconds)?;
        let after = subject.read();
        if let Some(why) = &after.why_none {
            self.note(format!(
                "what the pipeline skips or dead-letters counts as lost, its books cannot be \
                 read: {why}"
            ));
        }
        let books = after.books_since(&before);
        let spans = match (&before.interval, &after.interval) {
            (Some(before), Some(after)) => level::between(before, after),
            _ => Vec::new(),
        };
        let (length, hop_length) = (plan.length, plan.hop_length);
        let delivery = &self.settings.delivery;
        let apart = match delivery.guarantee {
            Guarantee::ExactlyOnce => delivery.commit_interval,
            Guarantee::AtLeastOnce | Guarantee::AtMostOnce => Duration::ZERO,
        };
        let level = Level { rate, length, apart, hop, hop_length, heard, books, spans };
        self.doubt(&level);
        Ok(level)
    }

    /// Load that does not count, but must come through.
    fn warm_up(
        &mut self,
        subject: &Subject<'_>,
        tail: &mut Tail,
        rate: u64,
    ) -> Result<(), Failure> {
        let before = subject.read_at_rest(self.stop);
        let watch = Piped { subject, before: &before, asked: Cell::new(None) };
        let heard = self.generator.drive(tail, (rate, self.plan.warmup), &watch, None)?;
        if heard.arrivals.received > 0 {
            return Ok(());
        }
        let sink = &self.settings.sink.topic;
        match subject.read().books_since(&before) {
            Some(books) if books.passed_over() >= heard.report.acknowledged => {
                let classes = books.skipped.keys().chain(books.rejected.keys()).map(String::as_str);
                let held = (books.held > 0).then_some("held");
                let classes: Vec<_> = classes.chain(held).collect();
                Err(Failure::usage(format!(
                    "the pipeline passes no record of this load on ({}): choose others with \
                     --payload and --keys",
                    classes.join(", ")
                )))
            }
            _ => Err(Failure::unavailable(format!(
                "no result of the load came to the sink topic {sink:?}: is the pipeline running, \
                 with this configuration, and does it keep the header hotspur.due?"
            ))),
        }
    }

    /// What was in the source before must not be in the way of what is measured.
    fn await_caught_up(&mut self, subject: &Subject<'_>) -> Result<(), Failure> {
        let source = &self.settings.source;
        let wait = (self.settings.engine.start_timeout, self.stop);
        let standing = GroupStanding::open(self.settings, wait).map_err(letters::failure)?;
        let mut standing = standing.ok_or_else(told_to_end)?;
        let (mut behind, mut moved) = (u64::MAX, Instant::now());
        loop {
            if self.stop.load(Ordering::Acquire) || subject.is_over() {
                return Err(told_to_end());
            }
            if matches!(subject, Subject::Here(running) if !running.is_assigned()) {
                thread::park_timeout(LOOK_EVERY);
                moved = Instant::now();
                continue;
            }
            match standing.behind().map_err(letters::failure)? {
                0 => return Ok(()),
                now if now < behind => (behind, moved) = (now, Instant::now()),
                now if moved.elapsed() >= STANDS_STILL => {
                    let (group, now) = (&source.group, grouped(now));
                    let what = if standing.is_of_streams() { "entries" } else { "offsets" };
                    self.note(format!(
                        "the group {group} was {now} {what} behind when the load began"
                    ));
                    return Ok(());
                }
                _ => {}
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    fn tail(
        &self,
        peer: &str,
        name: &str,
        open: impl Fn(&Settings, (Duration, &AtomicBool)) -> Result<Option<Tail>, Trouble>,
    ) -> Result<Tail, Failure> {
        let wait = (self.settings.engine.start_timeout, self.stop);
        let tail = open(self.settings, wait).map_err(letters::failure)?;
        tail.ok_or_else(|| match self.stop.load(Ordering::Acquire) {
            true => told_to_end(),
            false => Failure::unavailable(format!("{peer}: there is no topic {name:?}")),
        })
    }

    /// What makes a level's figures doubtful.
    fn doubt(&mut self, level: &Level) {
        let rate = grouped(level.rate);
        if level.foreign() > 0 {
            let foreign = grouped(level.foreign());
            self.note(format!(
                "at {rate} a second the pipeline took {foreign} records of others as well: of \
                 those skipped or dead-lettered some may be theirs, and hide a loss"
            ));
        }
        let acknowledged = level.heard.report.acknowledged;
        if let Some(books) = level.books.as_ref().filter(|_| level.lost() > 0)
            && (books.polled < acknowledged || !books.are_balanced())
        {
            let (polled, all) = (grouped(books.polled), grouped(acknowledged));
            self.note(format!(
                "at {rate} a second the pipeline's books had {polled} of {all} records when it was \
                 no longer waited for: what it had not done by then counts as lost"
            ));
        }
        if level.length < 20 * level.apart {
            self.note(format!(
                "at {rate} a second results came together at commits, up to {} apart: of {} of \
                 load that is much, so whether the rate was kept is judged leniently",
                units::show_duration(level.apart),
                units::show_duration(level.length)
            ));
        }
        let LoadReport { missed_slots, sent, .. } = level.hop.report;
        if missed_slots > sent / 100 {
            let (late, all) = (grouped(missed_slots), grouped(sent));
            self.note(format!(
                "of the bare hop at {rate} a second {late} of {all} records were handed over too \
                 late: its figures are worse than the brokers are"
            ));
        }
        let set_by = self.generator.clock.set_by();
        if set_by.abs() > SET_BY_MAX {
            self.note(format!(
                "this machine's clock was set by {} ms meanwhile: `source` and whatever others \
                 take from hotspur.due are off by that; received and hop are not",
                set_by / 1_000_000
            ));
        }
    }

    /// Once.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            tracing::warn!(event = "measure.doubtful", "{note}");
            self.notes.push(note);
        }
    }

    /// What it all comes to.
    pub(super) fn finish(
        self,
        levels: Vec<Level>,
        core: Option<String>,
    ) -> (Measurement, Option<Files>) {
        let Session { settings, plan, files, notes, .. } = self;
        let about = About {
            name: settings.name.clone(),
            instance: settings.instance.clone(),
            profile: settings.profile.clone(),
            guarantee: settings.delivery.guarantee.name(),
            core,
            is_external: plan.is_external,
            source: settings.source.topics[0].clone(),
            sink: settings.sink.topic.clone(),
            warmup: plan.warmup,
            payload: plan.contents.payload.clone(),
            keys: plan.contents.keys,
        };
        let is_ramp = plan.is_ramp();
        let knee = if is_ramp { ramp::knee(&levels) } else { None };
        let (judged, written) = (Vec::new(), Vec::new());
        let mut measured =
            Measurement { about, levels, is_ramp, knee, judged, notes, files: written };
        let judge = |it| verdict::judge(it, &measured);
        measured.judged = plan.requirements.iter().map(judge).collect();
        (measured, files)
    }
}

fn told_to_end() -> Failure {
    Failure::unavailable("told to end before anything was measured")
}

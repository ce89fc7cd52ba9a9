//! The refresher: the side thread that fills a table from Redis and keeps it fresh.
//!
//! It connects, works through rounds (`mirror` has the protocol, `link` the connection), and on any
//! error or silence lets go of the connection and begins again after a while, the copy serving on
//! and marked stale meanwhile. It is never idle for long: each round proves that the server is
//! there, so that neither timers nor keep-alives are needed. A round costs a server some 20 µs.
//! Keys that expire go also while the server is away; a silent connection, or an attempt to make
//! one, holds that up by a second at most. A primary that becomes a replica is noticed within one.

mod backoff;
mod deadlines;
mod holding;
mod keyspace;
mod link;
mod mirror;
mod on_demand;
mod outage;
mod pace;
mod pass;
mod prefix;
mod round;
#[cfg(test)]
mod simulation;
mod sizes;
mod trouble;
mod values;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::Pipeline;

pub(super) use self::link::Address;
pub(super) use self::on_demand::{Asker, Fetcher};
use self::{
    backoff::Backoff,
    link::Link,
    mirror::Mirror,
    outage::Outage,
    pace::Pace,
    pass::{Finished, Purpose},
    round::Progress,
    trouble::Trouble,
};
use super::{status::TableStatus, stop::Stop, table::Writer};
use crate::config::settings::{OnStale, RedisTable, Refresh};

/// Between signs of life of a server that is asked for nothing else.
const PACE_POLLING: Duration = Duration::from_millis(500);

/// Said where a load that asks for one key at a time is cut off.
const LEAST: &str = " though it was asked for one key at a time: does its \
                     client-output-buffer-limit for normal clients leave room for one value?";

/// Fills one table from one Redis.
pub(super) struct Refresher {
    address: Address,
    mirror: Mirror,
    status: Arc<TableStatus>,
    stop: Stop,
    /// Somebody asks how old the copy is.
    needs_age: bool,
    pace: Pace,
    outage: Outage,
}

impl Refresher {
    /// Connects to nothing yet.
    pub(super) fn new(
        (settings, address): (&RedisTable, Address),
        on_stale: OnStale,
        writer: Writer,
        (status, stop): (Arc<TableStatus>, Stop),
    ) -> Refresher {
        let address = match settings.refresh {
            Refresh::Tracking => address,
            Refresh::Poll(_) => address.untracked(),
        };
        let mirror = Mirror::new(writer, settings, address.database());
        let needs_age = on_stale != OnStale::Serve;
        let (pace, outage) = (Pace::default(), Outage::default());
        Refresher { address, mirror, status, stop, needs_age, pace, outage }
    }

    /// Runs until it is told to stop, or until the first load fails for good.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::new();
        while let Err(trouble) = self.follow(&mut backoff) {
            self.note_trouble(&trouble);
            if !trouble.heals && !self.status.is_loaded() {
                self.status.failed(trouble.sentence);
                return;
            }
            self.wait(backoff.next());
        }
    }

    /// Connects and works through rounds. Returns when told to stop, or with what went wrong.
    fn follow(&mut self, backoff: &mut Backoff) -> Result<(), Trouble> {
        if self.stop.is_asked() {
            return Ok(());
        }
        let mut link = match self.mirror.is_tracked() {
            true => Link::open(&self.address, self.mirror.prefix().as_bytes())?,
            false => Link::open_untracked(&self.address)?,
        };
        if self.mirror.has_begun() {
            self.status.reconnected();
        }
        self.mirror.connected();
        let mut commands = Pipeline::new();
        while !self.stop.is_asked() {
            let progress = self.round(&mut link, &mut commands).inspect_err(|trouble| {
                if trouble.is_cut {
                    self.mirror.cut_off();
                }
            })?;
            backoff.reset();
            self.report(progress);
            self.pace();
        }
        Ok(())
    }

    fn round(&mut self, link: &mut Link, commands: &mut Pipeline) -> Result<Progress, Trouble> {
        let questions = self.mirror.ask(Instant::now(), commands);
        link.send(commands)?;
        for question in &questions {
            let reply = link.receive()?;
            self.mirror.answer(question, reply, link.shown())?;
        }
        let pushes = link.take_pushes();
        self.pace.note(pushes.is_empty());
        self.mirror.note(pushes);
        let progress = self.mirror.finish_round();
        if self.mirror.is_replica() && self.needs_age && !self.status.is_loaded() {
            return Err(Trouble::replica(link.shown()));
        }
        Ok(progress)
    }

    fn report(&mut self, progress: Progress) {
        if let Some(total) = self.mirror.total() {
            self.status.expect(total);
        }
        let (is_replica, is_held_back) =
            (self.mirror.is_replica(), self.mirror.writer().is_held_back());
        self.status.held_back(is_held_back);
        self.status.is_of_replica(is_replica);
        self.measure();
        match progress {
            Progress::Fresh(as_of) | Progress::Whole(as_of) if !is_replica => {
                self.status.fresh_as_of(as_of);
            }
            Progress::Behind if self.mirror.is_loading() => self.status.stale(),
            _ => {}
        }
        if let Some(finished) = self.mirror.take_finished() {
            self.report_pass(&finished, progress);
        }
    }

    fn report_pass(&mut self, finished: &Finished, progress: Progress) {
        let found = &finished.found;
        self.status.passed(found.foreign, found.malformed);
        if finished.purpose != Purpose::Load {
            return;
        }
        if let Some(key) = &found.example {
            let (table, values, key) = (self.status.name(), found.malformed, key.escape_ascii());
            tracing::warn!(
                event = "table.malformed", table, values, example = %key,
                "values that are no text in UTF-8, or no JSON, answer as bytes"
            );
        }
        match progress {
            Progress::Whole(as_of) if !self.mirror.is_replica() => {
                self.status.loaded(as_of, finished.took);
            }
            _ => self.status.loaded_from_replica(finished.took),
        }
        self.outage.end();
    }

    fn measure(&mut self) {
        self.status.measure(self.mirror.writer());
        self.status.expiring(self.mirror.expiring());
        self.status.passing(self.mirror.passing());
    }

    /// Waits a little where nothing is left to be read, or nothing may be.
    fn pace(&mut self) {
        if !self.mirror.is_idle() && !self.mirror.writer().is_held_back() {
            return;
        }
        if self.mirror.is_tracked() {
            self.stop.wait(self.pace.rest());
        } else if self.mirror.is_idle() {
            let next =
                self.mirror.next_pass().map(|it| it.saturating_duration_since(Instant::now()));
            self.wait(next.unwrap_or_default().min(PACE_POLLING));
        } else {
            self.stop.wait(self.pace.rest());
        }
    }

    /// Waits that long, and takes out what expires meanwhile.
    fn wait(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let now = Instant::now();
            self.mirror.expire(now);
            if now >= end || self.stop.is_asked() {
                return self.measure();
            }
            let until = self.mirror.next_deadline().map_or(end, |it| it.min(end));
            self.stop.wait(until.saturating_duration_since(now));
        }
    }

    /// One line for each trouble of an outage; the rest is for who asks.
    fn note_trouble(&mut self, trouble: &Trouble) {
        if self.mirror.is_loading() && self.mirror.has_begun() {
            self.status.load_broke_off();
        }
        let mut sentence = trouble.sentence.clone();
        if trouble.is_cut && self.mirror.is_loading() && self.mirror.asks_least() {
            sentence.push_str(LEAST);
        }
        self.outage.note(&self.status, sentence, "serving the last copy");
    }
}

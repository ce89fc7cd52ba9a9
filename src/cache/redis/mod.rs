//! The refresher: the side thread that fills a table from Redis and keeps it fresh.
//!
//! It connects, works through rounds (`mirror` has the protocol, `link` the connection), and on any
//! error or silence lets go of the connection and begins again after a while, the copy serving on
//! and marked stale meanwhile. It is never idle for long: each round proves that the server is
//! there, so that neither timers nor keep-alives are needed. A round costs a server some 20 µs.

mod backoff;
mod deadlines;
mod holding;
mod link;
mod mirror;
mod on_demand;
mod prefix;
#[cfg(test)]
mod simulation;
mod trouble;
mod values;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::Pipeline;

pub(super) use self::on_demand::{Asker, Fetcher};
use self::{
    backoff::Backoff,
    link::{Address, Link},
    mirror::{Mirror, Progress},
    prefix::Prefix,
    trouble::Trouble,
};
use super::{status::TableStatus, stop::Stop, table::Writer};
use crate::config::settings::RedisTable;

/// Between rounds while changes come in: a write is visible after this and a round trip at most.
const PACE_BUSY: Duration = Duration::from_micros(200);

/// Between rounds when none came in for a while.
const PACE_QUIET: Duration = Duration::from_millis(1);

/// Rounds without a change after which it is quiet.
const QUIET_ROUNDS: u32 = 1000;

/// Fills one table from one Redis.
pub(super) struct Refresher {
    address: Address,
    mirror: Mirror,
    status: Arc<TableStatus>,
    stop: Stop,
    quiet_rounds: u32,
    /// The log has a line about it since the last whole copy.
    is_trouble_told: bool,
}

impl Refresher {
    /// Checks the URL, connects to nothing yet. The error is a sentence.
    pub(super) fn new(
        settings: &RedisTable,
        writer: Writer,
        status: Arc<TableStatus>,
        stop: Stop,
    ) -> Result<Refresher, String> {
        let address = Address::parse(&settings.url, &settings.shown)?;
        let mirror = Mirror::new(writer, Prefix::new(&settings.prefix));
        let (quiet_rounds, is_trouble_told) = (0, false);
        Ok(Refresher { address, mirror, status, stop, quiet_rounds, is_trouble_told })
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
            self.stop.wait(backoff.next());
        }
    }

    /// Connects and works through rounds. Returns when told to stop, or with what went wrong.
    fn follow(&mut self, backoff: &mut Backoff) -> Result<(), Trouble> {
        if self.stop.is_asked() {
            return Ok(());
        }
        let mut link = Link::open(&self.address, self.mirror.prefix().as_bytes())?;
        if self.mirror.has_begun() {
            self.status.reconnected();
        }
        self.mirror.restart();
        let mut commands = Pipeline::new();
        while !self.stop.is_asked() {
            let progress = self.round(&mut link, &mut commands)?;
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
        self.quiet_rounds = if pushes.is_empty() { self.quiet_rounds.saturating_add(1) } else { 0 };
        self.mirror.note(pushes);
        Ok(self.mirror.finish_round())
    }

    fn report(&mut self, progress: Progress) {
        if let Some(total) = self.mirror.total() {
            self.status.expect(total);
        }
        let is_held_back = self.mirror.writer().is_held_back();
        self.status.held_back(is_held_back);
        self.status.measure(self.mirror.writer());
        match progress {
            Progress::Whole(as_of) => {
                self.status.found_foreign(self.mirror.foreign());
                self.status.loaded(as_of, self.mirror.began().elapsed());
                self.is_trouble_told = false;
            }
            Progress::Fresh(as_of) => self.status.fresh_as_of(as_of),
            Progress::Behind if self.mirror.is_loading() => self.status.stale(),
            Progress::Behind => {}
        }
    }

    /// Waits a little where nothing is left to be read, or nothing may be.
    fn pace(&mut self) {
        if self.mirror.is_idle() || self.mirror.writer().is_held_back() {
            let is_quiet = self.quiet_rounds >= QUIET_ROUNDS;
            self.stop.wait(if is_quiet { PACE_QUIET } else { PACE_BUSY });
        }
    }

    /// One line when the state changes; the rest is for who asks.
    fn note_trouble(&mut self, trouble: &Trouble) {
        if self.mirror.is_loading() && self.mirror.has_begun() {
            self.status.load_broke_off();
        }
        if !mem::replace(&mut self.is_trouble_told, true) {
            let is_loaded = self.status.is_loaded();
            let served = if is_loaded { "serving the last copy" } else { "trying again" };
            let (table, reason) = (self.status.name(), &trouble.sentence);
            tracing::warn!(event = "table.lost", table, reason = %reason, "{served}");
        }
        self.status.stale();
        self.status.trouble(trouble.sentence.clone());
    }
}

//! The side thread of a table on demand: hears questions, fetches, and keeps what it holds fresh.
//!
//! It lives as the refresher of a full copy does: rounds on one connection (`holding` has the
//! protocol), and after any error a new connection after a while, with what is held serving on.
//! While it has no connection it hears no questions: records that ask run out of time, and those
//! that still wait when it is back ask again. The table counts as loaded once tracking is in force.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::Pipeline;

use super::{
    backoff::Backoff,
    holding::Holding,
    link::{Address, Link},
    outage::Outage,
    pace::Pace,
    round::Progress,
    trouble::Trouble,
};
use crate::{
    cache::{
        demand::{Answers, Questions},
        status::TableStatus,
        stop::Stop,
        table::Writer,
    },
    config::settings::{OnDemand, OnStale, RedisTable},
};

/// How the hot thread asks and hears.
#[derive(Clone, Debug)]
pub(in crate::cache) struct Asker {
    pub(in crate::cache) questions: Arc<Questions>,
    pub(in crate::cache) answers: Arc<Answers>,
}

/// Fetches entries of one table from one Redis.
pub(in crate::cache) struct Fetcher {
    address: Address,
    holding: Holding,
    asker: Asker,
    status: Arc<TableStatus>,
    stop: Stop,
    /// Somebody asks how old its answers are.
    needs_age: bool,
    pace: Pace,
    outage: Outage,
}

impl Fetcher {
    /// Connects to nothing yet.
    pub(in crate::cache) fn new(
        (settings, address): (&RedisTable, Address),
        (bounds, on_stale): (OnDemand, OnStale),
        writer: Writer,
        asker: Asker,
        (status, stop): (Arc<TableStatus>, Stop),
    ) -> Fetcher {
        let holding = Holding::new(settings, bounds, writer);
        Fetcher {
            address,
            holding,
            asker,
            status,
            stop,
            needs_age: on_stale != OnStale::Serve,
            pace: Pace::default(),
            outage: Outage::default(),
        }
    }

    /// Runs until it is told to stop, or until the first connection fails for good.
    pub(in crate::cache) fn run(mut self) {
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
        let mut link = Link::open(&self.address, self.holding.prefix().as_bytes())?;
        if self.holding.has_begun() {
            self.status.reconnected();
        }
        self.holding.connected(Instant::now());
        let mut commands = Pipeline::new();
        while !self.stop.is_asked() {
            let progress = self.round(&mut link, &mut commands).inspect_err(|trouble| {
                if trouble.is_cut {
                    self.holding.cut_off();
                }
            })?;
            backoff.reset();
            self.report(progress);
            self.pace();
        }
        Ok(())
    }

    fn round(&mut self, link: &mut Link, commands: &mut Pipeline) -> Result<Progress, Trouble> {
        let now = Instant::now();
        let was_asked = !self.asker.questions.is_empty();
        let Fetcher { holding, asker, .. } = self;
        if holding.has_room() {
            asker.questions.hear(|key| holding.want(key, now));
        }
        holding.expire(now);
        let questions = holding.ask(now, commands);
        link.send(commands)?;
        for question in &questions {
            let reply = link.receive()?;
            holding.answer(question, reply, link.shown())?;
        }
        let pushes = link.take_pushes();
        self.pace.note(pushes.is_empty() && !was_asked);
        holding.note(pushes);
        let progress = holding.finish_round();
        if holding.take_answers() {
            asker.answers.tell();
        }
        if holding.is_replica() && self.needs_age && !self.status.is_loaded() {
            return Err(Trouble::replica(link.shown()));
        }
        Ok(progress)
    }

    fn report(&mut self, progress: Progress) {
        let is_held_back = self.holding.writer().is_held_back();
        let is_replica = self.holding.is_replica();
        self.status.held_back(is_held_back);
        self.status.is_of_replica(is_replica);
        self.measure();
        match progress {
            Progress::Whole(as_of) => {
                let took = self.holding.began().elapsed();
                match is_replica {
                    true => self.status.loaded_from_replica(took),
                    false => self.status.loaded(as_of, took),
                }
                self.outage.end();
            }
            Progress::Fresh(as_of) if !is_replica => self.status.fresh_as_of(as_of),
            Progress::Fresh(_) => {}
            Progress::Behind if self.holding.is_loading() => self.status.stale(),
            Progress::Behind => {}
        }
    }

    fn measure(&mut self) {
        self.status.measure(self.holding.writer());
        self.status.expiring(self.holding.expiring());
    }

    /// Waits a little where nothing is left to be read, or nothing may be.
    fn pace(&mut self) {
        if self.holding.is_idle() || self.holding.writer().is_held_back() {
            self.stop.wait(self.pace.rest());
        }
    }

    /// Waits without a connection: keys expire all the same.
    fn wait(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let now = Instant::now();
            self.holding.expire(now);
            if now >= end || self.stop.is_asked() {
                return self.measure();
            }
            let until = self.holding.next_deadline().map_or(end, |it| it.min(end));
            self.stop.wait(until.saturating_duration_since(now));
        }
    }

    /// One line for each trouble of an outage; the rest is for who asks.
    fn note_trouble(&mut self, trouble: &Trouble) {
        if self.holding.is_loading() && self.holding.has_begun() {
            self.status.load_broke_off();
        }
        self.outage.note(&self.status, trouble.sentence.clone(), "serving what is held");
    }
}

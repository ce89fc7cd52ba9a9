//! The protocol that keeps a table equal to what Redis holds under a prefix, round by round.
//!
//! A round asks for the keys that are known to have changed and for those of the last page, for the
//! next page while a pass runs, and for a sign of life; its answers are applied in order. No
//! change is lost, because tracking was on before the first read, because every key of a push is
//! read again by a command sent after the push arrived, and because all of that is one connection,
//! which answers in the order of execution. What a generation has not confirmed is swept when all
//! its pages are read. This file knows replies and the table; `link` knows sockets.
//!
//! Redis tells nobody of `SWAPDB`: what it changed is found by the next verifying pass, a new
//! generation in the background. Without tracking every change is found by passes alone. A key
//! with a time to live goes at the send time of the round that asked for it plus that time: not
//! later than in Redis, and earlier by one round trip at most.

use std::{
    collections::HashSet,
    ops::Range,
    time::{Duration, Instant},
};

use ::redis::{Pipeline, Value};

use super::{
    deadlines::Deadlines,
    keyspace,
    link::Push,
    pass::{Finished, Pass, Purpose},
    prefix::Prefix,
    round::{Progress, Question, Round},
    sizes::Sizes,
    trouble::Trouble,
    values::{self, Reading, TimeToLive, Values},
};
use crate::{
    cache::{table::Writer, value::ValueKind},
    config::settings::{RedisTable, Refresh},
    limits::{TABLE_DIRTY_KEYS_MAX, TABLE_ROUND_KEYS_MAX, TABLE_VERIFY_PAGE_KEYS_MAX},
};

/// Between two pages of a pass in the background.
const PAGE_EVERY: Duration = Duration::from_millis(5);

/// How often the server is asked whether it is a replica.
const ROLE_EVERY: Duration = Duration::from_secs(1);

/// The copy and what is known to be missing from it.
#[derive(Debug)]
pub(super) struct Mirror {
    writer: Writer,
    prefix: Prefix,
    pattern: Vec<u8>,
    values: Values,
    sizes: Sizes,
    is_tracked: bool,
    /// From the end of a pass to the beginning of the next.
    pass_every: Duration,
    database: i64,
    generation: u32,
    /// Of this connection, a pass has ended.
    is_whole: bool,
    pass: Option<Pass>,
    next_pass: Option<Instant>,
    /// Keys that changed, not yet read again.
    dirty: HashSet<Vec<u8>>,
    deadlines: Deadlines,
    next_role: Option<Instant>,
    is_replica: bool,
    finished: Option<Finished>,
    round: Round,
    /// When the round before the last, and the last, were sent.
    sent: [Instant; 2],
}

impl Mirror {
    pub(super) fn new(writer: Writer, settings: &RedisTable, database: i64) -> Mirror {
        let (now, prefix) = (Instant::now(), Prefix::new(&settings.prefix));
        let (is_tracked, pass_every) = match settings.refresh {
            Refresh::Tracking => (true, settings.verify_interval),
            Refresh::Poll(interval) => (false, interval),
        };
        Mirror {
            writer,
            pattern: prefix.pattern(),
            prefix,
            values: Values::new(&settings.kind),
            sizes: Sizes::new(),
            is_tracked,
            pass_every,
            database,
            generation: 0,
            is_whole: false,
            pass: None,
            next_pass: None,
            dirty: HashSet::new(),
            deadlines: Deadlines::default(),
            next_role: None,
            is_replica: false,
            finished: None,
            round: Round::new(now),
            sent: [now; 2],
        }
    }

    /// A connection was made: everything is to be read, and nothing is known of the server.
    pub(super) fn connected(&mut self) {
        (self.next_role, self.is_replica) = (None, false);
        self.restart();
    }

    /// The connection was closed while replies were on their way: it may have been too much.
    pub(super) fn cut_off(&mut self) {
        self.sizes.cut_off(Instant::now());
    }

    /// Begins to load: everything is to be read again. The old entries serve until then.
    fn restart(&mut self) {
        self.is_whole = false;
        self.dirty.clear();
        self.begin_pass(Purpose::Load);
    }

    fn begin_pass(&mut self, purpose: Purpose) {
        self.generation = self.generation.wrapping_add(1);
        self.pass = Some(Pass::new(purpose));
    }

    /// What keys begin with.
    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The server tells of changes.
    pub(super) fn is_tracked(&self) -> bool {
        self.is_tracked
    }

    /// True once there was a connection.
    pub(super) fn has_begun(&self) -> bool {
        self.generation > 0
    }

    /// True while nothing has been read whole over this connection.
    pub(super) fn is_loading(&self) -> bool {
        !self.is_whole
    }

    /// The server follows another, so that nobody knows how old its answers are.
    pub(super) fn is_replica(&self) -> bool {
        self.is_replica
    }

    /// The table.
    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// Keys that the pass under way has read, and since when.
    pub(super) fn passing(&self) -> Option<(u64, Instant)> {
        self.pass.as_ref().and_then(|pass| Some((pass.found.keys, pass.began?)))
    }

    /// Keys in the whole database, once the pass under way knows.
    pub(super) fn total(&self) -> Option<u64> {
        self.pass.as_ref().and_then(|pass| pass.total)
    }

    /// The pass that has ended since the last call.
    pub(super) fn take_finished(&mut self) -> Option<Finished> {
        self.finished.take()
    }

    /// Keys that expire.
    pub(super) fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    /// True if less cannot be asked for at once.
    pub(super) fn asks_least(&self) -> bool {
        self.sizes.is_least()
    }

    /// True if nothing is to be read now.
    pub(super) fn is_idle(&self) -> bool {
        let rests = |pass: &Pass| {
            pass.purpose == Purpose::Verify && !pass.has_keys() && !pass.has_suspects()
        };
        self.dirty.is_empty() && self.pass.as_ref().is_none_or(rests)
    }

    /// When the next pass is due.
    pub(super) fn next_pass(&self) -> Option<Instant> {
        self.next_pass
    }

    /// When the next key expires.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes out what has expired.
    pub(super) fn expire(&mut self, now: Instant) {
        let before = self.deadlines.len();
        while let Some(key) = self.deadlines.take_due(now) {
            self.writer.remove(&key);
        }
        if self.deadlines.len() == before {
            return;
        }
        self.writer.publish();
        if let Some(pass) = &mut self.pass {
            // It went a little too early perhaps, and a page may bring it back; it must go again.
            pass.asks_time_to_live = true;
        }
    }

    /// Writes the round's commands; says what each reply will answer. While the reader holds the
    /// writer back the round only listens: changes are noted, and nothing is read.
    pub(super) fn ask(&mut self, now: Instant, commands: &mut Pipeline) -> Vec<Question> {
        self.expire(now);
        commands.clear();
        if self.pass.is_none() && self.next_pass.is_some_and(|time| time <= now) {
            let is_tracked = self.is_tracked;
            self.begin_pass(if is_tracked { Purpose::Verify } else { Purpose::Poll });
        }
        let is_held_back = self.writer.is_held_back();
        self.begin_round(now, is_held_back);
        let mut questions = Vec::new();
        self.ask_values(commands, &mut questions);
        self.ask_pass(now, commands, &mut questions);
        if self.next_role.is_none_or(|time| time <= now) {
            self.next_role = Some(now + ROLE_EVERY);
            keyspace::ask_role(self.is_tracked, commands);
            questions.push(Question::Role);
        }
        commands.cmd("PING");
        questions.push(Question::Alive);
        questions
    }

    /// Times to live after the values: so no value is shown for longer than what was read.
    fn ask_values(&self, commands: &mut Pipeline, questions: &mut Vec<Question>) {
        let keys = &self.round.keys;
        let ranges = self.values.ask(keys, self.sizes.command_keys(), commands);
        questions.extend(ranges.into_iter().map(Question::Values));
        let of_pages = self.pass.as_ref().is_some_and(|pass| pass.asks_time_to_live);
        let first = if of_pages { 0 } else { self.round.page_keys };
        for (index, key) in keys.iter().enumerate().skip(first) {
            values::ask_time_to_live(key, commands);
            questions.push(Question::TimeToLive(index));
        }
    }

    fn ask_pass(&mut self, now: Instant, commands: &mut Pipeline, questions: &mut Vec<Question>) {
        let Some(pass) = &mut self.pass else { return };
        for key in pass.take_suspects() {
            commands.cmd("TYPE").arg(key);
            questions.push(Question::Kind);
        }
        if pass.began.is_none() {
            pass.began = Some(now);
            commands.cmd("DBSIZE");
            commands.cmd("INFO").arg("keyspace");
            values::ask_time_to_live(self.prefix.as_bytes(), commands);
            questions.extend([Question::Total, Question::Expiring, Question::Permission]);
        }
        let Some(cursor) = pass.cursor(now) else { return };
        let mut count = self.sizes.page_keys();
        let scan = commands.cmd("SCAN").arg(cursor).arg("MATCH").arg(&self.pattern);
        if pass.purpose == Purpose::Verify {
            count = count.min(TABLE_VERIFY_PAGE_KEYS_MAX);
            pass.next_page = Some(now + PAGE_EVERY);
        }
        scan.arg("COUNT").arg(count);
        questions.push(Question::Page);
    }

    /// Applies one reply; `shown` names the server in troubles.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        reply: Value,
        shown: &str,
    ) -> Result<(), Trouble> {
        match question {
            Question::Values(range) => {
                let readings = self.values.readings(range.len(), reply, shown)?;
                self.apply_values(range.clone(), readings);
            }
            Question::TimeToLive(index) => {
                self.apply_time_to_live(*index, values::time_to_live(reply, shown)?);
            }
            Question::Permission => {
                values::time_to_live(reply, shown)?;
            }
            Question::Role => self.is_replica = keyspace::is_replica(reply, shown)?,
            Question::Alive => {
                reply.extract_error().map_err(|error| Trouble::of(&error, shown))?;
            }
            Question::Kind | Question::Page | Question::Total | Question::Expiring => {
                self.apply_pass(question, reply, shown)?;
            }
        }
        Ok(())
    }

    /// Takes what the server told without being asked. To be called when all replies are applied:
    /// only commands sent later answer for it.
    pub(super) fn note(&mut self, pushes: Vec<Push>) {
        for push in pushes {
            match push {
                Push::Everything => {
                    self.next_role = None;
                    self.restart();
                }
                Push::Keys(keys) => self.dirty.extend(keys),
            }
        }
        if self.dirty.len() > TABLE_DIRTY_KEYS_MAX {
            self.restart();
        }
    }

    /// Ends the round.
    pub(super) fn finish_round(&mut self) -> Progress {
        self.writer.publish();
        self.sizes.end_round();
        let [before_last, last] = self.sent;
        self.sent = [last, self.round.sent];
        let ended = self.pass.take_if(|pass| {
            let is_read = self.round.was_settling && self.round.asks_page && pass.is_settling();
            is_read && !pass.has_suspects() && (self.is_whole || self.round.asks_dirty)
        });
        let purpose = ended.as_ref().map(|pass| pass.purpose);
        let began = ended.as_ref().and_then(|pass| pass.began);
        if let Some(pass) = ended {
            self.end_pass(pass);
        }
        match (purpose, began) {
            (Some(_), Some(began)) if !self.is_tracked => Progress::Whole(began),
            (Some(Purpose::Load), _) => Progress::Whole(before_last),
            _ if !self.is_tracked || !self.is_whole || !self.round.asks_dirty => Progress::Behind,
            // What was executed before a PING is announced before the PONG of the next, at the
            // latest, and read in the round after that.
            _ => Progress::Fresh(if self.dirty.is_empty() { last } else { before_last }),
        }
    }

    fn end_pass(&mut self, pass: Pass) {
        let now = self.round.sent;
        self.writer.sweep(self.generation);
        self.deadlines.sweep(self.generation);
        self.sizes.end_pass(now);
        self.is_whole = true;
        self.next_pass = Some(now + self.pass_every);
        let took = pass.began.map(|began| began.elapsed()).unwrap_or_default();
        self.finished = Some(Finished { purpose: pass.purpose, took, found: pass.found });
    }

    fn begin_round(&mut self, now: Instant, is_held_back: bool) {
        let round = &mut self.round;
        round.sent = now;
        round.keys.clear();
        round.page_keys = 0;
        round.was_settling = self.pass.as_ref().is_some_and(Pass::is_settling);
        if !is_held_back {
            let room = self.sizes.round_keys();
            if let Some(pass) = &mut self.pass {
                pass.take_keys(room, &mut round.keys);
            }
            round.page_keys = round.keys.len();
            // Half of the round at least, so that a load does not starve what is told.
            let room = (room - round.page_keys).max(room / 2).clamp(1, TABLE_ROUND_KEYS_MAX);
            if self.dirty.len() <= room {
                round.keys.extend(self.dirty.drain());
            } else {
                round.keys.extend(self.dirty.iter().take(room).cloned());
                for key in &round.keys[round.page_keys..] {
                    self.dirty.remove(key);
                }
            }
        }
        round.asks_dirty = self.dirty.is_empty();
        round.asks_page = self.pass.as_ref().is_none_or(|pass| !pass.has_keys());
    }

    fn apply_values(&mut self, range: Range<usize>, readings: Vec<Reading>) {
        let (keys, mut bytes) = (range.len(), 0);
        for (index, reading) in range.zip(readings) {
            let key = &self.round.keys[index];
            let Some(lookup_key) = self.prefix.strip(key) else { continue };
            let pass = self.pass.as_mut().filter(|_| index < self.round.page_keys);
            match reading {
                Reading::Found(value) => {
                    bytes += value.bytes.len();
                    self.writer.insert(lookup_key, value.as_value(), self.generation);
                    let Some(pass) = pass else { continue };
                    pass.found.keys += 1;
                    if value.kind == ValueKind::Bytes {
                        pass.note_malformed(key);
                    }
                    if !pass.asks_time_to_live {
                        self.deadlines.forget_older(lookup_key, self.generation);
                    }
                }
                Reading::Absent | Reading::Foreign => {
                    self.writer.remove(lookup_key);
                    self.deadlines.forget(lookup_key);
                    let Some(pass) = pass else { continue };
                    if reading == Reading::Foreign {
                        pass.found.foreign += 1;
                    } else if !self.values.tells_types() {
                        pass.suspect(key);
                    }
                }
            }
        }
        self.sizes.saw(keys, bytes);
        self.writer.publish();
    }

    fn apply_time_to_live(&mut self, index: usize, left: TimeToLive) {
        let Some(lookup_key) = self.prefix.strip(&self.round.keys[index]) else { return };
        let time = match left {
            TimeToLive::Gone => {
                self.writer.remove(lookup_key);
                None
            }
            TimeToLive::Endless => None,
            // Beyond what our clock can say is as good as endless.
            TimeToLive::Left(left) => self.round.sent.checked_add(left),
        };
        match time {
            Some(time) => self.deadlines.set(lookup_key, time, self.generation),
            None => self.deadlines.forget(lookup_key),
        }
    }

    fn apply_pass(
        &mut self,
        question: &Question,
        reply: Value,
        shown: &str,
    ) -> Result<(), Trouble> {
        let Some(pass) = &mut self.pass else { return Ok(()) };
        match question {
            Question::Kind => pass.found.foreign += u64::from(keyspace::is_foreign(reply)),
            Question::Total => pass.total = Some(keyspace::total(&reply)),
            Question::Expiring => {
                pass.asks_time_to_live = keyspace::has_expiring(reply, self.database);
            }
            _ => {
                let reply = reply.extract_error().map_err(|it| Trouble::of(&it, shown))?;
                pass.note_page(reply, &self.prefix)
                    .ok_or_else(|| Trouble::nonsense(shown, "SCAN"))?;
            }
        }
        Ok(())
    }
}

//! The protocol of a table on demand: what it holds is what was asked for, as fresh as a full copy.
//!
//! A round asks for the keys that records wait for, for those it holds that are known to have
//! changed, and for a sign of life. Tracking was on before the first read, so what is held cannot
//! change unnoticed, and of all that is announced only what is held is read again. That an absent
//! key is absent is held like a value. After a lost connection, or when everything may have
//! changed, a new generation begins: all that is held is read again, and serves meanwhile.
//!
//! Bounds count entries with absent keys, and their bytes: header, key, value, and four slots each.
//! They may be passed by what waiting records have not seen yet. Beside that, this side keeps a key
//! and a time for every entry that will end: keys that expire, and absent ones.
//!
//! Of `SWAPDB` Redis tells nobody: every `verify_interval` all that is held is read again, a little
//! at a time and without a doubt about it meanwhile.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    ops::Range,
    time::{Duration, Instant},
};

use ::redis::{Pipeline, Value};

use super::{
    deadlines::Deadlines,
    keyspace,
    link::Push,
    prefix::Prefix,
    round::Progress,
    sizes::Sizes,
    trouble::Trouble,
    values::{self, Reading, TimeToLive, Values},
};
use crate::{
    cache::{
        table::{Walk, Writer},
        value::Value as TableValue,
    },
    config::settings::{OnDemand, RedisTable},
    limits::{TABLE_DIRTY_KEYS_MAX, TABLE_ROUND_KEYS_MAX, TABLE_VERIFY_PAGE_KEYS_MAX},
};

/// Rounds of a generation until a time of its own lies before the last but one.
const ROUNDS_UNTIL_TRUE: u32 = 3;

/// A primary may become a replica at any time.
const ROLE_EVERY: Duration = Duration::from_secs(1);

/// What a reply answers.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// The values of these of the round's keys.
    Values(Range<usize>),
    /// How long one of them will exist.
    TimeToLive(usize),
    /// Is it a replica?
    Role,
    /// `PING`.
    Alive,
}

/// What is held, and what is to be read.
#[derive(Debug)]
pub(super) struct Holding {
    writer: Writer,
    prefix: Prefix,
    values: Values,
    sizes: Sizes,
    bounds: OnDemand,
    verify_interval: Duration,
    generation: u32,
    /// Lookup keys that records wait for.
    asked: HashSet<Vec<u8>>,
    /// Lookup keys that are held and changed.
    dirty: HashSet<Vec<u8>>,
    deadlines: Deadlines,
    /// Until when entries stay that records wait for, oldest first.
    wanted: VecDeque<(Instant, Vec<u8>)>,
    /// Goes over what an older generation confirmed; none once nothing is left of it.
    walk: Option<Walk>,
    /// The walk is for safety only.
    is_verifying: bool,
    next_verification: Instant,
    /// None: with the next round.
    next_role: Option<Instant>,
    is_replica: bool,
    /// When this generation began, and how many rounds it has had.
    began: Instant,
    rounds: u32,
    round: Round,
    /// When the round before the last, and the last, were sent.
    sent: [Instant; 2],
    /// Answers were published that nobody was told of.
    has_answers: bool,
}

/// What the round under way has asked.
#[derive(Debug)]
struct Round {
    sent: Instant,
    /// With their prefix.
    keys: Vec<Vec<u8>>,
    /// So many of them, the first, are those that records wait for.
    asked_keys: usize,
    /// It asked for all that was known to have changed.
    asks_all: bool,
    is_last_of_walk: bool,
}

impl Holding {
    pub(super) fn new(settings: &RedisTable, bounds: OnDemand, writer: Writer) -> Holding {
        let now = Instant::now();
        let (keys, asked_keys) = (Vec::new(), 0);
        let (asks_all, is_last_of_walk) = (false, false);
        Holding {
            writer,
            prefix: Prefix::new(&settings.prefix),
            values: Values::new(&settings.kind),
            sizes: Sizes::new(),
            bounds,
            verify_interval: settings.verify_interval,
            generation: 0,
            asked: HashSet::new(),
            dirty: HashSet::new(),
            deadlines: Deadlines::default(),
            wanted: VecDeque::new(),
            walk: None,
            is_verifying: false,
            next_verification: now,
            next_role: None,
            is_replica: false,
            began: now,
            rounds: 0,
            round: Round { sent: now, keys, asked_keys, asks_all, is_last_of_walk },
            sent: [now; 2],
            has_answers: false,
        }
    }

    /// Begins a generation: all that is held is to be read again, and serves until then.
    fn restart(&mut self, now: Instant) {
        self.begin_walk(now);
        self.is_verifying = false;
        self.dirty.clear();
        self.rounds = 0;
    }

    /// The same on a new connection.
    pub(super) fn connected(&mut self, now: Instant) {
        self.restart(now);
        self.next_role = None;
    }

    /// The connection was closed while replies were on their way: less is asked for from now on.
    pub(super) fn cut_off(&mut self) {
        self.sizes.cut_off(Instant::now());
    }

    fn begin_walk(&mut self, now: Instant) {
        self.generation = self.generation.wrapping_add(1);
        self.walk = Some(Walk::default());
        self.began = now;
        self.next_verification = now + self.verify_interval;
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// True after the first connection.
    pub(super) fn has_begun(&self) -> bool {
        self.generation > 0
    }

    /// True while not all that is held is confirmed by this generation.
    pub(super) fn is_loading(&self) -> bool {
        self.walk.is_some() && !self.is_verifying
    }

    /// True if the server follows another, so that nobody knows how old its answers are.
    pub(super) fn is_replica(&self) -> bool {
        self.is_replica
    }

    /// When the next key goes by itself.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Keys that will go by themselves.
    pub(super) fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// When the walk under way began, over what an older generation confirmed.
    #[cfg(test)]
    pub(super) fn walking(&self) -> Option<Instant> {
        self.walk.as_ref().map(|_| self.began)
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// True if nothing is to be read.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_loading() && self.dirty.is_empty() && self.asked.is_empty()
    }

    /// True while it takes questions: it has fewer than one round answers.
    pub(super) fn has_room(&self) -> bool {
        self.asked.len() < TABLE_ROUND_KEYS_MAX
    }

    /// A record waits for that key.
    pub(super) fn want(&mut self, key: &[u8], now: Instant) {
        if self.writer.holds(key) {
            // It came after the record had looked.
            self.stay(key, now);
            self.has_answers = true;
        } else {
            self.asked.insert(key.to_vec());
        }
    }

    /// True if there are answers since the last call, all of them published.
    pub(super) fn take_answers(&mut self) -> bool {
        mem::take(&mut self.has_answers)
    }

    /// Lets go what has run out: keys that expire, absent ones, and what nobody came to see.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.wanted.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, key)) = self.wanted.pop_front() else { break };
            self.writer.unwant(&key);
        }
        while let Some(key) = self.deadlines.take_due(now) {
            let Some(value) = self.writer.value(&key) else { continue };
            if value != TableValue::ABSENT {
                // Our own clock confirms nothing: a walk under way still has to read it.
                self.note_absent(&key, now, self.generation.wrapping_sub(1));
            } else if self.writer.is_wanted(&key) {
                self.deadlines.set(&key, now + self.bounds.wait, self.generation);
            } else {
                self.writer.remove(&key);
            }
        }
        self.writer.publish();
    }

    /// Writes the round's commands; says what each reply will answer. While the reader holds the
    /// writer back the round only listens.
    pub(super) fn ask(&mut self, now: Instant, commands: &mut Pipeline) -> Vec<Question> {
        commands.clear();
        self.begin_round(now);
        let mut questions = Vec::new();
        if self.next_role.is_none_or(|time| time <= now) {
            self.next_role = Some(now + ROLE_EVERY);
            keyspace::ask_role(true, commands);
            questions.push(Question::Role);
        }
        let keys = &self.round.keys;
        let ranges = self.values.ask(keys, self.sizes.command_keys(), commands);
        questions.extend(ranges.into_iter().map(Question::Values));
        for (index, key) in keys.iter().enumerate() {
            values::ask_time_to_live(key, commands);
            questions.push(Question::TimeToLive(index));
        }
        commands.cmd("PING");
        questions.push(Question::Alive);
        questions
    }

    fn begin_round(&mut self, now: Instant) {
        if self.walk.is_none() && now >= self.next_verification {
            self.begin_walk(now);
            self.is_verifying = true;
        }
        let is_held_back = self.writer.is_held_back();
        let prefix = self.prefix.as_bytes();
        let Holding { round, asked, dirty, walk, writer, generation, .. } = self;
        round.sent = now;
        round.keys.clear();
        round.is_last_of_walk = false;
        let keys = &mut round.keys;
        let mut add = |key: &[u8]| keys.push([prefix, key].concat());
        let mut room = if is_held_back { 0 } else { self.sizes.round_keys() };
        round.asked_keys = take_some(asked, &mut room, &mut add);
        take_some(dirty, &mut room, &mut add);
        if let Some(walk) = walk.as_mut().filter(|_| room > 0) {
            let most = if self.is_verifying { TABLE_VERIFY_PAGE_KEYS_MAX } else { room };
            round.is_last_of_walk = writer.find_stale(walk, *generation, room.min(most), add);
        }
        round.asks_all = dirty.is_empty();
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
                let bytes = readings.iter().map(bytes_len).sum();
                self.sizes.saw(readings.len(), bytes);
                for (index, reading) in range.clone().zip(readings) {
                    self.apply(index, reading);
                }
                self.keep_bounds();
                self.writer.publish();
            }
            Question::TimeToLive(index) => {
                let time_to_live = values::time_to_live(reply, shown)?;
                self.apply_time_to_live(*index, time_to_live);
            }
            Question::Role => self.is_replica = keyspace::is_replica(reply, shown)?,
            Question::Alive => {
                reply.extract_error().map_err(|error| Trouble::of(&error, shown))?;
            }
        }
        Ok(())
    }

    /// Takes what the server told without being asked. To be called when all replies are applied:
    /// only commands sent later answer for it, and what was read meanwhile is held by then.
    pub(super) fn note(&mut self, pushes: Vec<Push>) {
        for push in pushes {
            match push {
                Push::Everything => self.restart(self.round.sent),
                Push::Keys(keys) => {
                    for key in keys {
                        let Some(key) = self.prefix.strip(&key) else { continue };
                        if self.writer.holds(key) {
                            self.dirty.insert(key.to_vec());
                        }
                    }
                }
            }
        }
        if self.dirty.len() > TABLE_DIRTY_KEYS_MAX {
            self.restart(self.round.sent);
        }
    }

    /// Ends the round.
    pub(super) fn finish_round(&mut self) -> Progress {
        self.writer.publish();
        self.sizes.end_round();
        self.has_answers |= self.round.asked_keys > 0;
        let [before_last, last] = self.sent;
        self.sent = [last, self.round.sent];
        self.rounds = self.rounds.saturating_add(1);
        let is_loading = self.is_loading();
        let is_confirmed = self.walk.is_none() || self.round.is_last_of_walk;
        if self.rounds < ROUNDS_UNTIL_TRUE || !self.round.asks_all || is_loading && !is_confirmed {
            return Progress::Behind;
        }
        if is_confirmed && self.walk.take().is_some() {
            self.sizes.end_pass(self.round.sent);
        }
        if is_loading {
            return Progress::Whole(before_last);
        }
        // What was executed before a PING is announced before the PONG of the next, at the latest,
        // and read in the round after that.
        Progress::Fresh(if self.dirty.is_empty() { last } else { before_last })
    }

    fn apply(&mut self, index: usize, reading: Reading) {
        let Round { keys, sent, asked_keys, .. } = &self.round;
        let (is_asked, sent) = (index < *asked_keys, *sent);
        let Some(key) = self.prefix.strip(&keys[index]).map(<[u8]>::to_vec) else { return };
        match reading {
            Reading::Found(value) => {
                self.writer.insert(&key, value.as_value(), self.generation);
            }
            Reading::Absent | Reading::Foreign => self.note_absent(&key, sent, self.generation),
        }
        if is_asked {
            self.stay(&key, sent);
        }
    }

    fn apply_time_to_live(&mut self, index: usize, time_to_live: TimeToLive) {
        let Some(key) = self.prefix.strip(&self.round.keys[index]) else { return };
        let sent = self.round.sent;
        let is_value = self.writer.value(key).is_some_and(|it| it != TableValue::ABSENT);
        match time_to_live {
            // What was made since is announced, and read again.
            _ if !is_value => {}
            TimeToLive::Gone => {
                let key = key.to_vec();
                self.note_absent(&key, sent, self.generation);
            }
            TimeToLive::Endless => self.deadlines.forget(key),
            TimeToLive::Left(left) => match sent.checked_add(left) {
                Some(time) => self.deadlines.set(key, time, self.generation),
                None => self.deadlines.forget(key),
            },
        }
    }

    fn note_absent(&mut self, key: &[u8], now: Instant, generation: u32) {
        self.writer.insert(key, TableValue::ABSENT, generation);
        self.deadlines.set(key, now + self.bounds.absent_for, generation);
    }

    /// The entry stays until it was seen, or so long as a record may wait for it.
    fn stay(&mut self, key: &[u8], now: Instant) {
        self.writer.want(key);
        self.wanted.push_back((now + self.bounds.wait, key.to_vec()));
    }

    fn keep_bounds(&mut self) {
        let Holding { writer, deadlines, bounds, .. } = self;
        while writer.len() > bounds.max_entries || writer.bytes_at_most() > bounds.max_bytes {
            if !writer.evict(|key| deadlines.forget(key)) {
                break;
            }
        }
    }
}

fn bytes_len(reading: &Reading) -> usize {
    match reading {
        Reading::Found(value) => value.bytes.len(),
        Reading::Absent | Reading::Foreign => 0,
    }
}

/// Moves keys over while there is room; how many.
fn take_some(keys: &mut HashSet<Vec<u8>>, room: &mut usize, mut add: impl FnMut(&[u8])) -> usize {
    let count = keys.len().min(*room);
    let mut taken = 0;
    keys.retain(|key| {
        if taken == count {
            return true;
        }
        taken += 1;
        add(key);
        false
    });
    *room -= count;
    count
}

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
//! Left out: `SWAPDB`, of which Redis tells nobody; there `max_entries` and time are the bound.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    ops::Range,
    time::Instant,
};

use ::redis::{Pipeline, Value};

use super::{
    deadlines::Deadlines,
    link::Push,
    prefix::Prefix,
    trouble::Trouble,
    values::{self, Reading, TimeToLive, Values},
};
use crate::{
    cache::{
        table::{Walk, Writer},
        value::Value as TableValue,
    },
    config::settings::{OnDemand, RedisTable},
    limits::{TABLE_DIRTY_KEYS_MAX, TABLE_FETCHED_TOGETHER_MAX, TABLE_ROUND_KEYS_MAX},
};

/// Rounds of a generation until a time of its own lies before the last but one.
const ROUNDS_UNTIL_TRUE: u32 = 3;

/// What a reply answers.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// The values of these of the round's keys.
    Values(Range<usize>),
    /// How long one of them will exist.
    TimeToLive(usize),
    /// `PING`.
    Alive,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// What is held is not all confirmed.
    Behind,
    /// It became so in this round; true as of that time.
    Whole(Instant),
    /// It is true as of that time.
    Fresh(Instant),
}

/// What is held, and what is to be read.
#[derive(Debug)]
pub(super) struct Holding {
    writer: Writer,
    prefix: Prefix,
    values: Values,
    bounds: OnDemand,
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
            bounds,
            generation: 0,
            asked: HashSet::new(),
            dirty: HashSet::new(),
            deadlines: Deadlines::default(),
            wanted: VecDeque::new(),
            walk: None,
            began: now,
            rounds: 0,
            round: Round { sent: now, keys, asked_keys, asks_all, is_last_of_walk },
            sent: [now; 2],
            has_answers: false,
        }
    }

    /// Begins a generation: all that is held is to be read again, and serves until then.
    pub(super) fn restart(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.dirty.clear();
        self.walk = Some(Walk::default());
        self.began = Instant::now();
        self.rounds = 0;
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// True after the first `restart`.
    pub(super) fn has_begun(&self) -> bool {
        self.generation > 0
    }

    /// True while not all that is held is confirmed by this generation.
    pub(super) fn is_loading(&self) -> bool {
        self.walk.is_some()
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// True if nothing is to be read.
    pub(super) fn is_idle(&self) -> bool {
        self.walk.is_none() && self.dirty.is_empty() && self.asked.is_empty()
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
                self.note_absent(&key, now);
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
        let keys = &self.round.keys;
        let ranges = self.values.ask(keys, TABLE_FETCHED_TOGETHER_MAX, commands);
        let mut questions: Vec<Question> = ranges.into_iter().map(Question::Values).collect();
        for (index, key) in keys.iter().enumerate() {
            values::ask_time_to_live(key, commands);
            questions.push(Question::TimeToLive(index));
        }
        commands.cmd("PING");
        questions.push(Question::Alive);
        questions
    }

    fn begin_round(&mut self, now: Instant) {
        let is_held_back = self.writer.is_held_back();
        let prefix = self.prefix.as_bytes();
        let Holding { round, asked, dirty, walk, writer, generation, .. } = self;
        round.sent = now;
        round.keys.clear();
        round.is_last_of_walk = false;
        let keys = &mut round.keys;
        let mut add = |key: &[u8]| keys.push([prefix, key].concat());
        let mut room = if is_held_back { 0 } else { TABLE_ROUND_KEYS_MAX };
        round.asked_keys = take_some(asked, &mut room, &mut add);
        take_some(dirty, &mut room, &mut add);
        if let Some(walk) = walk.as_mut().filter(|_| room > 0) {
            round.is_last_of_walk = writer.find_stale(walk, *generation, room, add);
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
                Push::Everything => self.restart(),
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
            self.restart();
        }
    }

    /// Ends the round.
    pub(super) fn finish_round(&mut self) -> Progress {
        self.writer.publish();
        self.has_answers |= self.round.asked_keys > 0;
        let [before_last, last] = self.sent;
        self.sent = [last, self.round.sent];
        self.rounds = self.rounds.saturating_add(1);
        let is_loading = self.walk.is_some();
        if self.rounds < ROUNDS_UNTIL_TRUE || !self.round.asks_all {
            return Progress::Behind;
        }
        if is_loading && !self.round.is_last_of_walk {
            return Progress::Behind;
        }
        if is_loading {
            self.walk = None;
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
            Reading::Absent | Reading::Foreign => self.note_absent(&key, sent),
        }
        if is_asked {
            self.stay(&key, Instant::now());
        }
    }

    fn apply_time_to_live(&mut self, index: usize, time_to_live: TimeToLive) {
        let Some(key) = self.prefix.strip(&self.round.keys[index]) else { return };
        let is_value = self.writer.value(key).is_some_and(|it| it != TableValue::ABSENT);
        match time_to_live {
            // Then that is announced, and read again.
            _ if !is_value => {}
            TimeToLive::Gone => {}
            TimeToLive::Endless => self.deadlines.forget(key),
            TimeToLive::Left(left) => match self.round.sent.checked_add(left) {
                Some(time) => self.deadlines.set(key, time, self.generation),
                None => self.deadlines.forget(key),
            },
        }
    }

    fn note_absent(&mut self, key: &[u8], now: Instant) {
        self.writer.insert(key, TableValue::ABSENT, self.generation);
        self.deadlines.set(key, now + self.bounds.absent_for, self.generation);
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

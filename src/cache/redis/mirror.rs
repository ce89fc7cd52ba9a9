//! The protocol that keeps a table equal to what Redis holds under a prefix, round by round.
//!
//! A round asks for the keys that are known to have changed and for those of the last page, for the
//! next page while a snapshot runs, and for a sign of life; its answers are applied in order. No
//! change is lost, because tracking was on before the first read, because every key of a push is
//! read again by a command sent after the push arrived, and because all of that is one connection,
//! which answers in the order of execution. What a generation has not confirmed is swept when all
//! its pages are read. This file knows replies and the table; `link` knows sockets.
//!
//! Left out: `SWAPDB`, of which Redis tells nobody, and a clock of our own for keys that expire.

use std::{collections::HashSet, mem, ops::Range, time::Instant};

use ::redis::{Pipeline, Value};

use super::{
    link::{Push, bytes},
    prefix::Prefix,
    trouble::Trouble,
};
use crate::cache::{table::Writer, value::Value as TableValue};
use crate::limits::{TABLE_DIRTY_KEYS_MAX, TABLE_MGET_KEYS_MAX, TABLE_ROUND_KEYS_MAX};

/// Keys that `SCAN` is asked to look at in one page.
const PAGE_KEYS: usize = 2000;

/// How far the snapshot of this generation is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Snapshot {
    /// Pages are being read; the cursor of the next.
    Scanning(Vec<u8>),
    /// All pages are known, and the last is yet to be read.
    Settling,
    /// It is whole.
    Done,
}

/// What a reply answers.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// `MGET` of these of the asked keys.
    Values(Range<usize>),
    /// `TYPE` of a key that a page named and `MGET` did not find.
    Kind,
    /// `SCAN`.
    Page,
    /// `DBSIZE`.
    Total,
    /// `PING`.
    Alive,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A snapshot is still running, or changes wait to be read.
    Behind,
    /// A snapshot became whole in this round; the copy is true as of that time.
    Whole(Instant),
    /// The copy is true as of that time.
    Fresh(Instant),
}

/// The copy and what is known to be missing from it.
#[derive(Debug)]
pub(super) struct Mirror {
    writer: Writer,
    prefix: Prefix,
    pattern: Vec<u8>,
    generation: u32,
    snapshot: Snapshot,
    /// Keys of the last page, not yet read.
    page: Vec<Vec<u8>>,
    /// Keys that changed, not yet read again.
    dirty: HashSet<Vec<u8>>,
    /// Keys of a page that `MGET` did not find: gone since, or not strings.
    suspects: Vec<Vec<u8>>,
    foreign: u64,
    total: Option<u64>,
    /// When this generation began.
    began: Instant,
    round: Round,
    /// When the round before the last, and the last, were sent.
    sent: [Instant; 2],
}

/// What the round under way has asked.
#[derive(Debug)]
struct Round {
    sent: Instant,
    keys: Vec<Vec<u8>>,
    /// So many of the keys are of a page.
    page_keys: usize,
    /// It asked for all that was known to be missing.
    asks_all: bool,
    was_settling: bool,
}

impl Mirror {
    pub(super) fn new(writer: Writer, prefix: Prefix) -> Mirror {
        let now = Instant::now();
        let round = Round {
            sent: now,
            keys: Vec::new(),
            page_keys: 0,
            asks_all: false,
            was_settling: false,
        };
        Mirror {
            writer,
            pattern: prefix.pattern(),
            prefix,
            generation: 0,
            snapshot: Snapshot::Scanning(b"0".to_vec()),
            page: Vec::new(),
            dirty: HashSet::new(),
            suspects: Vec::new(),
            foreign: 0,
            total: None,
            began: now,
            round,
            sent: [now; 2],
        }
    }

    /// Begins a generation: everything is to be read again. The old entries serve until then.
    pub(super) fn restart(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.snapshot = Snapshot::Scanning(b"0".to_vec());
        self.page.clear();
        self.dirty.clear();
        self.suspects.clear();
        self.foreign = 0;
        self.total = None;
        self.began = Instant::now();
    }

    /// What keys begin with.
    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// True after the first `restart`.
    pub(super) fn has_begun(&self) -> bool {
        self.generation > 0
    }

    /// True while the snapshot of this generation is not whole.
    pub(super) fn is_loading(&self) -> bool {
        self.snapshot != Snapshot::Done
    }

    /// The table.
    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// When this generation began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Keys of other types under the prefix, found by this generation.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Keys in the whole database, once known.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// True if nothing is known to be missing.
    pub(super) fn is_idle(&self) -> bool {
        self.snapshot == Snapshot::Done && self.dirty.is_empty()
    }

    /// Writes the round's commands; says what each reply will answer. While the reader holds the
    /// writer back the round only listens: changes are noted, and nothing is read.
    pub(super) fn ask(&mut self, now: Instant, commands: &mut Pipeline) -> Vec<Question> {
        let is_held_back = self.writer.is_held_back();
        let mut questions = Vec::new();
        commands.clear();
        self.begin_round(now, is_held_back);
        for start in (0..self.round.keys.len()).step_by(TABLE_MGET_KEYS_MAX) {
            let end = self.round.keys.len().min(start + TABLE_MGET_KEYS_MAX);
            commands.cmd("MGET").arg(&self.round.keys[start..end]);
            questions.push(Question::Values(start..end));
        }
        for key in mem::take(&mut self.suspects) {
            commands.cmd("TYPE").arg(key);
            questions.push(Question::Kind);
        }
        if let Snapshot::Scanning(cursor) = &self.snapshot
            && self.page.is_empty()
        {
            if self.total.is_none() {
                commands.cmd("DBSIZE");
                questions.push(Question::Total);
            }
            let scan = commands.cmd("SCAN").arg(cursor);
            scan.arg("MATCH").arg(&self.pattern).arg("COUNT").arg(PAGE_KEYS);
            questions.push(Question::Page);
        }
        commands.cmd("PING");
        questions.push(Question::Alive);
        questions
    }

    /// Applies one reply; `shown` names the server in troubles.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        reply: Value,
        shown: &str,
    ) -> Result<(), Trouble> {
        match question {
            Question::Total => self.total = Some(integer(&reply).unwrap_or_default()),
            Question::Kind => {
                self.foreign += u64::from(bytes(reply).is_some_and(|kind| kind != b"none"));
            }
            _ => {
                let reply = reply.extract_error().map_err(|it| Trouble::of(&it, shown))?;
                match question {
                    Question::Values(range) => self.apply_values(range.clone(), reply),
                    Question::Page => self.apply_page(reply),
                    _ => Some(()),
                }
                .ok_or_else(|| Trouble::nonsense(shown, question.command()))?;
            }
        }
        Ok(())
    }

    /// Takes what the server told without being asked. To be called when all replies are applied:
    /// only commands sent later answer for it.
    pub(super) fn note(&mut self, pushes: Vec<Push>) {
        for push in pushes {
            match push {
                Push::Everything => self.restart(),
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
        let [before_last, last] = self.sent;
        self.sent = [last, self.round.sent];
        let is_settled = self.snapshot == Snapshot::Settling && self.round.was_settling;
        if is_settled && self.round.asks_all && self.suspects.is_empty() {
            self.snapshot = Snapshot::Done;
            self.writer.sweep(self.generation);
            return Progress::Whole(before_last);
        }
        if self.snapshot != Snapshot::Done || !self.round.asks_all {
            return Progress::Behind;
        }
        // What was executed before a PING is announced before the PONG of the next, at the latest,
        // and read in the round after that.
        Progress::Fresh(if self.dirty.is_empty() { last } else { before_last })
    }

    fn begin_round(&mut self, now: Instant, is_held_back: bool) {
        let round = &mut self.round;
        round.sent = now;
        round.keys.clear();
        round.page_keys = 0;
        round.was_settling = self.snapshot == Snapshot::Settling;
        if !is_held_back {
            let page = self.page.len().min(TABLE_ROUND_KEYS_MAX);
            round.keys.extend(self.page.drain(..page));
            round.page_keys = page;
            let room = TABLE_ROUND_KEYS_MAX - page;
            if self.dirty.len() <= room {
                round.keys.extend(self.dirty.drain());
            } else {
                round.keys.extend(self.dirty.iter().take(room).cloned());
                for key in &round.keys[page..] {
                    self.dirty.remove(key);
                }
            }
        }
        round.asks_all = self.page.is_empty() && self.dirty.is_empty();
    }

    fn apply_values(&mut self, range: Range<usize>, reply: Value) -> Option<()> {
        let Value::Array(values) = reply else { return None };
        if values.len() != range.len() {
            return None;
        }
        for (index, value) in range.zip(values) {
            let key = &self.round.keys[index];
            let Some(lookup_key) = self.prefix.strip(key) else { continue };
            match bytes(value) {
                Some(value) => {
                    self.writer.insert(lookup_key, TableValue::text(&value), self.generation);
                }
                None => {
                    self.writer.remove(lookup_key);
                    if index < self.round.page_keys {
                        self.suspects.push(key.clone());
                    }
                }
            }
        }
        self.writer.publish();
        Some(())
    }

    fn apply_page(&mut self, reply: Value) -> Option<()> {
        let Value::Array(parts) = reply else { return None };
        let [cursor, Value::Array(keys)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
        let cursor = bytes(cursor)?;
        let under_prefix = |key: &Vec<u8>| self.prefix.strip(key).is_some();
        self.page.extend(keys.into_iter().filter_map(bytes).filter(under_prefix));
        self.snapshot = match &*cursor {
            b"0" => Snapshot::Settling,
            _ => Snapshot::Scanning(cursor),
        };
        Some(())
    }
}

impl Question {
    fn command(&self) -> &'static str {
        match self {
            Question::Values(_) => "MGET",
            Question::Kind => "TYPE",
            Question::Page => "SCAN",
            Question::Total => "DBSIZE",
            Question::Alive => "PING",
        }
    }
}

fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

//! What a Redis 7.0 keeps of streams, and what the commands of the transport do to it.
//!
//! As the server does it: a group's pending entries with their times and counts, entries that are
//! pending and deleted, consumers made by whoever reads. `stream_server.rs` compares it with a real
//! one, reply by reply. The two scripts are known by how many keys they name.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// The time in milliseconds, and a number.
pub(crate) type Id = (u64, u64);

const LAST: Id = (u64::MAX, u64::MAX);

/// Entries that a claim looks at for each that it may return.
const ATTEMPTS_PER_ENTRY: usize = 10;

pub(crate) type Fields = Vec<Vec<u8>>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) entries: BTreeMap<Id, Fields>,
    pub(crate) last: Id,
    pub(crate) groups: BTreeMap<Vec<u8>, Group>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) delivered: Id,
    pub(crate) pending: BTreeMap<Id, Pending>,
    /// When each was last heard of.
    pub(crate) consumers: BTreeMap<Vec<u8>, u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) consumer: Vec<u8>,
    pub(crate) since_ms: u64,
    pub(crate) deliveries: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    NilArray,
    Array(Vec<Reply>),
    /// There is nothing to read yet.
    Blocks,
}

impl Reply {
    fn id(id: Id) -> Reply {
        Reply::Bulk(format!("{}-{}", id.0, id.1).into_bytes())
    }

    fn fields(fields: &[Vec<u8>]) -> Reply {
        Reply::Array(fields.iter().map(|it| Reply::Bulk(it.clone())).collect())
    }
}

fn no_group(key: &[u8], group: &[u8]) -> Reply {
    let [key, group] = [key, group].map(String::from_utf8_lossy);
    Reply::Error(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

pub(crate) fn id_of(word: &[u8], number: u64) -> Id {
    let text = std::str::from_utf8(word).expect("an id in UTF-8");
    let part = |it: &str| it.parse().expect("an id");
    match text.split_once('-') {
        Some((ms, number)) => (part(ms), part(number)),
        None => (part(text), number),
    }
}

fn number_of(word: &[u8]) -> u64 {
    std::str::from_utf8(word).ok().and_then(|it| it.parse().ok()).expect("a number")
}

/// From where a range goes on.
fn from_word(word: &[u8]) -> Bound<Id> {
    match word.split_first() {
        Some((b'(', id)) => Bound::Excluded(id_of(id, 0)),
        Some((b'-', [])) => Bound::Included((0, 0)),
        _ => Bound::Included(id_of(word, 0)),
    }
}

fn to_word(word: &[u8]) -> Bound<Id> {
    match word {
        b"+" => Bound::Included(LAST),
        _ => Bound::Included(id_of(word, u64::MAX)),
    }
}

/// All streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    pub(crate) streams: BTreeMap<Vec<u8>, Stream>,
    pub(crate) now_ms: u64,
    /// Entries that claims brought.
    pub(crate) claimed: u64,
    /// Entries that were acknowledged by a command of their own since somebody looked.
    pub(crate) acknowledged: Vec<(Vec<u8>, Id)>,
    /// The broken variant: the script does not look whose the entries are.
    pub(crate) is_unchecked: bool,
}

impl Data {
    pub(crate) fn execute(&mut self, words: &[&[u8]]) -> Reply {
        match words[0] {
            b"PING" => Reply::Simple("PONG"),
            b"XLEN" => {
                let stream = self.streams.get(words[1]);
                Reply::Integer(stream.map_or(0, |it| it.entries.len() as i64))
            }
            b"XADD" => self.add(&words[1..]),
            b"XDEL" => self.delete(words[1], &words[2..]),
            b"XTRIM" => self.trim(words[1], number_of(words[3]) as usize),
            b"XGROUP" => self.create(words),
            b"XREADGROUP" => self.read(words),
            b"XPENDING" => self.pending(words),
            b"XCLAIM" => self.claim(words),
            b"XAUTOCLAIM" => self.claim_idle(words),
            b"XACK" => {
                let acked = self.acknowledge(words[1], words[2], &words[3..]);
                let ids = words[3..].iter().map(|it| (words[1].to_vec(), id_of(it, 0)));
                self.acknowledged.extend(ids);
                Reply::Integer(acked)
            }
            b"EVAL" if words[2] == b"1" => self.remove_consumers(words),
            b"EVAL" => self.together(&words[3..]),
            other => panic!("no command of the transport: {}", String::from_utf8_lossy(other)),
        }
    }

    fn group(&mut self, key: &[u8], group: &[u8]) -> Result<&mut Group, Reply> {
        let found = self.streams.get_mut(key).and_then(|it| it.groups.get_mut(group));
        found.ok_or_else(|| no_group(key, group))
    }

    pub(crate) fn add(&mut self, words: &[&[u8]]) -> Reply {
        let stream = self.streams.entry(words[0].to_vec()).or_default();
        let mut at = 1;
        let mut maxlen = None;
        if words[at] == b"MAXLEN" {
            let is_about = words[at + 1] == b"~";
            at += 2 + usize::from(is_about);
            maxlen = (!is_about).then(|| number_of(words[at - 1]));
        }
        let id = match words[at] {
            b"*" if self.now_ms > stream.last.0 => (self.now_ms, 0),
            b"*" => (stream.last.0, stream.last.1 + 1),
            id => id_of(id, 0),
        };
        stream.last = id;
        stream.entries.insert(id, words[at + 1..].iter().map(|it| it.to_vec()).collect());
        while maxlen.is_some_and(|it| stream.entries.len() as u64 > it) {
            stream.entries.pop_first();
        }
        Reply::id(id)
    }

    fn delete(&mut self, key: &[u8], ids: &[&[u8]]) -> Reply {
        let Some(stream) = self.streams.get_mut(key) else { return Reply::Integer(0) };
        let gone = ids.iter().filter(|it| stream.entries.remove(&id_of(it, 0)).is_some());
        Reply::Integer(gone.count() as i64)
    }

    fn trim(&mut self, key: &[u8], maxlen: usize) -> Reply {
        let Some(stream) = self.streams.get_mut(key) else { return Reply::Integer(0) };
        let gone = stream.entries.len().saturating_sub(maxlen);
        (0..gone).for_each(|_| _ = stream.entries.pop_first());
        Reply::Integer(gone as i64)
    }

    fn create(&mut self, words: &[&[u8]]) -> Reply {
        let [_, b"CREATE", key, group, from, b"MKSTREAM"] = words else { panic!("{words:?}") };
        let stream = self.streams.entry(key.to_vec()).or_default();
        if stream.groups.contains_key(*group) {
            return Reply::Error("BUSYGROUP Consumer Group name already exists".to_owned());
        }
        let delivered = if *from == b"$" { stream.last } else { id_of(from, 0) };
        stream.groups.insert(group.to_vec(), Group { delivered, ..Group::default() });
        Reply::Simple("OK")
    }

    /// `XREADGROUP GROUP group consumer COUNT n [BLOCK ms] STREAMS key… id…`
    fn read(&mut self, words: &[&[u8]]) -> Reply {
        let (group, consumer, count) = (words[2], words[3], number_of(words[5]) as usize);
        let blocks = words[6] == b"BLOCK";
        let rest = &words[if blocks { 9 } else { 7 }..];
        let (keys, ids) = rest.split_at(rest.len() / 2);
        let now_ms = self.now_ms;
        if let Some(missing) = keys.iter().find(|it| self.group(it, group).is_err()) {
            return no_group(missing, group);
        }
        let mut all = Vec::new();
        for (key, id) in keys.iter().zip(ids) {
            let stream = self.streams.get_mut(*key).expect("it was looked at");
            let it = stream.groups.get_mut(group).expect("it was looked at");
            it.consumers.insert(consumer.to_vec(), now_ms);
            let mut entries = Vec::new();
            if *id == b">" {
                let new = (Bound::Excluded(it.delivered), Bound::Unbounded);
                for (id, fields) in stream.entries.range(new).take(count) {
                    it.delivered = *id;
                    let (consumer, deliveries) = (consumer.to_vec(), 1);
                    it.pending.insert(*id, Pending { consumer, since_ms: now_ms, deliveries });
                    entries.push(Reply::Array(vec![Reply::id(*id), Reply::fields(fields)]));
                }
                if entries.is_empty() {
                    continue;
                }
            } else {
                let behind = (Bound::Excluded(id_of(id, 0)), Bound::Unbounded);
                let own = it.pending.range_mut(behind).filter(|(_, it)| it.consumer == consumer);
                for (id, pending) in own.take(count) {
                    let Some(fields) = stream.entries.get(id) else {
                        entries.push(Reply::Array(vec![Reply::id(*id), Reply::NilArray]));
                        continue;
                    };
                    (pending.since_ms, pending.deliveries) = (now_ms, pending.deliveries + 1);
                    entries.push(Reply::Array(vec![Reply::id(*id), Reply::fields(fields)]));
                }
            }
            all.push(Reply::Array(vec![Reply::Bulk(key.to_vec()), Reply::Array(entries)]));
        }
        match all.is_empty() {
            true if blocks => Reply::Blocks,
            true => Reply::NilArray,
            false => Reply::Array(all),
        }
    }

    /// `XPENDING key group [IDLE ms] from to count [consumer]`
    fn pending(&mut self, words: &[&[u8]]) -> Reply {
        let now_ms = self.now_ms;
        let group = match self.group(words[1], words[2]) {
            Ok(it) => it,
            Err(error) => return error,
        };
        let has_idle = words[3] == b"IDLE";
        let idle_ms = if has_idle { number_of(words[4]) } else { 0 };
        let rest = &words[if has_idle { 5 } else { 3 }..];
        let found = group.pending.range((from_word(rest[0]), to_word(rest[1])));
        let found = found.filter(|(_, it)| {
            rest.get(3).is_none_or(|consumer| it.consumer == *consumer)
                && now_ms.saturating_sub(it.since_ms) >= idle_ms
        });
        let line = |(id, it): (&Id, &Pending)| {
            let idle = now_ms.saturating_sub(it.since_ms) as i64;
            Reply::Array(vec![
                Reply::id(*id),
                Reply::Bulk(it.consumer.clone()),
                Reply::Integer(idle),
                Reply::Integer(it.deliveries as i64),
            ])
        };
        Reply::Array(found.take(number_of(rest[2]) as usize).map(line).collect())
    }

    /// `XCLAIM key group consumer idle id… [JUSTID]`
    fn claim(&mut self, words: &[&[u8]]) -> Reply {
        let [_, key, group, consumer, idle_ms, ids @ ..] = words else { panic!("{words:?}") };
        let (now_ms, idle_ms) = (self.now_ms, number_of(idle_ms));
        if let Err(error) = self.group(key, group) {
            return error;
        }
        let stream = self.streams.get_mut(*key).expect("it was looked at");
        let group = stream.groups.get_mut(*group).expect("it was looked at");
        group.consumers.insert(consumer.to_vec(), now_ms);
        let (ids, is_just_id) = match ids {
            [ids @ .., b"JUSTID"] => (ids, true),
            ids => (ids, false),
        };
        let mut claimed = Vec::new();
        for id in ids.iter().map(|it| id_of(it, 0)) {
            let Some(fields) = stream.entries.get(&id) else {
                group.pending.remove(&id);
                continue;
            };
            let Some(pending) = group.pending.get_mut(&id) else { continue };
            if now_ms.saturating_sub(pending.since_ms) < idle_ms {
                continue;
            }
            (pending.consumer, pending.since_ms) = (consumer.to_vec(), now_ms);
            pending.deliveries += u64::from(!is_just_id);
            claimed.push(match is_just_id {
                true => Reply::id(id),
                false => Reply::Array(vec![Reply::id(id), Reply::fields(fields)]),
            });
        }
        Reply::Array(claimed)
    }

    /// `XAUTOCLAIM key group consumer idle from COUNT n`
    fn claim_idle(&mut self, words: &[&[u8]]) -> Reply {
        let [_, key, group, consumer, idle_ms, from, b"COUNT", count] = words else {
            panic!("{words:?}")
        };
        let (now_ms, idle_ms) = (self.now_ms, number_of(idle_ms));
        let mut count = number_of(count) as usize;
        if let Err(error) = self.group(key, group) {
            return error;
        }
        let stream = self.streams.get_mut(*key).expect("it was looked at");
        let group = stream.groups.get_mut(*group).expect("it was looked at");
        group.consumers.insert(consumer.to_vec(), now_ms);
        let mut attempts = ATTEMPTS_PER_ENTRY * count;
        let (mut claimed, mut gone) = (Vec::new(), Vec::new());
        let mut cursor = (0, 0);
        for (id, pending) in group.pending.range_mut(id_of(from, 0)..) {
            if attempts == 0 || count == 0 {
                cursor = *id;
                break;
            }
            attempts -= 1;
            let Some(fields) = stream.entries.get(id) else {
                gone.push(*id);
                count -= 1;
                continue;
            };
            if now_ms.saturating_sub(pending.since_ms) < idle_ms {
                continue;
            }
            (pending.consumer, pending.since_ms) = (consumer.to_vec(), now_ms);
            pending.deliveries += 1;
            count -= 1;
            claimed.push(Reply::Array(vec![Reply::id(*id), Reply::fields(fields)]));
        }
        gone.iter().for_each(|it| _ = group.pending.remove(it));
        self.claimed += claimed.len() as u64;
        let gone = gone.into_iter().map(Reply::id).collect();
        Reply::Array(vec![Reply::id(cursor), Reply::Array(claimed), Reply::Array(gone)])
    }

    fn acknowledge(&mut self, key: &[u8], group: &[u8], ids: &[&[u8]]) -> i64 {
        let Ok(group) = self.group(key, group) else { return 0 };
        ids.iter().filter(|it| group.pending.remove(&id_of(it, 0)).is_some()).count() as i64
    }

    /// `EVAL script 1 key group consumer idle`
    fn remove_consumers(&mut self, words: &[&[u8]]) -> Reply {
        let [_, _, _, key, name, own, idle] = words else { panic!("{words:?}") };
        let now_ms = self.now_ms;
        let group = match self.group(key, name) {
            Ok(it) => it,
            Err(error) => return error,
        };
        let busy: BTreeSet<_> = group.pending.values().map(|it| it.consumer.clone()).collect();
        let before = group.consumers.len();
        group.consumers.retain(|it, seen_ms| {
            let is_meant = match *idle {
                b"-1" => it == own,
                idle => it != own && now_ms - *seen_ms >= number_of(idle),
            };
            !is_meant || busy.contains(it)
        });
        Reply::Integer((before - group.consumers.len()) as i64)
    }

    /// `group consumer deletes streams… parts… results…`, each list behind its length.
    fn together(&mut self, words: &[&[u8]]) -> Reply {
        let mut words = words.iter();
        let mut next = || *words.next().expect("a word");
        let (name, consumer, deletes) = (next(), next(), next() == b"1");
        let outputs = number_of(next());
        (0..outputs).for_each(|_| _ = next());
        let mut parts = Vec::new();
        for _ in 0..number_of(next()) {
            let (key, ids) = (next(), number_of(next()));
            let (low, high) = (id_of(next(), 0), id_of(next(), 0));
            let ids: Vec<&[u8]> = (0..ids).map(|_| next()).collect();
            assert!(ids.iter().all(|it| (low..=high).contains(&id_of(it, 0))), "out of its range");
            parts.push((key, ids));
        }
        let mut missing = 0;
        for (key, ids) in &parts {
            let group = match self.group(key, name) {
                Ok(it) => it,
                Err(error) => return error,
            };
            let is_mine = |it: &&&[u8]| {
                group.pending.get(&id_of(it, 0)).is_none_or(|it| it.consumer != consumer)
            };
            missing += ids.iter().filter(is_mine).count() as i64;
        }
        if missing > 0 && !self.is_unchecked {
            return Reply::Integer(missing);
        }
        for (key, ids) in &parts {
            self.acknowledge(key, name, ids);
            if deletes {
                self.delete(key, ids);
            }
        }
        while let Some(len) = words.next() {
            let entry: Vec<&[u8]> = words.by_ref().take(number_of(len) as usize).copied().collect();
            self.add(&entry);
        }
        Reply::Integer(0)
    }
}

//! What a schedule added, what came of it, and what must hold.

use std::collections::HashMap;

use super::{
    data::{Data, Id},
    worker::{DEAD, OUT, number_in, results_of},
};

/// An entry that was added, by its number.
#[derive(Clone, Copy, Debug)]
struct Added {
    stream: usize,
    /// The server forgot it, or it was trimmed.
    is_gone: bool,
    /// It was pending when it was trimmed.
    was_pending: bool,
}

/// What was written for an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) results: u32,
    pub(crate) letters: u32,
    /// Of those, for too many deliveries.
    pub(crate) exhausted: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    added: Vec<Added>,
    numbers: HashMap<(Vec<u8>, Id), u32>,
    fates: Vec<Fate>,
    /// How often each was acknowledged by a command of its own.
    acknowledged: Vec<u32>,
    /// Up to where outputs were read.
    read: [Id; 2],
    /// Numbers of results in their order, each where it stood first.
    firsts: Vec<u32>,
}

impl Books {
    /// The number of the next entry.
    pub(crate) fn next_number(&self) -> u32 {
        self.added.len() as u32
    }

    pub(crate) fn added(&mut self, stream: usize, key: &str, id: Id) {
        self.numbers.insert((key.as_bytes().to_vec(), id), self.next_number());
        self.added.push(Added { stream, is_gone: false, was_pending: false });
        self.fates.push(Fate::default());
        self.acknowledged.push(0);
    }

    /// An entry was trimmed.
    pub(crate) fn trimmed(&mut self, key: &str, id: Id, is_pending: bool) {
        let number = self.numbers[&(key.as_bytes().to_vec(), id)];
        let added = &mut self.added[number as usize];
        (added.is_gone, added.was_pending) = (true, is_pending);
    }

    /// The server forgot all.
    pub(crate) fn forgotten(&mut self) {
        self.numbers.clear();
        self.added.iter_mut().for_each(|it| (it.is_gone, it.was_pending) = (true, false));
        self.read = [(0, 0); 2];
    }

    /// Reads what was written since the last call.
    pub(crate) fn read(&mut self, data: &Data) {
        for (index, key) in [OUT, DEAD].into_iter().enumerate() {
            let Some(stream) = data.streams.get(key.as_bytes()) else { continue };
            let behind = (std::ops::Bound::Excluded(self.read[index]), std::ops::Bound::Unbounded);
            for (id, fields) in stream.entries.range(behind) {
                self.read[index] = *id;
                let of = |name: &str| {
                    let at = fields.chunks(2).find(|it| it[0] == name.as_bytes());
                    at.map(|it| it[1].as_slice())
                };
                let number = number_in(of("payload").expect("a payload"));
                let fate = &mut self.fates[number as usize];
                if index == 1 {
                    fate.letters += 1;
                    let class = of("hotspur.class").expect("a class");
                    fate.exhausted += u32::from(class == b"claims_exhausted");
                } else {
                    if fate.results == 0 {
                        self.firsts.push(number);
                    }
                    fate.results += 1;
                }
            }
        }
    }

    /// An entry was acknowledged by itself: where it is not ahead of its results, all that it leads
    /// to must have been written.
    pub(crate) fn acknowledged(&mut self, key: &[u8], id: Id, is_ahead: bool) {
        let Some(&number) = self.numbers.get(&(key.to_vec(), id)) else { return };
        self.acknowledged[number as usize] += 1;
        if !is_ahead && !self.added[number as usize].is_gone {
            assert!(self.is_complete(number), "{}", self.words("was acknowledged early", number));
        }
    }

    fn is_complete(&self, number: u32) -> bool {
        let fate = self.fates[number as usize];
        match results_of(number) {
            Some(results) => fate.letters > 0 || fate.results >= results,
            None => fate.letters > 0,
        }
    }

    fn words(&self, what: &str, number: u32) -> String {
        let (added, fate) = (self.added[number as usize], self.fates[number as usize]);
        format!("number {number} {what}: {added:?}, {fate:?}")
    }

    /// Nothing that is still there is without what it leads to.
    pub(crate) fn check_nothing_lost(&self) {
        for number in 0..self.next_number() {
            let is_lost = !self.added[number as usize].is_gone && !self.is_complete(number);
            assert!(!is_lost, "{}", self.words("is lost", number));
        }
    }

    /// Nothing has more than it leads to.
    pub(crate) fn check_nothing_doubled(&self) {
        for number in 0..self.next_number() {
            let fate = self.fates[number as usize];
            let most = results_of(number).unwrap_or(0);
            let is_right = fate.letters + u32::from(fate.results > 0) <= 1 && fate.results <= most;
            assert!(is_right, "{}", self.words("is doubled", number));
        }
    }

    /// Results of a stream stand in its order.
    pub(crate) fn check_order(&self) {
        let mut last = [0; 2];
        for &number in &self.firsts {
            let last = &mut last[self.added[number as usize].stream];
            assert!(number >= *last, "{}", self.words(&format!("stands behind {last}"), number));
            *last = number;
        }
    }

    /// No entry was acknowledged again.
    pub(crate) fn check_acknowledged_once(&self) {
        for number in 0..self.next_number() {
            let is_right = self.acknowledged[number as usize] <= 1;
            assert!(is_right, "{}", self.words("was acknowledged again", number));
        }
    }

    /// Nothing was given up for too many deliveries.
    pub(crate) fn check_nothing_exhausted(&self) {
        for number in 0..self.next_number() {
            let is_right = self.fates[number as usize].exhausted == 0;
            assert!(is_right, "{}", self.words("was given up without need", number));
        }
    }

    /// Entries that were pending when they were trimmed, and came to nothing.
    pub(crate) fn gone_pending(&self) -> u64 {
        let is_missed = |it: &u32| self.added[*it as usize].was_pending && !self.is_complete(*it);
        (0..self.next_number()).filter(is_missed).count() as u64
    }
}

//! Where a run begins and ends that was told so: what `--from` and `--until` mean for a group.
//!
//! `--from` moves the group's position. What it committed before counts no more, unless that
//! commit was made under the same `--from`: each such commit says so in its text. So a partition
//! that comes to another member, or a run that was interrupted and is started again with the same
//! words, goes on instead of beginning anew.
//!
//! `--until` is settled once, at the start, for every partition: the run takes nothing behind it,
//! whatever is written meanwhile, and what is not there yet is not waited for.

use std::{collections::HashMap, ffi::CString, sync::Arc};

use super::{
    assignment::Place,
    client::Client,
    lookup::{CALL_TIMEOUT, Fault, Offset, fault, look_up},
    metadata,
    native::Topic,
    start::{Committed, Mark},
};
use crate::config::{
    range::{self, Point, Range},
    settings::Start,
};

/// Where partitions begin and end.
#[derive(Debug)]
pub(super) struct Bounds {
    start: Start,
    from: Option<Point>,
    until: Option<Point>,
    /// Offsets that are not read any more. None: not settled yet.
    ends: Option<HashMap<Place, i64>>,
}

impl Bounds {
    /// `start` is where a group without offsets begins that was not told otherwise.
    pub(super) fn new(start: Start, range: &Range) -> Bounds {
        let (from, until) = (range.from.clone(), range.until.clone());
        Bounds { start, from, until, ends: None }
    }

    /// What each commit says.
    pub(super) fn mark(&self, first_count: i32) -> Mark {
        Mark { first_count, from: self.from.as_ref().map(Point::mark) }
    }

    /// Of what the group has committed for a topic's partitions, forgets what `--from` goes over.
    pub(super) fn go_over(&self, topic: &str, committed: &mut [Committed]) {
        let Some(from) = &self.from else { return };
        for (partition, commit) in (0..).zip(committed) {
            let concerns_it =
                from.offsets().is_empty() || from.offset_of(topic, partition).is_some();
            if concerns_it && commit.from != Some(from.mark()) {
                *commit = Committed::default();
            }
        }
    }

    /// Where a partition begins for which nothing is committed.
    pub(super) fn start(&self, topic: &str, partition: i32) -> Offset {
        match &self.from {
            None => Offset::of(self.start),
            Some(Point { place: range::Place::Everywhere(start), .. }) => Offset::of(*start),
            Some(from) => from
                .offset_of(topic, partition)
                .map_or_else(|| Offset::of(self.start), Offset::Given),
        }
    }

    /// True once it is known where all ends are, or there are none.
    pub(super) fn are_settled(&self) -> bool {
        self.until.is_none() || self.ends.is_some()
    }

    /// Settles where every partition ends.
    pub(super) fn settle(&mut self, client: &Arc<Client>, topics: &[CString]) -> Result<(), Fault> {
        let Some(until) = self.until.as_ref().filter(|_| self.ends.is_none()) else {
            return Ok(());
        };
        let mut ends = HashMap::new();
        for (index, name) in (0..).zip(topics) {
            let topic = name.to_string_lossy();
            let count = Topic::new(client, name)
                .and_then(|it| metadata::describe(client, &it, CALL_TIMEOUT))
                .map_err(|code| fault(code, format_args!("topic {topic}")))?;
            let wish = |partition| match until.place {
                range::Place::Everywhere(start) => Some((partition, Offset::of(start))),
                range::Place::Offsets(_) | range::Place::Entries(_) => {
                    until.offset_of(&topic, partition).map(|_| (partition, Offset::END))
                }
            };
            let wishes: Vec<_> = (0..count).filter_map(wish).collect();
            for ((partition, _), end) in wishes.iter().zip(look_up(client, name, &wishes)?) {
                let given = until.offset_of(&topic, *partition).unwrap_or(i64::MAX);
                ends.insert((index, *partition), end.min(given));
            }
        }
        self.ends = Some(ends);
        Ok(())
    }

    /// The offset at which a partition ends. One that was not named, or was made after the start,
    /// ends before its first record.
    pub(super) fn end(&self, place: Place) -> Option<i64> {
        self.until.as_ref()?;
        let ends = self.ends.as_ref()?;
        Some(ends.get(&place).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(from: &[&str]) -> Bounds {
        let words: Vec<_> = from.iter().map(|&it| it.to_owned()).collect();
        let range = Range { from: Point::parse(&words).unwrap(), ..Range::default() };
        Bounds::new(Start::Latest, &range)
    }

    fn at(offset: i64, from: Option<u64>) -> Committed {
        Committed { offset: Some(offset), first_count: Some(2), from, ..Committed::default() }
    }

    #[test]
    fn from_goes_over_commits_that_were_made_without_it_and_over_no_other() {
        let bounds = bounds(&["earliest"]);
        let same = bounds.mark(2).from;
        let mut committed = [at(7, None), at(8, same), at(9, Some(1)), Committed::default()];
        bounds.go_over("t", &mut committed);
        let none = Committed::default();
        assert_eq!(committed, [none, at(8, same), none, none]);
        assert_eq!(bounds.start("t", 0), Offset::EARLIEST);
    }

    #[test]
    fn offsets_concern_their_own_partitions_only() {
        let bounds = bounds(&["t:1:5"]);
        let mut committed = [at(7, None), at(8, None)];
        bounds.go_over("other", &mut committed);
        assert_eq!(committed, [at(7, None), at(8, None)]);
        bounds.go_over("t", &mut committed);
        assert_eq!(committed, [at(7, None), Committed::default()]);
        assert_eq!((bounds.start("t", 1), bounds.start("t", 0)), (Offset::Given(5), Offset::END));
    }

    #[test]
    fn without_bounds_nothing_changes() {
        let bounds = bounds(&[]);
        let mut committed = [at(7, None), at(8, Some(3))];
        bounds.go_over("t", &mut committed);
        assert_eq!(committed, [at(7, None), at(8, Some(3))]);
        assert!(bounds.are_settled() && bounds.end((0, 0)).is_none());
    }
}

//! What becomes of each letter, and how many became what.

use std::{collections::BTreeMap, fmt::Write as _};

/// What became of one letter in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It was copied into a topic or stream.
    Copied,
    /// The steps emitted results.
    Emitted,
    /// A step passed it over.
    Skipped,
    /// It was rejected again: a new letter.
    Rejected,
    /// An earlier replay has copied it.
    Before,
    /// The command line does not mean it.
    Filtered,
    /// It was replayed as often as it may be.
    AtLimit,
    /// Its payload is not whole.
    Truncated,
    /// It does not say where it came from.
    Foreign,
    /// It came from a topic or stream that this pipeline does not read.
    OfOthers,
    /// The topic or stream that it came from is not there.
    NoTopic,
    /// Its copy was not taken.
    Refused,
}

impl Fate {
    const ALL: [Fate; 12] = [
        Fate::Copied,
        Fate::Emitted,
        Fate::Skipped,
        Fate::Rejected,
        Fate::Before,
        Fate::Filtered,
        Fate::AtLimit,
        Fate::Truncated,
        Fate::Foreign,
        Fate::OfOthers,
        Fate::NoTopic,
        Fate::Refused,
    ];

    /// The name in what is recorded, and in the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fate::Copied => "copied",
            Fate::Emitted => "emitted",
            Fate::Skipped => "skipped",
            Fate::Rejected => "rejected",
            Fate::Before => "replayed_before",
            Fate::Filtered => "filtered",
            Fate::AtLimit => "at_max_replays",
            Fate::Truncated => "truncated",
            Fate::Foreign => "no_origin",
            Fate::OfOthers => "other_source",
            Fate::NoTopic => "no_topic",
            Fate::Refused => "refused",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Fate::Copied => "copied into the topic or stream",
            Fate::Emitted => "went through the steps, their results to the sink",
            Fate::Skipped => "a step passed them over",
            Fate::Rejected => "rejected again: new letters, with one more replay counted",
            Fate::Before => "replayed before, passed over",
            Fate::Filtered => "not meant by the options, they stay",
            Fate::AtLimit => "replayed --max-replays times, passed over",
            Fate::Truncated => "their payload was cut (hotspur.truncated), passed over",
            Fate::Foreign => "they do not say where they came from, passed over",
            Fate::OfOthers => "they came from what this pipeline does not read",
            Fate::NoTopic => "the topic or stream they came from is not there, they stay",
            Fate::Refused => "their copy was refused, they stay",
        }
    }

    /// True if the letter is done with, and recorded.
    pub(super) fn is_done(self) -> bool {
        matches!(self, Fate::Copied | Fate::Emitted | Fate::Skipped | Fate::Rejected)
    }
}

/// How many letters became what.
#[derive(Debug, Default)]
pub(super) struct Fates {
    counts: BTreeMap<Fate, u64>,
    /// Where those went that were replayed.
    places: BTreeMap<(Fate, String), u64>,
}

impl Fates {
    /// One more.
    pub(super) fn add(&mut self, fate: Fate) {
        *self.counts.entry(fate).or_default() += 1;
    }

    /// One more that went there.
    pub(super) fn add_to(&mut self, fate: Fate, place: &str) {
        self.add(fate);
        if !place.is_empty() {
            *self.places.entry((fate, place.to_owned())).or_default() += 1;
        }
    }

    /// Of one kind.
    pub(super) fn of(&self, fate: Fate) -> u64 {
        self.counts.get(&fate).copied().unwrap_or(0)
    }

    /// Copied in whatever way.
    pub(super) fn done(&self) -> u64 {
        Fate::ALL.into_iter().filter(|it| it.is_done()).map(|it| self.of(it)).sum()
    }

    /// A head line, and one for each kind that there is.
    pub(super) fn to_text(&self, topic: &str, dry_run: bool) -> String {
        let (read, done): (u64, u64) = (self.counts.values().sum(), self.done());
        let would = if dry_run { "would be replayed (--dry-run: nothing was)" } else { "replayed" };
        let mut text = format!("{read} dead letters read in {topic}, {done} {would}\n");
        for fate in Fate::ALL.into_iter().filter(|it| self.of(*it) > 0) {
            let (count, name, says) = (self.of(fate), fate.name(), fate.says());
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{count:>9}  {name:<16} {says}");
            for ((_, place), count) in self.places.iter().filter(|((it, _), _)| *it == fate) {
                let _ = writeln!(text, "{count:>9}    -> {place}");
            }
        }
        text
    }
}

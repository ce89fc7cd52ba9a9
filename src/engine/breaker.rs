//! The breaker: where too many records are rejected, something is wrong that is no record's fault,
//! and nothing more is processed before the topic has been emptied into the dead letters.
//!
//! It is judged over the last `window` records, and only if that many were within the last
//! `within`: a few bad records on a quiet topic mean nothing. Their order is that of processing.
//! Acknowledgements come in another: those of a thousand letters may come in one go, while the
//! records between them were skipped long before, and would look like nothing but letters. And
//! until a letter is acknowledged thousands more could be written. So an outcome is noted when it
//! is decided. Once those would open the breaker, nothing more is processed until all of them are
//! settled, and then it opens: a sick pipeline leaves about `window` letters.
//!
//! Outcomes are bytes in a ring that is taken at start, with their times beside them. What this
//! does not do: read a clock, stop anything, or tell anybody.

use std::fmt;

use crate::{
    clock::Ticks,
    limits::CLASSES_MAX,
    observe::{BreakerFacts, RejectSample},
    record::PartitionId,
    verdict::{RejectClass, Rejection},
};

/// Samples that are kept of each class: the latest.
const SAMPLES: usize = 3;

/// When to open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Past this share of rejected records, 0 to 1.
    pub share: f64,
    /// Of so many records.
    pub window: usize,
    /// All of them within that time.
    pub within_ns: u64,
    /// The run ends then; else it waits for somebody who lets it go on.
    pub stops: bool,
}

/// Why a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// How many of how many, and the class that most have.
    pub facts: BreakerFacts,
    /// The latest of that class, oldest first.
    pub samples: [Option<RejectSample>; SAMPLES],
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)?;
        for sample in self.samples.iter().flatten() {
            let RejectSample { class, reason, topic, partition_number, offset, .. } = sample;
            write!(f, "\n  {topic}[{partition_number}] at offset {offset}: {class}: {reason}")?;
        }
        Ok(())
    }
}

/// A rejected record, as little of it as names it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) rejection: Rejection,
    pub(crate) partition: PartitionId,
    pub(crate) offset: i64,
}

/// Outcomes and what they come to.
#[derive(Debug)]
pub(crate) struct Breaker {
    stops: bool,
    last: Window,
    samples: Box<[[Option<Sample>; SAMPLES]]>,
    /// Samples noted so far, by class.
    noted: [usize; CLASSES_MAX],
    is_open: bool,
}

const _: () = assert!(RejectClass::ALL.len() <= CLASSES_MAX);

impl Breaker {
    /// One that never opens.
    pub(crate) fn off() -> Breaker {
        let never = Rule { share: 1.0, window: 0, within_ns: 0, stops: false };
        Breaker::new(never, 0)
    }

    /// Takes all memory; `within` is the rule's in ticks.
    pub(crate) fn new(rule: Rule, within: u64) -> Breaker {
        let classes = if rule.window > 0 { RejectClass::ALL.len() } else { 0 };
        Breaker {
            stops: rule.stops,
            last: Window::new(&rule, within),
            samples: vec![[None; SAMPLES]; classes].into_boxed_slice(),
            noted: [0; CLASSES_MAX],
            is_open: false,
        }
    }

    /// A record is to be settled so: with a dead letter of that class, or without one.
    #[inline]
    pub(crate) fn decide(&mut self, now: Ticks, rejected: Option<RejectClass>) {
        self.last.add(now, rejected);
    }

    /// Of a record that was to be settled without a letter a result was refused: it gets one. Which
    /// of the last it was is not known any more, so another stands in for it.
    pub(crate) fn amend(&mut self, now: Ticks, rejected: RejectClass) {
        self.last.amend(now, rejected);
    }

    /// Keeps what names a rejected record.
    pub(crate) fn note(&mut self, sample: Sample) {
        let class = sample.rejection.class as usize;
        if let Some(samples) = self.samples.get_mut(class) {
            samples[self.noted[class] % SAMPLES] = Some(sample);
            self.noted[class] += 1;
        }
    }

    /// True while nothing may be processed: it is to be opened once what is under way is settled.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        self.last.is_past && !self.is_open
    }

    /// Opens it; what was seen, samples oldest first.
    pub(crate) fn open(&mut self) -> (BreakerFacts, [Option<Sample>; SAMPLES]) {
        self.is_open = true;
        let Window { by_class, rejected, outcomes, .. } = &self.last;
        let most = RejectClass::ALL.iter().max_by_key(|it| by_class[**it as usize]);
        let class = *most.expect("there are classes");
        let facts = BreakerFacts {
            class,
            of_class: by_class[class as usize],
            rejected: *rejected as u32,
            window: outcomes.len() as u32,
            stops: self.stops,
        };
        let mut samples = self.samples[class as usize];
        samples.rotate_left(self.noted[class as usize] % SAMPLES);
        (facts, samples)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Closes it: what was seen is forgotten.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.last.clear();
    }

    /// The rejected among the last that are recent enough, and how many those are.
    pub(crate) fn rejected(&mut self, now: Ticks) -> (u32, u32) {
        self.last.expire(now);
        (self.last.rejected as u32, self.last.len as u32)
    }
}

/// Outcomes that are looked at when one comes in: whether they are too old, or may be amended.
const LOOKED_AT_MAX: usize = 64;

/// Not rejected; else the class's number and one.
const FINE: u8 = 0;

/// The last outcomes.
#[derive(Debug)]
struct Window {
    outcomes: Box<[u8]>,
    times: Box<[u64]>,
    within: u64,
    /// The fewest rejected that are past the share.
    past: usize,
    oldest: usize,
    len: usize,
    rejected: usize,
    by_class: [u32; CLASSES_MAX],
    /// Where the last amended one is.
    amended: usize,
    /// It was past the share since it was last cleared.
    is_past: bool,
}

impl Window {
    fn new(rule: &Rule, within: u64) -> Window {
        Window {
            outcomes: vec![FINE; rule.window].into_boxed_slice(),
            // Not zero, so that the pages are there.
            times: vec![1; rule.window].into_boxed_slice(),
            within,
            past: fewest_past(rule.share, rule.window),
            oldest: 0,
            len: 0,
            rejected: 0,
            by_class: [0; CLASSES_MAX],
            amended: 0,
            is_past: false,
        }
    }

    #[inline]
    fn add(&mut self, now: Ticks, rejected: Option<RejectClass>) {
        let room = self.outcomes.len();
        // What made it past the share is kept until somebody looked.
        if room == 0 || self.is_past {
            return;
        }
        if self.len == room {
            self.drop_oldest();
        }
        let at = wrapped(self.oldest + self.len, room);
        self.times[at] = now.0;
        self.outcomes[at] = FINE;
        self.len += 1;
        if let Some(class) = rejected {
            self.reject(at, class);
        }
        self.expire(now);
        self.judge(now);
    }

    /// From the newest to the oldest and round again, so that many are not looked at many times.
    fn amend(&mut self, now: Ticks, class: RejectClass) {
        for _ in 0..LOOKED_AT_MAX.min(if self.is_past { 0 } else { self.len }) {
            let room = self.outcomes.len();
            let behind = wrapped(self.amended + room - self.oldest, room);
            let next = if behind == 0 || behind >= self.len { self.len } else { behind };
            self.amended = wrapped(self.oldest + next - 1, room);
            if self.outcomes[self.amended] == FINE {
                self.reject(self.amended, class);
                return self.judge(now);
            }
        }
    }

    #[inline]
    fn reject(&mut self, at: usize, class: RejectClass) {
        self.outcomes[at] = class as u8 + 1;
        self.rejected += 1;
        self.by_class[class as usize] += 1;
    }

    #[inline]
    fn judge(&mut self, now: Ticks) {
        let is_full = self.len > 0 && self.len == self.outcomes.len();
        self.is_past |= is_full && self.rejected >= self.past && !self.is_old(now);
    }

    /// True if the oldest was not within the time. It may be ahead of a turn's own present.
    #[inline]
    fn is_old(&self, now: Ticks) -> bool {
        now.0.saturating_sub(self.times[self.oldest]) > self.within
    }

    /// Drops what is too old, not all at once: what is left of it is not believed either.
    #[inline]
    fn expire(&mut self, now: Ticks) {
        for _ in 0..LOOKED_AT_MAX {
            if self.len == 0 || self.is_past || !self.is_old(now) {
                return;
            }
            self.drop_oldest();
        }
    }

    #[inline]
    fn drop_oldest(&mut self) {
        let outcome = self.outcomes[self.oldest];
        if let Some(class) = outcome.checked_sub(1) {
            self.rejected -= 1;
            self.by_class[usize::from(class)] -= 1;
        }
        self.oldest = wrapped(self.oldest + 1, self.outcomes.len());
        self.len -= 1;
    }

    fn clear(&mut self) {
        (self.oldest, self.len, self.rejected, self.is_past) = (0, 0, 0, false);
        self.by_class = [0; CLASSES_MAX];
    }
}

/// An index that is at most one round too large.
#[inline]
fn wrapped(index: usize, len: usize) -> usize {
    if index >= len { index - len } else { index }
}

/// The fewest of `window` that are more than that share of it; more than there are, if none is.
fn fewest_past(share: f64, window: usize) -> usize {
    let is_past = |rejected: usize| rejected as f64 / window as f64 > share;
    // Rounding may be off by one in either direction.
    let about = (share * window as f64) as usize;
    (about.saturating_sub(1)..=window).find(|it| is_past(*it)).unwrap_or(window + 1)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::verdict::Step;

    const BAD: Option<RejectClass> = Some(RejectClass::NotJson);
    const WORSE: Option<RejectClass> = Some(RejectClass::TableMiss);

    fn breaker(share: f64, window: usize, within: u64) -> Breaker {
        Breaker::new(Rule { share, window, within_ns: within, stops: true }, within)
    }

    #[test]
    fn fewer_than_a_window_never_open_it_and_a_share_that_is_only_reached_does_not() {
        let mut it = breaker(0.5, 4, 100);
        for _ in 0..3 {
            it.decide(Ticks(1), BAD);
        }
        assert!(!it.holds());
        it.decide(Ticks(1), None);
        assert!(it.holds(), "three of four");

        let mut it = breaker(0.5, 4, 100);
        for number in 0..100 {
            it.decide(Ticks(1), BAD.filter(|_| number % 2 == 0));
        }
        assert!(!it.holds(), "a half is not past a half");
        assert_eq!(it.rejected(Ticks(1)), (2, 4));
    }

    #[test]
    fn what_is_older_than_the_time_counts_for_nothing() {
        let mut it = breaker(0.0, 3, 10);
        for time in [0, 6, 12, 18, 24] {
            it.decide(Ticks(time), BAD);
            assert!(!it.holds(), "three take 12");
        }
        assert_eq!(it.rejected(Ticks(24)), (2, 2));
        assert_eq!(it.rejected(Ticks(100)), (0, 0));
        it.decide(Ticks(100), BAD);
        it.decide(Ticks(101), BAD);
        it.decide(Ticks(110), BAD);
        assert!(it.holds(), "ten is within ten");
    }

    #[test]
    fn it_holds_until_it_is_opened_and_begins_with_nothing_once_it_is_closed() {
        let mut it = breaker(0.5, 2, 100);
        it.decide(Ticks(1), BAD);
        assert!(!it.holds());
        it.decide(Ticks(1), BAD);
        assert!(it.holds());
        it.decide(Ticks(1), None);
        assert!(it.holds(), "what follows changes nothing");
        it.open();
        assert!(it.is_open() && !it.holds());
        it.close();
        it.decide(Ticks(4), BAD);
        assert!(!it.holds() && !it.is_open());
        it.decide(Ticks(4), BAD);
        assert!(it.holds());
    }

    #[test]
    fn a_refused_result_turns_one_that_was_fine_into_one_that_was_not() {
        let mut it = breaker(0.5, 200, 100);
        for number in 0..300 {
            it.decide(Ticks(1), BAD.filter(|_| number % 4 == 0));
        }
        assert_eq!(it.rejected(Ticks(1)), (50, 200));
        for amended in 1..=50 {
            it.amend(Ticks(2), WORSE.unwrap());
            assert_eq!(it.rejected(Ticks(2)), (50 + amended, 200));
        }
        assert!(!it.holds());
        it.amend(Ticks(2), WORSE.unwrap());
        assert!(it.holds(), "101 of 200");
        let mut it = breaker(0.5, 4, 100);
        it.amend(Ticks(1), WORSE.unwrap());
        it.decide(Ticks(1), BAD);
        it.amend(Ticks(1), WORSE.unwrap());
        assert_eq!(it.rejected(Ticks(1)), (1, 1), "there is none to stand in for it");
    }

    #[test]
    fn it_says_which_class_most_have_and_the_latest_of_them() {
        let mut it = breaker(0.5, 8, 100);
        let note = |it: &mut Breaker, class: Option<RejectClass>, offset| {
            let class = class.unwrap();
            let rejection = Rejection::new(class, Step::Parse, format_args!("at {offset}"));
            it.note(Sample { rejection, partition: PartitionId(3), offset });
        };
        for offset in 0..5 {
            note(&mut it, WORSE, offset);
            it.decide(Ticks(1), WORSE);
        }
        note(&mut it, BAD, 5);
        for outcome in [BAD, None, None] {
            it.decide(Ticks(1), outcome);
        }
        let (facts, samples) = it.open();
        let (class, stops) = (RejectClass::TableMiss, true);
        let expected = BreakerFacts { class, of_class: 5, rejected: 6, window: 8, stops };
        assert_eq!(facts, expected);
        assert_eq!(
            facts.to_string(),
            "6 of the last 8 records were rejected (75.0 %), 5 of them as table_miss"
        );
        assert_eq!(samples.map(|it| it.unwrap().offset), [2, 3, 4]);
    }

    #[test]
    fn one_that_is_off_never_holds() {
        let mut it = Breaker::off();
        for time in 0..10_000 {
            it.decide(Ticks(time), BAD);
            it.decide(Ticks(time), BAD);
        }
        let sentence = Rejection::new(RejectClass::NotJson, Step::Parse, format_args!("no"));
        it.note(Sample { rejection: sentence, partition: PartitionId(0), offset: 0 });
        assert!(!it.holds());
        assert_eq!(it.rejected(Ticks(1)), (0, 0));
    }

    #[test]
    fn a_share_is_compared_as_it_is_written() {
        for (share, window, past) in [
            (0.29, 100, 30),
            (0.7, 10, 8),
            (0.1, 10, 2),
            (0.0, 5, 1),
            (0.999, 1000, 1000),
            (1.0, 10, 11),
            (0.5, 1, 1),
        ] {
            assert_eq!(fewest_past(share, window), past, "{share} of {window}");
        }
    }

    /// All that was decided, in a list.
    struct Naive {
        rule: Rule,
        decided: Vec<(u64, Option<RejectClass>)>,
    }

    impl Naive {
        fn is_past(&self, now: u64) -> bool {
            let Rule { share, window, within_ns, .. } = self.rule;
            let last = self.decided.iter().rev().take(window);
            let recent: Vec<_> = last.take_while(|(at, _)| now - at <= within_ns).collect();
            let rejected = recent.iter().filter(|(_, outcome)| outcome.is_some()).count();
            recent.len() == window && rejected as f64 / window as f64 > share
        }
    }

    proptest! {
        #[test]
        fn it_opens_when_its_naive_twin_does(
            percent in 0..=100_u32,
            window in 1..12_usize,
            within in 1..40_u64,
            outcomes in vec((0..10_u64, 0..4_u8), 0..200),
        ) {
            let share = f64::from(percent) / 100.0;
            let rule = Rule { share, window, within_ns: within, stops: false };
            let mut breaker = Breaker::new(rule, within);
            let mut naive = Naive { rule, decided: Vec::new() };
            let mut now = 0;
            for (later, outcome) in outcomes {
                now += later;
                let outcome = [None, None, BAD, WORSE][usize::from(outcome)];
                breaker.decide(Ticks(now), outcome);
                naive.decided.push((now, outcome));
                prop_assert_eq!(breaker.holds(), naive.is_past(now));
                if breaker.holds() {
                    let last = naive.decided.iter().rev().take(window);
                    let counted = last.filter(|(_, it)| it.is_some()).count();
                    breaker.note(Sample {
                        rejection: Rejection::new(BAD.unwrap(), Step::Sink, format_args!("")),
                        partition: PartitionId(0),
                        offset: 0,
                    });
                    prop_assert_eq!(breaker.open().0.rejected as usize, counted);
                    breaker.close();
                    naive.decided.clear();
                }
            }
        }
    }
}

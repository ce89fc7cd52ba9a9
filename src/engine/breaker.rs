//! The breaker: where too many records are rejected, something is wrong that is no record's fault,
//! and nothing more is processed before the topic has been emptied into the dead letters.
//!
//! It is judged over the last `window` records that were settled, and only if that many were within
//! the last `within`: a few bad records on a quiet topic mean nothing. But a record is settled only
//! when its dead letter is acknowledged, and until then thousands more could be processed. So the
//! outcomes are also noted as they are decided; once those alone would open the breaker, nothing is
//! processed until what is under way is settled, and then it is judged. A healthy pipeline never
//! gets there; a sick one leaves about `window` letters.
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
    /// Of so many settled records.
    pub window: usize,
    /// All settled within that time.
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
    settled: Window,
    decided: Window,
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
            settled: Window::new(&rule, within),
            decided: Window::new(&rule, within),
            samples: vec![[None; SAMPLES]; classes].into_boxed_slice(),
            noted: [0; CLASSES_MAX],
            is_open: false,
        }
    }

    /// A record will be settled so, as far as is known: with a dead letter of that class, or
    /// without one.
    #[inline]
    pub(crate) fn decide(&mut self, now: Ticks, rejected: Option<RejectClass>) {
        self.decided.add(now, rejected);
    }

    /// A record is settled so.
    #[inline]
    pub(crate) fn settle(&mut self, now: Ticks, rejected: Option<RejectClass>) {
        self.settled.add(now, rejected);
    }

    /// Keeps what names a rejected record.
    pub(crate) fn note(&mut self, sample: Sample) {
        let class = sample.rejection.class as usize;
        if let Some(samples) = self.samples.get_mut(class) {
            samples[self.noted[class] % SAMPLES] = Some(sample);
            self.noted[class] += 1;
        }
    }

    /// True while nothing may be processed: it is to be opened, or about to be judged.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        (self.settled.is_past || self.decided.is_past) && !self.is_open
    }

    /// True if it is to be opened.
    pub(crate) fn is_due(&self) -> bool {
        self.settled.is_past && !self.is_open
    }

    /// All that was decided is settled: what was not past the share then is not held back.
    pub(crate) fn trust(&mut self) {
        self.decided.clear();
    }

    /// Opens it; what was seen, samples oldest first.
    pub(crate) fn open(&mut self) -> (BreakerFacts, [Option<Sample>; SAMPLES]) {
        self.is_open = true;
        let Window { by_class, rejected, outcomes, .. } = &self.settled;
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
        self.settled.clear();
        self.decided.clear();
    }

    /// The rejected among the settled that are recent enough, and how many those are.
    pub(crate) fn rejected(&mut self, now: Ticks) -> (u32, u32) {
        self.settled.expire(now);
        (self.settled.rejected as u32, self.settled.len as u32)
    }
}

/// Outcomes that go out of a window one by one, at most, when one comes in.
const EXPIRED_AT_ONCE_MAX: usize = 64;

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
        self.outcomes[at] = rejected.map_or(FINE, |class| class as u8 + 1);
        self.len += 1;
        if let Some(class) = rejected {
            self.rejected += 1;
            self.by_class[class as usize] += 1;
        }
        self.expire(now);
        if self.len == room && self.rejected >= self.past && !self.is_old(now) {
            self.is_past = true;
        }
    }

    /// True if the oldest was not within the time. Times of different threads' making may differ a
    /// little, so one may be ahead.
    #[inline]
    fn is_old(&self, now: Ticks) -> bool {
        now.0.saturating_sub(self.times[self.oldest]) > self.within
    }

    /// Drops what is too old, not all at once: what is left of it is not believed either.
    #[inline]
    fn expire(&mut self, now: Ticks) {
        for _ in 0..EXPIRED_AT_ONCE_MAX {
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
            it.settle(Ticks(1), BAD);
        }
        assert!(!it.holds());
        it.settle(Ticks(1), None);
        assert!(it.is_due(), "three of four");

        let mut it = breaker(0.5, 4, 100);
        for number in 0..100 {
            it.settle(Ticks(1), BAD.filter(|_| number % 2 == 0));
        }
        assert!(!it.holds(), "a half is not past a half");
        assert_eq!(it.rejected(Ticks(1)), (2, 4));
    }

    #[test]
    fn what_is_older_than_the_time_counts_for_nothing() {
        let mut it = breaker(0.0, 3, 10);
        for time in [0, 6, 12, 18, 24] {
            it.settle(Ticks(time), BAD);
            assert!(!it.is_due(), "three take 12");
        }
        assert_eq!(it.rejected(Ticks(24)), (2, 2));
        assert_eq!(it.rejected(Ticks(100)), (0, 0));
        it.settle(Ticks(100), BAD);
        it.settle(Ticks(101), BAD);
        it.settle(Ticks(110), BAD);
        assert!(it.is_due(), "ten is within ten");
    }

    #[test]
    fn what_is_decided_holds_until_it_is_settled_and_only_that_opens() {
        let mut it = breaker(0.5, 2, 100);
        it.decide(Ticks(1), BAD);
        assert!(!it.holds());
        it.decide(Ticks(1), BAD);
        assert!(it.holds() && !it.is_due());
        it.settle(Ticks(2), BAD);
        it.settle(Ticks(2), None);
        assert!(!it.is_due(), "one of them came to another end");
        it.trust();
        assert!(!it.holds());
        it.settle(Ticks(3), BAD);
        it.settle(Ticks(3), BAD);
        assert!(it.is_due() && it.holds());
        it.open();
        assert!(it.is_open() && !it.holds() && !it.is_due());
        it.close();
        it.settle(Ticks(4), BAD);
        assert!(!it.is_due(), "it begins again with nothing");
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
            it.settle(Ticks(1), WORSE);
        }
        note(&mut it, BAD, 5);
        for outcome in [BAD, None, None] {
            it.settle(Ticks(1), outcome);
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
            it.settle(Ticks(time), BAD);
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

    /// All that was settled, in a list.
    struct Naive {
        rule: Rule,
        settled: Vec<(u64, Option<RejectClass>)>,
    }

    impl Naive {
        fn is_past(&self, now: u64) -> bool {
            let Rule { share, window, within_ns, .. } = self.rule;
            let last = self.settled.iter().rev().take(window);
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
            let mut naive = Naive { rule, settled: Vec::new() };
            let mut now = 0;
            for (later, outcome) in outcomes {
                now += later;
                let outcome = [None, None, BAD, WORSE][usize::from(outcome)];
                breaker.settle(Ticks(now), outcome);
                naive.settled.push((now, outcome));
                prop_assert_eq!(breaker.is_due(), naive.is_past(now));
                if breaker.is_due() {
                    let last = naive.settled.iter().rev().take(window);
                    let counted = last.filter(|(_, it)| it.is_some()).count();
                    breaker.note(Sample {
                        rejection: Rejection::new(BAD.unwrap(), Step::Sink, format_args!("")),
                        partition: PartitionId(0),
                        offset: 0,
                    });
                    prop_assert_eq!(breaker.open().0.rejected as usize, counted);
                    breaker.close();
                    naive.settled.clear();
                }
            }
        }
    }
}

//! How measurements leave the hot thread: its full interval is swapped against an empty one.
//!
//! Two intervals in boxes go round over two bounded queues. The observer offers an empty one when
//! it wants numbers; the hot thread, at its next housekeeping, takes it and gives its own. Where
//! none is offered it goes on adding to the same. So nothing is lost or counted twice, and the hot
//! side moves one pointer: no lock, no allocation, no copy.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::{
    clock::Ticks,
    measure::{
        Age, Counters, Interval, Regime, RegimeClock, RegimeTicks, SlowBook, Span, tally::Tally,
    },
};

/// Intervals in circulation.
const INTERVALS: usize = 2;

type Boxes = Arc<ArrayQueue<Box<Written>>>;

/// An interval as the hot thread writes it.
#[derive(Debug)]
struct Written {
    tally: Tally,
    counters: Counters,
    regimes: RegimeTicks,
    slow: SlowBook,
    start: Ticks,
    end: Ticks,
}

impl Written {
    fn new() -> Box<Written> {
        let (start, end) = (Ticks(0), Ticks(0));
        let (counters, regimes) = (Counters::ZERO, RegimeTicks::default());
        let slow = SlowBook::new();
        Box::new(Written { tally: Tally::new(), counters, regimes, slow, start, end })
    }

    fn read_into(&self, interval: &mut Interval) {
        interval.clear();
        self.tally.add_to(Age::Live, &mut interval.histograms);
        self.tally.add_to(Age::Backlog, &mut interval.backlog);
        interval.counters.clone_from(&self.counters);
        interval.regimes = self.regimes;
        interval.slow.clone_from(&self.slow);
        (interval.start, interval.end) = (self.start, self.end);
    }

    fn clear(&mut self) {
        self.tally.clear();
        self.counters.clear();
        self.slow.clear();
        self.regimes = RegimeTicks::default();
        (self.start, self.end) = (Ticks(0), Ticks(0));
    }
}

/// Makes both sides; the hot side starts idle at `now`.
pub fn exchange(now: Ticks) -> (Recorder, Collector) {
    let full: Boxes = Arc::new(ArrayQueue::new(INTERVALS));
    let empty: Boxes = Arc::new(ArrayQueue::new(INTERVALS));
    let mut written = Written::new();
    written.start = now;
    let recorder = Recorder {
        written,
        regimes: RegimeClock::new(now, Regime::Idle),
        full: full.clone(),
        empty: empty.clone(),
    };
    let interval = Box::new(Interval::new());
    (recorder, Collector { interval, spare: Some(Written::new()), full, empty })
}

/// The hot side: where measurements are added up.
#[derive(Debug)]
pub struct Recorder {
    written: Box<Written>,
    regimes: RegimeClock,
    full: Boxes,
    empty: Boxes,
}

impl Recorder {
    /// Adds one latency.
    #[inline]
    pub fn record(&mut self, age: Age, span: Span, nanos: u64) {
        self.written.tally.record(age, span, nanos);
    }

    /// Adds one latency that began on another machine's clock.
    #[inline]
    pub fn record_signed(&mut self, age: Age, span: Span, nanos: i64) {
        self.written.tally.record_signed(age, span, nanos);
    }

    /// The counters, to add to.
    #[inline]
    pub fn counters(&mut self) -> &mut Counters {
        &mut self.written.counters
    }

    /// The slow records and stalls, to add to.
    #[inline]
    pub fn slow(&mut self) -> &mut SlowBook {
        &mut self.written.slow
    }

    /// What a stretch of time was spent on, up to the present regime.
    pub fn regimes_between(&self, from: Ticks, to: Ticks) -> RegimeTicks {
        self.regimes.between(from, to)
    }

    /// Goes over to another regime.
    #[inline]
    pub fn switch(&mut self, now: Ticks, regime: Regime) {
        self.regimes.switch(now, regime);
    }

    /// The regime that time is given to at present.
    pub fn regime(&self) -> Regime {
        self.regimes.current()
    }

    /// Hands over what was measured, if the observer has offered an empty interval. Returns true
    /// if it was handed over.
    pub fn publish(&mut self, now: Ticks) -> bool {
        let Some(mut empty) = self.empty.pop() else { return false };
        empty.start = now;
        let full = std::mem::replace(&mut self.written, empty);
        hand_over(&self.full, full, &mut self.regimes, now);
        true
    }

    /// Hands over what is left; the last thing that the hot side does.
    pub fn finish(self, now: Ticks) {
        let Recorder { written, mut regimes, full, .. } = self;
        hand_over(&full, written, &mut regimes, now);
    }
}

fn hand_over(full: &Boxes, mut written: Box<Written>, regimes: &mut RegimeClock, now: Ticks) {
    written.end = now;
    written.regimes = regimes.take(now);
    let pushed = full.push(written);
    assert!(pushed.is_ok(), "more intervals are in circulation than were made");
}

/// The observer's side.
#[derive(Debug)]
pub struct Collector {
    /// What was handed over last, as histograms.
    interval: Box<Interval>,
    spare: Option<Box<Written>>,
    full: Boxes,
    empty: Boxes,
}

impl Collector {
    /// Offers an empty interval, so that the hot side hands over its own. Nothing if one is offered
    /// already.
    pub fn request(&mut self) {
        if let Some(spare) = self.spare.take() {
            let pushed = self.empty.push(spare);
            assert!(pushed.is_ok(), "more intervals are in circulation than were made");
        }
    }

    /// Shows a handed-over interval, if there is one, and clears it for the next round. Returns
    /// true if there was one.
    pub fn collect(&mut self, see: &mut impl FnMut(&Interval)) -> bool {
        let Some(mut written) = self.full.pop() else { return false };
        written.read_into(&mut self.interval);
        see(&self.interval);
        written.clear();
        self.spare = Some(written);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Stage;
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    #[test]
    fn between_two_threads_no_count_is_lost_or_doubled() {
        const RECORDS: u64 = 200_000;
        let (mut recorder, mut collector) = exchange(Ticks(0));
        let done = AtomicBool::new(false);
        let mut total = Interval::new();
        let mut swaps = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                for record in 1..=RECORDS {
                    let regime = Regime::ALL[record as usize % Regime::COUNT];
                    recorder.switch(Ticks(record * 3), regime);
                    recorder.record(Age::Live, Span::Transit, record);
                    recorder.record_signed(Age::Live, Stage::Source.into(), -1);
                    recorder.counters().polled += 1;
                    recorder.publish(Ticks(record * 3));
                }
                recorder.finish(Ticks(RECORDS * 3));
                done.store(true, Ordering::Release);
            });
            let mut end = Ticks(0);
            loop {
                let last = done.load(Ordering::Acquire);
                collector.request();
                while collector.collect(&mut |interval| {
                    assert_eq!(interval.start, end, "intervals follow without a gap");
                    assert_eq!(interval.regimes.total(), interval.end.0 - interval.start.0);
                    end = interval.end;
                    total.add(interval);
                }) {
                    swaps += 1;
                }
                if last {
                    break;
                }
            }
        });
        assert_eq!(total.counters.polled, RECORDS);
        assert_eq!(total.skewed(), RECORDS);
        assert_eq!(total.histograms.of(Span::Transit).len(), RECORDS);
        assert_eq!(total.regimes.total(), RECORDS * 3);
        assert!(swaps >= 1);
    }

    #[test]
    fn without_an_offer_the_hot_side_goes_on_with_the_same() {
        let (mut recorder, mut collector) = exchange(Ticks(5));
        assert!(!recorder.publish(Ticks(6)));
        recorder.counters().turns += 1;
        collector.request();
        collector.request();
        recorder.switch(Ticks(7), Regime::Working);
        assert!(recorder.publish(Ticks(9)));
        assert!(!recorder.publish(Ticks(10)), "there is one spare, and it is in use");
        let mut seen = None;
        let mut see = |it: &Interval| seen = Some((it.start, it.end, it.counters.turns));
        assert!(collector.collect(&mut see));
        assert!(!collector.collect(&mut see));
        assert_eq!(seen, Some((Ticks(5), Ticks(9), 1)));
        assert_eq!(recorder.regime(), Regime::Working);
    }
}

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
    measure::{Counters, Interval, Regime, RegimeClock, Span},
};

/// Intervals in circulation.
const INTERVALS: usize = 2;

type Boxes = Arc<ArrayQueue<Box<Interval>>>;

/// Makes both sides; the hot side starts idle at `now`.
pub fn exchange(now: Ticks) -> (Recorder, Collector) {
    let full: Boxes = Arc::new(ArrayQueue::new(INTERVALS));
    let empty: Boxes = Arc::new(ArrayQueue::new(INTERVALS));
    let mut interval = Box::new(Interval::new());
    interval.start = now;
    let recorder = Recorder {
        interval,
        regimes: RegimeClock::new(now, Regime::Idle),
        full: full.clone(),
        empty: empty.clone(),
    };
    (recorder, Collector { spare: Some(Box::new(Interval::new())), full, empty })
}

/// The hot side: where measurements are added up.
#[derive(Debug)]
pub struct Recorder {
    interval: Box<Interval>,
    regimes: RegimeClock,
    full: Boxes,
    empty: Boxes,
}

impl Recorder {
    /// Adds one latency.
    #[inline]
    pub fn record(&mut self, span: Span, nanos: u64) {
        self.interval.histograms.record(span, nanos);
    }

    /// Adds one latency that began on another machine's clock.
    #[inline]
    pub fn record_signed(&mut self, span: Span, nanos: i64) {
        self.interval.histograms.record_signed(span, nanos);
    }

    /// The counters, to add to.
    #[inline]
    pub fn counters(&mut self) -> &mut Counters {
        &mut self.interval.counters
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
        let full = std::mem::replace(&mut self.interval, empty);
        hand_over(&self.full, full, &mut self.regimes, now);
        true
    }

    /// Hands over what is left; the last thing that the hot side does.
    pub fn finish(self, now: Ticks) {
        let Recorder { interval, mut regimes, full, .. } = self;
        hand_over(&full, interval, &mut regimes, now);
    }
}

fn hand_over(full: &Boxes, mut interval: Box<Interval>, regimes: &mut RegimeClock, now: Ticks) {
    interval.end = now;
    interval.regimes = regimes.take(now);
    let pushed = full.push(interval);
    assert!(pushed.is_ok(), "more intervals are in circulation than were made");
}

/// The observer's side.
#[derive(Debug)]
pub struct Collector {
    spare: Option<Box<Interval>>,
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
        let Some(mut interval) = self.full.pop() else { return false };
        see(&interval);
        interval.clear();
        self.spare = Some(interval);
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
                    recorder.record(Span::Transit, record);
                    recorder.record_signed(Stage::Source.into(), -1);
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

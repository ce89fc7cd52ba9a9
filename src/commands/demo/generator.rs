//! The demo's load on its way to the broker: some orders are none, and it never runs far ahead.
//!
//! The embedded broker keeps a few MiB of a partition, and what is older is gone. So a load that
//! is faster than the pipeline waits for it, which the load counts as missed slots.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    clock::Ticks,
    record::{Headers, Output},
    transport::{Ack, SendError, Sink, Token, Trouble, WaitSet},
};

/// One of this many records is no order.
const POISON_EVERY: u64 = 500;

/// No JSON, and one without a key.
const POISON: [&[u8]; 2] = [b"nonsense", br#"{"id":"1","value":7}"#];

/// Records that the group may be behind. Even one by one in requests of their own they are less
/// than the 5 MiB that the broker keeps.
const BEHIND_MAX: u64 = 16_000;

/// How far load and group are.
#[derive(Debug, Default)]
pub(super) struct Progress {
    sent: AtomicU64,
    passed: AtomicU64,
}

impl Progress {
    /// The group has passed that many records.
    pub(super) fn pass(&self, records: u64) {
        self.passed.store(records, Ordering::Release);
    }

    /// Records that the group has not passed, as far as is known.
    pub(super) fn behind(&self) -> u64 {
        let passed = self.passed.load(Ordering::Acquire);
        self.sent.load(Ordering::Acquire).saturating_sub(passed)
    }

    /// True if the load might soon have to wait for news of the group.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.behind() > BEHIND_MAX / 4
    }
}

/// A sink in front of the broker's. Tokens are the records' numbers.
#[derive(Debug)]
pub(super) struct Generator<'a, K> {
    sink: K,
    progress: &'a Progress,
}

impl<'a, K: Sink> Generator<'a, K> {
    pub(super) fn new(sink: K, progress: &'a Progress) -> Generator<'a, K> {
        Generator { sink, progress }
    }
}

fn poison(number: u64) -> Option<&'static [u8]> {
    let is_poison = number % POISON_EVERY == POISON_EVERY / 2;
    is_poison.then(|| POISON[(number / POISON_EVERY) as usize % POISON.len()])
}

impl<K: Sink> Sink for Generator<'_, K> {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if self.progress.behind() >= BEHIND_MAX {
            return Err(SendError::Full);
        }
        match poison(token.0) {
            Some(value) => {
                let (key, value, headers) = (None, Some(value), Headers::NONE);
                self.sink.send(&Output { key, value, headers, ..*output }, token)?;
            }
            None => self.sink.send(output, token)?,
        }
        self.progress.sent.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        self.sink.poll_acks(now, visit)
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.sink.next_trouble()
    }

    fn in_flight(&self) -> usize {
        self.sink.in_flight()
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.sink.wait_on(set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Destination, transport::memory::Broker};

    const ORDER: Output<'_> = Output {
        destination: Destination(0),
        partition_number: None,
        timestamp_ms: None,
        key: Some(b"user1"),
        value: Some(b"{}"),
        headers: Headers::NONE,
    };

    #[test]
    fn it_waits_for_the_group_and_some_orders_are_none() {
        let (broker, progress) = (Broker::new(Vec::new()), Progress::default());
        let mut generator = Generator::new(broker.connect(usize::MAX).1, &progress);
        for number in 0..BEHIND_MAX {
            assert_eq!(generator.send(&ORDER, Token(number)), Ok(()));
        }
        assert_eq!(generator.send(&ORDER, Token(BEHIND_MAX)), Err(SendError::Full));
        progress.pass(1);
        assert_eq!(generator.send(&ORDER, Token(BEHIND_MAX)), Ok(()));
        assert_eq!(generator.send(&ORDER, Token(BEHIND_MAX + 1)), Err(SendError::Full));
        (0..broker.unanswered()).for_each(|_| broker.accept(0));
        let mut bad = [0, 0];
        broker.for_each_written(|it| {
            let kind = POISON.iter().position(|poison| it.value.as_deref() == Some(*poison));
            kind.into_iter().for_each(|it| bad[it] += 1);
        });
        assert_eq!(bad, [BEHIND_MAX / POISON_EVERY / 2; 2]);
    }
}

//! Two sinks as one: results in the first, dead letters in the second if it is another.
//!
//! One client is enough where both go to the same brokers with the same settings; where they do
//! not, destinations from a given one on belong to a sink of their own, numbered from 0 there.

use super::{Ack, SendError, Sink, Token, Trouble, WaitSet};
use crate::{
    clock::Ticks,
    record::{Destination, Output},
};

/// One sink, or two with a first destination of the second.
#[derive(Debug)]
pub struct Split<K, L = K> {
    first: K,
    second: Option<(Destination, L)>,
}

impl<K: Sink> Split<K> {
    /// All destinations in one sink.
    pub fn one(sink: K) -> Split<K> {
        Split { first: sink, second: None }
    }
}

impl<K: Sink, L: Sink> Split<K, L> {
    /// Destinations from `from` on in `second`.
    pub fn two(first: K, from: Destination, second: L) -> Split<K, L> {
        Split { first, second: Some((from, second)) }
    }
}

impl<K: Sink, L: Sink> Sink for Split<K, L> {
    #[inline]
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        match &mut self.second {
            Some((from, second)) if output.destination >= *from => {
                let destination = Destination(output.destination.0 - from.0);
                second.send(&Output { destination, ..*output }, token)
            }
            _ => self.first.send(output, token),
        }
    }

    #[inline]
    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let second = self.second.as_mut().map_or(0, |(_, it)| it.poll_acks(now, visit));
        self.first.poll_acks(now, visit) + second
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        let second = |it: &mut Option<(_, L)>| it.as_mut()?.1.next_trouble();
        self.first.next_trouble().or_else(|| second(&mut self.second))
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        let second = |it: &mut Option<(_, L)>| it.as_mut()?.1.next_recovery();
        self.first.next_recovery().or_else(|| second(&mut self.second))
    }

    fn in_flight(&self) -> usize {
        self.first.in_flight() + self.second.as_ref().map_or(0, |(_, it)| it.in_flight())
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.first.wait_on(set);
        if let Some((_, second)) = &mut self.second {
            second.wait_on(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Headers, transport::memory::Broker};

    #[test]
    fn the_second_sink_counts_its_destinations_from_zero() {
        let (results, letters) = (Broker::new(Vec::new()), Broker::new(Vec::new()));
        let mut split = Split::two(results.connect(9).1, Destination(1), letters.connect(9).1);
        let mut send = |destination| {
            let output = Output {
                destination: Destination(destination),
                partition_number: None,
                timestamp_ms: None,
                key: None,
                value: None,
                headers: Headers::NONE,
            };
            split.send(&output, Token(u64::from(destination)))
        };
        assert_eq!((send(0), send(1)), (Ok(()), Ok(())));
        for broker in [&results, &letters] {
            broker.accept(0);
            broker.for_each_written(|written| assert_eq!(written.destination, Destination(0)));
        }
        let mut tokens = Vec::new();
        assert_eq!(split.in_flight(), 2);
        assert_eq!(split.poll_acks(Ticks(0), &mut |ack| tokens.push(ack.token)), 2);
        assert_eq!(tokens, [Token(1), Token(0)]);
    }
}

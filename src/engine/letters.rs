//! Records that are rejected: their dead letters go the way of results.

use super::{Process, breaker::Sample, turn::Engine};
use crate::{
    clock::{Clock, Ticks},
    delivery::{Sequence, dead_letter::Letter},
    limits::CUT_LETTER_BYTES,
    transport::{Sink, Source},
    verdict::Rejection,
};

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// What a record came to is that it is dead-lettered. Returns when that was done.
    pub(super) fn reject_finally(&mut self, sequence: Sequence, rejection: Rejection) -> Ticks {
        self.reject(sequence, rejection);
        let now = self.clock.now();
        self.breaker.decide(now, Some(rejection.class));
        now
    }

    /// Puts a record's dead letter into the outbox.
    pub(super) fn reject(&mut self, sequence: Sequence, rejection: Rejection) {
        let (topic, partition_number) = self.source.partition(self.delivery.partition(sequence));
        let record = self.delivery.record(sequence, topic, partition_number);
        self.meter.rejecting(&rejection, &record);
        let sample = Sample { rejection, partition: record.partition, offset: record.offset };
        let has_room = self.large_letters.len() < self.large_letters.capacity();
        if record.bytes_len() > CUT_LETTER_BYTES && has_room {
            self.large_letters.push((sequence, rejection));
        }
        self.breaker.note(sample);
        self.push_letter(sequence, rejection, 0);
    }

    /// The same letter, or, where the broker refused it for its size before, less of it.
    pub(super) fn push_letter(
        &mut self,
        sequence: Sequence,
        rejection: Rejection,
        refused_before: u8,
    ) {
        let Engine { source, delivery, process, outbox, options, .. } = self;
        delivery.expect_letter(sequence, rejection.class, rejection.step);
        let (topic, partition_number) = source.partition(delivery.partition(sequence));
        let record = delivery.record(sequence, topic, partition_number);
        let letter = Letter {
            class: rejection.class,
            reason: rejection.reason,
            step: process.step_name(rejection.step),
            pipeline: &options.name,
            streams_headers: options.streams_headers,
            cut: delivery.cut(sequence),
        };
        outbox.push_letter(options.dead_letters, &letter, &record, refused_before);
        outbox.claim(sequence);
    }
}

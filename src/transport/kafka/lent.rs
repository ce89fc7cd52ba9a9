//! Messages on their way from librdkafka's queue to the engine: taken in batches, lent one by one.
//!
//! What the engine did not take stays at the front. Arrays are kept, so that taking allocates
//! nothing here.

use std::{collections::VecDeque, ptr, sync::Arc};

use rdkafka::bindings::rd_kafka_message_t;

use super::{
    arrivals::{Arrivals, Matching},
    native::{Message, Queue},
};
use crate::clock::Ticks;

/// Messages taken from the queue at once, at most.
const BATCH_MAX: usize = 1024;

/// The messages that are taken from librdkafka and not yet by the engine.
pub(super) struct Lent {
    data: Arc<Queue>,
    matching: Matching,
    array: Box<[*mut rd_kafka_message_t]>,
    messages: VecDeque<(Message, Ticks)>,
}

// SAFETY: the pointers in the array are spent as soon as `refill` returns; the rest may move.
unsafe impl Send for Lent {}

impl Lent {
    pub(super) fn new(data: Arc<Queue>, matching: Matching) -> Lent {
        Lent {
            data,
            matching,
            array: vec![ptr::null_mut(); BATCH_MAX].into_boxed_slice(),
            messages: VecDeque::with_capacity(BATCH_MAX),
        }
    }

    /// The queue that they come from.
    pub(super) fn queue(&self) -> &Queue {
        &self.data
    }

    /// What watches the client that they come from.
    pub(super) fn arrivals(&self) -> &Arrivals {
        self.matching.arrivals()
    }

    /// The oldest message.
    #[inline]
    pub(super) fn front(&self) -> Option<&(Message, Ticks)> {
        self.messages.front()
    }

    /// Frees the oldest message.
    #[inline]
    pub(super) fn pop(&mut self) {
        self.messages.pop_front();
    }

    /// Takes up to `messages_max` from the queue if none are left here. Never blocks.
    pub(super) fn refill(&mut self, now: Ticks, messages_max: usize) {
        if !self.messages.is_empty() || messages_max == 0 {
            return;
        }
        let wanted = messages_max.min(self.array.len());
        self.matching.poll_begins();
        let taken = self.data.take_messages(&mut self.array[..wanted]);
        let first_number = self.matching.poll_ended(taken);
        for (message, number) in self.array[..taken].iter().zip(first_number..) {
            let arrived = self.matching.arrived(number, now);
            // SAFETY: each was just taken and is wrapped once; `data` holds the client.
            self.messages.push_back((unsafe { Message::own(*message) }, arrived));
        }
        if taken < wanted {
            self.matching.queue_was_emptied();
        }
    }

    /// True if `is_it` is, of one of them.
    pub(super) fn any(&self, is_it: impl Fn(&Message) -> bool) -> bool {
        self.messages.iter().any(|(message, _)| is_it(message))
    }

    /// Frees those for which `keep` is false.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Message) -> bool) {
        self.messages.retain(|(message, _)| keep(message));
    }

    /// Frees all, and stops watching arrivals.
    pub(super) fn close(&mut self) {
        self.messages.clear();
        self.matching.arrivals().watch(None);
    }
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent").field("len", &self.messages.len()).finish_non_exhaustive()
    }
}

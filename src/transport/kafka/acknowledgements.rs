//! When each acknowledgement arrived in this process, however late it is collected.
//!
//! A parked or busy hot thread collects delivery reports with its next turn, and the wait must not
//! count as the broker's. An interceptor writes the ticks on the broker's thread, one word a
//! message, into a table that is indexed by the low half of the token, which its contract keeps
//! below `limits::IN_FLIGHT_MAX`. Results that share an index share the last of their times.

use std::{
    ffi::{c_char, c_int, c_void},
    mem::ManuallyDrop,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{interceptor::Watch, native::OK, outage::Answers, spinning::Spinning};
use crate::{
    clock::{Clock, Ticks, TscClock},
    limits::IN_FLIGHT_MAX,
    transport::Token,
};

/// One word of ticks for each possible index.
pub(super) struct AckTimes {
    clock: TscClock,
    answers: Answers,
    spinning: Option<Arc<Spinning>>,
    ticks: Box<[AtomicU64]>,
}

impl AckTimes {
    pub(super) fn new(clock: TscClock) -> Arc<AckTimes> {
        let (answers, ticks) = (Answers::default(), zeroes(IN_FLIGHT_MAX));
        Arc::new(AckTimes { clock, answers, spinning: Spinning::current(), ticks })
    }

    pub(super) fn clock(&self) -> &TscClock {
        &self.clock
    }

    /// What brokers answered, acknowledgements or else.
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// When the result's acknowledgement arrived; `now` if that was not seen.
    pub(super) fn at(&self, token: Token, now: Ticks) -> Ticks {
        match self.ticks[slot(token)].load(Ordering::Relaxed) {
            0 => now,
            ticks => Ticks(ticks),
        }
    }

    fn note(&self, token: Token) {
        // The delivery report passes through a locked queue, which orders this store for `at`.
        self.ticks[slot(token)].store(self.clock.now().0, Ordering::Relaxed);
    }
}

fn slot(token: Token) -> usize {
    token.0 as u32 as usize & (IN_FLIGHT_MAX - 1)
}

/// Zeroes that the operating system lends page by page, as they are first written to: only the
/// slots in use take memory.
fn zeroes(len: usize) -> Box<[AtomicU64]> {
    let mut words = ManuallyDrop::new(vec![0u64; len]);
    // SAFETY: an `AtomicU64` has the size and validity of a `u64`, and on the platforms that
    // librdkafka is built for here also its alignment, which is asserted below; the parts are of a
    // vector that is not dropped.
    let words = unsafe { Vec::from_raw_parts(words.as_mut_ptr().cast(), len, words.capacity()) };
    words.into_boxed_slice()
}

const _: () = assert!(align_of::<AtomicU64>() == align_of::<u64>());

impl Watch for AckTimes {
    unsafe fn add(client: *mut rd::rd_kafka_t, name: *const c_char, state: *mut c_void) -> Code {
        // SAFETY: the caller's.
        unsafe {
            let seen = Some(on_response as _);
            rd::rd_kafka_interceptor_add_on_response_received(client, name, seen, state);
            rd::rd_kafka_interceptor_add_on_acknowledgement(
                client,
                name,
                Some(on_acknowledgement),
                state,
            )
        }
    }

    fn spinning(&self) -> Option<&Spinning> {
        self.spinning.as_deref()
    }
}

unsafe extern "C" fn on_response(
    _client: *mut rd::rd_kafka_t,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    _api_key: i16,
    _api_version: i16,
    _correlation: i32,
    _len_bytes: usize,
    _round_trip: i64,
    code: Code,
    state: *mut c_void,
) -> Code {
    // SAFETY: `state` is the `AckTimes` of `add`, which outlives the client.
    unsafe { &*state.cast::<AckTimes>() }.answers.count(code);
    OK
}

unsafe extern "C" fn on_acknowledgement(
    _client: *mut rd::rd_kafka_t,
    message: *mut rd::rd_kafka_message_t,
    state: *mut c_void,
) -> Code {
    // SAFETY: the message is live during the call, its private word is the token that `send` gave,
    // and `state` is the `AckTimes` of `add`, which outlives the client.
    unsafe { (*state.cast::<AckTimes>()).note(Token((*message)._private as u64)) };
    OK
}

impl std::fmt::Debug for AckTimes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AckTimes").field("len", &self.ticks.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_kept_by_the_low_half_of_the_token() {
        let clock = TscClock::new();
        let times = AckTimes::new(clock.clone());
        let before = clock.now();
        assert_eq!(times.at(Token(0), before), before);
        times.note(Token(0));
        times.note(Token(7 << 32 | (IN_FLIGHT_MAX as u64 - 1)));
        let after = clock.now();
        for token in [Token(0), Token(9 << 32 | (IN_FLIGHT_MAX as u64 - 1))] {
            assert!((before..=after).contains(&times.at(token, Ticks(0))));
        }
        assert_eq!(times.at(Token(1), before), before);
    }
}

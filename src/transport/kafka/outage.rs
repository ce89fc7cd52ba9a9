//! Whether a client's brokers are out of reach: the client says when, and any answer says until.
//!
//! The client says it through a queue, which a hot thread with other work looks into late: by then
//! brokers may have answered all that was asked of them, and an idle client waits for no other
//! answer. So broker threads note how many answers there were when a connection went down, and an
//! outage counts from there.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    sync::atomic::{AtomicU64, Ordering},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::native::OK;
use crate::measure::OwnLine;

/// What librdkafka calls a broker without a connection.
const DOWN: &CStr = c"DOWN";

/// Answers of brokers so far, whatever they answered; counted on librdkafka's threads.
#[derive(Debug, Default)]
pub(super) struct Answers {
    count: AtomicU64,
    /// Apart, so that it is cheap to look at between two outages.
    losses: OwnLine<Losses>,
}

/// Connections that went down.
#[derive(Debug, Default)]
struct Losses {
    count: AtomicU64,
    /// Answers before the last of them.
    answers_before: AtomicU64,
}

impl Answers {
    pub(super) fn count(&self, code: Code) {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn so_far(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A connection went down. The client says right before that none is left, if so.
    fn lose(&self) {
        self.losses.answers_before.store(self.so_far(), Ordering::Relaxed);
        self.losses.count.fetch_add(1, Ordering::Release);
    }

    fn losses(&self) -> u64 {
        self.losses.count.load(Ordering::Acquire)
    }

    /// Has a client that is being made tell of its connections.
    ///
    /// # Safety
    ///
    /// The client is live, and `self` outlives it at this address.
    pub(super) unsafe fn add(&self, client: *mut rd::rd_kafka_t, name: *const c_char) {
        let state = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the caller's.
        unsafe {
            rd::rd_kafka_interceptor_add_on_broker_state_change(
                client,
                name,
                Some(on_broker_state),
                state,
            );
        }
    }
}

unsafe extern "C" fn on_broker_state(
    _client: *mut rd::rd_kafka_t,
    _broker_id: i32,
    _protocol: *const c_char,
    _name: *const c_char,
    _port: c_int,
    state_name: *const c_char,
    state: *mut c_void,
) -> Code {
    // SAFETY: the name is a literal of librdkafka's; `state` is the `Answers` of `add`.
    let (state_name, answers) = unsafe { (CStr::from_ptr(state_name), &*state.cast::<Answers>()) };
    if state_name == DOWN {
        answers.lose();
    }
    OK
}

/// An outage, while there is one.
#[derive(Debug, Default)]
pub(super) struct Outage {
    answers_before: Option<u64>,
    /// Losses when all was well, as last looked at.
    losses_seen: u64,
}

impl Outage {
    /// Takes in an error of the client.
    pub(super) fn hear(&mut self, code: Code, answers: &Answers) {
        if code != Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || self.answers_before.is_some() {
            return;
        }
        // Heard before the loss itself was noted, it is so new that nobody has answered since.
        let is_noted = answers.losses() != self.losses_seen;
        let before = match is_noted {
            true => answers.losses.answers_before.load(Ordering::Relaxed),
            false => answers.so_far(),
        };
        self.answers_before = Some(before);
    }

    /// True once after an outage, when a broker has answered again.
    #[inline]
    pub(super) fn is_over(&mut self, answers: &Answers) -> bool {
        if self.answers_before.is_none() {
            self.losses_seen = answers.losses();
        }
        self.answers_before.take_if(|before| *before != answers.so_far()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_DOWN: Code = Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;

    #[test]
    fn an_outage_lasts_until_an_answer_and_its_end_is_told_once() {
        let (answers, mut outage) = (Answers::default(), Outage::default());
        answers.count(OK);
        assert!(!outage.is_over(&answers), "there was none");
        outage.hear(Code::RD_KAFKA_RESP_ERR__TRANSPORT, &answers);
        answers.count(OK);
        assert!(!outage.is_over(&answers), "one connection of several");
        outage.hear(ALL_DOWN, &answers);
        answers.count(Code::RD_KAFKA_RESP_ERR__TRANSPORT);
        outage.hear(ALL_DOWN, &answers);
        assert!(!outage.is_over(&answers));
        answers.count(OK);
        assert!(outage.is_over(&answers));
        assert!(!outage.is_over(&answers));
    }

    #[test]
    fn an_outage_that_is_heard_of_late_is_over_by_the_answers_since() {
        let (answers, mut outage) = (Answers::default(), Outage::default());
        answers.count(OK);
        assert!(!outage.is_over(&answers));
        // The client says it, notes the loss, connects, and is answered all it asked.
        answers.lose();
        answers.count(OK);
        outage.hear(ALL_DOWN, &answers);
        assert!(outage.is_over(&answers), "no other answer will come");
        assert!(!outage.is_over(&answers));
    }

    #[test]
    fn an_outage_that_is_heard_of_early_does_not_count_answers_since_an_older_loss() {
        let (answers, mut outage) = (Answers::default(), Outage::default());
        answers.lose();
        answers.count(OK);
        assert!(!outage.is_over(&answers));
        outage.hear(ALL_DOWN, &answers);
        assert!(!outage.is_over(&answers), "the loss is being noted");
        answers.lose();
        assert!(!outage.is_over(&answers), "nobody answered yet");
        answers.count(OK);
        assert!(outage.is_over(&answers));
    }
}

//! Whether a client's brokers are out of reach: the client says when, and any answer says until.
//!
//! The client says it through a queue, which a hot thread with other work looks into late: by then
//! brokers may have answered all that they were asked. So a client that has nothing to send asks
//! something while an outage lasts (`metadata::knock`), or nobody would answer any more.

use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;

/// Answers of brokers so far, whatever they answered; counted on librdkafka's threads.
#[derive(Debug, Default)]
pub(super) struct Answers(AtomicU64);

impl Answers {
    pub(super) fn count(&self, code: Code) {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An outage, while there is one.
#[derive(Debug, Default)]
pub(super) struct Outage {
    answers_before: Option<u64>,
}

impl Outage {
    /// Takes in an error of the client.
    pub(super) fn hear(&mut self, code: Code, answers: &Answers) {
        if code == Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
            self.answers_before.get_or_insert(answers.so_far());
        }
    }

    /// True while there is one.
    pub(super) fn is_on(&self) -> bool {
        self.answers_before.is_some()
    }

    /// True once after an outage, when a broker has answered again.
    #[inline]
    pub(super) fn is_over(&mut self, answers: &Answers) -> bool {
        self.answers_before.take_if(|before| *before != answers.so_far()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_until_an_answer_and_its_end_is_told_once() {
        let (answers, mut outage) = (Answers::default(), Outage::default());
        answers.count(Code::RD_KAFKA_RESP_ERR_NO_ERROR);
        assert!(!outage.is_over(&answers), "there was none");
        outage.hear(Code::RD_KAFKA_RESP_ERR__TRANSPORT, &answers);
        answers.count(Code::RD_KAFKA_RESP_ERR_NO_ERROR);
        assert!(!outage.is_over(&answers), "one connection of several");
        outage.hear(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, &answers);
        answers.count(Code::RD_KAFKA_RESP_ERR__TRANSPORT);
        outage.hear(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, &answers);
        assert!(!outage.is_over(&answers));
        answers.count(Code::RD_KAFKA_RESP_ERR_NO_ERROR);
        assert!(outage.is_over(&answers));
        assert!(!outage.is_over(&answers));
    }
}

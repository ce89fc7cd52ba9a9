//! The broker's end for results: they wait for an answer until a test gives one.

use std::{cell::RefCell, rc::Rc};

use super::{State, WITHDRAWN, Written};
use crate::{
    clock::Ticks,
    record::Output,
    transport::{Ack, SendError, Sink, Token, Trouble, WaitSet},
};

/// The sink of one session.
#[derive(Debug)]
pub struct BrokerSink {
    state: Rc<RefCell<State>>,
}

impl BrokerSink {
    pub(super) fn new(state: &Rc<RefCell<State>>) -> BrokerSink {
        BrokerSink { state: Rc::clone(state) }
    }
}

impl Sink for BrokerSink {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        let session = &mut self.state.borrow_mut().session;
        if session.is_spoilt || session.aborting.is_some() {
            return Err(SendError::Refused(WITHDRAWN));
        }
        if session.unanswered.len() >= session.room {
            return Err(SendError::Full);
        }
        let written = Written {
            destination: output.destination,
            partition_number: output.partition_number,
            key: output.key.map(<[u8]>::to_vec),
            value: output.value.map(<[u8]>::to_vec),
            headers: output.headers.as_bytes().to_vec(),
        };
        session.handed_over += 1;
        session.unanswered.push((token, written, session.handed_over));
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let answers = std::mem::take(&mut self.state.borrow_mut().session.answers);
        let count = answers.len();
        for answer in answers {
            visit(Ack { at: now, ..answer });
        }
        count
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        None
    }

    fn in_flight(&self) -> usize {
        let session = &self.state.borrow().session;
        session.unanswered.len() + session.answers.len()
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}
}

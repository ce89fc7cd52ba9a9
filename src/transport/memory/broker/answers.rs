//! Answers to results: which are taken, in which order, and which are not.

use super::{Broker, State, Unanswered};
use crate::{
    clock::Ticks,
    transport::{Ack, Refusal},
};

impl Broker {
    /// Accepts the unanswered result of that index: it is written, and the sink will say so.
    pub fn accept(&self, index: usize) {
        let mut state = self.state.borrow_mut();
        let result = state.session.unanswered.swap_remove(index);
        state.accept(result);
    }

    /// The same; but of those for one partition of one destination the oldest, where they name it:
    /// an idempotent producer's come in order.
    pub fn accept_in_order(&self, index: usize) {
        let mut state = self.state.borrow_mut();
        let unanswered = &mut state.session.unanswered;
        let place = |(_, it, _): &Unanswered| (it.destination, it.partition_number);
        let (_, number) = place(&unanswered[index]);
        let there = unanswered.iter().position(|it| place(it) == place(&unanswered[index]));
        let first = there.filter(|_| number.is_some()).unwrap_or(index);
        let result = unanswered.remove(first);
        state.accept(result);
    }

    /// Accepts all for that partition of whatever destination, as they were handed over.
    pub fn accept_all_of(&self, partition: i32) {
        let of_it = |it: &Unanswered| it.1.partition_number == Some(partition);
        let next = || self.state.borrow().session.unanswered.iter().position(of_it);
        while let Some(index) = next() {
            self.accept_in_order(index);
        }
    }

    /// Refuses the unanswered result of that index.
    pub fn refuse(&self, index: usize, too_large: bool) {
        let mut state = self.state.borrow_mut();
        let (token, ..) = state.session.unanswered.swap_remove(index);
        let aborts = state.has_transactions;
        state.session.is_spoilt |= aborts;
        let refusal = Refusal {
            code: "MSG_SIZE_TOO_LARGE",
            too_large,
            fatal: false,
            aborts,
            is_about_content: true,
        };
        state.session.answers.push_back(Ack { token, at: Ticks(0), result: Err(refusal) });
    }
}

impl State {
    fn accept(&mut self, (token, written, number): Unanswered) {
        match self.has_transactions {
            true => self.session.uncommitted.push((number, written)),
            false => self.written.push(written),
        }
        self.session.answers.push_back(Ack { token, at: Ticks(0), result: Ok(()) });
    }
}

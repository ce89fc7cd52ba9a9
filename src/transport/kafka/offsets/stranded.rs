//! Partitions whose position the broker does not have: what is missing is found out and told, and
//! where the run is to go on, they are fetched from where the log does.
//!
//! A partition in which nothing is missing after all is read again from its position: a broker that
//! was about to lose the lead, or had just won it, can say so.

use std::{sync::atomic::Ordering, thread, time::Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::{
    Answer, CALL_TIMEOUT, Change, FORWARD_FOR, Fault, Fetched, Queue, RETRY_AFTER, Worker, fault,
};
use crate::{
    config::settings::OnGap,
    transport::kafka::{
        assignment::Place,
        gap::{Cause, Gap, Lost},
        native::PartitionList,
    },
};

/// A partition that is not fetched for want of a position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranded {
    pub(super) lost: Lost,
    /// Told, and taken from librdkafka: it is to be fetched from there.
    pub(super) resume_at: Option<i64>,
}

impl Worker {
    /// Has the records of a partition come to our queue; what waits in its own is moved.
    pub(super) fn forward(&self, place: Place) {
        let records = Queue::partition(&self.ground.client, self.topic(place), place.1);
        records.forward_to(&self.ground.data);
    }

    pub(super) fn forward_again(&mut self, now: Instant) {
        self.settling.iter().for_each(|(place, _)| self.forward(*place));
        self.settling.retain(|(_, until)| now < *until);
    }

    /// Takes in what the hot thread handed over.
    pub(super) fn hear_stranded(&mut self) {
        while let Some(lost) = self.shared.stranded.pop() {
            self.stranded.push_back(Stranded { lost, resume_at: None });
        }
    }

    /// True if there is one to be set right, and it may be.
    pub(super) fn may_set_right(&self) -> bool {
        !self.stranded.is_empty() && !self.shared.is_owed.load(Ordering::Acquire)
    }

    /// Sets one partition right. One that resists goes behind the others.
    pub(super) fn set_one_right(&mut self) -> Result<(), Fault> {
        let Some(mut stranded) = self.stranded.front().copied() else { return Ok(()) };
        let place = stranded.lost.place;
        let result = self.set_right(&mut stranded);
        // The group may have taken it back meanwhile, which takes it out of the list.
        if self.stranded.front().is_some_and(|it| it.lost.place == place) {
            self.stranded.pop_front();
            if result.is_err() {
                self.stranded.push_back(stranded);
            }
        }
        result
    }

    fn set_right(&mut self, stranded: &mut Stranded) -> Result<(), Fault> {
        let Lost { place, position, cause } = stranded.lost;
        if let Some(offset) = stranded.resume_at {
            return self.fetch_again(place, offset);
        }
        let (low, high) = self.bounds(place)?;
        let cause = if self.is_replaced(place)? { Cause::Replaced } else { cause };
        let gap = Gap::find(cause, position, low, high);
        if gap.is_none() {
            // A broker that goes on saying so is not asked as fast as it answers.
            thread::park_timeout(RETRY_AFTER);
        }
        self.perform_all();
        if !self.fetched.iter().any(|it| it.place == place) {
            return Ok(());
        }
        match gap {
            Some(gap) if self.ground.on_gap == OnGap::Stop => {
                self.answer(Answer::Gap(place, gap));
                return Ok(());
            }
            _ => self.change(&self.one(place, 0), Change::Unassign)?,
        }
        self.forget(place);
        let offset = gap.map_or(position, |it| it.resume_at);
        stranded.resume_at = Some(offset);
        // Before the first record from there.
        self.answer(match gap {
            Some(gap) => Answer::Gap(place, gap),
            None => Answer::Resumed(place, offset),
        });
        self.fetch_again(place, offset)
    }

    /// True if the topic is another than the one that was fetched. False if nothing is known of
    /// that one: an old broker does not say.
    fn is_replaced(&self, place: Place) -> Result<bool, Fault> {
        let fetched = self.fetched.iter().find(|it| it.place == place);
        let Some(before) = fetched.and_then(|it| it.identity.answer(CALL_TIMEOUT)) else {
            return Ok(false);
        };
        // A broker that has just made it may not know it yet: without an answer nothing is decided.
        let shown = self.topic(place).to_string_lossy();
        let what = format_args!("which topic {shown} is");
        let now = self.inquire(place.0).answer(CALL_TIMEOUT);
        Ok(now.ok_or_else(|| fault(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, what))? != before)
    }

    fn fetch_again(&mut self, place: Place, offset: i64) -> Result<(), Fault> {
        self.change(&self.one(place, offset), Change::Assign)?;
        self.forward(place);
        self.settling.push((place, Instant::now() + FORWARD_FOR));
        self.fetched.push(Fetched { place, start: offset, identity: self.inquire(place.0) });
        Ok(())
    }

    fn one(&self, place: Place, offset: i64) -> PartitionList {
        let mut list = PartitionList::new();
        list.add(self.topic(place), place.1, offset);
        list
    }
}

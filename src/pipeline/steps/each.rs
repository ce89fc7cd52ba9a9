//! `each`: a list becomes one result an element.
//!
//! The list is copied once; then, for each element, the event stands as it stood before the step,
//! the element is put into it, and the steps behind run. An element that one of them skips gives no
//! result, one that is rejected rejects the record whole. The results of a record are handed over
//! together, in order, and the record is settled when all are acknowledged.

use crate::{
    codec::{Written, inside},
    limits::{RESULTS_BYTES_MAX, RESULTS_PER_RECORD_MAX},
    pipeline::{
        Lookup, Mark,
        compile::Target,
        evaluate::Kind,
        expression::Expression,
        failure::Why,
        process::Watch,
        stop::Stop,
        work::{Surroundings, Work},
    },
    verdict::{RejectClass, SkipClass, Step},
};

/// Which list, and where its elements go.
#[derive(Debug)]
pub(crate) struct Each {
    pub(crate) of: Expression,
    /// The buffer of the list.
    pub(crate) list: u16,
    pub(crate) into: Target,
    pub(crate) at: Option<Target>,
    /// How many of these steps stand before this one.
    pub(crate) level: usize,
}

impl<'p> Work<'p, '_> {
    /// Runs the steps behind `index` for each element.
    pub(crate) fn each<T: Lookup, M: FnMut(Mark), W: Watch>(
        &mut self,
        index: u16,
        each: &'p Each,
        around: &mut Surroundings<'_, T, M, W>,
    ) -> Result<(), (Stop<'p>, Step)> {
        let here = Step::Number(index);
        let count = self.list(index, each, around).map_err(|stop| (stop, here))?;
        let before = around.results.bytes_len();
        let mut skipped = (Stop::Skip(SkipClass::Filtered), here);
        let (mut at, mut results) = (0, 0);
        self.edits.save(each.level);
        self.outgoing.save(each.level);
        for number in 0..count {
            if number > 0 {
                self.edits.restore(each.level);
                self.outgoing.restore(each.level);
            }
            at = self.put(index, each, (number, at), around).map_err(|stop| (stop, here))?;
            match self.run(usize::from(index) + 1, around) {
                Ok(()) => results += 1,
                Err((Stop::Skip(class), step)) => skipped = (Stop::Skip(class), step),
                Err(stopped) => return Err(stopped),
            }
            self.check_size(around.results.len(), around.results.bytes_len() - before)
                .map_err(|stop| (stop, here))?;
        }
        if results == 0 { Err(skipped) } else { Ok(()) }
    }

    /// Copies the list; returns how many elements it has.
    fn list<T: Lookup, M: FnMut(Mark), W: Watch>(
        &mut self,
        index: u16,
        each: &'p Each,
        around: &mut Surroundings<'_, T, M, W>,
    ) -> Result<usize, Stop<'p>> {
        let Surroundings { sources, watch, .. } = around;
        let mut list = self.edits.take_buffer(each.list);
        let shape = self.push_text(index, &each.of, &mut list, sources, *watch);
        let count = inside::count_items(&list);
        self.edits.return_buffer(each.list, list);
        match shape? {
            Kind::List if count > RESULTS_PER_RECORD_MAX => {
                let reason = format_args!(
                    "the list has {count} elements, and a record may have \
                     {RESULTS_PER_RECORD_MAX} results"
                );
                Err(self.reject(RejectClass::TooLarge, reason))
            }
            Kind::List => {
                watch.decided(index, &format_args!("the list has {count} elements"));
                Ok(count)
            }
            other => Err(Stop::Operand(Why::NoList(other).wrong_type(), &each.of)),
        }
    }

    /// Puts the element that begins behind `at` into the event; returns where it ends.
    fn put<T: Lookup, M: FnMut(Mark), W: Watch>(
        &mut self,
        index: u16,
        each: &Each,
        (number, at): (usize, usize),
        around: &mut Surroundings<'_, T, M, W>,
    ) -> Result<usize, Stop<'p>> {
        let mut element = self.edits.take_buffer(each.into.write);
        let list = self.edits.buffer(each.list);
        let place = inside::next_item(list, at).expect("the elements were counted");
        element.extend_from_slice(&list[place.clone()]);
        self.edits.return_buffer(each.into.write, element);
        self.note(index, each.into, Written::Json(each.into.write), around.watch)?;
        if let Some(target) = each.at {
            let mut digits = self.edits.take_buffer(target.write);
            digits.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            self.edits.return_buffer(target.write, digits);
            self.note(index, target, Written::Json(target.write), around.watch)?;
        }
        Ok(place.end)
    }

    /// Also where one such step stands behind another.
    fn check_size(&mut self, results: usize, bytes: usize) -> Result<(), Stop<'p>> {
        let results = results - self.results_before;
        if results <= RESULTS_PER_RECORD_MAX && bytes <= RESULTS_BYTES_MAX {
            return Ok(());
        }
        let reason = format_args!(
            "it comes to more than {RESULTS_PER_RECORD_MAX} results or {RESULTS_BYTES_MAX} bytes"
        );
        Err(self.reject(RejectClass::TooLarge, reason))
    }
}

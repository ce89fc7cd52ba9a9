//! Where each new partition begins: looked up, and a start that was chosen is committed.

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    super::{
        assignment::Place,
        lookup::{CALL_TIMEOUT, Fault, Offset, check, fault, look_up},
        native::PartitionList,
        start::{self, Begin, Mark, Text},
    },
    Worker,
};
use crate::transport::Note;

/// A partition with its first offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolved {
    pub(super) place: Place,
    pub(super) offset: i64,
    pub(super) mark: Mark,
    /// What the commit at that offset says of the state.
    pub(super) note: Note,
    /// Where it ends, where partitions wait for their state.
    pub(super) first_end: Option<i64>,
    is_committed: bool,
}

impl Worker {
    pub(super) fn resolve_and_commit(&mut self) -> Result<Vec<Resolved>, Fault> {
        self.ground.bounds.settle(&self.ground.client, &self.ground.topics)?;
        let mut resolved = Vec::new();
        for topic in 0..self.ground.topics.len() as u16 {
            let places: Vec<_> = self.waiting.iter().filter(|it| it.0 == topic).copied().collect();
            if !places.is_empty() {
                resolved.extend(self.resolve(topic, &places)?);
            }
        }
        self.commit(&resolved)?;
        Ok(resolved)
    }

    fn resolve(&self, topic: u16, places: &[Place]) -> Result<Vec<Resolved>, Fault> {
        let name = &self.ground.topics[usize::from(topic)];
        let shown = name.to_string_lossy();
        let mut committed = self.committed(topic)?;
        self.ground.bounds.go_over(&shown, &mut committed);
        let first_count = start::first_count(committed.len() as i32, &committed);
        let mut wishes = Vec::with_capacity(places.len());
        for &(_, partition) in places {
            let known = committed.get(partition as usize).copied().unwrap_or_default();
            let wish = match start::begin(partition, known, first_count) {
                Begin::At(offset) => Offset::Known(offset),
                Begin::Start => self.ground.bounds.start(&shown, partition),
                Begin::Earliest => Offset::EARLIEST,
            };
            wishes.push((partition, wish));
        }
        let found = look_up(&self.ground.client, name, &wishes)?;
        let ends = self.first_ends(topic, places)?;
        let resolved = places.iter().zip(&wishes).zip(found.into_iter().zip(ends));
        Ok(resolved
            .map(|((&place, (partition, wish)), (offset, first_end))| Resolved {
                place,
                offset,
                mark: self.ground.bounds.mark(first_count),
                note: committed.get(*partition as usize).map(|it| it.note).unwrap_or_default(),
                first_end,
                is_committed: matches!(wish, Offset::Known(_)),
            })
            .collect())
    }

    /// Where those partitions of a topic end; nothing where nobody will ask.
    fn first_ends(&self, topic: u16, places: &[Place]) -> Result<Vec<Option<i64>>, Fault> {
        if !self.has_state {
            return Ok(vec![None; places.len()]);
        }
        let wishes: Vec<_> = places.iter().map(|it| (it.1, Offset::END)).collect();
        let name = &self.ground.topics[usize::from(topic)];
        Ok(look_up(&self.ground.client, name, &wishes)?.into_iter().map(Some).collect())
    }

    /// Commits the starts that were chosen, and waits for the answer.
    fn commit(&mut self, resolved: &[Resolved]) -> Result<(), Fault> {
        let mut list = PartitionList::new();
        for it in resolved.iter().filter(|it| !it.is_committed) {
            let entry = list.add(self.topic(it.place), it.place.1, it.offset);
            list.set_metadata(entry, Text(it.mark, it.note).to_string().as_bytes());
        }
        if list.entries().is_empty() {
            return Ok(());
        }
        self.commits += 1;
        let (client, ticket) = (self.ground.client.handle(), self.commits as *mut _);
        let what = format_args!("the commit of the group's start");
        if self.ground.client.has_lost_assignment() {
            return check(Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, what);
        }
        let queue = self.replies.handle();
        // SAFETY: client, list and queue are live; the list is copied.
        let code = unsafe { rd::rd_kafka_commit_queue(client, list.handle(), queue, None, ticket) };
        check(code, what)?;
        while let Some(reply) = self.replies.next_event(CALL_TIMEOUT) {
            // An answer to a commit that was given up is passed over.
            if reply.number() == self.commits {
                check(reply.code(), what)?;
                return reply.partitions().iter().try_for_each(|it| check(it.code(), what));
            }
        }
        Err(fault(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, what))
    }
}

//! Records are lent one by one; what comes in a record's place, an error, is told or set right.

use super::{KafkaSource, OK, PEER, State, Told, faults, place_of};
use crate::{
    config::settings::OnGap,
    record::{Headers, Record},
    transport::{
        SourceGap,
        kafka::{
            assignment::Place,
            gap::{Cause, Gap, Lost},
        },
    },
    verdict::Sentence,
};
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

impl KafkaSource {
    /// Lends what was taken from librdkafka already.
    pub(super) fn lend(
        &mut self,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let mut taken = 0;
        while taken < records_max {
            let Some((message, arrived)) = self.lent.front() else { break };
            if message.code() != OK && !message.is_end() {
                if !self.hear_error() {
                    break;
                }
                self.lent.pop();
                continue;
            }
            let (key, offset) = ((message.topic(), message.partition()), message.offset());
            let partition = match self.latest {
                Some((topic, number, partition)) if (topic, number) == key => Some(partition),
                _ => place_of(&mut self.topics, message).and_then(|it| self.assignment.find(it)),
            };
            let Some(partition) = partition else {
                self.lent.pop();
                continue;
            };
            self.latest = Some((key.0, key.1, partition));
            match self.assignment.state(partition) {
                // Behind its position are only records that were fetched twice.
                State::Owned
                    if offset >= self.assignment.position(partition)
                        && self.ends.admits(partition, offset, message.is_end()) => {}
                // Fetched before the side thread's answer was read: next turn.
                State::Starting | State::Stranded => break,
                State::Owned | State::Free | State::Revoked => {
                    self.lent.pop();
                    continue;
                }
            }
            message.write_headers(&mut self.header_block);
            let topic = usize::from(self.assignment.place(partition).0);
            let record = Record {
                partition,
                topic: &self.topics[topic].name,
                partition_number: key.1,
                offset,
                timestamp_ms: message.timestamp_ms(),
                key: message.key(),
                value: message.value(),
                headers: Headers::from_bytes(&self.header_block),
                arrived: *arrived,
            };
            if !take(&record) {
                break;
            }
            self.assignment.pass(partition, offset);
            self.lent.pop();
            self.ends.pass(partition, offset + 1);
            taken += 1;
        }
        taken
    }

    /// Acts on an error that came in a record's place. False: it has to wait for the next turn.
    fn hear_error(&mut self) -> bool {
        let Some((message, _)) = self.lent.front() else { return true };
        if message.code() != Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET {
            self.tell_of_record();
            return true;
        }
        let cause = Cause::of(message.error_text());
        let Some(place) = place_of(&mut self.topics, message) else { return true };
        let Some(partition) = self.assignment.find(place) else { return true };
        // Stranded: of the fetch from another position, the word of which is still to be heard.
        if matches!(self.assignment.state(partition), State::Starting | State::Stranded) {
            return false;
        }
        let (Some(offsets), Some(position)) = (&self.offsets, self.assignment.strand(place)) else {
            return true;
        };
        let is_taken = offsets.set_right(Lost { place, position, cause });
        if !is_taken {
            self.assignment.resume(place, position);
        }
        is_taken
    }

    /// Tells of an error that came in a record's place.
    fn tell_of_record(&mut self) {
        let Some((message, _)) = self.lent.front() else { return };
        let (code, offset, number) = (message.code(), message.offset(), message.partition());
        let name = message.topic_name().to_str().unwrap_or_default();
        let text = message.error_text();
        let text = Sentence::format(format_args!("{name}[{number}] at offset {offset}: {text}"));
        self.tell_trouble(faults::trouble(PEER, code, text.as_str()));
    }

    /// Offsets are missing. The side thread goes on by itself, or has left it at that.
    pub(super) fn on_gap(&mut self, place: Place, gap: Gap) {
        let sentence = gap.sentence(&self.topics[usize::from(place.0)].name, place.1);
        if self.on_gap == OnGap::Stop {
            let code = Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET;
            self.tell_trouble(faults::trouble(PEER, code, sentence.as_str()));
            return;
        }
        let Some(partition) = self.assignment.resume(place, gap.resume_at) else { return };
        self.known.resume(partition, gap.resume_at);
        let (text, records, resume_at) = (sentence, gap.len(), gap.resume_at);
        self.events.push_back(Told::Gap(SourceGap { partition, text, records, resume_at }));
    }

    /// Nothing is missing: the broker was wrong about it, or has found it again.
    pub(super) fn on_resumed(&mut self, place: Place, offset: i64) {
        if self.assignment.resume(place, offset).is_none() {
            return;
        }
        let topic = &self.topics[usize::from(place.0)].name;
        let number = place.1;
        let text = Sentence::format(format_args!(
            "{topic}[{number}]: offset {offset} was said to be out of range and is not; it is \
             asked for again"
        ));
        let code = Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
        self.tell_trouble(faults::trouble(PEER, code, text.as_str()));
    }
}

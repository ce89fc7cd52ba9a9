//! The lag of what is fetched here, taken from statistics that the hot thread has handed on.

use std::time::Instant;

use super::{
    super::lookup::{Offset, look_up},
    Worker,
};

impl Worker {
    /// Where nothing is fetched because the queue is full, statistics know no newer end than that
    /// of the last fetch: the brokers are asked for it. Who does not answer is not waited for
    /// twice.
    pub(super) fn tell_lag(&mut self) {
        while let Some(event) = self.shared.statistics.pop() {
            let start = |topic: &str, partition| {
                let name = |it: u16| self.ground.topics[usize::from(it)].to_bytes();
                let is_it =
                    |(number, at): (u16, i32)| at == partition && name(number) == topic.as_bytes();
                self.fetched.iter().find(|it| is_it(it.place)).map(|it| it.start)
            };
            let lag = &self.ground.lag;
            let unknown = lag.take(event.statistics(), start, Instant::now());
            for topic in &self.ground.topics {
                let of_topic = unknown.iter().filter(|it| it.0.as_bytes() == topic.to_bytes());
                let wishes: Vec<_> = of_topic.map(|it| (it.1, Offset::END)).collect();
                if wishes.is_empty() {
                    continue;
                }
                let Ok(ends) = look_up(&self.ground.client, topic, &wishes) else { break };
                let name = topic.to_string_lossy();
                for ((partition, _), end) in wishes.iter().zip(ends) {
                    lag.hear_end((&name, *partition), end, Instant::now());
                }
            }
        }
    }
}

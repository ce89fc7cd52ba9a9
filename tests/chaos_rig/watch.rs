//! How far a topic and a group have come, asked again and again of one client that stays.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use crate::support::{PATIENCE, cluster};

/// While a broker is away, an answer is not waited for longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A topic as a group sees it.
pub(crate) struct Watch {
    client: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Watch {
    pub(crate) fn open(brokers: &str, group: &str, topic: &str, partitions: i32) -> Watch {
        let mut config = cluster::config(brokers);
        config.set("group.id", group).set("reconnect.backoff.max.ms", "500");
        let client = config.create().expect("a consumer");
        Watch { client, topic: topic.to_owned(), partitions }
    }

    /// The ends of all partitions together; `None` while Kafka does not answer.
    pub(crate) fn end(&self) -> Option<i64> {
        let ends = (0..self.partitions)
            .map(|it| self.client.fetch_watermarks(&self.topic, it, ANSWER_TIMEOUT));
        ends.map(|it| it.ok().map(|(_, end)| end)).sum()
    }

    /// What the group has committed, of all partitions together.
    pub(crate) fn committed(&self) -> Option<i64> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(&self.topic, 0, self.partitions - 1);
        let committed = self.client.committed_offsets(wanted, ANSWER_TIMEOUT).ok()?;
        let offset = |it| if let Offset::Offset(offset) = it { offset } else { 0 };
        Some(committed.elements().iter().map(|it| offset(it.offset())).sum())
    }
}

/// Patience with whatever still makes progress.
#[derive(Debug)]
pub(crate) struct Patience {
    furthest: i64,
    since: Instant,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience { furthest: -1, since: Instant::now() }
    }

    /// Whether nothing has come further for longer than anything takes.
    pub(crate) fn is_over(&mut self, place: Option<i64>) -> bool {
        if let Some(place) = place.filter(|it| *it > self.furthest) {
            *self = Patience { furthest: place, since: Instant::now() };
        }
        self.since.elapsed() > PATIENCE
    }
}

//! What comes into a topic or a stream from now on, and what a group has still to do, for
//! `measure`.

use std::{sync::atomic::AtomicBool, time::Duration};

use crate::{
    clock::Clock,
    config::Settings,
    record::Record,
    transport::{
        Trouble,
        kafka::{KafkaAdmin, PartitionLag, TopicTail},
        redis::{RedisAdmin, StreamTail},
    },
};

/// Listens to a topic or a stream.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a program")]
pub enum Tail {
    /// All partitions of a topic.
    Topic(TopicTail),
    /// A stream.
    Stream(StreamTail),
}

impl Tail {
    /// At the end of the source's first topic or stream. Waits no longer than that and until the
    /// flag is true; `None` if there is no such topic, or the flag became true.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or nobody answers in time.
    pub fn of_source(
        settings: &Settings,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<Tail>, Trouble> {
        let (source, name) = (&settings.source, &settings.source.topics[0]);
        match &settings.streams.source {
            Some(it) => Tail::of_stream("source", (&it.url, &it.shown), name, wait),
            None => {
                let tail = TopicTail::open("source", &source.client, name, wait)?;
                Ok(tail.map(Tail::Topic))
            }
        }
    }

    /// At the end of the sink's topic or stream, as above.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn of_sink(
        settings: &Settings,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<Tail>, Trouble> {
        let (sink, name) = (&settings.sink, &settings.sink.topic);
        match &settings.streams.sink {
            Some(it) => Tail::of_stream("sink", (&it.url, &it.shown), name, wait),
            None => Ok(TopicTail::open("sink", &sink.client, name, wait)?.map(Tail::Topic)),
        }
    }

    fn of_stream(
        peer: &'static str,
        place: (&str, &str),
        name: &str,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<Tail>, Trouble> {
        Ok(StreamTail::open(peer, place, name, wait)?.map(Tail::Stream))
    }

    /// Waits at most `wait` for a record, and lends all that are there. `arrived` is when they were
    /// taken, on that clock.
    ///
    /// # Errors
    ///
    /// If it cannot be read any more, and that does not heal.
    pub fn read(
        &mut self,
        wait: Duration,
        clock: &impl Clock,
        visit: impl FnMut(&Record<'_>),
    ) -> Result<(), Trouble> {
        match self {
            Tail::Topic(it) => it.read(wait, clock, visit),
            Tail::Stream(it) => it.read(wait, clock, visit),
        }
    }
}

/// How far the source's group is.
#[derive(Debug)]
pub struct GroupStanding<'a> {
    settings: &'a Settings,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Brokers(KafkaAdmin),
    Server(RedisAdmin),
}

impl<'a> GroupStanding<'a> {
    /// Connects, and waits no longer than that and until the flag is true; then `None`, or for
    /// topics trouble.
    ///
    /// # Errors
    ///
    /// If nobody answers in time.
    pub fn open(
        settings: &'a Settings,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<GroupStanding<'a>>, Trouble> {
        let source = &settings.source;
        let asked = match &settings.streams.source {
            Some(it) => {
                let admin = RedisAdmin::connect_unless("source", (&it.url, &it.shown), wait)?;
                admin.map(Asked::Server)
            }
            None => {
                let admin = KafkaAdmin::connect_for_group(&source.client, &source.group, wait.0)?;
                Some(Asked::Brokers(admin))
            }
        };
        Ok(asked.map(|asked| GroupStanding { settings, asked }))
    }

    /// True if what it reads are streams.
    pub fn is_of_streams(&self) -> bool {
        matches!(self.asked, Asked::Server(_))
    }

    /// Records that it has not done; of topics, offsets.
    ///
    /// # Errors
    ///
    /// As those who are asked have them.
    pub fn behind(&mut self) -> Result<u64, Trouble> {
        let source = &self.settings.source;
        match &mut self.asked {
            Asked::Brokers(admin) => {
                let lags = admin.lag(&source.group, &source.topics)?;
                Ok(lags.iter().map(left).sum())
            }
            Asked::Server(admin) => {
                source.topics.iter().map(|stream| admin.behind(stream, &source.group)).sum()
            }
        }
    }
}

/// Records of a partition that the group has not done.
fn left(partition: &PartitionLag) -> u64 {
    let left = partition.lag().unwrap_or(partition.high - partition.low);
    u64::try_from(left).unwrap_or_default()
}

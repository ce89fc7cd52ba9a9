//! The books: what became of every record, counted from the topics alone.
//!
//! Of each number that was sent it is known which topic it belongs in. A number that is not there
//! is lost, one that is there again is doubled. A key's records are in one partition, and its
//! numbers, each where it comes first, have to rise: so whoever wrote wrote in order.

use std::collections::BTreeMap;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::Message,
};

use super::{
    Guarantee,
    records::{self, Fate},
    watch::Patience,
};
use crate::support::cluster;

/// Examples of a fault that are shown.
const SHOWN: usize = 10;

/// Where to count, and how many records there were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) output: &'a str,
    pub(crate) dead: &'a str,
    pub(crate) partitions: i32,
    pub(crate) total: u64,
    /// What the reader sees of transactions: `read_committed` or `read_uncommitted`.
    pub(crate) isolation: &'a str,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) total: u64,
    pub(crate) emitted: u64,
    pub(crate) skipped: u64,
    pub(crate) dead: u64,
    /// Occurrences beyond the first.
    pub(crate) doubled: u64,
    lost: Vec<u64>,
    twice: Vec<u64>,
    reordered: Vec<String>,
    strange: Vec<String>,
}

impl Books {
    /// Reads both topics to their ends.
    pub(crate) fn keep(account: Account<'_>) -> Books {
        let mut books = Books { total: account.total, ..Books::default() };
        let mut times = vec![0_u32; account.total as usize];
        books.read(&account, account.output, Fate::Emitted, &mut times);
        books.read(&account, account.dead, Fate::Dead, &mut times);
        for (number, times) in (0_u64..).zip(times) {
            match (records::fate(number), times) {
                (Fate::Skipped, _) => books.skipped += 1,
                (_, 0) => books.lost.push(number),
                (fate, times) => {
                    *books.of(fate) += 1;
                    books.doubled += u64::from(times - 1);
                    if times > 1 {
                        books.twice.push(number);
                    }
                }
            }
        }
        books
    }

    fn of(&mut self, fate: Fate) -> &mut u64 {
        match fate {
            Fate::Emitted => &mut self.emitted,
            Fate::Skipped => &mut self.skipped,
            Fate::Dead => &mut self.dead,
        }
    }

    fn read(&mut self, account: &Account<'_>, topic: &str, fate: Fate, times: &mut [u32]) {
        // By key: the partition that it is in, and the highest number so far.
        let mut keys: BTreeMap<u64, (i32, u64)> = BTreeMap::new();
        read_to_end(account, topic, |message| {
            let place = || format!("{topic}[{}] at {}", message.partition(), message.offset());
            let number = records::number_in(message.payload().unwrap_or_default());
            let key = records::key_in(message.key().unwrap_or_default());
            let Some((number, key)) = number.zip(key).filter(|(number, key)| {
                let known = (*number as usize) < times.len();
                known && records::key(*number) == *key && records::fate(*number) == fate
            }) else {
                self.strange.push(format!("{}: {number:?} with key {key:?}", place()));
                return;
            };
            let seen = &mut times[number as usize];
            *seen += 1;
            let (partition, last) = keys.entry(key).or_insert((message.partition(), 0));
            if *partition != message.partition() {
                self.strange.push(format!("{}: key {key} is in {partition} too", place()));
            }
            if *seen == 1 && number < *last {
                self.reordered.push(format!("{}: {number} of key {key} after {last}", place()));
            }
            *last = number.max(*last);
        });
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} records: {} emitted, {} skipped, {} dead-lettered, {} lost, {} doubled, \
             {} out of order",
            self.total,
            self.emitted,
            self.skipped,
            self.dead,
            self.lost.len(),
            self.doubled,
            self.reordered.len(),
        )
    }

    /// What breaks the promise, in words; empty if nothing does.
    pub(crate) fn faults(&self, guarantee: Guarantee) -> Vec<String> {
        let mut faults = Vec::new();
        let mut note = |what: &str, count: usize, examples: String| {
            if count > 0 {
                faults.push(format!("{count} {what}: {examples}"));
            }
        };
        note("numbers where they do not belong", self.strange.len(), some(&self.strange));
        if guarantee != Guarantee::AtMostOnce {
            note("numbers lost", self.lost.len(), some(&self.lost));
            note("numbers out of order", self.reordered.len(), some(&self.reordered));
        }
        if guarantee != Guarantee::AtLeastOnce {
            note("numbers doubled", self.twice.len(), some(&self.twice));
        }
        faults
    }

    /// Every record once and in order, whatever the guarantee: nothing was broken.
    pub(crate) fn assert_exact(&self) {
        let faults = self.faults(Guarantee::ExactlyOnce);
        assert!(faults.is_empty(), "{}\n{}", self.summary(), faults.join("\n"));
        assert_eq!(self.total, self.emitted + self.skipped + self.dead, "{}", self.summary());
    }
}

fn some<T: std::fmt::Debug>(all: &[T]) -> String {
    format!("{:?}", &all[..all.len().min(SHOWN)])
}

/// Every partition is read from its first record to the end that it has now.
fn read_to_end(
    account: &Account<'_>,
    topic: &str,
    mut visit: impl FnMut(&rdkafka::message::BorrowedMessage<'_>),
) {
    let mut config = cluster::config(account.brokers);
    config
        .set("group.id", "books")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", account.isolation)
        .set("fetch.wait.max.ms", "50");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..account.partitions {
        let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
        added.expect("an offset that can be assigned");
    }
    consumer.assign(&assignment).expect("partitions can be assigned");
    let mut ended = std::collections::BTreeSet::new();
    let (mut patience, mut count) = (Patience::new(), 0);
    while ended.len() < account.partitions as usize {
        match consumer.poll(std::time::Duration::from_millis(100)) {
            Some(Ok(message)) => {
                count += 1;
                visit(&message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => _ = ended.insert(partition),
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
            )))
            | None => {}
            Some(Err(error)) => panic!("{topic} cannot be read: {error}"),
        }
        assert!(!patience.is_over(Some(count)), "{topic} ended in {ended:?} alone");
    }
}

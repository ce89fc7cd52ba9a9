//! What stands in the way, and that it is waited out.

use hotspur::transport::restore::{RestoreFigures, STATE_PEER};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};

use crate::{
    rig::{Bed, dedup, entry, pairs},
    support::{cluster, kafka::Kafka, message::Message, unique},
};

#[test]
fn a_broker_that_goes_away_amid_restoring_is_waited_for() {
    const ENTRIES: usize = 300_000;
    let mut kafka = Kafka::start();
    let mut bed = Bed::new(&kafka, 1);
    let padding = "x".repeat(100);
    let many: Vec<_> = (0..ENTRIES).map(|it| entry(0, &format!("{it:06}"), &padding)).collect();
    kafka.produce(&bed.topic, &many);
    bed.want(0);
    bed.take_first();
    kafka.kill();
    let trouble = bed.await_trouble("_ALL_BROKERS_DOWN");
    assert_eq!((trouble.peer, trouble.heals), (STATE_PEER, true));
    assert!(!bed.is_complete(0) && !bed.shared.next_recovery());
    kafka.restart();
    bed.take_until("its state", |it| it.is_complete(0));
    let entries = bed.entries_of(0);
    assert_eq!(entries.len(), ENTRIES);
    assert!(entries.iter().all(|it| it.1 == padding));
    assert!(bed.shared.next_recovery() && !bed.shared.next_recovery(), "told once");
    assert!(bed.troubles.iter().all(|it| it.heals), "{:?}", bed.troubles);
    // Each item once: the begin, the entries, the end.
    assert_eq!(bed.taken, ENTRIES + 2);
}

#[test]
fn a_log_that_was_cut_amid_restoring_is_read_anew() {
    const ENTRIES: usize = 300_000;
    let mut kafka = Kafka::start();
    let mut bed = Bed::new(&kafka, 1);
    let many: Vec<_> = (0..ENTRIES).map(|it| entry(0, &format!("{it:06}"), "x")).collect();
    kafka.produce(&bed.topic, &many);
    bed.want(0);
    bed.take_first();
    kafka.kill();
    bed.await_trouble("_ALL_BROKERS_DOWN");
    kafka.cut_log(&bed.topic, 0);
    kafka.restart();
    bed.take_until("its state", |it| it.is_complete(0));
    let left = kafka.read(&bed.topic).len();
    assert!(left < ENTRIES && left > 0, "{left} of {ENTRIES} are left");
    assert_eq!(bed.entries_of(0).len(), left, "what is gone was forgotten");
}

#[test]
fn an_open_transaction_is_waited_for_and_counts_once_it_is_committed() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 1);
    kafka.produce(&bed.topic, &[entry(0, "a", "1")]);
    let id = unique("open");
    let writer = kafka.writer_with(&[("transactional.id", &id)]);
    let transaction = writer.begin(&bed.topic, &[entry(0, "a", "2"), entry(0, "b", "2")]);
    bed.want(0);
    let trouble = bed.await_trouble("OPEN_TRANSACTION");
    assert!(trouble.heals && trouble.text.as_str().contains(&bed.topic), "{trouble:?}");
    assert!(!bed.is_complete(0));
    transaction.end(true);
    bed.take_until("its state", |it| it.is_complete(0));
    assert_eq!(bed.entries_of(0), pairs(&[("a", "2"), ("b", "2")]));
}

#[test]
fn a_partition_that_the_topic_lacks_is_told_and_waited_for_while_others_come() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 1);
    kafka.produce(&bed.topic, &[entry(0, "a", "1")]);
    bed.want(1);
    bed.want(0);
    bed.take_until("the other partition", |it| it.is_complete(0));
    let trouble = bed.await_trouble("TOO_FEW_PARTITIONS");
    let text = trouble.text.as_str();
    assert!(trouble.heals && text.ends_with("give it 2 partitions"), "{text}");
    let client: ClientConfig = cluster::config(kafka.brokers());
    let admin: AdminClient<DefaultClientContext> = client.create().expect("an admin client");
    let more = NewPartitions::new(&bed.topic, 2);
    let made = cluster::block_on(admin.create_partitions([&more], &AdminOptions::new()));
    made.expect("Kafka answers")[0].as_ref().expect("a partition more");
    bed.take_until("the new partition", |it| it.is_complete(1));
    let RestoreFigures { partitions, complete, .. } = bed.shared.figures();
    assert_eq!((partitions, complete), (2, 2));
}

#[test]
fn a_topic_that_is_not_there_is_told_and_waited_for() {
    let kafka = Kafka::shared();
    let topic = unique("state-missing");
    let mut bed = Bed::on(kafka, &topic, &[dedup()], false);
    bed.want(0);
    let trouble = bed.await_trouble("UNKNOWN_TOPIC_OR_PART");
    assert!(trouble.heals && trouble.text.as_str().contains("--create"), "{trouble:?}");
    kafka.create_topic(&topic, 1);
    bed.take_until("its state", |it| it.is_complete(0));
}

#[test]
fn a_record_that_is_no_state_stops_the_run() {
    let kafka = Kafka::shared();
    for foreign in [Message::new("{}").key("order-17"), Message::new("{}")] {
        let mut bed = Bed::new(kafka, 1);
        // A compacted topic takes no record without a key.
        if foreign.key.is_none() {
            kafka.set_topic(&bed.topic, "cleanup.policy", "delete");
        }
        kafka.produce(&bed.topic, &[entry(0, "a", "1"), foreign]);
        bed.want(0);
        let trouble = bed.await_trouble("STATE_UNREADABLE");
        let text = trouble.text.as_str();
        assert!(!trouble.heals && text.contains("[0] at offset 1 has a record"), "{text}");
        assert!(!bed.is_complete(0));
    }
}

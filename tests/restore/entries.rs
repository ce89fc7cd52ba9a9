//! Which entries come back.

use hotspur::record::PartitionId;

use crate::{
    log::events,
    rig::{Bed, ORDERS, RETURNS, dedup, entry, entry_of, pairs, seed, window},
    support::{await_true, kafka::Kafka, unique},
};

#[test]
fn the_newest_of_each_key_comes_back_and_what_was_deleted_does_not() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 2);
    let written = [
        entry(0, "a", "1"),
        entry(0, "b", "1"),
        entry(0, "a", "2"),
        entry_of(ORDERS, &dedup(), 0, "b", None),
        entry(0, "c", ""),
        entry(1, "a", "other partition"),
        entry_of(ORDERS, &window(), 0, "a", Some("of the window")),
        seed(&window(), 0, "00000017"),
        seed(&window(), 0, "00000018"),
    ];
    kafka.produce(&bed.topic, &written);
    assert_eq!(bed.restore(0), pairs(&[("a", "2"), ("c", "")]));
    let kept = &bed.kept[&0];
    assert_eq!(kept[&(4, Some("a".to_owned()))], "of the window");
    assert_eq!(kept[&(4, None)], "00000018");
    assert_eq!((kept.len(), bed.kept.len()), (4, 1), "and nothing else");
    assert_eq!(bed.restore(1), pairs(&[("a", "other partition")]));
    let figures = bed.shared.figures();
    assert_eq!((figures.complete, figures.entries, figures.entries_expected), (1, 1, 1));
    let steps: Vec<_> =
        figures.steps.iter().map(|it| (it.step.as_str(), it.restored_entries)).collect();
    assert_eq!(steps, [("2", 6), ("hourly", 3)]);
    await_true("both times", || bed.shared.figures().times.iter().sum::<u64>() == 2);
}

#[test]
fn an_empty_partition_and_one_of_markers_alone_are_complete_at_once() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 2);
    let writer = kafka.writer_with(&[("transactional.id", &unique("aborts"))]);
    writer.in_transaction(&bed.topic, &[entry(1, "a", "never")], false);
    assert_eq!(bed.restore(0), []);
    assert_eq!(bed.restore(1), []);
}

#[test]
fn what_was_aborted_does_not_come_back_and_what_was_committed_does() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 1);
    let writer = kafka.writer_with(&[("transactional.id", &unique("mixed"))]);
    writer.in_transaction(&bed.topic, &[entry(0, "a", "1"), entry(0, "b", "1")], true);
    writer.in_transaction(&bed.topic, &[entry(0, "a", "2"), entry(0, "c", "2")], false);
    writer.in_transaction(&bed.topic, &[entry(0, "b", "3")], true);
    writer.in_transaction(&bed.topic, &[entry(0, "b", "4")], false);
    assert_eq!(bed.restore(0), pairs(&[("a", "1"), ("b", "3")]));
}

#[test]
fn several_source_topics_share_the_topic_and_get_their_own() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 1);
    let written = [
        entry(0, "a", "of orders"),
        entry_of(RETURNS, &dedup(), 0, "a", Some("of returns")),
        entry_of("no longer read", &dedup(), 0, "a", Some("of nobody")),
    ];
    kafka.produce(&bed.topic, &written);
    let (orders, returns) = (0, 1);
    bed.shared.want(PartitionId(orders), 0, 0);
    bed.shared.want(PartitionId(returns), 1, 0);
    bed.take_until("both", |it| it.is_complete(orders) && it.is_complete(returns));
    assert_eq!(bed.entries_of(orders), pairs(&[("a", "of orders")]));
    assert_eq!(bed.entries_of(returns), pairs(&[("a", "of returns")]));
}

#[test]
fn what_comes_behind_the_end_that_stood_is_not_read() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 1);
    let many: Vec<_> = (0..100_000).map(|it| entry(0, &format!("{it:06}"), "before")).collect();
    kafka.produce(&bed.topic, &many);
    bed.want(0);
    // The hot thread takes nothing, so the partition cannot have been read whole.
    await_true("the first entries", || bed.shared.figures().entries > 0);
    kafka.produce(&bed.topic, &[entry(0, "late", "1")]);
    bed.take_until("its state", |it| it.is_complete(0));
    let entries = bed.entries_of(0);
    assert_eq!(entries.len(), 100_000);
    assert!(entries.iter().all(|it| it.1 == "before"));
    assert_eq!(bed.restore(0).len(), 100_001, "the next time it is");
}

#[test]
fn a_partition_taken_back_amid_restoring_begins_anew() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 1);
    let padding = "x".repeat(100);
    let many: Vec<_> = (0..100_000).map(|it| entry(0, &format!("{it:06}"), &padding)).collect();
    kafka.produce(&bed.topic, &many);
    bed.want(0);
    bed.take_first();
    assert!(!bed.is_complete(0) && !bed.kept.is_empty());
    bed.shared.cancel(PartitionId(0));
    assert!(bed.is_complete(0) && !bed.shared.is_restoring());
    bed.take(1);
    assert!(bed.kept.is_empty(), "told first, so that it can be forgotten");
    assert_eq!(bed.restore(0).len(), 100_000);
    bed.want(0);
    bed.end();
}

#[test]
fn more_partitions_than_are_read_at_once_all_come() {
    let kafka = Kafka::shared();
    let mut bed = Bed::new(kafka, 20);
    let written: Vec<_> = (0..20_000).map(|it| entry(it % 20, &it.to_string(), "x")).collect();
    kafka.produce(&bed.topic, &written);
    (0..20).for_each(|it| bed.want(it));
    await_true("the first line", || events("state.restoring", &bed.topic).len() == 1);
    assert!(events("state.restored", &bed.topic).is_empty(), "nothing was taken");
    bed.take_until("all of them", |it| !it.shared.is_restoring());
    assert!((0..20).all(|it| bed.entries_of(it).len() == 1_000));
    let figures = bed.shared.figures();
    assert_eq!((figures.partitions, figures.complete, figures.entries), (20, 20, 20_000));
    await_true("the last line", || events("state.restored", &bed.topic).len() == 1);
    assert_eq!(events("state.restoring", &bed.topic).len(), 1, "a line for all, not for each");
    let line = &events("state.restored", &bed.topic)[0];
    let numbers = ["partitions", "entries", "bytes"].map(|it| line[it].as_u64());
    assert_eq!(numbers, [Some(20), Some(20_000), Some(figures.bytes)]);
    assert!(line["took"].is_string(), "{line}");
}

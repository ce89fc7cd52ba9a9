//! State of another configuration: recognised, and forgotten on demand.

use hotspur::transport::restore::{STATE_CHANGED, StatefulStep};

use crate::{
    log::events,
    rig::{Bed, HASH, ORDERS, RETURNS, dedup, entry, entry_of, pairs, seed, window},
    support::kafka::Kafka,
};

fn changed_dedup() -> StatefulStep {
    StatefulStep { hash: HASH + 17, ..dedup() }
}

#[test]
fn a_step_that_was_changed_stops_the_run_with_a_sentence() {
    let kafka = Kafka::shared();
    let bed = Bed::new(kafka, 2);
    kafka.produce(&bed.topic, &[entry(0, "a", "1"), seed(&window(), 1, "00000017")]);
    let mut bed = Bed::on(kafka, &bed.topic, &[changed_dedup(), window()], false);
    assert_eq!(bed.restore(1), [], "it is another partition's");
    bed.want(0);
    let trouble = bed.await_trouble(STATE_CHANGED);
    assert!(!trouble.heals && trouble.peer == "state");
    let text = trouble.text.as_str();
    assert!(text.starts_with("step 2 (dedup) was changed since its state was written"), "{text}");
    assert!(text.contains("`hotspur run --reset-state`") && text.ends_with(&bed.topic), "{text}");
    assert!(!bed.is_complete(0) && bed.entries_of(0).is_empty(), "none of it was handed over");
}

#[test]
fn a_step_that_is_not_there_any_more_stops_it_too() {
    let kafka = Kafka::shared();
    let bed = Bed::new(kafka, 1);
    kafka.produce(&bed.topic, &[entry(0, "a", "1"), seed(&window(), 0, "00000017")]);
    let mut bed = Bed::on(kafka, &bed.topic, &[dedup()], false);
    bed.want(0);
    let text = bed.await_trouble(STATE_CHANGED).text.to_string();
    assert!(text.starts_with("step hourly has state and is not there any more"), "{text}");
}

#[test]
fn what_was_deleted_of_another_configuration_is_no_matter() {
    let kafka = Kafka::shared();
    let bed = Bed::new(kafka, 1);
    let deleted = entry_of(ORDERS, &dedup(), 0, "a", None);
    let of_others = entry_of(RETURNS, &dedup(), 0, "a", Some("1"));
    kafka.produce(&bed.topic, &[entry(0, "a", "1"), deleted, of_others]);
    let mut bed = Bed::on(kafka, &bed.topic, &[changed_dedup()], false);
    assert_eq!(bed.restore(0), []);
}

#[test]
fn reset_state_deletes_what_does_not_fit_and_nothing_else() {
    let kafka = Kafka::shared();
    let bed = Bed::new(kafka, 2);
    let topic = bed.topic.clone();
    let many = (0..2_000).map(|it| entry(0, &it.to_string(), "old"));
    let others = [
        entry_of(ORDERS, &window(), 0, "kept", Some("1")),
        entry_of(ORDERS, &changed_dedup(), 0, "new", Some("1")),
        entry_of(RETURNS, &dedup(), 0, "of another topic", Some("1")),
        entry(1, "of another partition", "1"),
    ];
    kafka.produce(&topic, &many.chain(others).collect::<Vec<_>>());
    let steps = [changed_dedup(), window()];
    let mut bed = Bed::on(kafka, &topic, &steps, true);
    assert_eq!(bed.restore(0), pairs(&[("new", "1")]));
    assert_eq!(bed.kept[&0].len(), 2, "the window's is there, too");
    assert_eq!(bed.troubles, []);
    let tombstones = kafka.read(&topic).into_iter().filter(|it| it.value.is_none());
    assert_eq!(tombstones.filter(|it| it.partition == Some(0)).count(), 2_000);
    let told = events("state.reset", &topic);
    let numbers: Vec<_> = told.iter().map(|it| it["entries"].as_u64()).collect();
    assert_eq!(numbers, [Some(2_000)]);

    // From then on there is nothing to reset, in that partition.
    let mut bed = Bed::on(kafka, &topic, &steps, false);
    assert_eq!(bed.restore(0), pairs(&[("new", "1")]));
    bed.want(1);
    assert!(!bed.await_trouble(STATE_CHANGED).heals);
}

//! Processes and brokers killed, frozen and restarted at random under load, on a real Kafka; then
//! every record is counted.
//!
//! `scripts/test` runs a slice with a seed that stays; `scripts/test --all` the long form with a
//! new one. `HOTSPUR_CHAOS_SEED` draws the same events once more.

mod chaos_rig;
#[path = "support/extent.rs"]
mod extent;
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod support;

use std::time::Instant;

use chaos_rig::{
    Chaos, Guarantee,
    load::Load,
    members::Deed,
    records::{Fate, fate, number_in},
    tell,
};
use extent::choose;
use support::{kafka::Kafka, message::Message};

/// A guarantee, and what it is put through. What is not listed adds nothing for it.
macro_rules! promised {
    ($name:ident, $guarantee:ident: $($test:ident)*) => {
        mod $name {
            $(#[test]
            fn $test() {
                super::$test(super::Guarantee::$guarantee);
            })*
        }
    };
}

promised!(at_most_once, AtMostOnce: killed_again_and_again members_come_and_go);
promised!(at_least_once, AtLeastOnce: killed_again_and_again members_come_and_go
    brokers_killed_and_restarted poison_among_many);
promised!(exactly_once, ExactlyOnce: killed_again_and_again members_come_and_go
    brokers_killed_and_restarted poison_among_many);

fn killed_again_and_again(guarantee: Guarantee) {
    let kafka = Kafka::shared();
    let mut chaos = Chaos::new("kills", guarantee, kafka, (4, 1));
    chaos.begin();
    chaos.torment(vec![Deed::Kill; choose(4, 30)]);
    chaos.settle();
}

fn members_come_and_go(guarantee: Guarantee) {
    let kafka = Kafka::shared();
    let mut chaos = Chaos::new("members", guarantee, kafka, (12, 3));
    chaos.begin();
    let each = choose(1, 8);
    let deeds = [Deed::Kill, Deed::Leave, Deed::Freeze, Deed::Replace];
    chaos.torment(deeds.into_iter().flat_map(|it| vec![it; each]).collect());
    chaos.settle();
}

fn brokers_killed_and_restarted(guarantee: Guarantee) {
    let mut kafka = Kafka::start();
    let mut chaos = Chaos::new("broker", guarantee, &kafka, (4, 2));
    // A static member whose session ends while the broker is away may be fenced by itself.
    chaos.members.are_static = false;
    chaos.begin();
    for _ in 0..choose(1, 5) {
        chaos.let_pass(2_000..20_000);
        kafka.kill();
        let killed = Instant::now();
        kafka.restart();
        let away = killed.elapsed();
        let recovery = chaos.await_recovery();
        let word = guarantee.word();
        tell(&format!("broker, {word}: away {away:.1?}, results again {recovery:.1?} later"));
    }
    chaos.settle();
}

fn poison_among_many(guarantee: Guarantee) {
    let kafka = Kafka::shared();
    let mut chaos = Chaos::new("poison", guarantee, kafka, (24, 2));
    let total = choose(60_000, 1_000_000);
    let sent = Load::send_all(&chaos.brokers, &chaos.pipeline.input, total);
    assert_eq!(sent.count, total);
    let start = Instant::now();
    chaos.members.start_missing(&chaos.pipeline);
    chaos.finish(total);
    let rate = total as f64 / start.elapsed().as_secs_f64();
    let books = chaos.count(total);
    tell(&format!("{} at {rate:.0} records/s", chaos.summary(&books)));
    books.assert_exact();
    let said = &chaos.members.stopped;
    let sum = |of: fn(&support::hotspur::Counts) -> u64| said.iter().map(of).sum::<u64>();
    assert_eq!(
        [sum(|it| it.polled), sum(|it| it.emitted), sum(|it| it.skipped), sum(|it| it.rejected)],
        [total, books.emitted, books.skipped, books.dead]
    );
    come_home(kafka, &chaos, total);
}

/// Every dead letter's record is replayed once, however often that is asked for.
fn come_home(kafka: &Kafka, chaos: &Chaos, total: u64) {
    let home = format!("{}-home", chaos.pipeline.input);
    kafka.create_topic(&home, 24);
    for _ in 0..2 {
        let ended = chaos.pipeline.start(&["replay", "--to", &home]).wait();
        assert_eq!(ended.status, Some(0), "{}", ended.log);
    }
    let at_home = kafka.read(&home);
    let number = |it: &Message| number_in(it.value.as_deref().expect("a payload"));
    let mut numbers: Vec<u64> = at_home.iter().filter_map(number).collect();
    numbers.sort_unstable();
    let dead: Vec<u64> = (0..total).filter(|it| fate(*it) == Fate::Dead).collect();
    assert!(numbers == dead, "{} of {} letters came home", numbers.len(), dead.len());
}

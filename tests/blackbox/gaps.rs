//! Offsets that are gone from the source: the run stops and says which, or goes on and counts them.

use crate::{
    payload::{assert_each_once, name},
    support::{
        await_some, await_true, hotspur::Hotspur, http::get, kafka::Kafka, message::Message,
        pipeline::Pipeline,
    },
};

/// Names of these numbers.
fn names(numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

/// A pipeline whose group has committed the first hundred of its topic, which then lost those up to
/// before `begin`.
fn overtaken(kafka: &Kafka, on_gap: &str, begin: i64) -> Pipeline {
    let pipeline = Pipeline::names(kafka)
        .set("source.kafka.on_gap", on_gap)
        .set("observe.listen", "127.0.0.1:0");
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &names(0..100));
    pipeline.run_to_end(kafka).stop();
    kafka.produce(&pipeline.input, &names(100..300));
    kafka.delete_records(&pipeline.input, 0, begin);
    pipeline
}

fn address(hotspur: &Hotspur) -> String {
    hotspur.await_event("run.listening").text("address").to_owned()
}

/// What the metrics say of one of them without labels.
fn metric(address: &str, name: &str) -> u64 {
    let (_, text) = get(address, "/metrics");
    let value = text.lines().find_map(|it| it.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

const MISSING: &str = "hotspur_source_gap_records_total";

#[test]
fn retention_that_overtook_the_group_ends_the_run_with_what_is_missing() {
    let kafka = Kafka::shared();
    let pipeline = overtaken(kafka, "stop", 250);
    for _ in 0..2 {
        let ended = pipeline.run().wait();
        assert_eq!(ended.status, Some(3), "{}", ended.log);
        let sentence = format!(
            "{}[0]: offsets 100 to 249 are gone, 150 of them: the log begins at 250 \
             (source.kafka.on_gap = ",
            pipeline.input
        );
        let log = ended.log.replace('\\', "");
        assert!(log.contains(&sentence), "no {sentence} in\n{log}");
    }
    assert_each_once(&kafka.read(&pipeline.output), &(0..100).collect::<Vec<_>>());
    assert_eq!(kafka.committed(&pipeline.group, &pipeline.input), [Some(100)]);

    let pipeline = pipeline.set("source.kafka.on_gap", "continue");
    let hotspur = pipeline.run();
    let told = hotspur.await_event("source.gap");
    let sentence = format!(
        "{}[0]: offsets 100 to 249 are gone, 150 of them: the log begins at 250",
        pipeline.input
    );
    assert_eq!(told.text("message"), sentence);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let address = address(&hotspur);
    await_true("the count", || metric(&address, MISSING) == 150);
    assert_eq!(get(&address, "/readyz").0, 200);
    assert_eq!(hotspur.stop().counts().emitted, 50);
    let expected: Vec<_> = (0..100).chain(250..300).collect();
    assert_each_once(&kafka.read(&pipeline.output), &expected);
}

#[test]
fn a_topic_that_was_emptied_meets_the_group_once() {
    let kafka = Kafka::shared();
    let pipeline = overtaken(kafka, "continue", 300);
    let hotspur = pipeline.run();
    hotspur.await_event("source.gap");
    // Without one record to move it.
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    assert_eq!(hotspur.stop().counts().polled, 0);
    kafka.produce(&pipeline.input, &names(300..310));
    let ended = pipeline.run_to_end(kafka).stop();
    assert_eq!(ended.counts().emitted, 10);
    assert!(!ended.log.contains("source.gap"), "{}", ended.log);
}

#[test]
fn a_log_whose_beginning_passes_the_position_during_the_run_costs_what_it_says() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka)
        .set("source.kafka.on_gap", "continue")
        .set("observe.listen", "127.0.0.1:0");
    pipeline.create_topics(kafka, 2);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let address = address(&hotspur);
    // Frozen with a fetch under way: what answers that is all that comes before the gap, and it is
    // answered with the first few.
    hotspur.signal("STOP");
    for numbers in [0..10, 10..2_000] {
        let messages = names(numbers).into_iter().map(|it| it.partition(0));
        kafka.produce(&pipeline.input, &messages.collect::<Vec<_>>());
    }
    kafka.produce(&pipeline.input, &[Message::new(name(5_000)).key("5000").partition(1)]);
    kafka.delete_records(&pipeline.input, 0, 1_500);
    hotspur.signal("CONT");
    hotspur.await_event("source.gap");
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let missing = await_some("the count", || Some(metric(&address, MISSING)).filter(|it| *it > 0));
    let ended = hotspur.stop();
    assert_eq!(ended.counts().emitted + missing, 2_001, "{}", ended.log);
    let results = kafka.read(&pipeline.output);
    let before = 1_500 - missing;
    let expected: Vec<_> = (0..before).chain(1_500..2_000).chain([5_000]).collect();
    assert_each_once(&results, &expected);
    println!("{before} records came before the gap");
}

/// A run that has read a hundred records of a topic; while it was frozen, the topic was deleted and
/// made again, and ten more were written.
fn made_again(kafka: &Kafka, on_gap: &str) -> (Pipeline, Hotspur) {
    let pipeline = Pipeline::names(kafka)
        .set("source.kafka.on_gap", on_gap)
        .set("observe.listen", "127.0.0.1:0");
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &names(0..100));
    let hotspur = pipeline.run_to_end(kafka);
    hotspur.signal("STOP");
    kafka.delete_topic(&pipeline.input);
    kafka.create_topic(&pipeline.input, 1);
    kafka.produce(&pipeline.input, &names(100..110));
    hotspur.signal("CONT");
    (pipeline, hotspur)
}

#[test]
fn a_topic_that_was_made_again_is_told_from_a_log_that_was_cut() {
    let kafka = Kafka::shared();
    let (pipeline, hotspur) = made_again(kafka, "stop");
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    let sentence = "offsets 0 to 99 are gone, 100 of them: it is another log, which begins at 0";
    assert!(ended.log.contains(sentence), "{}", ended.log);
    assert_eq!(ended.counts().polled, 100);
    // The group has forgotten the old topic, and begins the new one where it is told to.
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!(counts.emitted, 10);
    assert_each_once(&kafka.read(&pipeline.output), &(0..110).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_was_made_again_is_read_from_its_beginning() {
    let kafka = Kafka::shared();
    let (pipeline, hotspur) = made_again(kafka, "continue");
    hotspur.await_event("source.gap");
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    // Figures are handed out once an interval.
    let told = hotspur.log.text();
    await_true(format!("the missing records in the metrics: {told}"), || {
        metric(&address(&hotspur), MISSING) == 100
    });
    hotspur.stop();
    assert_each_once(&kafka.read(&pipeline.output), &(0..110).collect::<Vec<_>>());
}

#[test]
fn a_log_that_was_cut_is_read_from_where_it_was_cut_though_it_has_grown_again() {
    let mut kafka = Kafka::start();
    let pipeline = Pipeline::names(&kafka)
        .set("source.kafka.on_gap", "continue")
        .set("observe.listen", "127.0.0.1:0");
    pipeline.create_topics(&kafka, 1);
    // A batch each: a batch is cut as a whole.
    (0..10).for_each(|it| kafka.produce(&pipeline.input, &names(it * 10..it * 10 + 10)));
    let hotspur = pipeline.run_to_end(&kafka);
    hotspur.signal("STOP");
    kafka.kill();
    kafka.cut_log(&pipeline.input, 0);
    kafka.restart();
    let end = kafka.end_offsets(&pipeline.input)[0];
    assert!((1..100).contains(&end), "{end}");
    kafka.produce(&pipeline.input, &names(100..300));
    hotspur.signal("CONT");
    let told = hotspur.await_event("source.gap");
    let len = 100 - end;
    let sentence = format!(
        "{}[0]: offsets {end} to 99 are gone, {len} of them: the log ends at {end}",
        pipeline.input
    );
    assert_eq!(told.text("message"), sentence);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    assert_eq!(hotspur.stop().counts().emitted, 300);
    assert_each_once(&kafka.read(&pipeline.output), &(0..300).collect::<Vec<_>>());
}

#[test]
fn what_compaction_and_transactions_leave_out_is_no_gap() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let writer = kafka.writer_with(&[("transactional.id", &pipeline.input)]);
    let mut numbers = 0..;
    for is_kept in [true, false, true, false, false] {
        let batch = names(numbers.start..numbers.start + 10);
        numbers.nth(9);
        writer.in_transaction(&pipeline.input, &batch, is_kept);
    }
    let hotspur = pipeline.run();
    let mut reader = kafka.reader(&pipeline.output);
    reader.await_count(20);
    let ended = hotspur.stop();
    assert_eq!(ended.counts().polled, 20);
    for word in ["gap", "gone", "trouble"] {
        assert!(!ended.log.contains(&format!("\"source.{word}")), "{}", ended.log);
    }
    let expected: Vec<_> = (0..10).chain(20..30).collect();
    assert_each_once(&kafka.read(&pipeline.output), &expected);
}

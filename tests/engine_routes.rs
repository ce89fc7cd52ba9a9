//! Records that become several results in several topics, through the engine on the memory
//! transport: an offset moves when all of them are acknowledged, a sink that takes one at a time
//! takes them all in the end, and one that refuses a part dead-letters the record.

#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;
#[path = "support/small_engine.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod small_engine;

use hotspur::{
    clock::{Clock, ManualClock, Ticks, WallOffset},
    config::settings::{Each, Operator, Otherwise, Route},
    engine::{Chance, Engine, Options, Process, Stores, control::Control},
    observe::HotSide,
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results},
    record::{Destination, PartitionId, Record},
    transport::memory::{Broker, BrokerSink, BrokerSource, Stored},
    verdict::Step,
};
use small_engine::options;

const PARTITION: PartitionId = PartitionId(0);

/// Topics by their numbers: the sink, `large`, `small`, the dead letters.
const SINK: Destination = Destination(0);
const LARGE: Destination = Destination(1);
const SMALL: Destination = Destination(2);
const DEAD: Destination = Destination(3);

type Tested = Engine<ManualClock, BrokerSource, BrokerSink, Piped>;

/// The pipeline without tables.
struct Piped(Pipeline);

struct NoTables;

impl Lookup for NoTables {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        Found::Miss
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

impl Stores for Piped {}

impl Process for Piped {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        _chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        self.0.process(record, &mut NoTables, mark, results)
    }

    fn results_max(&self) -> usize {
        self.0.results_max()
    }

    fn step_name(&self, step: Step) -> &str {
        self.0.step_name(step)
    }
}

fn stored(value: &str) -> Stored {
    let (key, value) = (Some(b"k".to_vec()), Some(value.as_bytes().to_vec()));
    Stored { key, value, headers: Vec::new() }
}

fn engine(broker: &Broker, clock: &ManualClock, room: usize) -> Tested {
    let text = str::to_owned;
    let each = Each { of: text("event.items"), into: text("item"), at: Some(text("index")) };
    let ways =
        vec![(text("event.item > 10"), text("large")), (text("event.item > 5"), text("small"))];
    let operators = vec![
        Operator::Each(each),
        Operator::Filter(text("event.item != 0")),
        Operator::Route(Route::To(ways, Otherwise::Sink)),
        Operator::Keep(vec![text("item"), text("index")]),
    ];
    let settings = pipeline_settings::settings(operators, &[]);
    let pipeline = Pipeline::compile(&settings).unwrap();
    assert_eq!(pipeline.topics(), ["out", "large", "small"]);
    let hot = HotSide::detached(clock.now());
    let options = Options { dead_letters: DEAD, in_flight_bytes: 1 << 16, ..options() };
    let time = (clock.clone(), WallOffset::fixed(0));
    Engine::new(time, broker.connect(room), Piped(pipeline), hot, Control::none(), options)
}

/// Turns until nothing more happens; results wait for their answers.
fn settle(engine: &mut Tested, clock: &ManualClock) {
    for _ in 0..1_000 {
        clock.advance(1_000_000);
        if engine.turn() == 0 && engine.turn() == 0 {
            return;
        }
    }
    panic!("it never comes to rest");
}

fn written(broker: &Broker) -> Vec<(Destination, String)> {
    let mut written = Vec::new();
    broker.for_each_written(|it| {
        let value = it.value.clone().expect("a value");
        written.push((it.destination, String::from_utf8(value).expect("UTF-8")));
    });
    written
}

#[test]
fn an_offset_moves_when_all_results_of_its_record_are_acknowledged() {
    let values = [r#"{"items":[1,11,6,0]}"#, r#"{"items":[0]}"#, r#"{"items":[12]}"#];
    let log = values.into_iter().map(stored).collect();
    let (broker, clock) = (Broker::new(vec![log]), ManualClock::default());
    let mut engine = engine(&broker, &clock, 100);
    broker.assign(PARTITION);
    settle(&mut engine, &clock);
    assert_eq!((broker.unanswered(), engine.in_flight()), (4, 3));
    // The last record's, then all but one of the first's.
    for index in [3, 0, 1] {
        broker.accept(index.min(broker.unanswered() - 1));
        settle(&mut engine, &clock);
        assert!(broker.committed()[0].is_none_or(|it| it == 0), "{:?}", broker.committed());
    }
    broker.accept(0);
    settle(&mut engine, &clock);
    while broker.unanswered() > 0 || broker.committed()[0] != Some(3) {
        assert!(broker.answer_commit(true), "a commit is under way");
        settle(&mut engine, &clock);
    }
    let mut results = written(&broker);
    results.sort_by_key(|(destination, value)| (destination.0, value.clone()));
    let expected = [
        (SINK, r#"{"item":1,"index":0}"#),
        (LARGE, r#"{"item":11,"index":1}"#),
        (LARGE, r#"{"item":12,"index":0}"#),
        (SMALL, r#"{"item":6,"index":2}"#),
    ];
    let expected = expected.map(|(destination, value)| (destination, value.to_owned()));
    assert_eq!(results, expected);
    let counters = engine.into_hot_side().counters().clone();
    assert_eq!((counters.polled, counters.emitted, counters.skipped.total()), (3, 2, 1));
    assert_eq!(counters.results[..4], [1, 2, 1, 0]);
}

#[test]
fn a_sink_with_room_for_one_takes_a_long_list_in_order() {
    let items: Vec<String> = (1..=500).map(|it| it.to_string()).collect();
    let value = format!(r#"{{"items":[{}]}}"#, items.join(","));
    let broker = Broker::new(vec![vec![stored(&value)]]);
    let clock = ManualClock::default();
    let mut engine = engine(&broker, &clock, 1);
    broker.assign(PARTITION);
    settle(&mut engine, &clock);
    while broker.unanswered() > 0 {
        assert!(broker.unanswered() <= 1);
        broker.accept(0);
        settle(&mut engine, &clock);
    }
    let results = written(&broker);
    assert_eq!(results.len(), 500);
    for (index, (_, value)) in results.iter().enumerate() {
        assert_eq!(*value, format!(r#"{{"item":{},"index":{index}}}"#, index + 1));
    }
    assert_eq!(engine.into_hot_side().counters().emitted, 1);
}

#[test]
fn a_record_of_which_one_element_is_rejected_or_that_has_too_many_is_one_letter() {
    let many = vec!["1"; hotspur::limits::RESULTS_PER_RECORD_MAX + 1].join(",");
    let many = format!(r#"{{"items":[{many}]}}"#);
    let values = [r#"{"items":[1,"x",3]}"#, many.as_str(), r#"{"items":[1]}"#];
    let log = values.into_iter().map(stored).collect();
    let (broker, clock) = (Broker::new(vec![log]), ManualClock::default());
    let mut engine = engine(&broker, &clock, 100);
    broker.assign(PARTITION);
    settle(&mut engine, &clock);
    while broker.unanswered() > 0 {
        broker.accept(0);
        settle(&mut engine, &clock);
    }
    let mut destinations: Vec<_> = written(&broker).into_iter().map(|(it, _)| it).collect();
    destinations.sort();
    assert_eq!(destinations, [SINK, DEAD, DEAD]);
    let counters = engine.into_hot_side().counters().clone();
    assert_eq!((counters.emitted, counters.rejected.total()), (1, 2));
}

#[test]
fn a_result_that_is_refused_dead_letters_its_record() {
    let log = vec![stored(r#"{"items":[1,11]}"#)];
    let (broker, clock) = (Broker::new(vec![log]), ManualClock::default());
    let mut engine = engine(&broker, &clock, 100);
    broker.assign(PARTITION);
    settle(&mut engine, &clock);
    broker.refuse(1, false);
    settle(&mut engine, &clock);
    assert_eq!(engine.in_flight(), 1, "the other one has no answer yet");
    broker.accept(0);
    settle(&mut engine, &clock);
    broker.accept(0);
    settle(&mut engine, &clock);
    let destinations: Vec<_> = written(&broker).into_iter().map(|(it, _)| it).collect();
    assert_eq!(destinations, [SINK, DEAD]);
}

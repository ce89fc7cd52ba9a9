//! Records that wait aside, one rule at a time, on the memory transport with a scripted table.

#[expect(dead_code, reason = "not every test program uses all of it")]
mod delivery_rig;

use std::{cell::RefCell, rc::Rc};

use delivery_rig::{DEAD, SINK, Script, Scripted, Watch, Watched, id_of, reason_of, stored};
use hotspur::{
    clock::{ManualClock, Ticks, WallOffset},
    delivery::Order,
    engine::{Engine, Options, Retry, control::Control},
    observe::HotSide,
    record::PartitionId,
    transport::memory::{Broker, BrokerSource},
};

const WAIT: u64 = 100;
const ONLY: PartitionId = PartitionId(0);

/// An engine, what it reads from, and what it looks up in.
struct Rig {
    engine: Engine<ManualClock, BrokerSource, Watched, Scripted>,
    broker: Broker,
    script: Rc<RefCell<Script>>,
    clock: ManualClock,
}

impl Rig {
    /// Records of one partition: key (0 is none), and the lookups that each needs.
    fn new(records: &[(u8, &[u8])], waiting: usize) -> Rig {
        Rig::of(b'1', records, |options| options.waiting = waiting)
    }

    /// The same with records of another fate, and other options.
    fn of(fate: u8, records: &[(u8, &[u8])], change: impl FnOnce(&mut Options)) -> Rig {
        let record = |(offset, (key, lookups)): (u32, &(u8, &[u8]))| {
            let key = (*key > 0).then(|| vec![*key]);
            stored((0, offset), key, [&[fate], *lookups].concat())
        };
        let broker = Broker::new(vec![(0..).zip(records).map(record).collect()]);
        let (source, sink) = broker.connect(100);
        let script = Rc::new(RefCell::new(Script { wait: WAIT, ..Script::default() }));
        let clock = ManualClock::default();
        let process = Scripted { script: Rc::clone(&script), clock: clock.clone() };
        let mut options = Options {
            name: "test".to_owned(),
            order: Order::ProcessThenCommit,
            in_flight: 64,
            in_flight_bytes: 4096,
            batch: 16,
            waiting: 8,
            retry: Retry::NEVER,
            dead_letters: DEAD,
            streams_headers: false,
            commit_interval_ns: 10,
            transaction_timeout_ns: 1_000_000_000,
            stages: hotspur::measure::Stages::All,
            slow_ns: 1_000_000,
            publish_interval_ns: 1_000_000,
            drain_timeout_ns: 1_000_000,
        };
        change(&mut options);
        let parts = (source, Watched { sink, watch: Rc::<RefCell<Watch>>::default(), hasty: None });
        let (hot, control) = (HotSide::detached(Ticks(0)), Control::none());
        let wall = (clock.clone(), WallOffset::fixed(0));
        let engine = Engine::new(wall, parts, process, hot, control, options);
        broker.assign(ONLY);
        Rig { engine, broker, script, clock }
    }

    fn turn(&mut self) {
        self.engine.turn();
        self.engine.turn();
    }

    fn turn_at(&mut self, time: u64) {
        self.clock.advance(time - hotspur::clock::Clock::now(&self.clock).0);
        self.turn();
    }

    fn answer(&mut self, lookup: u8) {
        let mut script = self.script.borrow_mut();
        script.known |= 1 << lookup;
        script.answers += 1;
        drop(script);
        self.turn();
    }

    /// Takes everything that was handed over: offsets of results, and of letters.
    fn written(&mut self) -> (Vec<u32>, Vec<u32>) {
        while self.broker.unanswered() > 0 {
            self.broker.accept(0);
        }
        self.turn();
        let (mut results, mut letters) = (Vec::new(), Vec::new());
        self.broker.for_each_written(|it| match it.destination {
            SINK => results.push(id_of(it).1),
            _ => letters.push(id_of(it).1),
        });
        results.sort_unstable();
        letters.sort_unstable();
        (results, letters)
    }
}

#[test]
fn a_lookup_without_an_answer_is_a_miss_when_the_wait_is_over_and_not_before() {
    let mut rig = Rig::new(&[(1, &[1])], 4);
    rig.turn_at(7);
    rig.turn_at(7 + WAIT - 1);
    assert_eq!((rig.engine.waiting(), rig.written()), (1, (vec![], vec![])));
    rig.turn_at(7 + WAIT);
    assert_eq!((rig.engine.waiting(), rig.written()), (0, (vec![], vec![0])));
}

#[test]
fn those_of_its_key_wait_behind_it_and_others_pass() {
    let records: [(u8, &[u8]); 6] = [(1, &[1]), (1, &[]), (2, &[]), (0, &[2]), (0, &[]), (1, &[])];
    let mut rig = Rig::new(&records, 8);
    rig.turn();
    assert!(rig.engine.has_waiting(ONLY) && !rig.engine.has_waiting(PartitionId(1)));
    assert_eq!((rig.engine.waiting(), rig.written().0), (5, vec![2]));
    rig.answer(2);
    assert_eq!((rig.engine.waiting(), rig.written().0), (3, vec![2, 3, 4]));
    rig.answer(1);
    assert_eq!((rig.engine.waiting(), rig.written().0), (0, vec![0, 1, 2, 3, 4, 5]));
    assert!(!rig.engine.has_waiting(ONLY));
}

#[test]
fn a_lane_asks_for_all_that_it_needs_at_once_and_runs_out_of_time_together() {
    let mut rig = Rig::new(&[(1, &[1]), (1, &[2]), (1, &[3]), (1, &[4])], 8);
    rig.turn_at(1);
    assert_eq!(rig.script.borrow().asked, 0b11110);
    rig.answer(3);
    rig.turn_at(1 + WAIT);
    assert_eq!((rig.engine.waiting(), rig.written()), (0, (vec![2], vec![0, 1, 3])));
}

#[test]
fn a_record_has_one_wait_for_all_its_lookups_unless_it_was_behind_others() {
    let mut rig = Rig::new(&[(1, &[1, 2]), (1, &[3, 4])], 8);
    rig.turn_at(1);
    rig.clock.advance(WAIT - 2);
    rig.answer(1);
    rig.answer(3);
    assert_eq!(rig.engine.waiting(), 2);
    rig.turn_at(1 + WAIT);
    assert_eq!(rig.written(), (vec![], vec![0]), "the first had asked all the time");
    assert_eq!(rig.engine.waiting(), 1, "the second could not ask before");
    rig.turn_at(WAIT + WAIT);
    assert_eq!(rig.engine.waiting(), 1);
    rig.turn_at(WAIT + WAIT + 1);
    assert_eq!(rig.written(), (vec![], vec![0, 1]));
}

#[test]
fn where_as_many_wait_as_may_nothing_is_processed_until_one_leaves() {
    let mut rig = Rig::new(&[(1, &[1]), (2, &[2]), (3, &[]), (3, &[1])], 2);
    rig.turn_at(1);
    assert_eq!((rig.engine.waiting(), rig.written().0), (2, vec![]));
    rig.answer(2);
    assert_eq!((rig.engine.waiting(), rig.written().0), (2, vec![1, 2]));
    rig.answer(1);
    assert_eq!(rig.written(), (vec![0, 1, 2, 3], vec![]));
}

#[test]
fn what_a_lost_partition_left_waiting_leaves_at_once() {
    let mut rig = Rig::new(&[(1, &[1]), (1, &[]), (2, &[2])], 8);
    rig.turn_at(1);
    assert_eq!(rig.engine.waiting(), 3);
    rig.broker.lose(ONLY);
    rig.turn();
    assert_eq!((rig.engine.waiting(), rig.engine.in_flight()), (0, 0));
    assert_eq!(rig.broker.committed(), [None]);
}

#[test]
fn a_pause_takes_no_time_from_those_that_wait() {
    let mut rig = Rig::new(&[(1, &[1])], 8);
    rig.turn_at(1);
    rig.script.borrow_mut().is_paused = true;
    rig.turn_at(10);
    rig.turn_at(10 + 10 * WAIT);
    rig.script.borrow_mut().is_paused = false;
    rig.turn_at(11 + 10 * WAIT);
    assert_eq!(rig.engine.waiting(), 1);
    rig.turn_at(10 + 11 * WAIT + 1);
    assert_eq!(rig.written().1, [0]);
}

#[test]
fn a_run_ends_when_the_last_has_waited_enough() {
    let mut rig = Rig::new(&[(1, &[1]), (1, &[]), (2, &[2])], 8);
    rig.turn_at(1);
    rig.engine.stop();
    rig.turn_at(2);
    rig.answer(2);
    rig.turn_at(1 + WAIT);
    assert_eq!(rig.written(), (vec![1, 2], vec![0]));
    while rig.broker.answer_commit(true) {
        rig.turn();
    }
    let ended = rig.engine.phase();
    let is_clean = matches!(ended, hotspur::engine::Phase::Ended(it) if it.unfinished == 0);
    assert!(is_clean, "{ended:?}");
    let mut hot = rig.engine.into_hot_side();
    let counters = hot.counters();
    assert_eq!((counters.polled, counters.emitted, counters.rejected.total()), (3, 2, 1));
}

const RETRY: Retry = Retry { attempts: 2, backoff_ns: 1_000, max_backoff_ns: 1_500 };

fn stale(records: &[(u8, &[u8])]) -> Rig {
    stale_under(Order::ProcessThenCommit, records)
}

fn stale_under(order: Order, records: &[(u8, &[u8])]) -> Rig {
    let rig = Rig::of(b'h', records, |options| {
        (options.order, options.retry) = (order, RETRY);
    });
    rig.script.borrow_mut().is_stale = true;
    rig
}

#[test]
fn what_may_heal_is_tried_again_after_longer_and_longer_waits_and_then_dead_lettered() {
    let mut rig = stale(&[(1, &[])]);
    (1..=5_000).step_by(10).for_each(|time| rig.turn_at(time));
    assert_eq!(rig.written(), (vec![], vec![0]));
    let tried: Vec<_> = rig.script.borrow().tried.iter().map(|(_, at)| *at).collect();
    let [first, second, third] = tried[..] else { panic!("tried at {tried:?}") };
    assert!((875..=1_010).contains(&(second - first)), "{tried:?}");
    assert!((1_312..=1_510).contains(&(third - second)), "{tried:?}");
    let mut reasons = Vec::new();
    rig.broker.for_each_written(|it| reasons.push(reason_of(it)));
    assert_eq!(reasons, ["tried 3 times: it is stale"]);
    let mut hot = rig.engine.into_hot_side();
    let counters = hot.counters();
    assert_eq!((counters.polled, counters.rejected.total()), (1, 1));
}

#[test]
fn what_heals_in_time_is_no_dead_letter_and_nothing_of_its_key_passes_it() {
    let mut rig = stale(&[(1, &[]), (1, &[]), (2, &[])]);
    rig.turn_at(1);
    assert_eq!((rig.engine.waiting(), rig.written()), (3, (vec![], vec![])));
    assert_eq!(rig.broker.committed(), [None], "the offset stays before it");
    rig.script.borrow_mut().is_stale = false;
    rig.turn_at(500);
    assert_eq!(rig.engine.waiting(), 3, "nobody is tried before its time");
    rig.turn_at(1_001);
    assert_eq!((rig.engine.waiting(), rig.written()), (0, (vec![0, 1, 2], vec![])));
}

#[test]
fn a_lookup_that_timed_out_asks_again_with_a_whole_wait() {
    let mut rig = Rig::of(b'1', &[(1, &[1])], |options| options.retry = RETRY);
    rig.turn_at(1);
    rig.turn_at(1 + WAIT);
    assert_eq!((rig.engine.waiting(), rig.written()), (1, (vec![], vec![])));
    let again = 1 + WAIT + RETRY.backoff_ns;
    rig.turn_at(again);
    rig.turn_at(again + WAIT - 1);
    assert_eq!((rig.engine.waiting(), rig.written()), (1, (vec![], vec![])));
    rig.answer(1);
    assert_eq!((rig.engine.waiting(), rig.written()), (0, (vec![0], vec![])));
}

#[test]
fn at_most_once_what_waits_at_the_end_is_tried_a_last_time_at_once_and_not_lost() {
    let mut rig = stale_under(Order::CommitThenProcess, &[(1, &[]), (1, &[])]);
    rig.turn_at(1);
    rig.broker.answer_commit(true);
    rig.turn();
    assert_eq!((rig.engine.waiting(), rig.written()), (2, (vec![], vec![])));
    rig.engine.stop();
    rig.turn();
    assert_eq!((rig.engine.waiting(), rig.written()), (0, (vec![], vec![0, 1])));
    let mut reasons = Vec::new();
    rig.broker.for_each_written(|it| reasons.push(reason_of(it)));
    reasons.sort();
    assert_eq!(reasons, ["it is stale", "tried 2 times: it is stale"]);
}

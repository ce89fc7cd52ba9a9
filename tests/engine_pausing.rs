//! Pauses and the breaker, one rule at a time, on the memory transport with a scripted pipeline.

#[expect(dead_code, reason = "not every test program uses all of it")]
mod delivery_rig;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use delivery_rig::{DEAD, SINK, Script, Scripted, Watch, Watched, id_of, stored};
use hotspur::{
    clock::{ManualClock, Ticks, WallOffset},
    delivery::Order,
    engine::{
        Cause, Engine, Options, Phase, Retry,
        breaker::{Opened, Rule},
        control::Control,
    },
    observe::{HotSide, PauseCause, Switch},
    record::PartitionId,
    transport::memory::{Broker, BrokerSource},
    verdict::RejectClass,
};

const ONLY: PartitionId = PartitionId(0);
const WAIT: u64 = 100;

/// More than half of the last four.
const RULE: Rule = Rule { share: 0.5, window: 4, within_ns: 1_000_000, stops: true };

type Tested = Engine<ManualClock, BrokerSource, Watched, Scripted>;

/// An engine over one partition, and what steers it.
struct Rig {
    engine: Tested,
    broker: Broker,
    order: Order,
    script: Rc<RefCell<Script>>,
    switch: Arc<Switch>,
    clock: ManualClock,
}

impl Rig {
    /// A record for each letter: `1` a result, `s` skipped, `r` rejected, `w` waits for a lookup.
    fn new(fates: &[u8], order: Order, rule: Option<Rule>) -> Rig {
        let record = |(offset, fate): (u32, &u8)| {
            let value = if *fate == b'w' { vec![b'1', 1] } else { vec![*fate] };
            stored((0, offset), Some(vec![1 + (offset % 3) as u8]), value)
        };
        let broker = Broker::new(vec![(0..).zip(fates).map(record).collect()]);
        let clock = ManualClock::default();
        let script = Rc::new(RefCell::new(Script { wait: WAIT, ..Script::default() }));
        let switch = Arc::<Switch>::default();
        let engine = connect(&broker, &clock, &script, &switch, (order, rule));
        broker.assign(ONLY);
        Rig { engine, broker, order, script, switch, clock }
    }

    /// Another run goes on where the group is.
    fn restart(&mut self, rule: Option<Rule>) {
        let Rig { broker, clock, script, switch, order, .. } = self;
        self.engine = connect(broker, clock, script, switch, (*order, rule));
        self.broker.assign(ONLY);
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.clock.advance(20);
            self.engine.turn();
        }
    }

    /// Everything is answered until nothing happens.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.turns(1);
            while self.broker.unanswered() > 0 {
                self.broker.accept(0);
            }
            self.broker.answer_commit(true);
        }
    }

    /// Offsets of results, and of letters, in order.
    fn written(&self) -> (Vec<u32>, Vec<u32>) {
        let (mut results, mut letters) = (Vec::new(), Vec::new());
        self.broker.for_each_written(|it| match it.destination {
            SINK => results.push(id_of(it).1),
            _ => letters.push(id_of(it).1),
        });
        results.sort_unstable();
        letters.sort_unstable();
        (results, letters)
    }

    fn committed(&self) -> i64 {
        self.broker.committed()[0].unwrap_or(0)
    }

    fn causes(&self) -> Vec<PauseCause> {
        self.switch.causes().collect()
    }

    /// The run has ended for the breaker, with nothing left undone.
    #[track_caller]
    fn opened(&self) -> Opened {
        match self.engine.phase() {
            Phase::Ended(ending) => match ending.cause {
                Cause::Breaker(opened) if ending.unfinished == 0 => opened,
                _ => panic!("{ending:?}"),
            },
            phase => panic!("{phase:?}"),
        }
    }

    #[track_caller]
    fn assert_ended_as_asked(&self) {
        let phase = self.engine.phase();
        let Phase::Ended(ending) = phase else { panic!("{phase:?}") };
        assert_eq!((ending.cause, ending.unfinished), (Cause::Asked, 0));
    }
}

fn connect(
    broker: &Broker,
    clock: &ManualClock,
    script: &Rc<RefCell<Script>>,
    switch: &Arc<Switch>,
    (order, rule): (Order, Option<Rule>),
) -> Tested {
    let (source, sink) = broker.connect(100);
    let process = Scripted { script: Rc::clone(script), clock: clock.clone() };
    let options = Options {
        name: "test".to_owned(),
        order,
        in_flight: 64,
        in_flight_bytes: 4096,
        batch: 16,
        waiting: 16,
        dead_letters: DEAD,
        streams_headers: false,
        commit_interval_ns: 10,
        transaction_timeout_ns: 1_000_000_000,
        retry: Retry::NEVER,
        stages: hotspur::measure::Stages::All,
        slow_ns: 1_000_000,
        publish_interval_ns: 10,
        drain_timeout_ns: 1_000_000,
    };
    let parts = (source, Watched { sink, watch: Rc::<RefCell<Watch>>::default(), hasty: None });
    let control = Control::none().with_switch(switch);
    let time = (clock.clone(), WallOffset::fixed(0));
    let engine = Engine::new(time, parts, process, HotSide::detached(Ticks(0)), control, options);
    engine.with_breaker(rule)
}

#[test]
fn while_paused_nothing_is_begun_and_what_was_is_acknowledged_and_committed() {
    let mut rig = Rig::new(&[b'1'; 40], Order::ProcessThenCommit, None);
    rig.broker.set_room(5);
    rig.turns(2);
    assert_eq!(rig.broker.unanswered(), 5);
    rig.switch.pause();
    rig.switch.pause();
    rig.settle();
    assert_eq!(rig.causes(), [PauseCause::Asked]);
    // A batch had been processed: what waited in the outbox went out, and nothing else.
    assert_eq!(rig.written(), ((0..16).collect(), vec![]));
    assert_eq!((rig.committed(), rig.engine.in_flight()), (16, 0));
    rig.settle();
    assert_eq!((rig.committed(), rig.broker.owned()), (16, vec![ONLY]));
    rig.switch.resume();
    rig.settle();
    assert_eq!(rig.causes(), []);
    assert_eq!((rig.written(), rig.committed()), (((0..40).collect(), vec![]), 40));
}

#[test]
fn causes_of_a_pause_hold_each_by_itself() {
    let mut rig = Rig::new(b"11", Order::ProcessThenCommit, None);
    rig.script.borrow_mut().is_paused = true;
    rig.switch.pause();
    rig.settle();
    assert_eq!(rig.causes(), [PauseCause::Asked, PauseCause::Table]);
    rig.switch.resume();
    rig.settle();
    assert_eq!(rig.causes(), [PauseCause::Table]);
    rig.switch.pause();
    rig.script.borrow_mut().is_paused = false;
    rig.settle();
    assert_eq!((rig.causes(), rig.written().0), (vec![PauseCause::Asked], vec![]));
    rig.switch.resume();
    rig.settle();
    assert_eq!((rig.causes(), rig.written().0), (vec![], vec![0, 1]));
}

#[test]
fn a_run_that_was_paused_before_it_began_takes_nothing_and_ends_cleanly() {
    let mut rig = Rig::new(b"111", Order::ProcessThenCommit, None);
    rig.switch.pause();
    rig.settle();
    assert_eq!((rig.engine.in_flight(), rig.committed()), (0, 0));
    rig.engine.stop();
    rig.settle();
    rig.assert_ended_as_asked();
    assert_eq!(rig.written(), (vec![], vec![]));
}

#[test]
fn what_is_paused_between_commit_and_processing_is_given_back_at_the_end() {
    let mut rig = Rig::new(&[b'1'; 10], Order::CommitThenProcess, None);
    rig.turns(1);
    rig.switch.pause();
    rig.settle();
    assert_eq!((rig.committed(), rig.written().0), (10, vec![]), "committed, not processed");
    rig.engine.stop();
    rig.settle();
    rig.assert_ended_as_asked();
    assert_eq!((rig.committed(), rig.written().0), (0, vec![]));
    rig.switch.resume();
    rig.restart(None);
    rig.settle();
    assert_eq!((rig.committed(), rig.written().0), (10, (0..10).collect()));
}

#[test]
fn a_partition_goes_at_once_though_the_run_is_paused() {
    for order in [Order::ProcessThenCommit, Order::CommitThenProcess] {
        let mut rig = Rig::new(&[b'1'; 10], order, None);
        rig.turns(1);
        rig.switch.pause();
        rig.settle();
        rig.broker.revoke(ONLY);
        rig.settle();
        assert_eq!((rig.broker.owned(), rig.engine.phase()), (vec![], Phase::Running));
        // The next owner, which is this one again.
        rig.broker.assign(ONLY);
        rig.switch.resume();
        rig.settle();
        assert_eq!((rig.committed(), rig.written().0), (10, (0..10).collect()), "{order:?}");
        assert_eq!(rig.engine.in_flight(), 0);
    }
}

#[test]
fn the_breaker_stops_after_about_a_window_and_a_restart_doubles_no_letter() {
    for order in [Order::ProcessThenCommit, Order::CommitThenProcess] {
        let mut rig = Rig::new(&[b'r'; 40], order, Some(RULE));
        rig.settle();
        let Opened { facts, samples } = rig.opened();
        assert_eq!((facts.class, facts.of_class), (RejectClass::Expression, 4));
        assert_eq!((facts.rejected, facts.window), (4, 4));
        let places = samples.map(|it| it.map(|it| (it.topic.to_string(), it.offset)));
        assert_eq!(places, [1, 2, 3].map(|offset| Some(("memory".to_owned(), offset))));
        assert_eq!((rig.written().1, rig.committed()), ((0..4).collect(), 4), "{order:?}");
        rig.restart(None);
        rig.settle();
        assert_eq!((rig.written().1, rig.committed()), ((0..40).collect(), 40), "{order:?}");
    }
}

#[test]
fn what_is_decided_holds_the_rest_back_until_it_is_settled() {
    let mut rig = Rig::new(&[b'r'; 40], Order::ProcessThenCommit, Some(RULE));
    rig.turns(10);
    assert_eq!(rig.broker.unanswered(), 4, "no letter more before the first is acknowledged");
    assert_eq!(rig.engine.phase(), Phase::Running, "and none is settled");
    rig.settle();
    rig.opened();
}

#[test]
fn fewer_than_a_window_never_trip_it_and_a_share_that_is_not_past_does_not() {
    for fates in [&b"rrr"[..], b"r1r1r1r1r1r1r1r1", b"rsrsrsrs11ssrr"] {
        let mut rig = Rig::new(fates, Order::ProcessThenCommit, Some(RULE));
        rig.settle();
        assert_eq!(rig.engine.phase(), Phase::Running);
        assert_eq!(rig.committed(), fates.len() as i64);
    }
    let rejected = Rig::new(b"r1", Order::ProcessThenCommit, Some(RULE));
    let mut rig = rejected;
    rig.settle();
    assert_eq!(rig.switch.rejected_ratio(), 0.5);
}

#[test]
fn refusals_of_the_broker_count_too() {
    let mut rig = Rig::new(&[b'1'; 12], Order::ProcessThenCommit, Some(RULE));
    rig.turns(2);
    while rig.broker.unanswered() > 0 {
        rig.broker.refuse(0, false);
    }
    rig.settle();
    let facts = rig.opened().facts;
    assert_eq!(facts.class, RejectClass::RefusedByBroker);
    assert_eq!(rig.committed(), rig.written().1.len() as i64);
}

#[test]
fn a_breaker_that_pauses_waits_for_resume_and_begins_with_nothing() {
    let rule = Rule { stops: false, ..RULE };
    let mut rig = Rig::new(b"rrrrrr1111rrrrrr", Order::ProcessThenCommit, Some(rule));
    rig.settle();
    assert_eq!((rig.causes(), rig.written().1.len()), (vec![PauseCause::Breaker], 4));
    assert_eq!((rig.committed(), rig.engine.phase()), (4, Phase::Running));
    rig.switch.pause();
    rig.settle();
    assert_eq!(rig.causes(), [PauseCause::Asked, PauseCause::Breaker]);
    rig.switch.resume();
    rig.settle();
    // Two more, four results, and three of the next four are rejected again.
    assert_eq!((rig.causes(), rig.committed()), (vec![PauseCause::Breaker], 13));
    rig.switch.resume();
    rig.settle();
    assert_eq!((rig.causes(), rig.committed()), (vec![], 16));
    assert_eq!(rig.written().1.len(), 12);
    rig.engine.stop();
    rig.settle();
    rig.assert_ended_as_asked();
}

#[test]
fn what_waits_aside_when_the_breaker_opens_is_finished_so_that_no_letter_comes_twice() {
    let mut rig = Rig::new(b"wrrrrrrrrrrr", Order::ProcessThenCommit, Some(RULE));
    rig.script.borrow_mut().wait = 100 * WAIT;
    rig.settle();
    assert_eq!(rig.written().1, [1, 2, 4, 5]);
    assert_eq!((rig.engine.waiting(), rig.committed()), (2, 0), "0, and 3 behind it");
    rig.clock.advance(100 * WAIT);
    rig.settle();
    rig.opened();
    assert_eq!((rig.written().1, rig.committed()), ((0..6).collect(), 6));
    rig.script.borrow_mut().wait = WAIT;
    rig.restart(None);
    rig.settle();
    assert_eq!(rig.written().1, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_run_that_ends_and_trips_the_breaker_meanwhile_ends_for_the_breaker() {
    let mut rig = Rig::new(&[b'r'; 40], Order::ProcessThenCommit, Some(RULE));
    rig.turns(3);
    rig.engine.stop();
    rig.settle();
    rig.opened();
    assert_eq!((rig.written().1.len(), rig.committed()), (4, 4));
}

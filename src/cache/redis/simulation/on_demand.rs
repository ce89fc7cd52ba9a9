//! A table on demand against the same simulated Redis: what it holds is as fresh as it says, it
//! answers what it is asked, and it holds no more than it may.

use super::*;
use crate::{
    cache::{redis::holding::Holding, value::ValueKind},
    config::settings::OnDemand,
};

const ENTRIES_MAX: usize = 5;
const WAIT: Duration = Duration::from_millis(300);

struct Demanded {
    server: Server,
    holding: Holding,
    reader: Reader,
    is_loaded: bool,
    as_of: u64,
    /// What an answer took at most: a key may go so much too early.
    round_took: u64,
    /// When the walk that last ended began.
    walk_began: u64,
    /// When each round was sent.
    rounds: Vec<u64>,
}

impl Demanded {
    fn new() -> Demanded {
        let (writer, reader) = table(0, 1);
        let mut settings = RedisTable::new("", "", "k");
        settings.verify_interval = PASS_EVERY;
        let bounds = OnDemand {
            max_entries: ENTRIES_MAX,
            max_bytes: usize::MAX,
            absent_for: Duration::from_millis(150),
            max_waiting: 100,
            wait: WAIT,
        };
        let mut holding = Holding::new(&settings, bounds, writer);
        let server = Server::new();
        holding.connected(server.time());
        let (is_loaded, as_of, round_took, walk_began) = (false, 0, 0, 0);
        let rounds = vec![0];
        Demanded { server, holding, reader, is_loaded, as_of, round_took, walk_began, rounds }
    }

    /// One round that was asked for a key, with an event before each command and one after it.
    fn round(&mut self, asked: Option<u8>, events: &mut impl Iterator<Item = Event>) {
        if mem::take(&mut self.server.is_broken) {
            self.server.pushes.clear();
            self.server.changed.clear();
            self.server.flushed = None;
            self.holding.connected(self.server.time());
        }
        let (sent, time) = (self.server.now, self.server.time());
        self.rounds.push(sent);
        self.holding.expire(time);
        if let Some(key) = asked {
            self.holding.want(&[key], time);
        }
        let mut commands = Pipeline::new();
        let questions = self.holding.ask(time, &mut commands);
        assert_eq!(questions.len(), commands.len());
        for (question, command) in questions.iter().zip(commands.cmd_iter()) {
            events.next().into_iter().for_each(|event| self.server.happen(event));
            let reply = self.server.execute(command);
            self.round_took = self.round_took.max(self.server.now - sent);
            self.holding.answer(question, reply, "SHOWN").unwrap();
            self.check_presence();
        }
        self.server.announce(self.server.pings[0]);
        let pushes = mem::take(&mut self.server.pushes);
        self.holding.note(pushes);
        let walking = self.holding.walking();
        let progress = self.holding.finish_round();
        if let Progress::Whole(as_of) | Progress::Fresh(as_of) = progress {
            self.is_loaded = true;
            self.as_of = self.server.millis(as_of);
        }
        if let Some(began) = walking.filter(|_| self.holding.walking().is_none()) {
            self.walk_began = self.server.millis(began);
            self.server.silent.retain(|(_, since)| *since > self.walk_began);
        }
        self.check_presence();
        if let Some(key) = asked {
            let hash = self.reader.hash(&[key]);
            let is_answered = self.reader.get_marking(hash, &[key]).is_some();
            assert!(is_answered && self.holding.take_answers(), "{key} has no answer");
        }
        events.next().into_iter().for_each(|event| self.server.happen(event));
    }

    /// When the last round before then was sent: it may have read what was there before.
    fn round_before(&self, time: u64) -> u64 {
        self.rounds[self.rounds.partition_point(|sent| *sent < time) - 1]
    }

    /// What is held of a key; `None` if nothing is, also not that it is absent.
    fn held(&self, key: u8) -> Option<Option<u64>> {
        let value = self.reader.get(&[key])?;
        let text = std::str::from_utf8(value.bytes).unwrap();
        Some((value.kind != ValueKind::Absent).then(|| text.parse().unwrap()))
    }

    /// Every answer is one that was true at `as_of` or after it, as for a full copy.
    fn check_presence(&mut self) {
        self.reader.quiesce();
        if !self.is_loaded {
            return;
        }
        let now = self.server.now;
        for (key, past) in (0..KEYS).zip(&self.server.past) {
            let Some(answer) = self.held(key) else { continue };
            let silent = self.server.silent.iter().find(|it| it.0 == key);
            let as_of = self.as_of.min(silent.map_or(u64::MAX, |it| self.round_before(it.1)));
            let first = past.partition_point(|state| state.since <= as_of).saturating_sub(1);
            let was_true = past[first..].iter().any(|state| match answer {
                Some(_) => state.value_at(state.since.max(as_of)) == answer,
                None => state.value_at(now + self.round_took).is_none(),
            });
            assert!(was_true, "{key} is {answer:?} as of {as_of} at {now}, but was {past:?}");
        }
    }

    fn run(&mut self, asked: &[Option<u8>], events: Vec<Event>) {
        let mut events = events.into_iter();
        let mut asked = asked.iter().copied().chain(std::iter::repeat(None));
        while events.len() > 0 {
            self.round(asked.next().flatten(), &mut events);
        }
        let quiet_since = self.server.now;
        let comes_to_rest = (0..400).any(|_| {
            self.round(None, &mut events);
            self.as_of >= quiet_since && self.walk_began >= quiet_since
        });
        assert!(comes_to_rest, "nothing happens any more, and the table does not know it");
        self.server.now += WAIT.as_millis() as u64;
        for key in 0..KEYS {
            self.round(Some(key), &mut events);
            let soon = self.server.state(key).value_at(self.server.now + self.round_took);
            let held = self.held(key).unwrap();
            assert!(held == self.server.value(key) || held == soon, "{key} is {held:?}");
            assert!(self.holding.writer().len() <= ENTRIES_MAX, "the bound is passed");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_held_on_demand_is_as_fresh_as_it_says(
        asked in vec(proptest::option::of(0..KEYS), 0..100),
        events in vec(event(), 0..400),
    ) {
        Demanded::new().run(&asked, events);
    }
}

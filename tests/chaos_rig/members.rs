//! The processes of a group, each at a place of its own, and what is done to them.
//!
//! A place is what an orchestrator calls one: its name is the instance and the static member of the
//! group, and whoever starts there takes them over.

use std::{collections::BTreeMap, thread};

use rand::{RngExt, rngs::SmallRng, seq::IndexedRandom};

use super::{Guarantee, LOOK_AGAIN, watch::Patience};
use crate::support::{
    hotspur::{Counts, Hotspur},
    names::RUN_STOPPED,
    pipeline::Pipeline,
};

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// kill -9.
    Kill,
    /// SIGTERM, and its end is waited for.
    Leave,
    /// SIGSTOP, past the session timeout; then SIGCONT: the zombie.
    Freeze,
    /// The same, and another is started in its place meanwhile.
    Replace,
}

/// Whether somebody wanted a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Unasked,
}

#[derive(Debug)]
enum Place {
    Empty,
    Runs(Hotspur),
    /// Held still until so many records were sent.
    Frozen(Hotspur, u64),
}

/// All places.
#[derive(Debug)]
pub(crate) struct Members {
    guarantee: Guarantee,
    /// A process that starts takes over from the one that was there, as a static member of the
    /// group; else it waits until the group has missed that one.
    pub(crate) are_static: bool,
    places: Vec<Place>,
    /// Replaced while they were held still, with their places, and until when they are.
    ghosts: Vec<(usize, Hotspur, u64)>,
    awake_ghosts: Vec<(usize, Hotspur)>,
    counts: BTreeMap<String, u32>,
    /// What happened, in order.
    pub(crate) history: Vec<String>,
    /// What those said of their books that ended when asked.
    pub(crate) stopped: Vec<Counts>,
}

/// A member hears that the group did without it.
const GROUP_LOST: &str = "group.lost";

/// Another process took the name over.
const FENCED: &str = "FENCED_INSTANCE_ID";

/// What stands in the last line of a run that had begun.
const BOOKS: &str = "\"polled\":";

/// The status of a run that something ended which does not heal.
const CANNOT_HEAL: Option<i32> = Some(3);

impl Members {
    pub(crate) fn new(places: usize, guarantee: Guarantee) -> Members {
        Members {
            guarantee,
            are_static: true,
            places: (0..places).map(|_| Place::Empty).collect(),
            ghosts: Vec::new(),
            awake_ghosts: Vec::new(),
            counts: BTreeMap::new(),
            history: Vec::new(),
            stopped: Vec::new(),
        }
    }

    fn note(&mut self, at: u64, what: &str, place: usize) {
        self.history.push(format!("at {at}: place {place} {what}"));
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// How often what happened.
    pub(crate) fn summary(&self) -> String {
        let counts = self
            .counts
            .iter()
            .filter(|it| *it.1 > 0)
            .map(|(what, count)| format!("{count} {what}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        if counts.is_empty() { "undisturbed".to_owned() } else { counts }
    }

    /// Starts a process wherever there is none.
    pub(crate) fn start_missing(&mut self, pipeline: &Pipeline) {
        for number in 0..self.places.len() {
            if matches!(self.places[number], Place::Empty) {
                self.places[number] = Place::Runs(self.start(pipeline, number));
            }
        }
    }

    /// Waits until each has partitions.
    pub(crate) fn await_assigned(&self) {
        for place in &self.places {
            if let Place::Runs(hotspur) = place {
                hotspur.await_assigned();
            }
        }
    }

    /// Lets those go on whose time has come, and starts some of those that are missing.
    pub(crate) fn go_on(&mut self, now: u64, pipeline: &Pipeline, random: &mut SmallRng) {
        self.thaw(now);
        let nobody_runs = self.running().is_empty();
        for number in 0..self.places.len() {
            let is_empty = matches!(self.places[number], Place::Empty);
            if is_empty && (nobody_runs || random.random_ratio(2, 3)) {
                self.places[number] = Place::Runs(self.start(pipeline, number));
            }
        }
    }

    fn running(&self) -> Vec<usize> {
        let runs = |it: &usize| matches!(self.places[*it], Place::Runs(_));
        (0..self.places.len()).filter(runs).collect()
    }

    /// Does it to one of those that run; who is held still is so until the second time.
    pub(crate) fn suffer(
        &mut self,
        deed: Deed,
        (now, until): (u64, u64),
        pipeline: &Pipeline,
        random: &mut SmallRng,
    ) {
        let Some(&number) = self.running().choose(random) else { return };
        let place = std::mem::replace(&mut self.places[number], Place::Empty);
        let Place::Runs(hotspur) = place else { unreachable!("it was seen to run") };
        match deed {
            Deed::Kill => {
                hotspur.kill();
                self.note(now, "killed", number);
            }
            Deed::Leave => {
                self.note(now, "left", number);
                hotspur.signal("TERM");
                self.hear_end(number, hotspur, End::Asked);
            }
            Deed::Freeze => {
                hotspur.signal("STOP");
                self.places[number] = Place::Frozen(hotspur, until);
                self.note(now, "frozen", number);
            }
            Deed::Replace => {
                hotspur.signal("STOP");
                self.ghosts.push((number, hotspur, until));
                self.places[number] = Place::Runs(self.start(pipeline, number));
                self.note(now, "frozen and replaced", number);
            }
        }
    }

    /// When the last of those that are held still may go on.
    pub(crate) fn last_thaw(&self) -> Option<u64> {
        let places = self.places.iter().filter_map(|it| match it {
            Place::Frozen(_, until) => Some(*until),
            _ => None,
        });
        places.chain(self.ghosts.iter().map(|it| it.2)).max()
    }

    /// Lets those go on whose time has come.
    pub(crate) fn thaw(&mut self, now: u64) {
        for number in 0..self.places.len() {
            let place = std::mem::replace(&mut self.places[number], Place::Empty);
            self.places[number] = match place {
                Place::Frozen(hotspur, until) if until <= now => {
                    hotspur.signal("CONT");
                    self.history.push(format!("at {now}: place {number} goes on"));
                    Place::Runs(hotspur)
                }
                other => other,
            };
        }
        let ghosts = std::mem::take(&mut self.ghosts);
        for (number, ghost, until) in ghosts {
            if until <= now {
                ghost.signal("CONT");
                self.history.push(format!("at {now}: the ghost of place {number} goes on"));
                self.awake_ghosts.push((number, ghost));
            } else {
                self.ghosts.push((number, ghost, until));
            }
        }
    }

    /// Hears of those that ended unasked.
    pub(crate) fn see_that_they_live(&mut self) {
        for number in 0..self.places.len() {
            let Place::Runs(hotspur) = &mut self.places[number] else { continue };
            if !hotspur.has_ended() {
                continue;
            }
            let place = std::mem::replace(&mut self.places[number], Place::Empty);
            let Place::Runs(hotspur) = place else { unreachable!("it was seen to run") };
            self.hear_end(number, hotspur, End::Unasked);
        }
    }

    /// What they have said, for whoever has to find out why nothing gets on.
    pub(crate) fn logs(&self) -> String {
        let said = self.places.iter().enumerate().map(|(number, place)| match place {
            Place::Runs(hotspur) | Place::Frozen(hotspur, _) => {
                format!("place {number}:\n{}", hotspur.log.text())
            }
            Place::Empty => format!("place {number} is empty"),
        });
        format!("{}\n{}", said.collect::<Vec<_>>().join("\n"), self.history.join("\n"))
    }

    /// Ends all of them as an operator would. Of ghosts some have been fenced; one whose place
    /// was empty when it woke up is a member like any other.
    pub(crate) fn stop_all(&mut self) {
        let places = std::mem::take(&mut self.places).into_iter().enumerate();
        let running = places.filter_map(|(number, place)| match place {
            Place::Runs(hotspur) => Some((number, hotspur)),
            _ => None,
        });
        let ghosts = std::mem::take(&mut self.awake_ghosts);
        let mut all: Vec<_> = running.chain(ghosts).collect();
        for (_, hotspur) in &mut all {
            if !hotspur.has_ended() {
                hotspur.signal("TERM");
            }
        }
        all.into_iter().for_each(|(number, hotspur)| self.hear_end(number, hotspur, End::Asked));
    }

    /// Nobody ends unasked, with one exception: two processes of one name. The group, or with
    /// transactions the broker, lets the latest one go on, and the other has to end and to say so.
    /// It is started again, as an orchestrator would.
    fn hear_end(&mut self, number: usize, mut hotspur: Hotspur, end: End) {
        let mut patience = Patience::new();
        while !hotspur.has_ended() {
            let log = &hotspur.log;
            assert!(!patience.is_over(None), "place {number} does not end:\n{}", log.text());
            thread::park_timeout(LOOK_AGAIN);
        }
        let ended = hotspur.wait();
        let is_fenced = ended.status == CANNOT_HEAL
            && (self.guarantee == Guarantee::ExactlyOnce
                || self.are_static && ended.log.contains(FENCED));
        // The signal came before anybody listened to signals.
        let is_unborn = ended.status.is_none() && ended.log.is_empty();
        let is_as_asked = end == End::Asked && (ended.status == Some(0) || is_unborn);
        let history = self.history.join("\n");
        let status = ended.status;
        assert!(
            is_fenced || is_as_asked,
            "place {number} ended with {status:?}:\n{}\n{history}",
            ended.log
        );
        for (is_so, what) in [
            (is_fenced, "fenced by another of their name"),
            (ended.log.contains(GROUP_LOST), "done without by the group"),
        ] {
            *self.counts.entry(what.to_owned()).or_default() += u32::from(is_so);
        }
        // One that was ended before it was ready has no books.
        if ended.log.contains(RUN_STOPPED) && ended.log.contains(BOOKS) && !is_fenced {
            let counts = ended.counts();
            assert!(
                counts.are_balanced(),
                "the books of place {number}: {counts:?}\n{}\n{history}",
                ended.log
            );
            self.stopped.push(counts);
        }
    }

    fn start(&self, pipeline: &Pipeline, place: usize) -> Hotspur {
        let instance = format!("instance=place-{place}");
        let member = format!("source.kafka.properties.\"group.instance.id\"=place-{place}");
        let mut arguments = vec!["--set", &instance];
        if self.are_static {
            arguments.extend(["--set", &member]);
        }
        arguments.push("run");
        pipeline.start(&arguments)
    }
}

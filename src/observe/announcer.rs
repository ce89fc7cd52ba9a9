//! Notices become log lines; what repeats becomes one line a minute with its count.
//!
//! A line has an `event` field, the name that people search for, and fields; a sentence from a peer
//! is its message. Time is handed in, so that a test can let minutes pass.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    config::units,
    measure::Counters,
    observe::{BreakerFacts, Labels, Notice, PauseCause, PeerTrouble, RejectSample},
    verdict::{RejectClass, Sentence},
};

/// Between two lines about the same thing.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Writes lines, and remembers what was written when.
#[derive(Debug)]
pub struct Announcer {
    labels: Labels,
    rejects: BTreeMap<RejectClass, Rejects>,
    troubles: BTreeMap<[&'static str; 3], Troubles>,
}

/// Whether a line may be written: at once, then at most once in `REPEAT_AFTER`.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Duration>,
}

impl Pace {
    fn allows(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| now.saturating_sub(last) >= REPEAT_AFTER)
    }
}

/// Rejects of one class.
#[derive(Debug, Default)]
struct Rejects {
    pace: Pace,
    sample: Option<RejectSample>,
    /// Counted, and in no line yet.
    untold: u64,
    /// In a line already, but its count is still to come with the interval.
    told_ahead: u64,
}

/// Errors of one event, peer and code.
#[derive(Debug)]
struct Troubles {
    pace: Pace,
    latest: PeerTrouble,
    untold: u64,
}

impl Announcer {
    /// Nothing was told yet.
    pub fn new(labels: Labels) -> Announcer {
        Announcer { labels, rejects: BTreeMap::new(), troubles: BTreeMap::new() }
    }

    /// Tells a notice, or keeps it for later if the like of it was told a moment ago.
    pub fn hear(&mut self, now: Duration, notice: &Notice) {
        match notice {
            Notice::State(state) => tracing::info!(event = "run.state", state = state.name()),
            Notice::Assigned { partitions, owned } => {
                tracing::info!(event = "group.assigned", partitions, owned);
            }
            Notice::Revoked { partitions, owned, took_ns } => {
                let took = units::show_about(Duration::from_nanos(*took_ns));
                tracing::info!(event = "group.revoked", partitions, owned, took);
            }
            Notice::Lost { partitions, owned } => {
                tracing::warn!(event = "group.lost", partitions, owned);
            }
            Notice::CommitFailed(trouble) => self.trouble(now, "commit.failed", trouble),
            Notice::Trouble(trouble) => self.trouble(now, "peer.trouble", trouble),
            Notice::Recovered(peer) => self.recovered(peer),
            Notice::Rejected(sample) => self.sample(now, sample),
            Notice::Paused { cause, text } => write_pause(*cause, text),
            Notice::Resumed { cause, still } => write_resumption(*cause, *still),
            Notice::BreakerOpened(facts) => write_breaker(facts),
            Notice::BreakerSample(sample) => write_breaker_sample(&self.labels, sample),
            Notice::Told { event, text, alarming: true } => tracing::warn!(event, "{text}"),
            Notice::Told { event, text, alarming: false } => tracing::info!(event, "{text}"),
        }
    }

    /// Takes in what an interval counted.
    pub fn count(&mut self, now: Duration, counters: &Counters) {
        for class in RejectClass::ALL {
            let count = counters.rejected.of_class(*class as usize);
            if count > 0 {
                let rejects = self.rejects.entry(*class).or_default();
                let ahead = rejects.told_ahead.min(count);
                rejects.told_ahead -= ahead;
                rejects.untold += count - ahead;
            }
        }
        if counters.notices_lost > 0 {
            let lost = counters.notices_lost;
            let text = Sentence::from("more happened than the log could take; see the counts");
            let code = "NOTICES_LOST";
            let trouble = PeerTrouble { peer: "observer", code, text, heals: true };
            self.repeat("notices.lost", &trouble, lost);
        }
        self.remind(now);
    }

    /// Tells what was kept and is due again.
    pub fn remind(&mut self, now: Duration) {
        for (class, rejects) in &mut self.rejects {
            if rejects.untold > 0 && rejects.pace.allows(now) {
                write_rejects(&self.labels, *class, rejects, Some(rejects.untold));
                rejects.untold = 0;
                rejects.pace.last = Some(now);
            }
        }
        for ([event, ..], troubles) in &mut self.troubles {
            if troubles.untold > 0 && troubles.pace.allows(now) {
                write_trouble(event, troubles);
                troubles.untold = 0;
                troubles.pace.last = Some(now);
            }
        }
    }

    fn sample(&mut self, now: Duration, sample: &RejectSample) {
        let rejects = self.rejects.entry(sample.class).or_default();
        rejects.sample = Some(*sample);
        if rejects.pace.last.is_none() {
            rejects.pace.last = Some(now);
            rejects.told_ahead += 1;
            write_rejects(&self.labels, sample.class, rejects, None);
        }
    }

    fn trouble(&mut self, now: Duration, event: &'static str, trouble: &PeerTrouble) {
        self.repeat(event, trouble, 1);
        self.remind(now);
    }

    /// What healed is told no more; should it come again, that is another change.
    fn recovered(&mut self, peer: &'static str) {
        self.troubles.retain(|[_, of, _], troubles| *of != peer || !troubles.latest.heals);
        tracing::info!(event = "peer.back", peer, "a broker answers again");
    }

    fn repeat(&mut self, event: &'static str, trouble: &PeerTrouble, times: u64) {
        let key = [event, trouble.peer, trouble.code];
        let new = Troubles { pace: Pace::default(), latest: *trouble, untold: 0 };
        let troubles = self.troubles.entry(key).or_insert(new);
        troubles.latest = *trouble;
        troubles.untold += times;
    }
}

/// The first line has no count: there is one record. Later ones count since the line before.
fn write_rejects(labels: &Labels, class: RejectClass, rejects: &Rejects, records: Option<u64>) {
    let sample = rejects.sample.as_ref();
    tracing::warn!(
        event = "record.rejected",
        class = class.name(),
        records,
        step = sample.map(|it| labels.step(it.step)),
        topic = sample.map(|it| it.topic.as_str()),
        partition = sample.map(|it| it.partition_number),
        offset = sample.map(|it| it.offset),
        reason = sample.map(|it| it.reason.as_str()),
    );
}

/// A person who asks for a pause need not be warned of it.
fn write_pause(cause: PauseCause, text: &Sentence) {
    let (event, name) = ("run.paused", cause.name());
    match cause {
        PauseCause::Asked => tracing::info!(event, cause = name, "{text}"),
        _ => tracing::warn!(event, cause = name, "{text}"),
    }
}

fn write_resumption(cause: PauseCause, still: Option<PauseCause>) {
    let cause = cause.name();
    match still {
        None => tracing::info!(event = "run.resumed", cause, "records are taken again"),
        Some(still) => {
            let event = "run.still_paused";
            tracing::info!(event, cause, still = still.name(), "still paused: {}", still.text());
        }
    }
}

fn write_breaker(facts: &BreakerFacts) {
    let BreakerFacts { class, of_class, rejected, window, stops } = *facts;
    let share = format!("{:.1}%", facts.percent());
    let (class, event) = (class.name(), "breaker.opened");
    match stops {
        true => tracing::error!(
            event,
            class,
            of_class,
            rejected,
            window,
            share,
            "{facts}; the run ends before more of them come into the dead letters"
        ),
        false => tracing::error!(
            event,
            class,
            of_class,
            rejected,
            window,
            share,
            "{facts}; nothing more is processed until `hotspur resume`"
        ),
    }
}

fn write_breaker_sample(labels: &Labels, sample: &RejectSample) {
    tracing::error!(
        event = "breaker.sample",
        class = sample.class.name(),
        step = labels.step(sample.step),
        topic = sample.topic.as_str(),
        partition = sample.partition_number,
        offset = sample.offset,
        reason = sample.reason.as_str(),
    );
}

fn write_trouble(event: &str, troubles: &Troubles) {
    let Troubles { latest: PeerTrouble { peer, code, text, heals }, untold, .. } = troubles;
    let times = (*untold > 1).then_some(*untold);
    if *heals {
        tracing::warn!(event, peer, code, times, "{text}");
    } else {
        tracing::error!(event, peer, code, times, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Step;
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` makes the announcer write, as JSON.
    fn lines_of(work: impl FnOnce(&mut Announcer)) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let labels = Labels { steps: vec!["enrich".to_owned()], destinations: Vec::new() };
        tracing::subscriber::with_default(subscriber, || work(&mut Announcer::new(labels)));
        let bytes = lines.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn sample(offset: i64) -> Notice {
        Notice::Rejected(RejectSample {
            class: RejectClass::MissingField,
            step: Step::Number(0),
            reason: "the record has no field \"key\"".into(),
            topic: "orders".into(),
            partition_number: 3,
            offset,
        })
    }

    fn counted(rejects: u64) -> Counters {
        let mut counters = Counters::ZERO;
        for _ in 0..rejects {
            let place = crate::observe::labels::place_of(Step::Number(0));
            counters.rejected.count(RejectClass::MissingField as usize, place);
        }
        counters
    }

    #[test]
    fn a_reject_class_is_told_once_and_then_once_a_minute_with_its_count() {
        let lines = lines_of(|announcer| {
            announcer.hear(seconds(1), &sample(10));
            announcer.count(seconds(2), &counted(5));
            for second in 2..120 {
                announcer.hear(seconds(second), &sample(i64::try_from(second).unwrap()));
                announcer.count(seconds(second), &counted(2));
            }
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        let first = &lines[0]["fields"];
        assert_eq!(first["event"], "record.rejected");
        assert_eq!((&first["class"], &first["step"]), (&"missing_field".into(), &"enrich".into()));
        assert_eq!((&first["offset"], &first["partition"]), (&10.into(), &3.into()));
        assert_eq!(first["topic"], "orders");
        assert_eq!(first["reason"], "the record has no field \"key\"");
        assert!(first.get("records").is_none(), "{first}");
        // 4 of the first interval, and 2 in each second from 2 to 61.
        assert_eq!(lines[1]["fields"]["records"], 4 + 2 * 60);
    }

    #[test]
    fn rejects_are_told_even_if_their_sample_was_lost() {
        let lines = lines_of(|announcer| announcer.count(seconds(1), &counted(7)));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["fields"]["records"], 7);
        assert_eq!(lines[0]["fields"]["class"], "missing_field");
    }

    #[test]
    fn troubles_are_told_by_peer_and_code() {
        let trouble = |code, heals| {
            Notice::Trouble(PeerTrouble { peer: "sink", code, text: "gone".into(), heals })
        };
        let lines = lines_of(|announcer| {
            for _ in 0..100 {
                announcer.hear(seconds(5), &trouble("_TRANSPORT", true));
            }
            announcer.hear(seconds(6), &trouble("_AUTHENTICATION", false));
            announcer.remind(seconds(64));
            announcer.remind(seconds(65));
            announcer.remind(seconds(200));
        });
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line["level"].as_str().unwrap(), &line["fields"]))
            .map(|(level, it)| (level, it["code"].as_str().unwrap(), it["times"].as_u64()))
            .collect();
        let expected = [
            ("WARN", "_TRANSPORT", None),
            ("ERROR", "_AUTHENTICATION", None),
            ("WARN", "_TRANSPORT", Some(99)),
        ];
        assert_eq!(told, expected);
        assert_eq!(lines[0]["fields"]["message"], "gone");
        assert_eq!(lines[0]["fields"]["event"], "peer.trouble");
    }

    #[test]
    fn trouble_that_is_over_is_told_no_more_and_told_again_when_it_comes_again() {
        let down = |peer| {
            let (code, text) = ("_ALL_BROKERS_DOWN", "all are down".into());
            Notice::Trouble(PeerTrouble { peer, code, text, heals: true })
        };
        let lines = lines_of(|announcer| {
            for peer in ["sink", "sink", "source", "source"] {
                announcer.hear(seconds(1), &down(peer));
            }
            announcer.hear(seconds(2), &Notice::Recovered("sink"));
            announcer.hear(seconds(3), &down("sink"));
            announcer.remind(seconds(61));
        });
        let told = lines.iter().map(|line| {
            let fields = &line["fields"];
            let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
            (text("event"), text("peer"))
        });
        let expected = [
            ("peer.trouble", "sink"),
            ("peer.trouble", "source"),
            ("peer.back", "sink"),
            ("peer.trouble", "sink"),
            ("peer.trouble", "source"),
        ];
        let expected = expected.map(|(event, peer)| (event.to_owned(), peer.to_owned()));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn changes_of_state_are_told_each_time() {
        let lines = lines_of(|announcer| {
            for _ in 0..2 {
                announcer.hear(seconds(0), &Notice::Assigned { partitions: 3, owned: 6 });
            }
            announcer.hear(seconds(0), &Notice::State(crate::observe::RunState::Draining));
        });
        let events: Vec<_> = lines.iter().map(|line| &line["fields"]["event"]).collect();
        assert_eq!(events, ["group.assigned", "group.assigned", "run.state"]);
        assert_eq!(lines[0]["fields"]["partitions"], 3);
        assert_eq!(lines[2]["fields"]["state"], "draining");
    }

    #[test]
    fn lost_notices_are_told_with_their_number() {
        let counters = Counters { notices_lost: 12, ..Counters::ZERO };
        let lines = lines_of(|announcer| announcer.count(seconds(0), &counters));
        assert_eq!(lines[0]["fields"]["event"], "notices.lost");
        assert_eq!(lines[0]["fields"]["times"], 12);
    }
}

//! What a slow record's time is put down to, in one word and in a sentence.
//!
//! The evidence, best first: a stall of the hot thread that covers the record's time, with what the
//! system took from the thread meanwhile; what this side thread saw, which stands still with the
//! process and not with one thread; what the hot thread did instead; and last the longest stage.
//! Where nothing fits it is unknown, and not guessed.

use std::collections::VecDeque;

use super::longest;
use crate::{
    clock::{Clock, Ticks},
    measure::{
        Regime, SlowRecord, Stage,
        slow::{Doing, Stall, Taken},
    },
    observe::summary::readable,
};

/// Faults within a stall that explain it.
const FAULTS_MANY: u64 = 64;

/// Gaps of its own that a witness remembers.
const GAPS_REMEMBERED: usize = 64;

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Somebody else had the core.
    Preempted,
    /// Memory had to be brought in.
    PageFault,
    /// The thread was moved to another core.
    Migration,
    /// The producer had no room, or held the thread up.
    Producer,
    /// The group was changing.
    Rebalance,
    /// A table had no answer, or was too old.
    Table,
    /// The whole process stood still.
    Stopped,
    /// The broker took its time to acknowledge.
    Broker,
    /// The thread was busy with other records.
    Load,
    /// The thread slept, and woke late.
    Wakeup,
    /// Somebody, or the breaker, had paused the run.
    Paused,
    /// The record itself was a lot of work.
    Work,
    /// None of these.
    Unknown,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 13;

    /// All of them.
    pub const ALL: [Cause; Cause::COUNT] = [
        Cause::Preempted,
        Cause::PageFault,
        Cause::Migration,
        Cause::Producer,
        Cause::Rebalance,
        Cause::Table,
        Cause::Stopped,
        Cause::Broker,
        Cause::Load,
        Cause::Wakeup,
        Cause::Paused,
        Cause::Work,
        Cause::Unknown,
    ];

    /// The name in files and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Preempted => "preempted",
            Cause::PageFault => "page_fault",
            Cause::Migration => "migration",
            Cause::Producer => "producer",
            Cause::Rebalance => "rebalance",
            Cause::Table => "table",
            Cause::Stopped => "stopped",
            Cause::Broker => "broker",
            Cause::Load => "load",
            Cause::Wakeup => "wakeup",
            Cause::Paused => "paused",
            Cause::Work => "work",
            Cause::Unknown => "unknown",
        }
    }
}

/// What a side thread saw: when it was itself kept from waking.
#[derive(Debug, Default)]
pub struct Witness {
    gaps: VecDeque<(Ticks, Ticks)>,
}

impl Witness {
    /// It should have gone on at `from` and did at `to`.
    pub fn note(&mut self, from: Ticks, to: Ticks) {
        if self.gaps.len() == GAPS_REMEMBERED {
            self.gaps.pop_front();
        }
        self.gaps.push_back((from, to));
    }

    /// How much of a stretch of time it was kept from waking, in ticks.
    fn within(&self, from: Ticks, to: Ticks) -> u64 {
        self.gaps.iter().map(|gap| common(*gap, (from, to))).sum()
    }
}

fn common(one: (Ticks, Ticks), other: (Ticks, Ticks)) -> u64 {
    one.1.min(other.1).0.saturating_sub(one.0.max(other.0).0)
}

/// A cause and the sentence that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In one word.
    pub cause: Cause,
    /// In words.
    pub sentence: String,
}

/// What a stall is put down to.
pub fn of_stall<C: Clock>(clock: &C, stall: &Stall, witness: &Witness) -> Cause {
    let took_ns = clock.nanos(stall.from, stall.to);
    let Taken { cpu_ns, waited_ns, minor_faults, major_faults, has_migrated, .. } = stall.taken;
    let half = took_ns / 2;
    if waited_ns.min(took_ns) >= half {
        return if has_migrated { Cause::Migration } else { Cause::Preempted };
    }
    if major_faults > 0 || minor_faults >= FAULTS_MANY {
        return Cause::PageFault;
    }
    let ticks = stall.to.0 - stall.from.0;
    if 2 * witness.within(stall.from, stall.to) >= ticks {
        return Cause::Stopped;
    }
    let was_busy = cpu_ns.min(took_ns) >= half;
    match stall.doing {
        Doing::Sending => Cause::Producer,
        Doing::Serving | Doing::Chores if stall.is_rebalancing => Cause::Rebalance,
        Doing::Processing if was_busy => Cause::Work,
        _ if has_migrated => Cause::Migration,
        _ => Cause::Unknown,
    }
}

/// What a record's time is put down to.
pub fn verdict<C: Clock>(clock: &C, record: &SlowRecord, witness: &Witness) -> Verdict {
    let (stage, longest_ns) = longest(clock, record);
    let took = readable(longest_ns);
    let said = |cause, sentence: String| Verdict { cause, sentence };
    if let Some(stall) = &record.stall {
        let stall_ns = clock.nanos(stall.from, stall.to);
        let cause = of_stall(clock, stall, witness);
        if 3 * stall_ns >= longest_ns && cause != Cause::Unknown && cause != Cause::Work {
            return said(cause, stalled(cause, stall_ns, stall));
        }
    }
    let here = (record.stamps.arrived, record.acknowledged);
    let still = witness.within(here.0, here.1);
    if 2 * still >= here.1.0.saturating_sub(here.0.0).max(1) {
        let still = readable(clock.nanos(Ticks(0), Ticks(still)));
        return said(Cause::Stopped, format!("the whole process stood still for {still}"));
    }
    if stage == Stage::Ack {
        return said(Cause::Broker, format!("the broker took {took} to acknowledge the result"));
    }
    if stage == Stage::Held {
        return said(Cause::Table, format!("it waited {took} for a table's answer, or a retry"));
    }
    let share = |regime| record.regimes.share(regime);
    if share(Regime::Backpressured) >= 0.5 {
        let in_flight = record.in_flight;
        let sentence = format!(
            "there was no room for its result for {took}: the producer had {in_flight} under way"
        );
        return said(Cause::Producer, sentence);
    }
    if share(Regime::Paused) >= 0.5 {
        return paused(record, &took);
    }
    if record.is_rebalancing {
        return said(Cause::Rebalance, format!("the group was changing; {stage} took {took}"));
    }
    let Taken { waited_ns, within_ns, minor_faults, major_faults, .. } = record.taken;
    if 2 * waited_ns.min(within_ns) >= longest_ns {
        let (waited, within) = (readable(waited_ns), readable(within_ns));
        let sentence = format!("the hot thread waited {waited} of the last {within} for a core");
        return said(Cause::Preempted, sentence);
    }
    if major_faults > 0 || minor_faults >= FAULTS_MANY {
        let sentence =
            format!("memory was brought in: {minor_faults} minor, {major_faults} major faults");
        return said(Cause::PageFault, sentence);
    }
    by_stage(record, stage, &took)
}

fn stalled(cause: Cause, stall_ns: u64, stall: &Stall) -> String {
    let took = readable(stall_ns);
    let Taken { within_ns, involuntary_switches, minor_faults, major_faults, .. } = stall.taken;
    match cause {
        Cause::Preempted => format!(
            "the scheduler took the core for {took} ({involuntary_switches} involuntary switches \
             in the last {})",
            readable(within_ns)
        ),
        Cause::Migration => format!("the hot thread was moved to another core, which took {took}"),
        Cause::PageFault => format!(
            "memory was brought in for {took}: {minor_faults} minor, {major_faults} major faults"
        ),
        Cause::Producer => format!("handing a result to the producer took {took}"),
        Cause::Rebalance => format!("the group was changing, which took the hot thread {took}"),
        Cause::Stopped => format!("the whole process stood still for {took}"),
        _ => format!("the hot thread stood still for {took}"),
    }
}

fn paused(record: &SlowRecord, took: &str) -> Verdict {
    let (cause, why) = match record.was_table_old {
        true => (Cause::Table, "a table was too old"),
        false => (Cause::Paused, "the run was paused"),
    };
    Verdict { cause, sentence: format!("nothing was processed for {took}: {why}") }
}

fn by_stage(record: &SlowRecord, stage: Stage, took: &str) -> Verdict {
    let is_busy = record.regimes.share(Regime::Working) >= 0.5;
    let (cause, sentence) = match stage {
        Stage::Batch => (Cause::Load, format!("it waited {took} behind others of its poll")),
        Stage::Queue if is_busy => {
            (Cause::Load, format!("it waited {took} while other records were processed"))
        }
        Stage::Queue if record.regimes.share(Regime::Idle) >= 0.5 => {
            (Cause::Wakeup, format!("the hot thread slept, and took it {took} after its arrival"))
        }
        Stage::Send => (Cause::Producer, format!("handing its result over took {took}")),
        Stage::Parse | Stage::Operate | Stage::Encode => {
            (Cause::Work, format!("{stage} took {took}"))
        }
        _ => {
            (Cause::Unknown, format!("{stage} took {took}, and nothing is known that explains it"))
        }
    };
    Verdict { cause, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        measure::{RegimeClock, Stamps, slow::tests::record},
    };

    const MS: u64 = 1_000_000;

    /// Ten milliseconds in the client's queue, a tenth of one for everything else.
    fn queued() -> SlowRecord {
        let at = |nanos| Ticks(nanos);
        let mut slow = record(10 * MS + 70, 10 * MS + 100);
        slow.stamps = Stamps {
            arrived: at(0),
            polled: at(10 * MS),
            since: at(10 * MS + 10),
            start: at(10 * MS + 10),
            parsed: at(10 * MS + 30),
            operated: at(10 * MS + 40),
            encoded: at(10 * MS + 50),
            sent: at(10 * MS + 70),
            ..Stamps::NONE
        };
        slow.acknowledged = at(10 * MS + 100);
        slow
    }

    fn stall(doing: Doing, taken: Taken) -> Stall {
        let (from, to) = (Ticks(MS), Ticks(9 * MS));
        Stall { from, to, doing, taken, is_rebalancing: false }
    }

    fn of(record: &SlowRecord, witness: &Witness) -> (Cause, String) {
        let Verdict { cause, sentence } = verdict(&ManualClock::default(), record, witness);
        (cause, sentence)
    }

    fn spent(regime: Regime) -> crate::measure::RegimeTicks {
        RegimeClock::new(Ticks(0), regime).take(Ticks(10 * MS))
    }

    #[test]
    fn each_kind_of_stall_has_its_name() {
        let nothing = Taken { within_ns: 50 * MS, ..Taken::default() };
        let waited = Taken { waited_ns: 7 * MS, involuntary_switches: 1, ..nothing };
        let moved = Taken { has_migrated: true, ..waited };
        let faults = Taken { minor_faults: 900, cpu_ns: 8 * MS, ..nothing };
        let disk = Taken { major_faults: 1, ..nothing };
        let busy = Taken { cpu_ns: 8 * MS, ..nothing };
        let mut awake = Witness::default();
        let mut asleep = Witness::default();
        awake.note(Ticks(0), Ticks(2 * MS));
        asleep.note(Ticks(0), Ticks(20 * MS));
        let cases = [
            (Doing::Processing, waited, &asleep, Cause::Preempted),
            (Doing::Processing, moved, &awake, Cause::Migration),
            (Doing::Processing, faults, &awake, Cause::PageFault),
            (Doing::Taking, disk, &awake, Cause::PageFault),
            (Doing::Taking, nothing, &asleep, Cause::Stopped),
            (Doing::Sending, nothing, &awake, Cause::Producer),
            (Doing::Processing, busy, &awake, Cause::Work),
            (Doing::Taking, nothing, &awake, Cause::Unknown),
        ];
        let clock = ManualClock::default();
        for (doing, taken, witness, expected) in cases {
            assert_eq!(of_stall(&clock, &stall(doing, taken), witness), expected, "{taken:?}");
        }
        let rebalancing = Stall { is_rebalancing: true, ..stall(Doing::Serving, nothing) };
        assert_eq!(of_stall(&clock, &rebalancing, &awake), Cause::Rebalance);
    }

    #[test]
    fn a_stall_explains_a_record_and_its_sentence_gives_the_figure() {
        let mut slow = queued();
        let taken = Taken { waited_ns: 8 * MS, involuntary_switches: 1, ..Taken::default() };
        let taken = Taken { within_ns: 50 * MS, ..taken };
        slow.stall = Some(stall(Doing::Processing, taken));
        let (cause, sentence) = of(&slow, &Witness::default());
        assert_eq!(cause, Cause::Preempted);
        let expected = "the scheduler took the core for 8.00 ms (1 involuntary switches in the \
                        last 50.0 ms)";
        assert_eq!(sentence, expected);
        // One that is short beside the wait explains nothing.
        slow.stall = Some(Stall { to: Ticks(2 * MS), ..stall(Doing::Processing, taken) });
        assert_ne!(of(&slow, &Witness::default()).0, Cause::Preempted);
    }

    #[test]
    fn without_a_stall_it_is_what_the_thread_did_or_the_stage_itself() {
        let awake = Witness::default();
        let mut slow = queued();
        assert_eq!(of(&slow, &awake).0, Cause::Unknown);
        let mut asleep = Witness::default();
        asleep.note(Ticks(MS), Ticks(9 * MS));
        assert_eq!(of(&slow, &asleep).0, Cause::Stopped);
        for (regime, expected) in [
            (Regime::Working, Cause::Load),
            (Regime::Idle, Cause::Wakeup),
            (Regime::Backpressured, Cause::Producer),
            (Regime::Paused, Cause::Paused),
        ] {
            slow.regimes = spent(regime);
            assert_eq!(of(&slow, &awake).0, expected, "{regime}");
        }
        slow.was_table_old = true;
        let (cause, sentence) = of(&slow, &awake);
        assert_eq!(cause, Cause::Table);
        assert!(sentence.ends_with("a table was too old"), "{sentence}");
        slow = queued();
        slow.taken = Taken { waited_ns: 6 * MS, within_ns: 40 * MS, ..Taken::default() };
        assert_eq!(of(&slow, &awake).0, Cause::Preempted);
        slow.taken = Taken { minor_faults: 70, ..Taken::default() };
        assert_eq!(of(&slow, &awake).0, Cause::PageFault);
        slow = queued();
        slow.acknowledged = Ticks(90 * MS);
        assert_eq!(of(&slow, &awake).0, Cause::Broker);
        slow = queued();
        slow.stamps.start = Ticks(30 * MS);
        assert_eq!(of(&slow, &awake).0, Cause::Table);
    }
}

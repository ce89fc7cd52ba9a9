//! The sentence at the end: what took most of the lost time, in numbers, and what mends it.

use crate::{
    host::jitter::{Cause, CoreRecord, Happenings, Kind, Line, Neighbour, SecondRecord, Shares},
    observe::summary::{grouped, readable},
};

/// Neighbours that a sentence names, at most.
const NAMED: usize = 3;

/// What a core's measurement came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    pub(super) sentence: String,
    /// What mends it; empty if nothing is wrong.
    pub(super) remedy: String,
}

/// Of a core.
pub(super) fn verdict(record: &CoreRecord) -> Verdict {
    let (shares, happenings) = (&record.shares, &record.happenings);
    let cause = shares.main_cause(happenings);
    let core = record.core;
    let seconds = record.measured_ns as f64 / 1e9;
    let part_ns = part(shares, cause);
    let percent = 100.0 * part_ns as f64 / shares.lost_ns.max(1) as f64;
    let part = format!("{} of the {} lost", readable(part_ns), readable(shares.lost_ns));
    let sentence = match cause {
        Cause::None => return nothing(record),
        Cause::Threads => {
            let names = named(happenings);
            format!("other threads took {part} ({percent:.0} %) on core {core}: {names}")
        }
        Cause::Throttling => format!(
            "the CPU quota of this control group took {part} ({percent:.0} %): nothing of it ran"
        ),
        Cause::Steal => format!(
            "the hypervisor took {part} ({percent:.0} %): steal, it ran somebody else instead of \
             core {core}"
        ),
        Cause::Interrupts(kind) => {
            let (lines, most) = (lines(happenings, seconds), kind.name());
            format!(
                "interrupts, most of them {most}, and what the kernel did after them took {part} \
                 ({percent:.0} %) on core {core}: {lines}"
            )
        }
        Cause::Unexplained => format!(
            "nothing that this system knows of explains {part} ({percent:.0} %) on core {core}: a \
             hypervisor that tells no steal, or the firmware"
        ),
    };
    Verdict { cause, sentence, remedy: remedy(cause, core, happenings) }
}

fn nothing(record: &CoreRecord) -> Verdict {
    let sentence = match record.measured_ns {
        0 => format!("core {} was not measured", record.core),
        _ => format!(
            "nothing took core {} for as long as the threshold in {}",
            record.core,
            readable(record.measured_ns)
        ),
    };
    Verdict { cause: Cause::None, sentence, remedy: String::new() }
}

fn part(shares: &Shares, cause: Cause) -> u64 {
    match cause {
        Cause::None => 0,
        Cause::Threads => shares.threads_ns,
        Cause::Throttling => shares.throttled_ns,
        Cause::Steal => shares.steal_ns,
        Cause::Interrupts(_) => shares.interrupts_ns,
        Cause::Unexplained => shares.unexplained_ns,
    }
}

/// What mends it, and with what.
fn remedy(cause: Cause, core: usize, happenings: &Happenings) -> String {
    let looked = "`hotspur doctor` says what this host lacks";
    match cause {
        Cause::None => String::new(),
        Cause::Threads => match happenings.neighbours.first().filter(|it| !it.is_kernel) {
            Some(first) => format!(
                "give process {} other cores (`taskset -acp CORES {}`), or isolate core {core} \
                 with scripts/isolate; {looked}",
                first.pid, first.pid
            ),
            None => format!("isolate core {core} with scripts/isolate; {looked}"),
        },
        Cause::Throttling => {
            "take the quota away (cpu.max of the control group; in Kubernetes whole CPUs with \
             the static policy), or give it a whole CPU for each thread that spins"
                .to_owned()
        }
        Cause::Steal => {
            "only the host can mend that: dedicated cores, virtual CPUs pinned to them".to_owned()
        }
        Cause::Interrupts(Kind::Timer) => format!(
            "the kernel's parameter nohz_full={core}, with isolation, stops the tick while one \
             thread runs there; {looked}"
        ),
        Cause::Interrupts(Kind::Device) => {
            let device = |(line, _): &(&Line, u64)| line.kind == Kind::Device;
            let lines = happenings.ranked_interrupts();
            let label = lines.into_iter().find(device).map_or("N", |(line, _)| &line.label);
            format!(
                "send it to another core (/proc/irq/{label}/smp_affinity_list), which \
                 scripts/isolate does for all; {looked}"
            )
        }
        Cause::Interrupts(Kind::Kernel) => format!(
            "other cores call on this one less when it is isolated (scripts/isolate) and when no \
             thread of its process changes memory mappings; {looked}"
        ),
        Cause::Unexplained => {
            "ask who runs the host for dedicated cores; on bare metal look for system management \
             interrupts in the firmware's settings"
                .to_owned()
        }
    }
}

/// The neighbours that ran longest; who ran for less than a hundredth of that is no cause.
fn named(happenings: &Happenings) -> String {
    let neighbours = &happenings.neighbours;
    let Some(longest_ns) = neighbours.first().map(|it| it.ran_ns) else {
        return "threads that this process cannot see, or that ended before it looked".to_owned();
    };
    let is_cause = |it: &&Neighbour| it.ran_ns >= longest_ns / 100;
    let names: Vec<_> = neighbours.iter().filter(is_cause).take(NAMED).map(ran).collect();
    let more = match neighbours.iter().filter(is_cause).count().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{}{more}", names.join(", "))
}

/// One of them.
pub(super) fn ran(neighbour: &Neighbour) -> String {
    format!("{} ran {}", called(neighbour), readable(neighbour.ran_ns))
}

pub(super) fn called(neighbour: &Neighbour) -> String {
    let what = if neighbour.is_kernel { "kernel thread" } else { "process" };
    format!("`{}` ({what} {})", neighbour.name, neighbour.pid)
}

/// The lines of interrupts that came most often, with how often.
fn lines(happenings: &Happenings, seconds: f64) -> String {
    let lines = happenings.ranked_interrupts().into_iter().take(NAMED);
    let told = lines.map(|(line, count)| {
        let name = if line.name.is_empty() { "no name" } else { &line.name };
        let rate = grouped((count as f64 / seconds.max(1e-9)).round() as u64);
        format!("{} ({name}) {rate} a second", line.label)
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A second in a sentence: what was lost, and what happened meanwhile.
pub(super) fn of_second(second: &SecondRecord) -> String {
    let happenings = &second.happenings;
    let mut parts: Vec<String> = Vec::new();
    if second.shares.threads_ns > 0 {
        parts.push(named(happenings));
    }
    let seconds = second.length_ns as f64 / 1e9;
    let interrupts = lines(happenings, seconds);
    if !interrupts.is_empty() {
        parts.push(format!("interrupts {interrupts}"));
    }
    let times =
        [("steal", happenings.steal_ns), ("throttled for", happenings.throttled_ns)].into_iter();
    parts.extend(times.filter(|(_, ns)| *ns > 0).map(|(it, ns)| format!("{it} {}", readable(ns))));
    let counts = [
        ("involuntary switches", happenings.involuntary_switches),
        ("page faults", happenings.minor_faults + happenings.major_faults),
    ];
    let counted = counts.into_iter().filter(|(_, count)| *count > 0);
    parts.extend(counted.map(|(name, count)| format!("{name} {}", grouped(count))));
    let lost = readable(second.shares.lost_ns);
    let length = readable(second.length_ns);
    format!("stalls lost {lost} of {length}: {}", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::jitter::{Second, Stalls};

    fn record(lengths: &[u64], happenings: Happenings) -> CoreRecord {
        let Second { turns, .. } = Second::new();
        let mut stalls = Stalls::new();
        lengths.iter().for_each(|it| stalls.record(*it));
        let shares = Shares::of(&stalls, &happenings);
        let measured_ns = 2_000_000_000;
        CoreRecord { core: 3, measured_ns, stalls, turns, happenings, shares, seconds: vec![] }
    }

    fn interrupt(label: &str, name: &str, kind: Kind, count: u64) -> (Line, u64) {
        (Line { label: label.to_owned(), name: name.to_owned(), kind }, count)
    }

    fn neighbour(pid: u32, name: &str, is_kernel: bool, ran_ns: u64) -> Neighbour {
        Neighbour { pid, name: name.to_owned(), is_kernel, ran_ns }
    }

    #[track_caller]
    fn expect(record: &CoreRecord, cause: Cause, sentence: &str, remedy: &str) {
        let found = verdict(record);
        assert_eq!((found.cause, found.sentence.as_str()), (cause, sentence));
        assert!(found.remedy.contains(remedy), "{}", found.remedy);
    }

    #[test]
    fn a_neighbour_is_named_with_what_it_took() {
        let neighbours = vec![
            neighbour(123, "stress", false, 29_800_000),
            neighbour(9, "kworker/3:1", true, 300_000),
            neighbour(8, "ksoftirqd/3", true, 100_000),
        ];
        let waited_ns = 30_000_000;
        let beside = Happenings { waited_ns, neighbours, ..Happenings::default() };
        let sentence = "other threads took 30.0 ms of the 31.0 ms lost (97 %) on core 3: `stress` \
                        (process 123) ran 29.8 ms, `kworker/3:1` (kernel thread 9) ran 300 us";
        let stalls = [15_500_000, 15_500_000];
        expect(&record(&stalls, beside), Cause::Threads, sentence, "`taskset -acp CORES 123`");
        let unseen = Happenings { waited_ns, ..Happenings::default() };
        let sentence = "other threads took 30.0 ms of the 31.0 ms lost (97 %) on core 3: threads \
                        that this process cannot see, or that ended before it looked";
        expect(&record(&stalls, unseen), Cause::Threads, sentence, "scripts/isolate");
    }

    #[test]
    fn interrupts_are_named_by_line() {
        let ticks = interrupt("LOC", "Local timer interrupts", Kind::Timer, 2_000);
        let disk = interrupt("36", "virtio1-req.0", Kind::Device, 8_000);
        let calls = interrupt("CAL", "Function call interrupts", Kind::Kernel, 9_000);
        let of = |lines: &[&(Line, u64)]| {
            let interrupts = lines.iter().map(|it| (*it).clone()).collect();
            record(&[5_000, 5_000], Happenings { interrupts, ..Happenings::default() })
        };
        let sentence = |most: &str, lines: &str| {
            format!(
                "interrupts, most of them {most}, and what the kernel did after them took 10.0 us \
                 of the 10.0 us lost (100 %) on core 3: {lines}"
            )
        };
        let tick = "LOC (Local timer interrupts) 1,000 a second";
        let cause = Cause::Interrupts(Kind::Timer);
        expect(&of(&[&ticks]), cause, &sentence("timer", tick), "nohz_full=3");
        let lines = format!("36 (virtio1-req.0) 4,000 a second, {tick}");
        let cause = Cause::Interrupts(Kind::Device);
        let told = sentence("device", &lines);
        expect(&of(&[&ticks, &disk]), cause, &told, "/proc/irq/36/smp_affinity_list");
        let lines = format!("CAL (Function call interrupts) 4,500 a second, {lines}");
        let sentence = sentence("kernel", &lines);
        let cause = Cause::Interrupts(Kind::Kernel);
        expect(&of(&[&ticks, &disk, &calls]), cause, &sentence, "scripts/isolate");
    }

    #[test]
    fn what_is_outside_is_said_to_be() {
        let stolen = Happenings { steal_ns: 40_000_000, ..Happenings::default() };
        let sentence = "the hypervisor took 40.0 ms of the 41.0 ms lost (98 %): steal, it ran \
                        somebody else instead of core 3";
        expect(&record(&[41_000_000], stolen), Cause::Steal, sentence, "dedicated cores");
        let throttled = Happenings { throttled_ns: 41_000_000, ..Happenings::default() };
        let sentence = "the CPU quota of this control group took 41.0 ms of the 41.0 ms lost \
                        (100 %): nothing of it ran";
        expect(&record(&[41_000_000], throttled), Cause::Throttling, sentence, "cpu.max");
        let sentence = "nothing that this system knows of explains 41.0 ms of the 41.0 ms lost \
                        (100 %) on core 3: a hypervisor that tells no steal, or the firmware";
        let quiet = record(&[41_000_000], Happenings::default());
        expect(&quiet, Cause::Unexplained, sentence, "who runs the host");
        let sentence = "nothing took core 3 for as long as the threshold in 2.00 s";
        expect(&record(&[], Happenings::default()), Cause::None, sentence, "");
    }

    #[test]
    fn a_second_is_told_with_what_happened_in_it() {
        let happenings = Happenings {
            interrupts: [interrupt("LOC", "Local timer interrupts", Kind::Timer, 250)].into(),
            waited_ns: 29_900_000,
            steal_ns: 1_200_000,
            involuntary_switches: 9,
            minor_faults: 1,
            neighbours: vec![neighbour(123, "stress", false, 29_800_000)],
            ..Happenings::default()
        };
        let record = record(&[31_000_000], happenings.clone());
        let second = SecondRecord {
            since_start_ns: 0,
            length_ns: 1_000_000_000,
            count: 1,
            worst_ns: 31_000_000,
            values: vec![(31_000_000, 1)],
            shares: record.shares,
            happenings,
        };
        assert_eq!(
            of_second(&second),
            "stalls lost 31.0 ms of 1.00 s: `stress` (process 123) ran 29.8 ms; interrupts LOC \
             (Local timer interrupts) 250 a second; steal 1.20 ms; involuntary switches 9; page \
             faults 1"
        );
    }
}

//! Who the lost time is put down to: what was lost, beside what the kernel's books say.
//!
//! Second by second, from what is certain to what is left over: threads that are known by name,
//! throttling by a CPU quota, other threads that the detector had to wait for, steal by the
//! hypervisor. What remains went to interrupts, if any came, but not what was lost in stalls longer
//! than any interrupt should take: nothing inside this system explains those. The kernel keeps no
//! time by line of interrupt, so lines are ranked by how often they came.

use crate::host::jitter::{
    interrupts::{Kind, Line},
    reading::Happenings,
    stalls::Stalls,
};

/// Longer stalls are put down to no interrupt: the kernel breaks soft interrupts off after 2 ms.
const INTERRUPTED_NS_MAX: u64 = 5_000_000;

/// Nanoseconds lost, and to whom; the parts add up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// All of it.
    pub lost_ns: u64,
    /// To other threads.
    pub threads_ns: u64,
    /// To the CPU quota of a control group.
    pub throttled_ns: u64,
    /// To the hypervisor, as far as it tells.
    pub steal_ns: u64,
    /// To interrupts and what the kernel does after them.
    pub interrupts_ns: u64,
    /// To nobody that this system knows of.
    pub unexplained_ns: u64,
}

/// What took most of the lost time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing was lost.
    None,
    /// Other threads.
    Threads,
    /// A CPU quota.
    Throttling,
    /// The hypervisor.
    Steal,
    /// Interrupts, most of them of this sort.
    Interrupts(Kind),
    /// Nothing inside this system.
    Unexplained,
}

impl Cause {
    /// In a word, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Cause::None => "none",
            Cause::Threads => "threads",
            Cause::Throttling => "throttling",
            Cause::Steal => "steal",
            Cause::Interrupts(kind) => kind.name(),
            Cause::Unexplained => "unexplained",
        }
    }
}

impl Shares {
    /// Of one stretch of time.
    pub fn of(stalls: &Stalls, happenings: &Happenings) -> Shares {
        let lost_ns = stalls.lost_ns();
        let mut left = lost_ns;
        let mut take = |wanted: u64| {
            let taken = wanted.min(left);
            left -= taken;
            taken
        };
        let ran: u64 = happenings.neighbours.iter().map(|it| it.ran_ns).sum();
        let named = take(ran.min(happenings.waited_ns));
        let throttled_ns = take(happenings.throttled_ns);
        let threads_ns = named + take(happenings.waited_ns - named);
        let steal_ns = take(happenings.steal_ns);
        let known = threads_ns + throttled_ns + steal_ns;
        let long = stalls.lost_in_longer_ns(INTERRUPTED_NS_MAX).saturating_sub(known);
        let any_came = !happenings.interrupts.is_empty();
        let unexplained_ns = take(if any_came { long } else { u64::MAX });
        let interrupts_ns = left;
        Shares { lost_ns, threads_ns, throttled_ns, steal_ns, interrupts_ns, unexplained_ns }
    }

    /// Those of another stretch as well.
    pub fn add(&mut self, other: &Shares) {
        self.lost_ns += other.lost_ns;
        self.threads_ns += other.threads_ns;
        self.throttled_ns += other.throttled_ns;
        self.steal_ns += other.steal_ns;
        self.interrupts_ns += other.interrupts_ns;
        self.unexplained_ns += other.unexplained_ns;
    }

    /// The largest of them; of equals the one that is surer.
    pub fn main_cause(&self, happenings: &Happenings) -> Cause {
        let kind = ranked(happenings).first().map_or(Kind::Kernel, |(line, _)| line.kind);
        let causes = [
            (self.unexplained_ns, Cause::Unexplained),
            (self.interrupts_ns, Cause::Interrupts(kind)),
            (self.steal_ns, Cause::Steal),
            (self.throttled_ns, Cause::Throttling),
            (self.threads_ns, Cause::Threads),
        ];
        match causes.into_iter().max_by_key(|(lost_ns, _)| *lost_ns) {
            Some((1.., cause)) => cause,
            _ => Cause::None,
        }
    }
}

/// Lines of interrupts, those that came most often first.
fn ranked(happenings: &Happenings) -> Vec<(&Line, u64)> {
    let mut lines: Vec<_> = happenings.interrupts.iter().map(|(line, it)| (line, *it)).collect();
    lines.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    lines
}

impl Happenings {
    /// Lines of interrupts, those that came most often first.
    pub fn ranked_interrupts(&self) -> Vec<(&Line, u64)> {
        ranked(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::jitter::{interrupts, neighbours::Neighbour};

    fn stalls(lengths: &[u64]) -> Stalls {
        let mut stalls = Stalls::new();
        lengths.iter().for_each(|it| stalls.record(*it));
        stalls
    }

    fn interrupts_of(text: &str) -> interrupts::Counts {
        interrupts::column(&format!("CPU0\n{text}"), 0)
    }

    fn neighbour(ran_ns: u64) -> Neighbour {
        Neighbour { pid: 123, name: "stress".to_owned(), is_kernel: false, ran_ns }
    }

    const TICK: &str = "LOC: 250 Local timer interrupts\n";

    #[test]
    fn time_that_a_neighbour_ran_is_its_own_and_the_rest_the_ticks() {
        let happenings = Happenings {
            interrupts: interrupts_of(TICK),
            waited_ns: 30_000_000,
            neighbours: vec![neighbour(29_800_000)],
            ..Happenings::default()
        };
        let shares = Shares::of(&stalls(&[3_000_000; 10]), &happenings);
        assert_eq!((shares.lost_ns, shares.threads_ns), (30_000_000, 30_000_000));
        let shares = Shares::of(&stalls(&[3_100_000; 10]), &happenings);
        assert_eq!((shares.threads_ns, shares.interrupts_ns), (30_000_000, 1_000_000));
        assert_eq!(shares.main_cause(&happenings), Cause::Threads);
    }

    #[test]
    fn who_ran_beside_without_being_waited_for_is_not_blamed() {
        let happenings = Happenings {
            interrupts: interrupts_of(TICK),
            neighbours: vec![neighbour(900_000_000)],
            ..Happenings::default()
        };
        let shares = Shares::of(&stalls(&[3_000; 250]), &happenings);
        assert_eq!((shares.threads_ns, shares.interrupts_ns), (0, 750_000));
        assert_eq!(shares.main_cause(&happenings), Cause::Interrupts(Kind::Timer));
    }

    #[test]
    fn the_line_that_came_most_often_says_which_sort() {
        let device = " 36: 4000 PCI-MSIX 1-edge  virtio1-req.0\n";
        let calls = "RES: 4500 Rescheduling interrupts\n";
        let cases = [
            (format!("{TICK}{device}"), Kind::Device),
            (format!("{TICK}{device}{calls}"), Kind::Kernel),
            (TICK.to_owned(), Kind::Timer),
        ];
        for (text, kind) in cases {
            let interrupts = interrupts_of(&text);
            let happenings = Happenings { interrupts, ..Happenings::default() };
            let shares = Shares::of(&stalls(&[9_000; 4_000]), &happenings);
            assert_eq!(shares.main_cause(&happenings), Cause::Interrupts(kind), "{text}");
        }
    }

    #[test]
    fn steal_and_throttling_are_told_apart_from_threads() {
        let interrupts = interrupts_of(TICK);
        let stolen = Happenings { interrupts, steal_ns: 20_000_000, ..Happenings::default() };
        let shares = Shares::of(&stalls(&[11_000_000, 11_000_000]), &stolen);
        assert_eq!((shares.steal_ns, shares.unexplained_ns), (20_000_000, 2_000_000));
        assert_eq!(shares.main_cause(&stolen), Cause::Steal);
        let throttled = Happenings {
            throttled_ns: 50_000_000,
            waited_ns: 56_000_000,
            neighbours: vec![neighbour(2_000_000)],
            ..Happenings::default()
        };
        let shares = Shares::of(&stalls(&[56_000_000]), &throttled);
        assert_eq!((shares.throttled_ns, shares.threads_ns), (50_000_000, 6_000_000));
        assert_eq!(shares.main_cause(&throttled), Cause::Throttling);
    }

    #[test]
    fn a_stall_that_no_interrupt_takes_is_not_explained() {
        let interrupts = interrupts_of(TICK);
        let ticking = Happenings { interrupts, ..Happenings::default() };
        let shares = Shares::of(&stalls(&[40_000_000, 3_000, 3_000]), &ticking);
        assert_eq!((shares.unexplained_ns, shares.interrupts_ns), (40_000_000, 6_000));
        assert_eq!(shares.main_cause(&ticking), Cause::Unexplained);
        // Without any interrupt nothing can be put down to one.
        let quiet = Happenings::default();
        let shares = Shares::of(&stalls(&[3_000]), &quiet);
        assert_eq!((shares.unexplained_ns, shares.interrupts_ns), (3_000, 0));
    }

    #[test]
    fn where_nothing_was_lost_there_is_no_cause_whoever_ran() {
        let busy = Happenings {
            interrupts: interrupts_of(TICK),
            steal_ns: 10_000_000,
            waited_ns: 5,
            neighbours: vec![neighbour(7)],
            ..Happenings::default()
        };
        let shares = Shares::of(&stalls(&[]), &busy);
        assert_eq!(shares, Shares::default());
        assert_eq!(shares.main_cause(&busy), Cause::None);
    }

    #[test]
    fn seconds_add_up() {
        let stolen = Happenings { steal_ns: 10_000_000, ..Happenings::default() };
        let one = Shares::of(&stalls(&[12_000_000]), &stolen);
        let mut sum = one;
        sum.add(&one);
        assert_eq!((sum.lost_ns, sum.steal_ns), (24_000_000, 20_000_000));
        let parts = sum.threads_ns + sum.throttled_ns + sum.steal_ns + sum.interrupts_ns;
        assert_eq!(parts + sum.unexplained_ns, sum.lost_ns);
    }
}

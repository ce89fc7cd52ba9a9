//! Interrupts of one core by line, from `/proc/interrupts`, and soft interrupts likewise.
//!
//! Both files are tables: a head that names the cores that are online (their columns are not their
//! numbers once one was taken out), then a line a source. Lines that are not of cores (`ERR`,
//! `MIS`) and lines that do not fit the head are left out.

use std::collections::BTreeMap;

/// What sort of interrupt a line is, because each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The scheduler's tick and other timers of this core.
    Timer,
    /// A device: can be sent to another core.
    Device,
    /// From other cores and the kernel itself.
    Kernel,
}

impl Kind {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Timer => "timer",
            Kind::Device => "device",
            Kind::Kernel => "kernel",
        }
    }
}

/// One source of interrupts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// As in the first column: a number for devices, else letters.
    pub label: String,
    /// Whose it is; empty for soft interrupts.
    pub name: String,
    /// What sort.
    pub kind: Kind,
}

impl Line {
    fn new(label: &str, description: &str) -> Line {
        // Chip, number and trigger come first; what is after the last wide space names the owner.
        let name = description.rsplit("  ").next().unwrap_or_default().trim();
        let is_number = label.bytes().all(|byte| byte.is_ascii_digit());
        let is_timer = matches!(label, "LOC" | "HVS" | "TIMER" | "HRTIMER")
            || (is_number && name.ends_with("timer"));
        let kind = match (is_timer, is_number) {
            (true, _) => Kind::Timer,
            (false, true) => Kind::Device,
            (false, false) => Kind::Kernel,
        };
        Line { label: label.to_owned(), name: name.to_owned(), kind }
    }
}

/// Counts of one core since the machine started, by line.
pub(super) type Counts = BTreeMap<Line, u64>;

/// The column of `core` in the text of `/proc/interrupts` or `/proc/softirqs`; empty without one.
pub(super) fn column(text: &str, core: usize) -> Counts {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let name = format!("CPU{core}");
    match head.iter().position(|it| *it == name) {
        Some(column) => lines.filter_map(|line| count(line, column, head.len())).collect(),
        None => Counts::new(),
    }
}

fn count(line: &str, column: usize, columns: usize) -> Option<(Line, u64)> {
    let (label, mut rest) = line.split_once(':')?;
    let label = label.trim();
    if matches!(label, "ERR" | "MIS") {
        return None;
    }
    let mut count = 0;
    for index in 0..columns {
        let trimmed = rest.trim_start();
        let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
        let number = trimmed[..end].parse().ok()?;
        if index == column {
            count = number;
        }
        rest = &trimmed[end..];
    }
    Some((Line::new(label, rest), count))
}

/// What was counted between two readings, those that were; a line that is new began at zero.
pub(super) fn since(now: &Counts, earlier: &Counts) -> Counts {
    let grown = |(line, count): (&Line, &u64)| {
        let more = count.saturating_sub(earlier.get(line).copied().unwrap_or(0));
        (more > 0).then(|| (line.clone(), more))
    };
    now.iter().filter_map(grown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Core 2 was taken out.
    const RECORDED: &str = "\
           CPU0       CPU1       CPU3
  0:         36          0          0   IO-APIC   2-edge      timer
 16:          0          9          4   IO-APIC  16-fasteoi   ehci_hcd:usb1, snd_hda_intel
 36:          0          1    3920306 PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
 40:          0          7          2     GICv3  27 Level     arch_timer
 41:          5          5          5
NMI:          1          2          3   Non-maskable interrupts
LOC:   50879759   41095389        250   Local timer interrupts
RES:   15737072   15303856         17   Rescheduling interrupts
ERR:          4
MIS:          0
odd line without a colon
XXX:          1          two        3   Odd counts
THR:          1          2
";

    fn shown(counts: &Counts) -> Vec<String> {
        let mut shown: Vec<_> = counts
            .iter()
            .map(|(it, count)| format!("{} {} {} {count}", it.label, it.name, it.kind.name()))
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn the_column_is_found_by_its_head_though_a_core_is_missing() {
        let expected = [
            "0 timer timer 0",
            "16 ehci_hcd:usb1, snd_hda_intel device 4",
            "36 virtio1-req.0 device 3920306",
            "40 arch_timer timer 2",
            "41  device 5",
            "LOC Local timer interrupts timer 250",
            "NMI Non-maskable interrupts kernel 3",
            "RES Rescheduling interrupts kernel 17",
        ];
        assert_eq!(shown(&column(RECORDED, 3)), expected);
        assert!(column(RECORDED, 2).is_empty(), "it is not online");
        assert!(column("", 0).is_empty());
    }

    #[test]
    fn many_columns_are_read_to_the_last() {
        let cores = 0..256;
        let head: String = cores.clone().map(|core| format!(" CPU{core}")).collect();
        let counts: String = cores.map(|core| format!(" {}", core * 10)).collect();
        let text = format!("{head}\n 24:{counts}  PCI-MSI 5-edge  nvme0q1\n");
        assert_eq!(shown(&column(&text, 255)), ["24 nvme0q1 device 2550"]);
        assert_eq!(shown(&column(&text, 0)), ["24 nvme0q1 device 0"]);
    }

    #[test]
    fn soft_interrupts_have_no_owner() {
        let text = "      CPU0   CPU1\n  TIMER:   1   22\n NET_RX:  3    4\n";
        assert_eq!(shown(&column(text, 1)), ["NET_RX  kernel 4", "TIMER  timer 22"]);
    }

    #[test]
    fn only_what_was_counted_since_is_told() {
        let before = column("CPU0\n 1: 5 a  b\n 2: 7 a  c\n 3: 9 a  d\n", 0);
        let after = column("CPU0\n 1: 5 a  b\n 2: 8 a  c\n 3: 2 a  d\n 4: 6 a  e\n", 0);
        assert_eq!(shown(&since(&after, &before)), ["2 c device 1", "4 e device 6"]);
    }
}

//! Devices' interrupts that may come to the core, or do.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "interrupts",
    cost: "each interrupt takes 2-10 µs with its handler, and network traffic brings up to 100,000 \
           a second",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const FOLDER: &str = "proc/irq";
/// Interrupts that are named at most.
const NAMED_MAX: usize = 5;

struct Interrupt {
    number: u32,
    /// Of its device, if one uses it.
    name: Option<String>,
    /// It is sent there now, where the system tells; else it may be.
    comes: bool,
}

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let numbers: Vec<u32> = host.names(FOLDER)?.iter().filter_map(|it| it.parse().ok()).collect();
    let readable: Vec<(u32, bool)> = numbers
        .iter()
        .filter_map(|number| {
            let allowed = host.list(&format!("{FOLDER}/{number}/smp_affinity_list")).ok()?;
            Some((*number, allowed.contains(core)))
        })
        .collect();
    if readable.is_empty() {
        return Ok(Finding::unknown(format!("no /{FOLDER}/*/smp_affinity_list can be read")));
    }
    let allowed: Vec<Interrupt> = readable
        .iter()
        .filter(|(_, is_allowed)| *is_allowed)
        .map(|(number, _)| interrupt(host, *number, core))
        .collect();
    let found = match allowed.is_empty() {
        true => format!("none of {} interrupts may come to core {core}", readable.len()),
        false => told(&allowed, readable.len(), core),
    };
    Ok(Finding::judge(!allowed.is_empty(), wish.own(), found, || mend(host, &allowed, core)))
}

fn interrupt(host: &Host, number: u32, core: usize) -> Interrupt {
    let folder = format!("{FOLDER}/{number}");
    let effective = host.list(&format!("{folder}/effective_affinity_list"));
    // The handlers are folders among the files.
    let names = host.names(&folder).unwrap_or_default();
    let name = names.into_iter().find(|name| host.names(&format!("{folder}/{name}")).is_ok());
    Interrupt { number, name, comes: effective.map_or(true, |it| it.contains(core)) }
}

fn told(allowed: &[Interrupt], all: usize, core: usize) -> String {
    let coming: Vec<String> = allowed
        .iter()
        .filter(|it| it.comes)
        .map(|it| match &it.name {
            Some(name) => format!("{} ({name})", it.number),
            None => it.number.to_string(),
        })
        .collect();
    let named = coming.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if coming.len() > NAMED_MAX { ", …" } else { "" };
    let shown = if coming.is_empty() { String::new() } else { format!(": {named}{more}") };
    format!(
        "{} of {all} interrupts may come to core {core} (/{FOLDER}/*/smp_affinity_list), {} are \
         sent there now{shown}",
        allowed.len(),
        coming.len()
    )
}

fn mend(host: &Host, allowed: &[Interrupt], core: usize) -> Mend {
    let numbers: Vec<String> = allowed.iter().map(|it| it.number.to_string()).collect();
    let others = host.others(core);
    Mend::new(
        format!(
            "for i in {}; do echo {others} > /{FOLDER}/$i/smp_affinity_list; done",
            numbers.join(" ")
        ),
        format!("no; to keep it: the kernel parameter irqaffinity={others}, and irqbalance off"),
    )
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[("proc/irq/24/smp_affinity_list", "0-2\n"), ("proc/irq/9/smp_affinity_list", "0\n")],
        "none of 2 interrupts may come to core 3",
    ),
    Case::unfit(
        &[
            ("proc/irq/24/smp_affinity_list", "0-3\n"),
            ("proc/irq/24/effective_affinity_list", "3\n"),
            ("proc/irq/24/eth0-rx-1/x", ""),
            ("proc/irq/25/smp_affinity_list", "0-3\n"),
            ("proc/irq/25/effective_affinity_list", "1\n"),
            ("proc/irq/26/smp_affinity_list", "1\n"),
        ],
        "2 of 3 interrupts may come to core 3 (/proc/irq/*/smp_affinity_list), 1 are sent there \
         now: 24 (eth0-rx-1)",
    ),
    Case::unknown(&[], "/proc/irq cannot be read"),
    Case::unknown(&[("proc/irq/24/smp_affinity_list", "zero")], "no /proc/irq/*/smp_affinity_list"),
];

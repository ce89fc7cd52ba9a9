//! The daemon that moves interrupts about: it undoes what was set by hand, unless the core is
//! banned.

use crate::host::CpuList;

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "irqbalance",
    cost: "every 10 s it may move a busy device's interrupts to the core: 2-10 µs each, thousands \
           a second",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const BANNED: &str = "IRQBALANCE_BANNED_CPULIST=";
const FILES: [&str; 2] = ["etc/default/irqbalance", "etc/sysconfig/irqbalance"];

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let Some(process) = host.process_named("irqbalance")? else {
        return Ok(Finding::fit("irqbalance does not run"));
    };
    let (is_banned, found) = match banned(host, process) {
        Some((list, place)) => {
            let is_banned = list.contains(core);
            let may = if is_banned { "may not" } else { "may" };
            let found =
                format!("irqbalance runs and {may} use core {core} ({BANNED}{list} in {place})");
            (is_banned, found)
        }
        // Without a list of its own it leaves out isolated and tickless cores.
        None => {
            let quiet = host.cores.isolated.or(&host.cores.tickless);
            let is_banned = quiet.contains(core);
            let why = if is_banned { "leaves out" } else { "may use" };
            (
                is_banned,
                format!(
                    "irqbalance runs and {why} core {core} (isolated or tickless: \"{quiet}\")"
                ),
            )
        }
    };
    Ok(Finding::judge(!is_banned, wish.own(), found, || {
        Mend::new(
            format!("echo {BANNED}{core} >> /{} && systemctl restart irqbalance", FILES[0]),
            "yes, it is in the file that the service reads",
        )
    }))
}

/// The cores that it was told to leave alone, and where: its own environment tells what it has,
/// the files only what it will have.
fn banned(host: &Host, process: u32) -> Option<(CpuList, String)> {
    let environment = format!("proc/{process}/environ");
    let text = host.optional(&environment).map(|it| it.replace('\0', "\n"));
    let texts = text.map(|text| (text, environment)).into_iter();
    let files = FILES.iter().filter_map(|path| Some((host.optional(path)?, (*path).to_owned())));
    texts.chain(files).find_map(|(text, path)| {
        let value = super::reading::field(&text, BANNED)?;
        Some((value.trim_matches('"').parse().ok()?, format!("/{path}")))
    })
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[("proc/7/comm", "chronyd\n")], "irqbalance does not run"),
    Case::fit(
        &[("proc/7/comm", "irqbalance\n"), (FILES[0], "#x\nIRQBALANCE_BANNED_CPULIST=\"2-3\"\n")],
        "may not use core 3",
    ),
    Case::unfit(
        &[
            ("proc/7/comm", "irqbalance\n"),
            ("proc/7/environ", "A=b\0IRQBALANCE_BANNED_CPULIST=1\0"),
            (FILES[0], "IRQBALANCE_BANNED_CPULIST=3\n"),
        ],
        "may use core 3 (IRQBALANCE_BANNED_CPULIST=1 in /proc/7/environ)",
    ),
    Case::unfit(&[("proc/7/comm", "irqbalance\n")], "may use core 3 (isolated or tickless: \"\")"),
    Case::unknown(&[("proc/cmdline", "")], "lists no processes"),
];

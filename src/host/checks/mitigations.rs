//! Mitigations of processor faults, for information: what they cost is a choice about safety.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "mitigations",
    cost: "50-300 ns a system call or interrupt, depending on the processor; the hot thread makes \
           few, the client's threads make several a request",
    informs: true,
    run,
    #[cfg(test)]
    cases: CASES,
};

const FOLDER: &str = "sys/devices/system/cpu/vulnerabilities";

fn run(host: &Host, _: &Wish) -> Told {
    let names = host.names(FOLDER)?;
    let state = |name: &String| Some((name.clone(), host.optional(&format!("{FOLDER}/{name}"))?));
    let states: Vec<(String, String)> = names.iter().filter_map(state).collect();
    let with = |start: &str| -> Vec<&str> {
        let found = states.iter().filter(|(_, state)| state.starts_with(start));
        found.map(|(name, _)| name.as_str()).collect()
    };
    let list = |names: Vec<&str>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    let chosen = host.optional("proc/cmdline").unwrap_or_default();
    let chosen = chosen.split_whitespace().find(|it| it.starts_with("mitigations="));
    Ok(Finding::fit(format!(
        "for information: mitigated {}; vulnerable {}{}",
        list(with("Mitigation")),
        list(with("Vulnerable")),
        chosen.map(|it| format!("; {it} on the kernel's command line")).unwrap_or_default()
    )))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[
            ("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n"),
            ("sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n"),
            ("proc/cmdline", "quiet mitigations=auto,nosmt\n"),
        ],
        "mitigated meltdown; vulnerable none; mitigations=auto,nosmt",
    ),
    Case::unknown(&[], "/sys/devices/system/cpu/vulnerabilities cannot be read"),
];

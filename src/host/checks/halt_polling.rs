//! In a virtual machine: whether an idle core waits a little before it goes back to the hypervisor.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "halt_polling",
    cost: "a core that went to the hypervisor wakes 5-50 µs later; the client's threads sleep \
           between requests, and so does a hot thread that parks",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const DRIVER: &str = "sys/devices/system/cpu/cpuidle/current_driver";
const POLL: &str = "sys/module/haltpoll/parameters/guest_halt_poll_ns";
const POLL_NS: u64 = 200_000;

fn run(host: &Host, wish: &Wish) -> Told {
    match host.is_virtual() {
        Some(false) => return Ok(Finding::fit("not a virtual machine (/proc/cpuinfo)")),
        None => return Ok(Finding::unknown("/proc/cpuinfo does not tell whether it is virtual")),
        Some(true) => {}
    }
    let line = host.optional("proc/cmdline").unwrap_or_default();
    if line.split_whitespace().any(|it| it == "idle=poll") {
        return Ok(Finding::fit("idle=poll on the kernel's command line: cores never halt"));
    }
    let driver = host.text(DRIVER)?;
    if driver != "haltpoll" {
        let found = format!("a virtual machine without halt polling: driver {driver} (/{DRIVER})");
        return Ok(Finding::judge(true, wish.low(), found, || {
            Mend::new(
                "modprobe cpuidle_haltpoll force=1",
                "no; to keep it: the kernel parameter cpuidle_haltpoll.force=1",
            )
        }));
    }
    let nanos: u64 = host.value(POLL)?;
    let found = match nanos {
        0 => format!("driver haltpoll, but it does not poll (/{POLL} = 0)"),
        nanos => format!("an idle core polls for up to {} µs (/{POLL})", nanos / 1_000),
    };
    Ok(Finding::judge(nanos == 0, wish.low(), found, || Mend::write(POLL, POLL_NS)))
}

#[cfg(test)]
const GUEST: (&str, &str) = ("proc/cpuinfo", "flags : fpu hypervisor\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[("proc/cpuinfo", "flags : fpu\n")], "not a virtual machine"),
    Case::fit(&[GUEST, (DRIVER, "haltpoll\n"), (POLL, "200000\n")], "polls for up to 200 µs"),
    Case::fit(&[GUEST, ("proc/cmdline", "quiet idle=poll")], "never halt"),
    Case::unfit(&[GUEST, (DRIVER, "haltpoll\n"), (POLL, "0\n")], "it does not poll"),
    Case::unfit(&[GUEST, (DRIVER, "none\n")], "without halt polling: driver none"),
    Case::unknown(&[GUEST], "current_driver cannot be read"),
    Case::unknown(&[], "does not tell whether it is virtual"),
];

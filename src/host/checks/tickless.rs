//! The scheduler's tick on the core: `nohz_full=` takes it away while one thread runs.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "tickless",
    cost: "a tick takes 1-5 µs (in a virtual machine up to 20), 100 to 1000 times a second",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const TICKLESS: &str = "sys/devices/system/cpu/nohz_full";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    if !host.exists(TICKLESS) {
        return without_file(host, wish);
    }
    let tickless = host.list(TICKLESS)?;
    let is_tickless = tickless.contains(core);
    let found = match is_tickless {
        true => format!("core {core} is tickless (/{TICKLESS}: {tickless})"),
        false => format!("core {core} has the scheduler's tick (/{TICKLESS}: \"{tickless}\")"),
    };
    Ok(Finding::judge(!is_tickless, wish.own(), found, || Mend::boot(format!("nohz_full={core}"))))
}

/// A kernel that was built without it has no such file.
fn without_file(host: &Host, wish: &Wish) -> Told {
    let (path, text) = host.kernel_configuration()?;
    if text.lines().any(|line| line == "CONFIG_NO_HZ_FULL=y") {
        return Ok(Finding::unknown(format!("/{TICKLESS} is not there, though /{path} has it")));
    }
    let found = format!("this kernel cannot do without the tick: no CONFIG_NO_HZ_FULL (/{path})");
    Ok(Finding::judge(true, wish.own(), found, || {
        Mend::new(
            "a kernel with CONFIG_NO_HZ_FULL=y (those of Debian, Ubuntu and RHEL have it), then \
             the kernel parameter nohz_full=",
            "yes, once it is installed",
        )
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(TICKLESS, "1-3\n")], "core 3 is tickless"),
    Case::unfit(&[(TICKLESS, "(null)\n")], "core 3 has the scheduler's tick"),
    Case::unfit(
        &[
            ("proc/sys/kernel/osrelease", "6.1.0\n"),
            ("boot/config-6.1.0", "CONFIG_HZ=250\n# CONFIG_NO_HZ_FULL is not set\n"),
        ],
        "no CONFIG_NO_HZ_FULL (/boot/config-6.1.0)",
    ),
    Case::unknown(&[("proc/sys/kernel/osrelease", "6.1.0\n")], "neither /proc/config.gz nor"),
    Case::unknown(&[(TICKLESS, "3-1\n")], "not as expected"),
];

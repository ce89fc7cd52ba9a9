//! How often the scheduler's tick comes, as the kernel was built (CONFIG_HZ).

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "timer_frequency",
    cost: "1-5 µs a tick, in a virtual machine up to 20; timers of this program do not depend on \
    it",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

/// The middle of what distributions build.
const HZ_MAX: u32 = 300;

fn run(host: &Host, wish: &Wish) -> Told {
    let (path, text) = host.kernel_configuration()?;
    let hz = super::reading::field(&text, "CONFIG_HZ=").and_then(|it| it.parse::<u32>().ok());
    let hz = hz.ok_or_else(|| Finding::unknown(format!("/{path} has no CONFIG_HZ=")))?;
    let is_tickless = wish.core.is_some_and(|core| host.cores.tickless.contains(core));
    let found = match is_tickless {
        true => format!("CONFIG_HZ={hz} (/{path}), and the core is tickless"),
        false => format!("CONFIG_HZ={hz} (/{path}): {hz} ticks a second while a thread runs"),
    };
    Ok(Finding::judge(hz > HZ_MAX && !is_tickless, wish.own(), found, || {
        let core = wish.core.unwrap_or(0);
        Mend::boot(format!("nohz_full={core}"))
    }))
}

#[cfg(test)]
const KERNEL: (&str, &str) = ("proc/sys/kernel/osrelease", "6.1.0\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[KERNEL, ("boot/config-6.1.0", "CONFIG_HZ_250=y\nCONFIG_HZ=250\n")],
        "CONFIG_HZ=250",
    ),
    Case::unfit(&[KERNEL, ("boot/config-6.1.0", "CONFIG_HZ=1000\n")], "1000 ticks a second"),
    Case::fit(
        &[
            KERNEL,
            ("boot/config-6.1.0", "CONFIG_HZ=1000\n"),
            ("sys/devices/system/cpu/nohz_full", "3\n"),
        ],
        "the core is tickless",
    ),
    Case::unknown(&[KERNEL, ("boot/config-6.1.0", "CONFIG_SMP=y\n")], "no CONFIG_HZ="),
    Case::unknown(&[KERNEL], "neither /proc/config.gz nor /boot/config-6.1.0"),
];

//! Who chooses the core's frequency, and by which rule.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "governor",
    cost: "after a pause the core starts slow: 2-4 times longer for a record until the frequency \
           is up, 10 µs to 10 ms later",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core.or_else(|| host.cores.online.iter().next()).unwrap_or(0);
    let folder = format!("sys/devices/system/cpu/cpu{core}/cpufreq");
    let path = format!("{folder}/scaling_governor");
    if !host.exists(&folder) {
        let why = match host.is_virtual() {
            Some(true) => "in a virtual machine the host decides",
            _ => "no driver for frequencies is loaded",
        };
        return Ok(Finding::unknown(format!("/{folder} is not there: {why}")));
    }
    let governor = host.text(&path)?;
    let driver = host.optional(&format!("{folder}/scaling_driver"));
    let preference = host.optional(&format!("{folder}/energy_performance_preference"));
    let known = ["performance", "powersave", "ondemand", "conservative", "schedutil", "userspace"];
    if !known.contains(&governor.as_str()) {
        return Err(super::reading::odd(&path, governor));
    }
    let found = format!(
        "governor {governor} on core {core}, driver {}{} (/{path})",
        driver.as_deref().unwrap_or("not told"),
        preference.map(|it| format!(", energy preference {it}")).unwrap_or_default()
    );
    Ok(Finding::judge(governor != "performance", wish.low(), found, || {
        Mend::new(
            "cpupower frequency-set -g performance",
            "no; to keep it: GOVERNOR=\"performance\" for cpupower.service, or a tuned profile \
             (tuned-adm profile latency-performance)",
        )
    }))
}

#[cfg(test)]
const GOVERNOR: &str = "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[
            (GOVERNOR, "performance\n"),
            ("sys/devices/system/cpu/cpu3/cpufreq/scaling_driver", "intel_pstate\n"),
        ],
        "governor performance on core 3, driver intel_pstate",
    ),
    Case::unfit(
        &[
            (GOVERNOR, "powersave\n"),
            (
                "sys/devices/system/cpu/cpu3/cpufreq/energy_performance_preference",
                "balance_power\n",
            ),
        ],
        "powersave on core 3, driver not told, energy preference balance_power",
    ),
    Case::fit(&[(GOVERNOR, "powersave\n")], "no fault")
        .given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[("proc/cpuinfo", "flags : hypervisor\n")], "the host decides"),
    Case::unknown(&[(GOVERNOR, "fast")], "not as expected: \"fast\""),
];

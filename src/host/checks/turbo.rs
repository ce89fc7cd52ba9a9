//! Whether the core may run faster than its base frequency.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish, reading::odd};

pub(super) const CHECK: Check = Check {
    name: "turbo",
    cost: "without it a record takes 1.2 to 1.6 times as long; with it the speed depends on how \
           busy the other cores are, by some per cent",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const INTEL: &str = "sys/devices/system/cpu/intel_pstate/no_turbo";
const OTHERS: &str = "sys/devices/system/cpu/cpufreq/boost";

fn run(host: &Host, wish: &Wish) -> Told {
    let Some(path) = [INTEL, OTHERS].into_iter().find(|path| host.exists(path)) else {
        let why = match host.is_virtual() {
            Some(true) => "in a virtual machine the host decides",
            _ => "the driver does not tell",
        };
        return Ok(Finding::unknown(format!("neither /{INTEL} nor /{OTHERS} is there: {why}")));
    };
    let value: u32 = host.value(path)?;
    if value > 1 {
        return Err(odd(path, value));
    }
    let on = u32::from(path == OTHERS);
    let state = if value == on { "on" } else { "off" };
    let found = format!("turbo is {state} (/{path} = {value})");
    Ok(Finding::judge(value != on, wish.low(), found, || Mend::write(path, on)))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(INTEL, "0\n")], "turbo is on"),
    Case::fit(&[(OTHERS, "1\n")], "turbo is on (/sys/devices/system/cpu/cpufreq/boost = 1)"),
    Case::unfit(&[(INTEL, "1\n")], "turbo is off"),
    Case::unfit(&[(OTHERS, "0\n")], "turbo is off"),
    Case::unknown(&[(INTEL, "-")], "not as expected"),
    Case::unknown(&[("proc/cpuinfo", "flags : hypervisor\n")], "the host decides"),
];

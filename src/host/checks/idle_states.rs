//! How deep a core sleeps when it has nothing to do: leaving a deep state takes time.
//!
//! The hot thread's core where that thread parks; where it spins, those of the client's threads,
//! which sleep between requests.

use crate::host::CpuList;

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "idle_states",
    cost: "a wake-up from a deep state takes its exit latency more: 10 µs from C1E, 50-200 µs from \
           C6, and the caches are empty then",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const FOLDER: &str = "sys/devices/system/cpu/cpuidle";
const DEMAND: &str = "dev/cpu_dma_latency";
const EXIT_US_MAX: u64 = 10;

fn run(host: &Host, wish: &Wish) -> Told {
    let cores = match (wish.core, wish.spins) {
        (Some(core), false) => [core].into_iter().collect(),
        _ => wish.housekeeping.clone(),
    };
    let driver = host.text(&format!("{FOLDER}/current_driver"))?;
    if host.is_virtual() == Some(true) && !driver.ends_with("_idle") {
        return Ok(Finding::unknown(format!(
            "driver {driver} (/{FOLDER}/current_driver): in a virtual machine the host decides how \
             deep its cores sleep; see halt_polling and wakeup"
        )));
    }
    let Some((latency, name, core)) = deepest(host, &cores) else {
        return Ok(Finding::unknown(format!(
            "no /sys/devices/system/cpu/cpu*/cpuidle of cores {cores}"
        )));
    };
    let demand = demand(host);
    let bound = demand.map_or(latency, |it| it.min(latency));
    let held = match demand.filter(|it| *it < latency) {
        Some(demand) => format!(", but /{DEMAND} holds it to {demand} µs"),
        None => String::new(),
    };
    let found = format!(
        "the deepest state of cores {cores} that is not disabled is {name}, {latency} µs to leave \
         (cpu{core}/cpuidle, driver {driver}){held}"
    );
    Ok(Finding::judge(bound > EXIT_US_MAX, wish.low(), found, || {
        Mend::new(
            format!("cpupower idle-set -D {EXIT_US_MAX}"),
            "no; to keep it: the kernel parameters processor.max_cstate=1 intel_idle.max_cstate=1, \
             or a tuned profile with force_latency=cstate.id:1",
        )
    }))
}

/// Exit latency in microseconds, name and core of the deepest state in use.
fn deepest(host: &Host, cores: &CpuList) -> Option<(u64, String, usize)> {
    let states = cores.iter().flat_map(|core| {
        let folder = format!("sys/devices/system/cpu/cpu{core}/cpuidle");
        let names = host.names(&folder).unwrap_or_default();
        names.into_iter().filter_map(move |state| {
            let state = format!("{folder}/{state}");
            let is_disabled = host.optional(&format!("{state}/disable"))? != "0";
            let latency = host.value::<u64>(&format!("{state}/latency")).ok()?;
            let name = host.optional(&format!("{state}/name"))?;
            (!is_disabled).then_some((latency, name, core))
        })
    });
    states.max_by_key(|(latency, _, core)| (*latency, std::cmp::Reverse(*core)))
}

/// What somebody asks of all cores, in microseconds: four bytes in the machine's order. Only the
/// superuser may read it.
fn demand(host: &Host) -> Option<u64> {
    let bytes: [u8; 4] = host.bytes(DEMAND).ok()?.try_into().ok()?;
    u64::try_from(i32::from_ne_bytes(bytes)).ok()
}

#[cfg(test)]
const DRIVER: (&str, &str) = ("sys/devices/system/cpu/cpuidle/current_driver", "intel_idle\n");
#[cfg(test)]
const DEEP: [(&str, &str); 3] = [
    ("sys/devices/system/cpu/cpu1/cpuidle/state3/latency", "133\n"),
    ("sys/devices/system/cpu/cpu1/cpuidle/state3/name", "C6\n"),
    ("sys/devices/system/cpu/cpu1/cpuidle/state3/disable", "0\n"),
];

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[
            DRIVER,
            ("sys/devices/system/cpu/cpu1/cpuidle/state1/latency", "2\n"),
            ("sys/devices/system/cpu/cpu1/cpuidle/state1/name", "C1\n"),
            ("sys/devices/system/cpu/cpu1/cpuidle/state1/disable", "0\n"),
            DEEP[0],
            DEEP[1],
            ("sys/devices/system/cpu/cpu1/cpuidle/state3/disable", "1\n"),
        ],
        "that is not disabled is C1, 2 µs to leave",
    ),
    Case::unfit(
        &[DRIVER, DEEP[0], DEEP[1], DEEP[2]],
        "of cores 0-2 that is not disabled is C6, 133",
    ),
    Case::fit(
        &[DRIVER, DEEP[0], DEEP[1], DEEP[2], (DEMAND, "\u{0}\u{0}\u{0}\u{0}")],
        "holds it to 0",
    ),
    Case::fit(&[DRIVER, DEEP[0], DEEP[1], DEEP[2]], "no fault")
        .given(|_, wish| (wish.level, wish.core, wish.spins) = (Level::Relaxed, None, false)),
    Case::unknown(&[DRIVER, DEEP[0], DEEP[1], DEEP[2]], "cpuidle of cores 3")
        .given(|_, wish| wish.spins = false),
    Case::unknown(
        &[
            ("sys/devices/system/cpu/cpuidle/current_driver", "haltpoll\n"),
            ("proc/cpuinfo", "flags : hypervisor\n"),
        ],
        "the host decides how deep",
    ),
    Case::unknown(&[], "current_driver cannot be read"),
];

//! Whether this process may run a thread under `SCHED_FIFO`, if it is to.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "realtime_limit",
    cost: "the hot thread stays an ordinary one: whoever else is on its core takes turns of 1-4 ms",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const LIMIT: &str = "Max realtime priority";
const CAP_SYS_NICE: u32 = 23;

fn run(host: &Host, wish: &Wish) -> Told {
    let limit = host.limit(LIMIT)?;
    let is_capable = host.is_capable(CAP_SYS_NICE);
    let right = if is_capable { ", which CAP_SYS_NICE goes beyond" } else { "" };
    let shown = limit.map_or("unlimited".to_owned(), |it| it.to_string());
    let found = format!("the limit of real-time priority is {shown}{right} (/proc/self/limits)");
    let is_bad = limit == Some(0) && !is_capable;
    if is_bad && !wish.fifo {
        return Ok(Finding::fit(format!("{found}; SCHED_FIFO is not asked for")));
    }
    Ok(Finding::judge(is_bad, true, found, || {
        Mend::new(
            "LimitRTPRIO=99 in the service's unit, or \"* - rtprio 99\" in \
             /etc/security/limits.d/hotspur.conf and a new login (a container: --cap-add=SYS_NICE)",
            "yes, it is in a file",
        )
    }))
}

#[cfg(test)]
const NONE: (&str, &str) = ("proc/self/limits", "Max realtime priority     0       0\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[NONE], "SCHED_FIFO is not asked for"),
    Case::fit(&[NONE, ("proc/self/status", "CapEff:\t000001fffeffffff\n")], "goes beyond"),
    Case::fit(&[("proc/self/limits", "Max realtime priority     99      99\n")], "is 99"),
    Case::unfit(&[NONE], "the limit of real-time priority is 0").given(|_, wish| wish.fifo = true),
    Case::unknown(&[("proc/self/limits", "Max open files 1 1 files\n")], "has no Max realtime"),
    Case::unknown(&[], "cannot be read"),
];

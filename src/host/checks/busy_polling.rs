//! Sockets that poll the network card before they sleep: for client threads that have cores to spin
//! on, and of no use on others.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "busy_polling",
    cost: "each packet waits for an interrupt and a wake-up, 5-30 µs, where polling finds it in 2; \
           it uses up the cores of the client's threads",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const POLL: &str = "proc/sys/net/core/busy_poll";
const READ: &str = "proc/sys/net/core/busy_read";

fn run(host: &Host, wish: &Wish) -> Told {
    let poll: u32 = host.value(POLL)?;
    let read: u32 = host.value(READ)?;
    let found = format!("busy_poll = {poll} µs, busy_read = {read} µs (/{POLL}, /{READ})");
    if poll == 0 && !wish.spin_clients {
        return Ok(Finding::fit(format!("{found}; the client's threads are not to spin")));
    }
    Ok(Finding::judge(poll == 0, true, found, || {
        let mut mend = Mend::sysctl("net.core.busy_poll", 50);
        mend.how.push_str(" net.core.busy_read=50");
        mend
    }))
}

#[cfg(test)]
const OFF: [(&str, &str); 2] = [(POLL, "0\n"), (READ, "0\n")];

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&OFF, "the client's threads are not to spin"),
    Case::fit(&[(POLL, "50\n"), (READ, "50\n")], "busy_poll = 50 µs"),
    Case::unfit(&OFF, "busy_poll = 0 µs").given(|_, wish| wish.spin_clients = true),
    Case::unknown(&[(POLL, "off\n"), (READ, "0\n")], "not as expected"),
    Case::unknown(&[], "busy_poll cannot be read"),
];

//! Cores for client threads that spin, where they are to: one for each, and nobody else on it.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "client_cores",
    cost: "without cores of their own client threads sleep between requests: 5-50 µs more to send \
           a result and to read a record",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const ISOLATED: &str = "sys/devices/system/cpu/isolated";
/// One that reads, one that writes.
const CORES_MIN: usize = 2;

fn run(host: &Host, wish: &Wish) -> Told {
    let isolated = host.list(ISOLATED)?.or(&host.cores.isolated);
    if !wish.spin_clients {
        return Ok(Finding::fit("no client thread is to spin (engine.spin_clients)"));
    }
    let cores = &wish.client_cores;
    let open = cores.without(&isolated);
    let found = match (cores.len(), open.len()) {
        (0, _) => format!("none of /{ISOLATED} is left for client threads (\"{isolated}\")"),
        (_, 0) => format!("client threads spin on cores {cores} (/{ISOLATED}: {isolated})"),
        _ => format!("of cores {cores} for client threads {open} are not isolated (/{ISOLATED})"),
    };
    Ok(Finding::judge(cores.len() < CORES_MIN || !open.is_empty(), true, found, || {
        match host.cores.online.len() > CORES_MIN + 1 {
            true => {
                let hot = wish.core.into_iter().collect();
                let last = host.cores.online.without(&hot).iter().rev().take(CORES_MIN).collect();
                Mend::boot(format!("isolcpus=managed_irq,domain,{}", hot.or(&last)))
            }
            false => Mend::setting("spin_clients = false under [engine], for want of cores:"),
        }
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(ISOLATED, "\n")], "no client thread is to spin"),
    Case::fit(&[(ISOLATED, "1-3\n")], "client threads spin on cores 1-2").given(|_, wish| {
        (wish.spin_clients, wish.client_cores) = (true, [1, 2].into_iter().collect());
    }),
    Case::unfit(&[(ISOLATED, "3\n")], "of cores 1-2 for client threads 1-2 are not isolated")
        .given(|_, wish| {
            (wish.spin_clients, wish.client_cores) = (true, [1, 2].into_iter().collect());
        }),
    Case::unfit(&[(ISOLATED, "3\n")], "is left for client threads (\"3\")")
        .given(|_, wish| wish.spin_clients = true),
    Case::unknown(&[], "isolated cannot be read"),
];

//! The kernel moving pages about to make room for large ones, also pages that are in use.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "compaction",
    cost: "a page that is being moved is a fault of 10-100 µs for who touches it, locked pages \
           included",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const PROACTIVE: &str = "proc/sys/vm/compaction_proactiveness";
const LOCKED: &str = "proc/sys/vm/compact_unevictable_allowed";

fn run(host: &Host, wish: &Wish) -> Told {
    let proactive: u32 = host.value(PROACTIVE)?;
    let locked = host.value::<u32>(LOCKED).ok();
    let moved = match locked {
        Some(0) => ", locked pages stay",
        Some(_) => ", locked pages are moved, too",
        None => "",
    };
    let found = format!("compaction_proactiveness = {proactive} (/{PROACTIVE}){moved}");
    let is_spared = wish.lock_memory && locked == Some(0);
    Ok(Finding::judge(proactive != 0 && !is_spared, wish.own(), found, || {
        let mut mend = Mend::sysctl("vm.compaction_proactiveness", 0);
        if wish.lock_memory {
            mend.how.push_str("; sysctl -w vm.compact_unevictable_allowed=0");
        }
        mend
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(PROACTIVE, "0\n"), (LOCKED, "1\n")], "compaction_proactiveness = 0"),
    Case::unfit(&[(PROACTIVE, "20\n"), (LOCKED, "1\n")], "= 20 (/proc/sys/vm/compaction_pro"),
    Case::fit(&[(PROACTIVE, "20\n"), (LOCKED, "0\n")], "locked pages stay")
        .given(|_, wish| wish.lock_memory = true),
    Case::unknown(&[(PROACTIVE, "many\n")], "not as expected"),
    Case::unknown(&[], "cannot be read"),
];

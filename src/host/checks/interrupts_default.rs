//! Where interrupts of devices that come later go: a driver that is loaded, a link that comes back.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "interrupts_default",
    cost: "after a device is reset its interrupts are on the core again: 2-10 µs each",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const DEFAULT: &str = "proc/irq/default_smp_affinity";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let cores = host.mask(DEFAULT)?.and(&host.cores.online);
    let is_bad = cores.contains(core);
    let can = if is_bad { "may come" } else { "do not come" };
    let found =
        format!("new interrupts go to cores {cores} (/{DEFAULT}): they {can} to core {core}");
    Ok(Finding::judge(is_bad, wish.own(), found, || {
        let others = host.others(core);
        let mask = others.iter().filter(|it| *it < 128).fold(0_u128, |mask, it| mask | 1 << it);
        Mend::new(
            format!("echo {} > /{DEFAULT}", grouped(mask)),
            format!("no; to keep it: the kernel parameter irqaffinity={others}"),
        )
    }))
}

/// As the kernel takes it: groups of eight digits with commas between.
fn grouped(mask: u128) -> String {
    let words: Vec<u32> = (0..4).rev().map(|word| (mask >> (word * 32)) as u32).collect();
    let mut words = words.into_iter().skip_while(|word| *word == 0);
    let first = words.next().unwrap_or(0);
    words.fold(format!("{first:x}"), |text, word| format!("{text},{word:08x}"))
}

#[cfg(test)]
#[test]
fn masks_are_written_in_groups() {
    assert_eq!(grouped(7), "7");
    assert_eq!(grouped(1 << 32), "1,00000000");
    assert_eq!(grouped(0), "0");
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(DEFAULT, "7\n")], "go to cores 0-2"),
    Case::unfit(&[(DEFAULT, "ffffffff,ffffffff\n")], "they may come to core 3"),
    Case::unknown(&[(DEFAULT, "all\n")], "not as expected"),
    Case::unknown(&[], "default_smp_affinity cannot be read"),
];

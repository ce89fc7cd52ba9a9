//! Huge pages: for tables that ask for them, and not pressed on everybody.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "huge_pages",
    cost: "pressed on everybody: 0.1-10 ms where a fault has to clear or gather 2 MiB; without \
           them a look-up in a large table takes 20-100 ns more",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const ENABLED: &str = "sys/kernel/mm/transparent_hugepage/enabled";
const DEFRAG: &str = "sys/kernel/mm/transparent_hugepage/defrag";

fn run(host: &Host, wish: &Wish) -> Told {
    let enabled = host.chosen(ENABLED)?;
    let defrag = host.chosen(DEFRAG)?;
    let found = format!("{enabled}, gathered {defrag} (/{ENABLED}, /{DEFRAG})");
    let lacks = wish.huge_pages && enabled == "never";
    if lacks {
        return Ok(Finding::unfit(
            format!("{found}, and engine.huge_pages asks for them"),
            Mend::write(ENABLED, "madvise"),
        ));
    }
    // Those who did not ask are stalled by both.
    let is_bad = enabled == "always" || defrag == "always";
    Ok(Finding::judge(is_bad, wish.low(), found, || match enabled == "always" {
        true => Mend::write(ENABLED, "madvise"),
        false => Mend::write(DEFRAG, "madvise"),
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[(ENABLED, "always [madvise] never\n"), (DEFRAG, "always defer [madvise] never\n")],
        "madvise, gathered madvise",
    ),
    Case::unfit(
        &[(ENABLED, "[always] madvise never\n"), (DEFRAG, "always [madvise] never\n")],
        "always, gathered madvise",
    ),
    Case::unfit(
        &[(ENABLED, "always madvise [never]\n"), (DEFRAG, "always [madvise] never\n")],
        "engine.huge_pages asks for them",
    )
    .given(|_, wish| wish.huge_pages = true),
    Case::fit(&[(ENABLED, "[always] never\n"), (DEFRAG, "[always] never\n")], "no fault")
        .given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[(ENABLED, "always madvise never\n")], "not as expected"),
    Case::unknown(&[], "enabled cannot be read"),
];

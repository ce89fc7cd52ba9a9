//! How many files and sockets this process may have open.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "open_files",
    cost: "without a free one no connection to a broker can be made: an outage of seconds to \
           minutes after a reconnect",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const LIMIT: &str = "Max open files";
/// Three clients with a connection to each broker of a large cluster, tables, and room.
const FILES_MIN: u64 = 1_024;

fn run(host: &Host, _: &Wish) -> Told {
    let limit = host.limit(LIMIT)?;
    let shown = limit.map_or("unlimited".to_owned(), |it| it.to_string());
    let found = format!("this process may have {shown} files open (/proc/self/limits)");
    let is_bad = limit.is_some_and(|it| it < FILES_MIN);
    Ok(Finding::judge(is_bad, true, found, || {
        Mend::new(
            "LimitNOFILE=65536 in the service's unit, or \"* - nofile 65536\" in \
             /etc/security/limits.d/hotspur.conf and a new login",
            "yes, it is in a file",
        )
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[("proc/self/limits", "Max open files   1024  524288  files\n")], "1024 files"),
    Case::unfit(&[("proc/self/limits", "Max open files   256  524288  files\n")], "256 files"),
    Case::unknown(&[("proc/self/limits", "Max open files   -\n")], "not as expected"),
    Case::unknown(&[], "cannot be read"),
];

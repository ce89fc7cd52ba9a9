//! How large the kernel lets a connection's buffers grow: a fetch of many records must fit.

use super::{Check, Finding, Host, Mend, Told, Wish, reading::odd};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "socket_buffers",
    cost: "a fetch that does not fit waits for the broker once more for each part: a round trip, \
           0.1-1 ms within a data centre, 10-100 ms between two",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const RECEIVE: &str = "proc/sys/net/ipv4/tcp_rmem";
const SEND: &str = "proc/sys/net/ipv4/tcp_wmem";
/// librdkafka fetches so much of a partition at once.
const BYTES_MIN: u64 = 1 << 20;

fn run(host: &Host, wish: &Wish) -> Told {
    let [receive, send] = [RECEIVE, SEND].map(|path| largest(host, path));
    let (receive, send) = (receive?, send?);
    let found = format!(
        "buffers grow up to {} KiB to receive and {} KiB to send (/{RECEIVE}, /{SEND})",
        receive >> 10,
        send >> 10
    );
    let is_bad = receive < BYTES_MIN || send < BYTES_MIN;
    Ok(Finding::judge(is_bad, wish.low(), found, || match receive < BYTES_MIN {
        true => Mend::sysctl("net.ipv4.tcp_rmem", "4096 131072 16777216"),
        false => Mend::sysctl("net.ipv4.tcp_wmem", "4096 65536 16777216"),
    }))
}

/// The last of three: least, first, most.
fn largest(host: &Host, path: &str) -> Result<u64, Finding> {
    let text = host.text(path)?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    match numbers.as_slice() {
        [_, _, largest] => Ok(*largest),
        _ => Err(odd(path, text)),
    }
}

#[cfg(test)]
const WIDE: &str = "4096\t131072\t6291456\n";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(RECEIVE, WIDE), (SEND, WIDE)], "up to 6144 KiB to receive"),
    Case::unfit(&[(RECEIVE, "4096 87380 262144\n"), (SEND, WIDE)], "up to 256 KiB to receive"),
    Case::unfit(&[(RECEIVE, WIDE), (SEND, "4096 16384 65536\n")], "64 KiB to send"),
    Case::fit(&[(RECEIVE, WIDE), (SEND, "4096 16384 65536\n")], "no fault")
        .given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[(RECEIVE, "4096 16384\n"), (SEND, WIDE)], "not as expected"),
    Case::unknown(&[], "tcp_rmem cannot be read"),
];

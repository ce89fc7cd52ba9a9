//! What a server refuses, and whether waiting helps.

use super::address::Address;
use crate::{transport::Trouble, verdict::Sentence};

/// What an error of the server comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The same command may be taken later.
    Heals,
    /// The same, over another connection: this server is not the one that writes any more.
    Elsewhere,
    /// The consumer group is gone, with the stream or without it.
    NoGroup,
    /// Waiting will not help.
    Final,
}

/// Codes that the program knows; what it does not know is `ERR`, and final.
const CODES: &[(&str, Fault)] = &[
    ("OOM", Fault::Heals),
    ("LOADING", Fault::Heals),
    ("BUSY", Fault::Heals),
    ("TRYAGAIN", Fault::Heals),
    ("CLUSTERDOWN", Fault::Heals),
    ("MASTERDOWN", Fault::Heals),
    ("MISCONF", Fault::Heals),
    ("NOREPLICAS", Fault::Heals),
    ("READONLY", Fault::Elsewhere),
    ("UNBLOCKED", Fault::Elsewhere),
    ("NOGROUP", Fault::NoGroup),
    ("NOAUTH", Fault::Final),
    ("WRONGPASS", Fault::Final),
    ("NOPERM", Fault::Final),
    ("WRONGTYPE", Fault::Final),
    ("MOVED", Fault::Final),
    ("CROSSSLOT", Fault::Final),
    ("NOSCRIPT", Fault::Final),
    ("ERR", Fault::Final),
];

/// The code of an error that the server sent, and what it comes to.
pub(super) fn fault(error: &[u8]) -> (&'static str, Fault) {
    let word = error.split(|it| *it == b' ').next().unwrap_or_default();
    let known = CODES.iter().find(|(code, _)| code.as_bytes() == word);
    known.copied().unwrap_or(("ERR", Fault::Final))
}

/// The same as trouble, with what to do about it where that can be said.
pub(super) fn trouble(peer: &'static str, address: &Address, what: &str, error: &[u8]) -> Trouble {
    let (code, fault) = fault(error);
    let error = String::from_utf8_lossy(error);
    let hint = match code {
        "NOAUTH" | "WRONGPASS" => "; see user and password of the URL",
        "NOPERM" => "; the user needs the right to it",
        "WRONGTYPE" => "; that key holds something else, name another stream",
        "MOVED" | "CROSSSLOT" => "; a Redis Cluster is not supported, name one server",
        "OOM" => "; it is tried again until there is memory",
        _ => "",
    };
    let heals = matches!(fault, Fault::Heals | Fault::Elsewhere);
    let text = Sentence::format(format_args!("{}: {what}: {error}{hint}", address.shown()));
    Trouble { peer, code, text, heals }
}

/// A connection that is no more, or cannot be had.
pub(super) fn lost(peer: &'static str, address: &Address, why: &str) -> Trouble {
    let text = Sentence::format(format_args!("{}: {why}", address.shown()));
    Trouble { peer, code: "CONNECTION_LOST", text, heals: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let of = |error: &str| fault(error.as_bytes());
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(of(full), ("OOM", Fault::Heals));
        assert_eq!(of("READONLY You can't write"), ("READONLY", Fault::Elsewhere));
        assert_eq!(of("NOGROUP No such key"), ("NOGROUP", Fault::NoGroup));
        assert_eq!(of("WRONGTYPE Operation"), ("WRONGTYPE", Fault::Final));
        assert_eq!(of("NOAUTH Authentication required."), ("NOAUTH", Fault::Final));
        assert_eq!(of("SOMETHING new"), ("ERR", Fault::Final));
        assert_eq!(of(""), ("ERR", Fault::Final));
    }

    #[test]
    fn a_sentence_says_where_and_what_to_do() {
        let address = Address::parse("redis://:secret@host:7/0", "redis://:***@host:7/0").unwrap();
        let told = trouble("sink", &address, "XADD out", b"WRONGTYPE Operation against a key");
        assert!(!told.heals && told.code == "WRONGTYPE");
        assert!(told.text.as_str().starts_with("redis://:***@host:7/0: XADD out: WRONGTYPE"));
        assert!(told.text.as_str().ends_with("name another stream"));
        assert!(trouble("sink", &address, "XADD out", b"OOM no").heals);
    }
}

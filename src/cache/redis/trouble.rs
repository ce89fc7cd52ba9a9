//! What can go wrong with Redis, in words, and whether waiting can mend it.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

/// What a user must be allowed, or should be.
const COMMANDS: &str = "hello, ping, select, client|tracking, scan, mget (hgetall or hmget for \
                        hashes), pttl, type, dbsize and info";

const POLL: &str = "refresh = \"poll\" does without";

/// One trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// A sentence that names the server and, where there is one, the way out.
    pub(super) sentence: String,
    /// False if only a person can mend it: then the first load fails at once.
    pub(super) heals: bool,
    /// The connection ended, or went silent, and not by a word of the server.
    pub(super) is_cut: bool,
}

impl Trouble {
    fn never(sentence: String) -> Trouble {
        Trouble { sentence, heals: false, is_cut: false }
    }

    fn later(sentence: String) -> Trouble {
        Trouble { sentence, heals: true, is_cut: false }
    }

    /// Puts an error of the server at `shown` (its URL as it may be printed) into words.
    pub(super) fn of(error: &RedisError, shown: &str) -> Trouble {
        let detail = error.detail().unwrap_or_default();
        match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
                Trouble::never(format!(
                    "{shown} refused the user name or password ({error}): correct them in the URL"
                ))
            }
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Trouble::never(format!(
                "{shown} does not let this user do what a table needs ({detail}): allow \
                 {COMMANDS}; without client|tracking, {POLL}"
            )),
            (ErrorKind::RESP3NotSupported, _) => Trouble::never(format!(
                "{shown} does not speak RESP3, as Redis 6 or later and Valkey do; {POLL}"
            )),
            (ErrorKind::Server(kind), _) if is_cluster(kind) => Trouble::cluster(shown),
            (ErrorKind::Server(kind), _) if passes(kind).is_some() => {
                let reason = passes(kind).unwrap_or_default();
                Trouble::later(format!("{shown} {reason}"))
            }
            (ErrorKind::Server(ServerErrorKind::ResponseError), _) if is_hopeless(error) => {
                Trouble::never(format!(
                    "{shown} refused ({error}): correct the URL, or use Redis 6 or later; {POLL}"
                ))
            }
            _ => Trouble::of_connection(error, shown),
        }
    }

    fn of_connection(error: &RedisError, shown: &str) -> Trouble {
        let cut = |sentence| Trouble { sentence, heals: true, is_cut: true };
        if error.is_timeout() {
            cut(format!("{shown} did not answer in time"))
        } else if error.is_connection_refusal() {
            Trouble::later(format!("{shown} refused the connection: is a server running there?"))
        } else if error.is_connection_dropped() {
            cut(format!("{shown} closed the connection"))
        } else {
            Trouble::later(format!("{shown}: {error}"))
        }
    }

    /// The server does not want to tell of changes.
    pub(super) fn of_tracking(error: &RedisError, shown: &str) -> Trouble {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError) => Trouble::never(format!(
                "{shown} refused client tracking ({error}): use Redis 6 or later, or Valkey, \
                 without a proxy that does not know it; {POLL}"
            )),
            _ => Trouble::of(error, shown),
        }
    }

    /// The server is one of a cluster, and has only a part of the keys.
    pub(super) fn cluster(shown: &str) -> Trouble {
        Trouble::never(format!(
            "{shown} is part of a Redis Cluster, which tables cannot follow yet: name a server \
             without cluster mode"
        ))
    }

    /// The server is a replica, where nobody knows how old answers are, and somebody wants to know.
    pub(super) fn replica(shown: &str) -> Trouble {
        Trouble::never(format!(
            "{shown} is a replica, so that nobody knows how old its answers are, as on_stale = \
             \"pause\" and \"reject\" must: name the primary, or set on_stale = \"serve\""
        ))
    }

    /// An answer that no server should give; a new connection may do better.
    pub(super) fn nonsense(shown: &str, command: &str) -> Trouble {
        Trouble::later(format!("{shown} gave an answer to {command} that makes no sense"))
    }
}

/// What a server says of itself that passes with time.
fn passes(kind: ServerErrorKind) -> Option<&'static str> {
    match kind {
        ServerErrorKind::BusyLoading => Some("is still loading its own data"),
        ServerErrorKind::MasterDown => Some(
            "is a replica that has lost its primary and does not answer until it has found it \
             (replica-serve-stale-data no): name the primary",
        ),
        ServerErrorKind::ReadOnly => Some("is a read-only replica: name the primary"),
        ServerErrorKind::TryAgain => Some("asks to try again"),
        _ => None,
    }
}

fn is_cluster(kind: ServerErrorKind) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, CrossSlot, Moved};
    matches!(kind, Moved | Ask | CrossSlot | ClusterDown)
}

/// Errors without a code of their own that will be the same tomorrow.
fn is_hopeless(error: &RedisError) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    ["switch database", "unknown command", "unknown subcommand", "syntax error"]
        .iter()
        .any(|it| text.contains(it))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const SHOWN: &str = "redis://:***@host:6379/0";

    fn server(code: &str, detail: &str) -> RedisError {
        ::redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    #[test]
    fn what_only_a_person_can_mend_is_told_apart() {
        let wrong = Trouble::of(&server("WRONGPASS", "invalid username-password pair"), SHOWN);
        assert!(!wrong.heals);
        assert!(wrong.sentence.starts_with("redis://:***@host:6379/0 refused the user name"));
        assert!(!Trouble::of(&server("NOAUTH", "HELLO must be called …"), SHOWN).heals);
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let refused = Trouble::of(&refused, SHOWN);
        assert!(refused.heals);
        assert!(refused.sentence.ends_with("is a server running there?"), "{}", refused.sentence);
        let timeout = RedisError::from(io::Error::from(io::ErrorKind::WouldBlock));
        assert!(Trouble::of(&timeout, SHOWN).sentence.ends_with("did not answer in time"));
    }

    #[test]
    fn a_cluster_and_a_missing_database_are_named() {
        let kind = ErrorKind::Server(ServerErrorKind::Moved);
        let moved = Trouble::of(&RedisError::from((kind, "An error was signalled")), SHOWN);
        assert!(!moved.heals && moved.sentence.contains("Redis Cluster"), "{moved:?}");
        let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
        let text = "Redis server refused to switch database";
        assert!(!Trouble::of(&RedisError::from((kind, text)), SHOWN).heals);
        assert!(Trouble::of(&RedisError::from((kind, "Something else")), SHOWN).heals);
    }
}

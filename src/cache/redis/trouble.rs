//! What can go wrong with Redis, in words, and whether waiting can mend it.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

const COMMANDS: &str = "hello, ping, select, client|tracking, scan, mget, type and dbsize";

/// One trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// A sentence that names the server and, where there is one, the way out.
    pub(super) sentence: String,
    /// False if only a person can mend it: then the first load fails at once.
    pub(super) heals: bool,
}

impl Trouble {
    /// Puts an error of the server at `shown` (its URL as it may be printed) into words.
    pub(super) fn of(error: &RedisError, shown: &str) -> Trouble {
        let never = |sentence| Trouble { sentence, heals: false };
        let later = |sentence| Trouble { sentence, heals: true };
        let detail = error.detail().unwrap_or_default();
        match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
                never(format!(
                    "{shown} refused the user name or password ({error}): correct them in the URL"
                ))
            }
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => never(format!(
                "{shown} does not let this user do what a table needs ({detail}): allow {COMMANDS}"
            )),
            (ErrorKind::RESP3NotSupported, _) => never(format!(
                "{shown} does not speak RESP3: tables need Redis 6 or later, or Valkey"
            )),
            (ErrorKind::Server(kind), _) if is_cluster(kind) => never(format!(
                "{shown} is part of a Redis Cluster ({error}), which tables cannot follow yet: \
                 name a server without cluster mode"
            )),
            (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
                later(format!("{shown} is still loading its own data"))
            }
            (ErrorKind::Server(ServerErrorKind::ResponseError), _) if is_hopeless(error) => never(
                format!("{shown} refused ({error}): correct the URL, or use Redis 6 or later"),
            ),
            _ if error.is_timeout() => later(format!("{shown} did not answer in time")),
            _ if error.is_connection_refusal() => {
                later(format!("{shown} refused the connection: is a server running there?"))
            }
            _ if error.is_connection_dropped() => later(format!("{shown} closed the connection")),
            _ => later(format!("{shown}: {error}")),
        }
    }

    /// An answer that no server should give; a new connection may do better.
    pub(super) fn nonsense(shown: &str, command: &str) -> Trouble {
        let sentence = format!("{shown} gave an answer to {command} that makes no sense");
        Trouble { sentence, heals: true }
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

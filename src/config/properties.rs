//! Which librdkafka properties a user may set, and why not the others.
//!
//! Hotspur promises things about offsets, order and latency; a property that would break a promise
//! is refused with the reason, at its own line. Values are checked against `librdkafka`'s table.

use super::librdkafka::{self, Scope, Takes};

/// What is wrong with a property, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// What Hotspur allows for a property that it owns.
#[derive(Clone, Copy)]
enum Allowed {
    /// Nothing.
    Nothing,
    /// Only these values, in lower case: they say what happens anyway.
    Only(&'static [&'static str]),
    /// Whole numbers up to.
    UpTo(i64),
}

use Allowed::{Nothing, Only, UpTo};

const COMMITS: &str = "Hotspur commits offsets itself, after the results are acknowledged";
const GROUPS: &str = "Hotspur runs its group by the classic protocol, cooperatively";
const ORDER: &str = "order and loss of nothing rest on an idempotent producer that waits for all \
                     replicas and never gives up";
const TRANSACTIONS: &str =
    "transactions follow from `guarantee` and `transaction_timeout` of [delivery]";
const LINGER: &str = "librdkafka rounds a fraction up to a whole millisecond: 0.1 costs 1.1 ms";

/// Properties that Hotspur owns: name, what is allowed, why.
const OWNED: &[(&str, Allowed, &str)] = &[
    ("bootstrap.servers", Nothing, "it is the key `brokers`"),
    ("metadata.broker.list", Nothing, "it is the key `brokers`"),
    ("group.id", Nothing, "it is the key `group` of [source.kafka]"),
    ("enable.auto.commit", Only(&["false"]), COMMITS),
    ("auto.commit.enable", Only(&["false"]), COMMITS),
    ("auto.commit.interval.ms", Nothing, "it is the key `commit_interval` of [delivery]"),
    ("enable.auto.offset.store", Only(&["false"]), COMMITS),
    ("offset.store.method", Only(&["broker"]), COMMITS),
    ("offset.store.path", Nothing, COMMITS),
    ("offset.store.sync.interval.ms", Nothing, COMMITS),
    ("auto.offset.reset", Only(&["error"]), "it is the key `start` of [source.kafka]"),
    ("enable.partition.eof", Only(&["false"]), "nothing here waits for the end of a partition"),
    ("partition.assignment.strategy", Only(&["cooperative-sticky"]), GROUPS),
    ("group.protocol", Only(&["classic"]), GROUPS),
    ("group.protocol.type", Only(&["consumer"]), GROUPS),
    ("group.remote.assignor", Nothing, GROUPS),
    ("isolation.level", Only(&["read_committed"]), "results of aborted transactions never count"),
    ("consume.callback.max.messages", Nothing, "there are no callbacks"),
    ("fetch.wait.max.ms", UpTo(999), "from 1000 on librdkafka lets other requests wait behind it"),
    ("acks", Only(&["all", "-1"]), ORDER),
    ("request.required.acks", Only(&["all", "-1"]), ORDER),
    ("enable.idempotence", Only(&["true"]), ORDER),
    ("enable.gapless.guarantee", Only(&["false"]), "it is experimental and ends the producer"),
    ("message.timeout.ms", Only(&["0"]), ORDER),
    ("delivery.timeout.ms", Only(&["0"]), ORDER),
    ("message.send.max.retries", Only(&["2147483647"]), ORDER),
    ("retries", Only(&["2147483647"]), ORDER),
    ("max.in.flight", UpTo(5), "an idempotent producer has five requests in flight at most"),
    (
        "max.in.flight.requests.per.connection",
        UpTo(5),
        "an idempotent producer has five requests in flight at most",
    ),
    ("queuing.strategy", Only(&["fifo"]), ORDER),
    ("transactional.id", Nothing, TRANSACTIONS),
    ("transaction.timeout.ms", Nothing, TRANSACTIONS),
    ("delivery.report.only.error", Only(&["false"]), "offsets move by the reports of success"),
    ("statistics.interval.ms", Only(&["5000"]), "the source's lag is read from its statistics"),
    ("enabled_events", Nothing, "Hotspur chooses the events that it serves"),
    ("log.queue", Only(&["true"]), "logs are served away from the hot thread"),
    ("internal.termination.signal", Nothing, "signals are Hotspur's"),
    ("plugin.library.paths", Nothing, "a configuration file loads no code"),
    ("test.mock.num.brokers", Nothing, "the embedded broker is for `hotspur demo`"),
    ("builtin.features", Nothing, "it only tells what the library was built with"),
];

/// Checks one property that stands under a client of that kind.
pub(crate) fn check(name: &str, value: &str, section: Scope) -> Result<(), Refused> {
    if let Some((_, allowed, reason)) = OWNED.iter().find(|(owned, ..)| *owned == name) {
        return check_owned(name, value, *allowed, reason);
    }
    let Some(property) = librdkafka::find(name) else { return Err(unknown(name)) };
    check_scope(name, property.scope, section)?;
    if matches!(name, "linger.ms" | "queue.buffering.max.ms") {
        return check_linger(value);
    }
    check_value(name, value, property.takes)
}

fn check_owned(name: &str, value: &str, allowed: Allowed, reason: &str) -> Result<(), Refused> {
    let is_allowed = match allowed {
        Nothing => false,
        Only(values) => values.contains(&value.to_lowercase().as_str()),
        UpTo(most) => value.parse::<i64>().is_ok_and(|number| (0..=most).contains(&number)),
    };
    if is_allowed {
        let takes = librdkafka::find(name).map_or(Takes::Text, |property| property.takes);
        return check_value(name, &value.to_lowercase(), takes);
    }
    let (message, hint) = match allowed {
        Nothing => (format!("\"{name}\" is Hotspur's own: {reason}"), "take it out".to_owned()),
        Only(values) => (
            format!("\"{name}\" is Hotspur's own and cannot be \"{value}\": {reason}"),
            format!("take it out; it is {}", values[0]),
        ),
        UpTo(most) => (
            format!("\"{name}\" cannot be \"{value}\": {reason}"),
            format!("a whole number up to {most}"),
        ),
    };
    Err(Refused { message, hint: Some(hint) })
}

fn unknown(name: &str) -> Refused {
    let names = librdkafka::PROPERTIES.iter().map(|property| property.name);
    Refused {
        message: format!("librdkafka has no property \"{name}\" that a file can set"),
        hint: super::hints::did_you_mean(name, names),
    }
}

fn check_scope(name: &str, scope: Scope, section: Scope) -> Result<(), Refused> {
    let (concerns, place) = match (scope, section) {
        (Scope::Consumer, Scope::Producer) => ("consumers", "[source.kafka.properties]"),
        (Scope::Producer, Scope::Consumer) => ("producers", "[sink.kafka.properties]"),
        _ => return Ok(()),
    };
    let message = format!("\"{name}\" concerns {concerns} only and would do nothing here");
    Err(Refused { message, hint: Some(format!("it belongs in {place} or [kafka.properties]")) })
}

fn check_linger(value: &str) -> Result<(), Refused> {
    let milliseconds = value.parse::<f64>().ok().filter(|it| (0.0..=900_000.0).contains(it));
    let message = match milliseconds {
        None => format!("\"{value}\" is no number of milliseconds from 0 to 900000"),
        Some(it) if it.fract() != 0.0 => format!("linger.ms cannot be {value}: {LINGER}"),
        Some(_) => return Ok(()),
    };
    Err(Refused { message, hint: Some("0, or whole milliseconds".to_owned()) })
}

fn check_value(name: &str, value: &str, takes: Takes) -> Result<(), Refused> {
    let expected = match takes {
        Takes::Text => return Ok(()),
        Takes::Boolean => {
            if matches!(value, "true" | "false") {
                return Ok(());
            }
            "true or false".to_owned()
        }
        Takes::Integer(from, to) => {
            if value.parse::<i64>().is_ok_and(|number| (from..=to).contains(&number)) {
                return Ok(());
            }
            format!("a whole number from {from} to {to}")
        }
        Takes::Words(words) => {
            if words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
                return Ok(());
            }
            format!("one of {}", words.join(", "))
        }
    };
    Err(Refused { message: format!("\"{name}\" takes {expected}, not \"{value}\""), hint: None })
}

/// Whether a property of `[kafka]` goes to a client of that kind.
pub(crate) fn concerns(name: &str, client: Scope) -> bool {
    librdkafka::find(name).is_none_or(|it| it.scope == Scope::Both || it.scope == client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, value: &str, section: Scope) -> Option<String> {
        check(name, value, section).err().map(|refused| refused.message)
    }

    #[test]
    fn owned_properties_are_refused_with_the_reason() {
        for (name, allowed, reason) in OWNED {
            let refused = message(name, "no such value", Scope::Both).unwrap();
            assert!(refused.contains(name) && refused.contains(reason), "{refused}");
            if let Only(values) = allowed {
                assert_eq!(message(name, values[0], Scope::Both), None, "{name}");
            }
        }
    }

    #[test]
    fn linger_is_whole_milliseconds() {
        assert!(message("linger.ms", "0.1", Scope::Both).unwrap().contains("1.1 ms"));
        assert_eq!(message("linger.ms", "0", Scope::Both), None);
        assert_eq!(message("linger.ms", "2", Scope::Producer), None);
        assert_eq!(message("linger.ms", "0.0", Scope::Producer), None);
        assert!(message("linger.ms", "-1", Scope::Producer).is_some());
    }

    #[test]
    fn values_scopes_and_names_are_checked() {
        assert!(message("fetch.wait.max.ms", "1000", Scope::Consumer).unwrap().contains("1000"));
        assert_eq!(message("fetch.wait.max.ms", "999", Scope::Consumer), None);
        assert!(message("fetch.min.bytes", "0", Scope::Consumer).unwrap().contains("from 1 to"));
        assert!(message("fetch.min.bytes", "1", Scope::Producer).unwrap().contains("consumers"));
        assert!(message("check.crcs", "yes", Scope::Consumer).unwrap().contains("true or false"));
        assert_eq!(message("security.protocol", "SASL_SSL", Scope::Both), None);
        let refused = check("fetch.min.byte", "1", Scope::Both).unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("did you mean \"fetch.min.bytes\"?"));
    }
}

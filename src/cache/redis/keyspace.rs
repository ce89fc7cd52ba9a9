//! What a server says of itself and of its database: role, number of keys, keys that expire.
//!
//! Some of it may be refused, by an access list or a proxy, and is then taken for what costs or
//! promises least, except the right to ask for a time to live, without which keys would outlive it.

use ::redis::{Pipeline, Value};

use super::{
    link::{self, bytes},
    trouble::Trouble,
};

/// Writes the command that asks for the role. Over RESP3 it is one that the connection needed.
pub(super) fn ask_role(is_tracked: bool, commands: &mut Pipeline) {
    if is_tracked {
        commands.cmd("HELLO").arg(3);
    } else {
        commands.cmd("ROLE");
    }
}

/// True if the server follows another. A server that does not tell is thought to follow none.
pub(super) fn is_replica(reply: Value, shown: &str) -> Result<bool, Trouble> {
    match reply {
        Value::Map(pairs) => {
            let mut is_replica = false;
            for (name, value) in pairs {
                match (&*bytes(name).unwrap_or_default(), bytes(value)) {
                    (b"mode", Some(mode)) if mode == b"cluster" => {
                        return Err(Trouble::cluster(shown));
                    }
                    (b"role", Some(role)) => is_replica = role != b"master",
                    _ => {}
                }
            }
            Ok(is_replica)
        }
        Value::Array(parts) => {
            let role = parts.into_iter().next().and_then(bytes);
            Ok(role.is_some_and(|role| role == b"slave"))
        }
        _ => Ok(false),
    }
}

/// The answer to `DBSIZE`; zero if it was refused.
pub(super) fn total(reply: &Value) -> u64 {
    match reply {
        Value::Int(number) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}

/// The answer to `TYPE` of a key that `MGET` did not find: true unless it is gone, or a string
/// that was made in between.
pub(super) fn is_foreign(reply: Value) -> bool {
    bytes(reply).is_some_and(|kind| kind != b"none" && kind != b"string")
}

/// The answer to `INFO keyspace`: may the database have keys that expire?
pub(super) fn has_expiring(reply: Value, database: i64) -> bool {
    let Some(text) = link::bytes(reply).and_then(|it| String::from_utf8(it).ok()) else {
        return true;
    };
    let head = format!("db{database}:");
    let Some(counts) = text.lines().find_map(|line| line.strip_prefix(&head)) else {
        // A database without keys has no line; a text without a title is no answer.
        return !text.contains("# Keyspace");
    };
    let expires = counts.split(',').find_map(|it| it.trim().strip_prefix("expires="));
    expires != Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn keys_that_expire_are_counted_by_database() {
        let reply = "# Keyspace\r\ndb0:keys=7,expires=0,avg_ttl=0\r\ndb3:keys=1,expires=1\r\n";
        assert!(!has_expiring(text(reply), 0));
        assert!(has_expiring(text(reply), 3));
        assert!(!has_expiring(text(reply), 1));
        assert!(has_expiring(text(""), 0));
        assert!(has_expiring(Value::Nil, 0));
    }

    #[test]
    fn a_role_is_told_in_two_ways_or_not_at_all() {
        let role = |reply| is_replica(reply, "SHOWN").unwrap();
        let hello = |role: &str| Value::Map(vec![(text("role"), text(role))]);
        assert!(!role(hello("master")));
        assert!(role(hello("replica")) && role(hello("slave")));
        assert!(role(Value::Array(vec![text("slave"), text("host"), Value::Int(1)])));
        assert!(!role(Value::Array(vec![text("master"), Value::Int(0)])));
        assert!(!role(Value::Nil));
        let cluster = Value::Map(vec![(text("mode"), text("cluster"))]);
        assert!(is_replica(cluster, "SHOWN").unwrap_err().sentence.contains("Redis Cluster"));
    }
}

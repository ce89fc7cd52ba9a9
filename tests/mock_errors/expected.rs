//! What each error has to come to, by the request that it answers.
//!
//! What is not named heals: librdkafka or the engine asks again. A source that only an operator can
//! help (credentials, rights, names, settings) ends the run. Of a write, the broker's word counts:
//! what it would take later is sent again, what is not to be mended by waiting becomes a dead
//! letter. A transaction that fails is taken back, and its producer replaced where it has to be,
//! but not for ever where the broker says again and again that another has its name.

use super::{Form, Target};

/// What a case comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The run goes on and delivers everything.
    Heals,
    /// The run goes on; what the broker would not take is dead-lettered, or, of a divided batch,
    /// taken the second time. Where it does not take the letter either, the run ends.
    Refused,
    /// The run ends with a sentence, and one without the error does the rest.
    Ends,
    /// One of the two: a fetch that fails once can be asked again before anybody heard of it, and a
    /// commit whose answer takes its time can fail when all is done and the run ends anyway.
    MayEnd,
    /// As it heals, but the broker says that it has what it never wrote.
    Untrue,
}

/// Nothing that time mends.
const NEVER_HEALS: [&str; 15] = [
    "CLUSTER_AUTHORIZATION_FAILED",
    "FENCED_INSTANCE_ID",
    "GROUP_AUTHORIZATION_FAILED",
    "GROUP_MAX_SIZE_REACHED",
    "ILLEGAL_SASL_STATE",
    "INCONSISTENT_GROUP_PROTOCOL",
    "INVALID_GROUP_ID",
    "INVALID_SESSION_TIMEOUT",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "TOPIC_EXCEPTION",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "UNKNOWN_TOPIC_OR_PART",
    "UNSUPPORTED_SASL_MECHANISM",
    "UNSUPPORTED_VERSION",
];

/// Writes that are tried again until they are taken.
const WRITTEN_LATER: [&str; 15] = [
    "BROKER_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "INVALID_MSG",
    "KAFKA_STORAGE_ERROR",
    "LEADER_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "NOT_LEADER_FOR_PARTITION",
    "REPLICA_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
    "UNKNOWN_TOPIC_OR_PART",
    "_TIMED_OUT",
    "_TRANSPORT",
];

/// Writes after which this producer can write no more.
const PRODUCER_ENDS: [&str; 5] = [
    "INVALID_PRODUCER_EPOCH",
    "INVALID_REQUIRED_ACKS",
    "INVALID_TRANSACTION_TIMEOUT",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "PRODUCER_FENCED",
];

/// By the request, the error's name, and how it comes.
pub(crate) fn of(target: Target, name: &str, form: Form) -> Expected {
    let never_heals = NEVER_HEALS.contains(&name);
    match target {
        Target::Produce if WRITTEN_LATER.contains(&name) => Expected::Heals,
        Target::Produce if name == "INVALID_TRANSACTION_TIMEOUT" => Expected::Refused,
        Target::Produce if never_heals || PRODUCER_ENDS.contains(&name) => Expected::Ends,
        Target::Produce if matches!(name, "DUPLICATE_SEQUENCE_NUMBER" | "UNKNOWN_PRODUCER_ID") => {
            Expected::Untrue
        }
        Target::Produce => Expected::Refused,
        // The topic may be made again: the group is asked who leads.
        Target::Fetch | Target::OffsetCommit if name == "UNKNOWN_TOPIC_OR_PART" => Expected::Heals,
        Target::Fetch if never_heals => Expected::MayEnd,
        Target::OffsetCommit if never_heals && form == Form::Slowly => Expected::MayEnd,
        Target::OffsetCommit | Target::JoinGroup | Target::FindCoordinator if never_heals => {
            Expected::Ends
        }
        _ if target.is_of_transactions() && (never_heals || PRODUCER_ENDS.contains(&name)) => {
            Expected::MayEnd
        }
        _ => Expected::Heals,
    }
}

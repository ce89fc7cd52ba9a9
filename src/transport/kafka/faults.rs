//! What librdkafka's error codes mean to us: their names, whether waiting helps, whose fault it is.
//!
//! A code that is not listed here heals: an engine that keeps trying and says so is better than
//! one that gives up over something new. What is listed as never healing ends the run, so the list
//! holds only what an operator has to change: credentials, permissions, names, configuration.

use std::{mem, ptr};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::native::{Event, PartitionEntry, text_at};
use crate::{
    transport::{Refusal, Trouble},
    verdict::Sentence,
};

/// The error's name, such as `_ALL_BROKERS_DOWN`.
pub(super) fn name_of(code: Code) -> &'static str {
    let (mut table, mut len) = (ptr::null(), 0);
    // SAFETY: librdkafka writes the address and the length of a table that lives for ever; an
    // index below the length is inside it, and its texts are literals.
    unsafe {
        rd::rd_kafka_get_err_descs(&mut table, &mut len);
        let first = Code::RD_KAFKA_RESP_ERR__BEGIN as i32;
        match usize::try_from(code as i32 - first) {
            Ok(index) if index < len && !(*table.add(index)).desc.is_null() => {
                let name = text_at((*table.add(index)).name);
                if name.is_empty() { "UNKNOWN" } else { name }
            }
            _ => "UNKNOWN",
        }
    }
}

/// What the code says, in librdkafka's words.
pub(super) fn text_of(code: Code) -> &'static str {
    // SAFETY: a code of the enumeration is described by a literal.
    unsafe { text_at(rd::rd_kafka_err2str(code)) }
}

/// False if waiting will not help.
pub(super) fn heals(code: Code) -> bool {
    use Code::*;
    !matches!(
        code,
        RD_KAFKA_RESP_ERR__AUTHENTICATION
            | RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
            | RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM
            | RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE
            | RD_KAFKA_RESP_ERR__SSL
            | RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
            | RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
            | RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
            | RD_KAFKA_RESP_ERR_INVALID_GROUP_ID
            | RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL
            | RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
            | RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED
            | RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT
            | RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
            | RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE
            | RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
            | RD_KAFKA_RESP_ERR__INVALID_ARG
            | RD_KAFKA_RESP_ERR__FATAL
    )
}

/// The way out, where there is one that can be said without knowing the configuration.
fn way_out(code: Code) -> &'static str {
    use Code::*;
    match code {
        RD_KAFKA_RESP_ERR__AUTHENTICATION
        | RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        | RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM => " (check the sasl.* properties)",
        RD_KAFKA_RESP_ERR__SSL => " (check security.protocol and the ssl.* properties)",
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => {
            " (`hotspur check --connect --create` makes missing topics)"
        }
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => " (grant it to this user)",
        RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET => {
            " (source.kafka.on_gap = \"continue\" goes on behind the gap)"
        }
        _ => "",
    }
}

/// Trouble with a peer.
pub(super) fn trouble(peer: &'static str, code: Code, text: &str) -> Trouble {
    let text = match code {
        // librdkafka's is "0/2 brokers are down", which counts what nobody asked for.
        Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN => "no broker can be reached",
        code if text.is_empty() => text_of(code),
        _ => text,
    };
    Trouble {
        peer,
        code: name_of(code),
        text: Sentence::format(format_args!("{text}{}", way_out(code))),
        heals: heals(code),
    }
}

/// Trouble that an error event tells of.
pub(super) fn trouble_of(peer: &'static str, event: &Event) -> Trouble {
    let trouble = trouble(peer, event.code(), event.text());
    Trouble { heals: trouble.heals && !event.is_fatal(), ..trouble }
}

/// Why a commit failed: all of it, or that one partition's part.
pub(super) fn commit_trouble(
    peer: &'static str,
    code: Code,
    entry: Option<&PartitionEntry>,
) -> Trouble {
    let text = text_of(code);
    let text = match entry {
        Some(it) => {
            let (topic, number) = (it.topic().to_str().unwrap_or_default(), it.partition());
            Sentence::format(format_args!("committing {topic}[{number}]: {text}"))
        }
        None => Sentence::format(format_args!("committing: {text}")),
    };
    trouble(peer, code, text.as_str())
}

/// Why one result was refused.
pub(super) fn refusal(code: Code) -> Refusal {
    use Code::*;
    let too_large = matches!(
        code,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE | RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
    );
    let fatal = matches!(
        code,
        RD_KAFKA_RESP_ERR__FATAL
            | RD_KAFKA_RESP_ERR__FENCED
            | RD_KAFKA_RESP_ERR__PURGE_QUEUE
            | RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
            | RD_KAFKA_RESP_ERR__DESTROY
            | RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER
            | RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID
            | RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
            | RD_KAFKA_RESP_ERR_PRODUCER_FENCED
            | RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS
    ) || (!heals(code) && code != RD_KAFKA_RESP_ERR__INVALID_ARG);
    Refusal { code: name_of(code), too_large, fatal }
}

/// True where a commit failed because the group has moved on without this member.
pub(super) fn is_generational(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID
            | RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
            | RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
    )
}

const _: () = assert!(mem::size_of::<Code>() == mem::size_of::<i32>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_librdkafkas_names() {
        assert_eq!(name_of(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN), "_ALL_BROKERS_DOWN");
        assert_eq!(name_of(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), "MSG_SIZE_TOO_LARGE");
        assert_eq!(name_of(Code::RD_KAFKA_RESP_ERR_NO_ERROR), "NO_ERROR");
    }

    #[test]
    fn what_heals_and_what_never_will() {
        for code in [
            Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            Code::RD_KAFKA_RESP_ERR__RESOLVE,
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ] {
            assert!(heals(code), "{}", name_of(code));
        }
        for code in [
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION,
            Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        ] {
            assert!(!heals(code), "{}", name_of(code));
            assert!(refusal(code).fatal);
        }
    }

    #[test]
    fn brokers_that_are_all_away_are_not_counted() {
        let code = Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
        let trouble = trouble("sink", code, "0/2 brokers are down");
        assert_eq!(trouble.text.as_str(), "no broker can be reached");
    }

    #[test]
    fn a_refusal_says_whose_fault_it_is() {
        let large = refusal(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        assert!(large.too_large && !large.fatal);
        let fenced = refusal(Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
        assert!(fenced.fatal && !fenced.too_large);
        assert!(!refusal(Code::RD_KAFKA_RESP_ERR_INVALID_RECORD).fatal);
    }
}

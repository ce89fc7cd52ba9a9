//! What librdkafka's error codes mean to us: their names, whether waiting helps, whose fault it is.
//!
//! A code that is not listed here heals: an engine that keeps trying and says so is better than
//! one that gives up over something new. What is listed as never healing ends the run, so the list
//! holds only what an operator has to change: credentials, permissions, names, configuration.

use std::{mem, ptr};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{native::text_at, rights::Right};
use crate::{
    limits::SENTENCE_BYTES,
    transport::{Refusal, Trouble},
    verdict::Sentence,
};

/// The error's name, such as `_ALL_BROKERS_DOWN`.
pub(super) fn name_of(code: Code) -> &'static str {
    name_of_number(code as i32)
}

/// The name of the error of that number; `UNKNOWN` if there is none.
pub(super) fn name_of_number(number: i32) -> &'static str {
    let (mut table, mut len) = (ptr::null(), 0);
    // SAFETY: librdkafka writes the address and the length of a table that lives for ever; an
    // index below the length is inside it, and its texts are literals.
    unsafe {
        rd::rd_kafka_get_err_descs(&mut table, &mut len);
        let first = Code::RD_KAFKA_RESP_ERR__BEGIN as i32;
        match usize::try_from(number - first) {
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

const CHECK_TLS: &str = " (check security.protocol and the ssl.* properties)";

/// What librdkafka says where a connection under TLS breaks by itself.
const BROKEN_TLS: &str = "SSL transport error";

/// The way out, where there is one that can be said without knowing the configuration.
fn way_out(right: Right, code: Code, text: &str) -> Sentence {
    use Code::*;
    Sentence::from(match code {
        _ if refuses_certificate(text) => {
            " (the broker wants a client certificate that it trusts: see ssl.certificate.location \
             and ssl.key.location)"
        }
        RD_KAFKA_RESP_ERR__AUTHENTICATION
        | RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        | RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM => {
            " (check sasl.username, sasl.password and sasl.mechanisms)"
        }
        RD_KAFKA_RESP_ERR__SSL if text.contains(VERIFY_FAILED) => {
            " (ssl.ca.location must hold the authority that signed it, and `brokers` be names that \
             stand in it)"
        }
        RD_KAFKA_RESP_ERR__SSL => CHECK_TLS,
        // A port that speaks no TLS hangs up on it. If that comes before the handshake was found to
        // fail, it looks like any broken connection.
        RD_KAFKA_RESP_ERR__TRANSPORT if text.contains(BROKEN_TLS) => CHECK_TLS,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => {
            " (`hotspur check --connect --create` makes missing topics)"
        }
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => {
            let name = right.name();
            return Sentence::format(format_args!(" (grant this user {name} on the topic)"));
        }
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => " (grant this user READ on the group)",
        RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            " (grant this user WRITE on the transactional id)"
        }
        // What a producer with sequence numbers needs: before Kafka 2.8 a right of its own.
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => {
            " (grant this user WRITE on the topics, or IDEMPOTENT_WRITE on the cluster)"
        }
        RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET => {
            " (source.kafka.on_gap = \"continue\", or --from, goes on behind the gap)"
        }
        _ => "",
    })
}

/// OpenSSL's words for a broker's certificate that does not fit.
const VERIFY_FAILED: &str = "certificate verify failed";

/// What OpenSSL writes before the number of an alert, which is the other side's complaint.
const ALERT: &str = "SSL alert number ";

/// Whether the broker hung up over the certificate of this client, or for want of one. With TLS 1.3
/// that comes after the handshake, which librdkafka takes for a broken connection.
fn refuses_certificate(text: &str) -> bool {
    let number = text.find(ALERT).map(|at| &text[at + ALERT.len()..]);
    let digits = number.map(|it| it.split(|c: char| !c.is_ascii_digit()).next());
    // Bad, unsupported, revoked, expired, unknown; unknown authority; access denied; required.
    matches!(digits.flatten(), Some("42" | "43" | "44" | "45" | "46" | "48" | "49" | "116"))
}

/// Splits what only librdkafka's authors can use out of a text: OpenSSL's number and the name of
/// its library (`error:0A000086:SSL routines::`), and the time and state at the end. Of a
/// certificate that does not fit librdkafka says more, which `way_out` says better.
fn plain(text: &str) -> (&str, &str) {
    let text = text.rfind(" (after ").map_or(text, |at| &text[..at]);
    let end = text.find(VERIFY_FAILED).map(|at| at + VERIFY_FAILED.len());
    let text = &text[..end.unwrap_or(text.len())];
    let Some((before, from)) = text.find("error:0").map(|at| text.split_at(at)) else {
        return (text, "");
    };
    from.find("::").map_or((text, ""), |at| (before, &from[at + "::".len()..]))
}

/// So much of a text, cut at a character.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let is_end = |at: &usize| text.is_char_boundary(*at);
    &text[..(0..=bytes.min(text.len())).rev().find(is_end).unwrap_or(0)]
}

/// Trouble with a peer, which reads or writes.
pub(super) fn trouble(peer: &'static str, code: Code, text: &str) -> Trouble {
    trouble_with(peer, Right::of_peer(peer), code, text)
}

/// Trouble with something that a peer needs, in front of what the code says.
pub(super) fn unavailable(
    peer: &'static str,
    code: Code,
    what: std::fmt::Arguments<'_>,
) -> Trouble {
    let text = Sentence::format(format_args!("{what}: {}", text_of(code)));
    trouble(peer, code, text.as_str())
}

/// Trouble with a peer that needs this right. A text that is too long is cut before its way out.
pub(super) fn trouble_with(peer: &'static str, right: Right, code: Code, text: &str) -> Trouble {
    let text = match code {
        // librdkafka's is "0/2 brokers are down", which counts what nobody asked for.
        Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN => "no broker can be reached",
        code if text.is_empty() => text_of(code),
        _ => text,
    };
    let way_out = way_out(right, code, text);
    let (before, after) = plain(text);
    let whole = Sentence::format(format_args!("{before}{after}"));
    let text_cut = cut(whole.as_str(), SENTENCE_BYTES - way_out.as_str().len());
    Trouble {
        peer,
        code: name_of(code),
        text: Sentence::format(format_args!("{text_cut}{way_out}")),
        heals: heals(code) && !refuses_certificate(text),
    }
}

/// Whether a transaction that ended with this error can be taken back and the next one begun, by
/// this producer or another of its name.
pub(super) fn is_mended_by_abort(code: Code) -> bool {
    use Code::*;
    heals(code) || matches!(code, RD_KAFKA_RESP_ERR__FATAL | RD_KAFKA_RESP_ERR__STATE)
}

/// Whether a broker refuses a result, or its batch, for what it says.
pub(super) fn is_about_content(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            | RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
            | RD_KAFKA_RESP_ERR_INVALID_RECORD
            | RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
            | RD_KAFKA_RESP_ERR_INVALID_MSG
            | RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE
    )
}

/// Whether the client itself refuses a result before it is part of anything.
pub(super) fn is_of_the_call(code: Code) -> bool {
    use Code::*;
    let is_local =
        matches!(code, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION | RD_KAFKA_RESP_ERR__INVALID_ARG);
    is_local || is_about_content(code)
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
    let is_about_content = is_about_content(code);
    Refusal { code: name_of(code), too_large, fatal, aborts: false, is_about_content }
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
    fn a_port_that_hangs_up_on_tls_is_hinted_at_however_it_is_noticed() {
        let hung_up = "ssl://127.0.0.1:30662/bootstrap: Send failed: SSL transport error: Broken \
            pipe (after 3ms in state SSL_HANDSHAKE)";
        for code in [Code::RD_KAFKA_RESP_ERR__TRANSPORT, Code::RD_KAFKA_RESP_ERR__SSL] {
            let text = trouble("source", code, hung_up).text;
            assert!(text.as_str().contains("check security.protocol"), "{}", text.as_str());
        }
        let plain = "127.0.0.1:30662/bootstrap: Connect to ipv4#127.0.0.1:30662 failed: refused";
        let text = trouble("source", Code::RD_KAFKA_RESP_ERR__TRANSPORT, plain).text;
        assert!(!text.as_str().contains("security.protocol"), "{}", text.as_str());
    }

    /// What librdkafka says about a certificate that no known authority has signed.
    const UNTRUSTED: &str = "ssl://127.0.0.1:23011/bootstrap: SSL handshake failed: \
        error:0A000086:SSL routines::certificate verify failed: broker certificate could not be \
        verified, verify that ssl.ca.location is correctly configured or root CA certificates are \
        installed (install ca-certificates package) (after 2ms in state SSL_HANDSHAKE)";

    /// What it says after the handshake, where the broker wanted a certificate of ours.
    const UNKNOWN: &str = "ssl://127.0.0.1:23012/bootstrap: Receive failed: error:0A000412:SSL \
        routines::sslv3 alert bad certificate: SSL alert number 42 (after 0ms in state \
        APIVERSION_QUERY, 1 identical error(s) suppressed)";

    #[test]
    fn a_sentence_keeps_its_way_out_and_loses_what_no_operator_can_use() {
        let told = trouble("source", Code::RD_KAFKA_RESP_ERR__SSL, UNTRUSTED).text;
        let expected = "ssl://127.0.0.1:23011/bootstrap: SSL handshake failed: certificate verify \
                        failed (ssl.ca.location must hold";
        assert!(told.as_str().starts_with(expected), "{told}");
        assert!(told.as_str().ends_with("stand in it)"), "{told}");
        let long = format!("sasl_ssl://{}.example.com:9094/bootstrap", "ü".repeat(120));
        let told = trouble("source", Code::RD_KAFKA_RESP_ERR__AUTHENTICATION, &long).text;
        assert!(told.as_str().starts_with("sasl_ssl://üü"), "{told}");
        assert!(told.as_str().ends_with(" and sasl.mechanisms)"), "{told}");
        let text = "[::1]:9092: SASL authentication error: invalid credentials";
        let told = trouble("sink", Code::RD_KAFKA_RESP_ERR__TRANSPORT, text).text;
        assert_eq!(told.as_str(), text);
    }

    #[test]
    fn a_client_certificate_that_is_refused_never_heals() {
        let told = trouble("source", Code::RD_KAFKA_RESP_ERR__TRANSPORT, UNKNOWN);
        assert!(!told.heals);
        assert!(told.text.as_str().contains("ssl.certificate.location"), "{}", told.text);
        let closed = UNKNOWN.replace("number 42", "number 0");
        assert!(trouble("source", Code::RD_KAFKA_RESP_ERR__TRANSPORT, &closed).heals);
    }

    #[test]
    fn a_right_that_is_missing_is_the_one_that_the_peer_needs() {
        let code = Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        for (peer, right) in [("source", "READ"), ("sink", "WRITE"), ("dead_letters", "WRITE")] {
            let told = trouble(peer, code, "topic \"t\"").text;
            let expected = format!("topic \"t\" (grant this user {right} on the topic)");
            assert_eq!(told.as_str(), expected);
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

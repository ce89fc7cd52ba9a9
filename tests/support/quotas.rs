//! Quotas in a Kafka: one request of its protocol, which the client library lacks.

use super::rights::{ask, length, push_text};

/// `AlterClientQuotas`, in the version without tagged fields.
const REQUEST: (i16, i16) = (49, 0);

/// Lets clients of that `client.id` write so many bytes a second at the Kafka at that address.
pub(super) fn limit_writing(address: &str, client: &str, bytes_per_second: f64) {
    let mut request = Vec::new();
    request.extend(REQUEST.0.to_be_bytes());
    request.extend(REQUEST.1.to_be_bytes());
    request.extend(0i32.to_be_bytes());
    push_text(&mut request, "hotspur-tests");
    // One entry with one part, one change in it, and it is meant.
    request.extend(length(1).to_be_bytes());
    request.extend(length(1).to_be_bytes());
    push_text(&mut request, "client-id");
    push_text(&mut request, client);
    request.extend(length(1).to_be_bytes());
    push_text(&mut request, "producer_byte_rate");
    request.extend(bytes_per_second.to_be_bytes());
    request.extend([0, 0]);
    let answer = ask(address, &request);
    // The request's number, the throttle time and how many entries; then the error.
    let error = i16::from_be_bytes([answer[12], answer[13]]);
    assert_eq!(error, 0, "the quota was not set: {answer:?}");
}

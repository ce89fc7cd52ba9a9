//! Asks a broker about one topic, and waits for the answer. Not for the hot thread.

use std::{ptr, sync::Arc, time::Duration};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    client::Client,
    native::{OK, Topic, millis},
};

/// How many partitions the topic has, or why that is not known.
pub(super) fn describe(
    client: &Arc<Client>,
    topic: &Topic,
    timeout: Duration,
) -> Result<i32, Code> {
    let mut metadata = ptr::null();
    // SAFETY: client and topic are live; on success the metadata is ours to read and destroy, and
    // holds the one topic that was asked for.
    unsafe {
        let (client, topic) = (client.handle(), topic.handle());
        match rd::rd_kafka_metadata(client, 0, topic, &mut metadata, millis(timeout)) {
            OK => {}
            code => return Err(code),
        }
        let result = match (*metadata).topic_cnt {
            1.. => {
                let topic = &*(*metadata).topics;
                if topic.err == OK { Ok(topic.partition_cnt) } else { Err(topic.err) }
            }
            _ => Err(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART),
        };
        rd::rd_kafka_metadata_destroy(metadata);
        result
    }
}

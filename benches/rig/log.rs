//! How many batches a partition's log holds: read from the broker, batch by batch.
//!
//! A client library hides batches, and its statistics count requests in ways of their own. The log
//! is the truth, and Kafka's protocol is simple enough to ask for it: one Fetch request after
//! another on a plain connection, of which only the batches' heads are looked at.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// Kafka's number of the request, and the oldest version that brokers still answer.
const FETCH: i16 = 1;
const FETCH_VERSION: i16 = 4;

const RESPONSE_BYTES_MAX: i32 = 8 << 20;

/// A batch's base offset and length; what follows is counted by that length.
const BATCH_PREFIX_BYTES: usize = 12;
/// Where a batch says how many records it spans, from its beginning.
const LAST_OFFSET_DELTA_AT: usize = 23;

/// What a log holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) records: u64,
    pub(crate) batches: u64,
}

impl Held {
    pub(crate) fn records_per_batch(&self) -> f64 {
        self.records as f64 / self.batches.max(1) as f64
    }
}

/// Counts partition 0 of a topic, up to the offset `end`.
pub(crate) fn count(address: &str, topic: &str, end: i64) -> io::Result<Held> {
    let mut broker = TcpStream::connect(address)?;
    let mut held = Held::default();
    let mut offset = 0;
    while offset < end {
        broker.write_all(&request(topic, offset))?;
        let mut size = [0; 4];
        broker.read_exact(&mut size)?;
        let mut response = vec![0; u32::from_be_bytes(size) as usize];
        broker.read_exact(&mut response)?;
        let records = records_of(&response, topic)?;
        let before = offset;
        count_batches(records, end, &mut offset, &mut held);
        if offset == before {
            return Err(io::Error::other(format!("no batch of {topic} at offset {offset}")));
        }
    }
    Ok(held)
}

fn request(topic: &str, offset: i64) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(FETCH.to_be_bytes());
    body.extend(FETCH_VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes()); // correlation
    push_text(&mut body, "hotspur-bench");
    body.extend((-1_i32).to_be_bytes()); // no replica
    body.extend(100_i32.to_be_bytes()); // wait, in ms
    body.extend(1_i32.to_be_bytes()); // bytes at least
    body.extend(RESPONSE_BYTES_MAX.to_be_bytes());
    body.push(0); // uncommitted records as well
    body.extend(1_i32.to_be_bytes()); // topics
    push_text(&mut body, topic);
    body.extend(1_i32.to_be_bytes()); // partitions
    body.extend(0_i32.to_be_bytes());
    body.extend(offset.to_be_bytes());
    body.extend(RESPONSE_BYTES_MAX.to_be_bytes());
    let mut request = (body.len() as u32).to_be_bytes().to_vec();
    request.extend(body);
    request
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}

/// The bytes of the batches in a response for one topic with one partition.
fn records_of<'a>(response: &'a [u8], topic: &str) -> io::Result<&'a [u8]> {
    // Correlation, throttle time, topics, the topic's name, partitions, the partition's number.
    let code_at = 4 + 4 + 4 + 2 + topic.len() + 4 + 4;
    let code = i16::from_be_bytes(at(response, code_at)?);
    if code != 0 {
        return Err(io::Error::other(format!("the broker answers error {code} for {topic}")));
    }
    // High watermark and last stable offset, then aborted transactions of 16 bytes each.
    let aborted_at = code_at + 2 + 8 + 8;
    let aborted = i32::from_be_bytes(at(response, aborted_at)?).max(0) as usize;
    let length_at = aborted_at + 4 + 16 * aborted;
    let length = i32::from_be_bytes(at(response, length_at)?).max(0) as usize;
    response.get(length_at + 4..length_at + 4 + length).ok_or_else(cut_off)
}

/// Counts whole batches; the last may be cut off and comes again with the next response.
fn count_batches(mut rest: &[u8], end: i64, offset: &mut i64, held: &mut Held) {
    while let (Ok(base), Ok(length)) = (at(rest, 0), at(rest, 8)) {
        let (base, length) = (i64::from_be_bytes(base), i32::from_be_bytes(length) as usize);
        let Ok(delta) = at(rest, LAST_OFFSET_DELTA_AT) else { return };
        let Some(next) = rest.get(BATCH_PREFIX_BYTES + length..) else { return };
        let last = base + i64::from(i32::from_be_bytes(delta));
        if last >= *offset && last < end {
            held.batches += 1;
            held.records += (last + 1 - base) as u64;
        }
        *offset = (*offset).max(last + 1);
        rest = next;
    }
}

fn at<const N: usize>(bytes: &[u8], place: usize) -> io::Result<[u8; N]> {
    let bytes = bytes.get(place..).and_then(|rest| rest.first_chunk::<N>());
    bytes.copied().ok_or_else(cut_off)
}

fn cut_off() -> io::Error {
    io::Error::other("the broker's answer is cut off")
}

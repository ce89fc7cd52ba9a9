//! The fields of an entry as the parts of a record.

use crate::{
    record::{ENTRY_ID, EXHAUSTED, Headers},
    transport::redis::{
        entry_id::{EntryId, ID_BYTES},
        resp::Items,
    },
};

/// The name of the field that is a record's key, beside the one that is its value.
const KEY_FIELD: &[u8] = b"key";

/// The record's own headers come first: those that only this program gives.
pub(super) fn write_headers(headers: &mut Vec<u8>, id: EntryId, exhausted: Option<u64>) {
    headers.clear();
    Headers::push(headers, ENTRY_ID, Some(id.write(&mut [0; ID_BYTES])));
    if let Some(deliveries) = exhausted {
        let mut digits = itoa::Buffer::new();
        Headers::push(headers, EXHAUSTED, Some(digits.format(deliveries).as_bytes()));
    }
}

/// Key and value of an entry of which one field is the value. What else it has goes to `headers`.
pub(super) fn split<'a>(
    mut items: Items<'a>,
    fields: usize,
    value_field: &[u8],
    headers: &mut Vec<u8>,
) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
    let (mut key, mut value) = (None, None);
    for _ in 0..fields / 2 {
        let (Some(name), Some(bytes)) = (items.bytes(), items.bytes()) else { break };
        if name == value_field && value.is_none() {
            value = Some(bytes);
        } else if name == KEY_FIELD && key.is_none() {
            key = Some(bytes);
        } else {
            Headers::push(headers, name, Some(bytes));
        }
    }
    (key, value)
}

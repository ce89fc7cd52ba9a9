//! How an entry becomes a record: all its fields an object, or one of them the value.

use super::{
    entry_id::{EntryId, ID_BYTES},
    object,
    resp::Items,
};
use crate::{
    config::settings,
    record::{ENTRY_ID, EXHAUSTED, Headers},
};

/// The name of the field that is a record's key, beside the one that is its value.
const KEY_FIELD: &[u8] = b"key";

/// Bytes that an entry's value and headers start with room for.
const VALUE_BYTES: usize = 64 << 10;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lent {
    Taken,
    /// It is not for the engine.
    Passed,
    /// There is no room for it now.
    Refused,
}

/// How an entry becomes a record's value.
#[derive(Clone, Debug)]
enum Form {
    /// All fields, an object; whether their kinds are inferred.
    Object(bool),
    /// One field; the others are headers, and `key` the key.
    Field(String),
}

/// Makes records of entries, one at a time.
#[derive(Debug)]
pub(super) struct Shaper {
    form: Form,
    value: Vec<u8>,
    headers: Vec<u8>,
}

/// What a record has of its entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
}

impl Shaper {
    pub(super) fn new(settings: &settings::RedisSource) -> Shaper {
        let form = match &settings.field {
            Some(field) => Form::Field(field.clone()),
            None => Form::Object(settings.infer),
        };
        let [value, headers] = [(); 2].map(|()| Vec::with_capacity(VALUE_BYTES));
        Shaper { form, value, headers }
    }

    /// Of an entry of that id, whose `fields` names and values come next; and how often it was
    /// delivered, if that was too often.
    #[inline]
    pub(super) fn shape<'a>(
        &'a mut self,
        items: Items<'a>,
        fields: usize,
        id: EntryId,
        exhausted: Option<u64>,
    ) -> Shape<'a> {
        let Shaper { form, value, headers } = self;
        write_headers(headers, id, exhausted);
        let (key, value) = match form {
            Form::Object(infers) => {
                object::write(items, fields, *infers, value);
                (None, Some(value.as_slice()))
            }
            Form::Field(name) => split(items, fields, name.as_bytes(), headers),
        };
        Shape { key, value, headers: Headers::from_bytes(headers) }
    }
}

/// The record's own headers come first: those that only this program gives.
fn write_headers(headers: &mut Vec<u8>, id: EntryId, exhausted: Option<u64>) {
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

//! Entries written together with a record of them, or not at all, and never twice.
//!
//! For programs that copy entries and may be killed at any moment. The server does both in one
//! step, by a script: it looks into a hash whether it has been done before, adds the entries, and
//! notes it there. So whoever asks again, because a reply was lost or because two do the same at
//! the same time, does no harm. Here waiting is allowed, so it is not for the hot thread.

use super::{
    address::Address,
    dialog::Dialog,
    entry::EntryForm,
    entry_id::EntryId,
    faults::{self, Fault},
    object::fields_of,
    resp::{self, Item, Items},
};
use crate::{
    record::{Destination, Headers, Output, REPLAYS_HEADER},
    transport::Trouble,
};

/// Nothing if it was done; else what the hash already held, and nothing was. What can be known to
/// fail is looked at before anything is written, and what fails all the same is undone: a script
/// that breaks off is not.
const ONCE: &[u8] = b"\
local held = redis.call('HGET', KEYS[1], ARGV[1])
local is_marked = held and string.find(held, '\"mark\":\"', 1, true)
if held and (not is_marked or string.find(held, ARGV[2], 1, true)) then return held end
local function wrong(command, name, kind)
  local is = redis.pcall('TYPE', name).ok
  if is and is ~= kind and is ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. name .. ' is no ' .. kind)
  end
  if redis.acl_check_cmd and not redis.acl_check_cmd(command, name, 'a', 'b', 'c') then
    return redis.error_reply('NOPERM no right to ' .. command .. ' ' .. name)
  end
end
local at, added, failed = 4, {}, wrong('HSET', KEYS[1], 'hash')
while at <= #ARGV and not failed do
  failed = wrong('XADD', ARGV[at + 1], 'stream')
  at = at + tonumber(ARGV[at]) + 1
end
at = 4
while at <= #ARGV and not failed do
  local words = tonumber(ARGV[at])
  local id = redis.pcall('XADD', unpack(ARGV, at + 1, at + words))
  if type(id) == 'table' and id.err then
    failed = id
  else
    added[#added + 1] = {ARGV[at + 1], id}
  end
  at = at + words + 1
end
if not failed then
  local noted = redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[3])
  if type(noted) == 'table' and noted.err then failed = noted end
end
if failed then
  for _, it in ipairs(added) do redis.pcall('XDEL', it[1], it[2]) end
  return failed
end
return false";

/// Words of an entry that a script can take.
const WORDS_MAX: usize = 7_000;

/// Fields of a hash that are looked at together.
const FIELDS_AT_ONCE: &[u8] = b"500";

/// How an output becomes an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryShape {
    /// Its value is an object, whose members are the fields; how often it was replayed beside them.
    Object,
    /// Key, value under that name, and headers are the fields; about so many entries stay.
    Field {
        /// The field of the value.
        name: String,
        /// As `MAXLEN ~` has it.
        maxlen: Option<u64>,
    },
}

/// What is noted.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// The hash.
    pub hash: &'a str,
    /// Its field.
    pub key: &'a str,
    /// Tells it from others under the same key: what holds another mark is overwritten.
    pub mark: &'a str,
    /// In JSON, with the mark.
    pub value: &'a str,
}

/// Why nothing was added.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "trouble carries its sentence by value")]
pub enum NotAdded {
    /// It will never be taken, for a reason of its own, which this names.
    Refused(&'static str),
    /// If it heals it may have been added; who asks again finds out.
    Trouble(Trouble),
}

/// Writes entries together with a record of them.
#[derive(Debug)]
pub struct OnceWriter {
    peer: &'static str,
    address: Address,
    /// None until the server is reached again.
    dialog: Option<Dialog>,
    forms: Vec<(EntryShape, EntryForm)>,
    words: Vec<u8>,
    /// The reply to the last call was lost: it may have been done.
    is_unsure: bool,
}

impl OnceWriter {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or does not let us in.
    pub fn connect(peer: &'static str, (url, shown): (&str, &str)) -> Result<OnceWriter, Trouble> {
        let address = Address::of(peer, url, shown)?;
        let dialog = Some(Dialog::open_patient(peer, &address)?);
        let (forms, words, is_unsure) = (Vec::new(), Vec::new(), false);
        Ok(OnceWriter { peer, address, dialog, forms, words, is_unsure })
    }

    /// The number of a stream that is to be written to.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn destination(&mut self, stream: &str, shape: EntryShape) -> Result<Destination, Trouble> {
        let is_it = |(_, form): &(EntryShape, EntryForm)| form.streams()[0] == stream;
        let number = self.forms.iter().position(is_it).unwrap_or(self.forms.len());
        let Ok(known) = u8::try_from(number) else {
            let trouble = faults::lost(self.peer, &self.address, "there are too many streams");
            return Err(Trouble { code: "ERR", heals: false, ..trouble });
        };
        if number == self.forms.len() {
            let (field, maxlen) = match &shape {
                EntryShape::Object => (String::new(), None),
                EntryShape::Field { name, maxlen } => (name.clone(), *maxlen),
            };
            let form = EntryForm::new(vec![stream.to_owned()], Destination(1), field, maxlen);
            self.forms.push((shape, form));
        }
        Ok(Destination(known))
    }

    /// Adds all of `outputs` and notes it; false if that was done before by somebody else.
    ///
    /// # Errors
    ///
    /// Nothing of it is there then, except as `NotAdded::Trouble` says.
    pub fn write<'a>(
        &mut self,
        recording: &Recording<'_>,
        outputs: impl Iterator<Item = Output<'a>>,
    ) -> Result<bool, NotAdded> {
        let Recording { hash, key, mark, value } = recording;
        let mut count = 7;
        self.words.clear();
        for output in outputs {
            count += self.push(&output)?;
        }
        let mut command = Vec::with_capacity(self.words.len() + ONCE.len() + 256);
        resp::begin(&mut command, count);
        for word in [&b"EVAL"[..], ONCE, b"1", hash.as_bytes()] {
            resp::word(&mut command, word);
        }
        [key, mark, value].iter().for_each(|it| resp::word(&mut command, it.as_bytes()));
        command.extend_from_slice(&self.words);
        let was_unsure = self.is_unsure;
        let held = self.ask(&command);
        self.is_unsure = matches!(&held, Err(NotAdded::Trouble(_)));
        Ok(match Items::of(&held?).next() {
            // What a call whose reply was lost has left there is none of somebody else.
            Some(Item::Bytes(held)) => was_unsure && held == value.as_bytes(),
            _ => true,
        })
    }

    /// Appends the words of an entry, behind their number; how many all of those are.
    fn push(&mut self, output: &Output<'_>) -> Result<usize, NotAdded> {
        let OnceWriter { forms, words: out, .. } = self;
        let (shape, form) = &mut forms[usize::from(output.destination.0)];
        let mut fields = Vec::new();
        let mut output = Output { destination: Destination(0), ..*output };
        if *shape == EntryShape::Object {
            let object = output.value.unwrap_or_default();
            fields_of(object, &mut fields).ok_or(NotAdded::Refused("NO_OBJECT"))?;
            if let Some(replays) = output.headers.value_of(REPLAYS_HEADER) {
                Headers::push(&mut fields, REPLAYS_HEADER, replays);
            }
            let headers = Headers::from_bytes(&fields);
            output = Output { key: None, value: None, headers, ..output };
        }
        let words = form.write(&output, out, |out, words| resp::number(out, words as u64));
        match words > WORDS_MAX {
            true => Err(NotAdded::Refused("TOO_MANY_FIELDS")),
            false => Ok(1 + words),
        }
    }

    /// A refusal of the server is told from trouble.
    fn ask(&mut self, command: &[u8]) -> Result<Vec<u8>, NotAdded> {
        let asked = self.dialog().and_then(|it| it.send(command));
        let error = match asked {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => error,
            Err(trouble) => {
                self.dialog = None;
                return Err(NotAdded::Trouble(trouble));
            }
        };
        Err(match faults::fault(&error) {
            ("ERR", Fault::Final) => NotAdded::Refused("ERR"),
            _ => {
                self.dialog = None;
                NotAdded::Trouble(faults::trouble(self.peer, &self.address, "XADD", &error))
            }
        })
    }

    fn dialog(&mut self) -> Result<&mut Dialog, Trouble> {
        Ok(match &mut self.dialog {
            Some(dialog) => dialog,
            none => none.insert(Dialog::open_patient(self.peer, &self.address)?),
        })
    }

    /// Takes out of the hash what it says of entries before that one.
    ///
    /// # Errors
    ///
    /// As the server has them.
    pub fn forget_before(&mut self, hash: &str, first: EntryId) -> Result<(), Trouble> {
        let dialog = self.dialog()?;
        let (hash, mut cursor) = (hash.as_bytes(), b"0".to_vec());
        loop {
            let words = [b"HSCAN", hash, &cursor, b"COUNT", FIELDS_AT_ONCE];
            let reply = dialog.require("HSCAN", &words)?;
            let mut items = Items::of(&reply);
            items.array();
            cursor = items.bytes().unwrap_or(b"0").to_vec();
            let count = items.array().unwrap_or(0);
            let keys = (0..count / 2).filter_map(|_| {
                let key = items.bytes();
                items.pass();
                key.filter(|it| EntryId::parse(it).is_some_and(|it| it < first))
            });
            let words: Vec<&[u8]> = [&b"HDEL"[..], hash].into_iter().chain(keys).collect();
            if words.len() > 2 {
                dialog.require("HDEL", &words)?;
            }
            if cursor == b"0" {
                return Ok(());
            }
        }
    }
}

//! What reading and writing an event must come to, done the plain way: one character after another
//! for where things stand, `serde_json` for what they say. Shares no code with the codec.
//!
//! Everything here takes text that `serde_json` has accepted.

use std::ops::Range;

use hotspur::verdict::RejectClass::{self, MissingField, WrongType};

/// One step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(&'static str),
    Index(usize),
}

/// Something to be written: JSON, to a place that is neither above nor below another's.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) path: &'static [Step],
    pub(crate) json: Vec<u8>,
}

/// A field or an item, as it stands in its container.
#[derive(Clone, Debug)]
struct Part {
    /// None for an item.
    name: Option<String>,
    /// Where it begins, name included.
    start: usize,
    value: Range<usize>,
}

/// The bytes at a path; else why a step that needs them rejects the record.
pub(crate) fn read<'a>(json: &'a [u8], path: &[Step]) -> Result<&'a [u8], RejectClass> {
    let Some((last, above)) = path.split_last() else { return Ok(json.trim_ascii()) };
    // Where a parent is missing, that is why.
    let around = read(json, above)?;
    let found = parts(around).and_then(|parts| find(&parts, *last));
    found.map(|value| &around[value]).ok_or(match (last, around[0]) {
        (Step::Name(_), b'{') | (Step::Index(_), b'[') => MissingField,
        _ => WrongType,
    })
}

/// What a template puts there for these bytes: text as it reads, anything else as it is spelled.
pub(crate) fn as_text(json: &[u8]) -> String {
    serde_json::from_slice(json).unwrap_or_else(|_| String::from_utf8(json.to_vec()).unwrap())
}

/// What is there of the right name; of doubles the last.
fn find(parts: &[Part], step: Step) -> Option<Range<usize>> {
    let part = match step {
        Step::Name(name) => parts.iter().rfind(|part| part.name.as_deref() == Some(name)),
        Step::Index(index) => parts.get(index).filter(|part| part.name.is_none()),
    };
    part.map(|part| part.value.clone())
}

/// The event with all of that written, byte for byte; else why the record is rejected.
pub(crate) fn splice(json: &[u8], writes: &[Write]) -> Result<Vec<u8>, RejectClass> {
    writes.iter().try_for_each(|write| check(json, write.path))?;
    let writes: Vec<_> = writes.iter().map(|write| (write.path, &*write.json)).collect();
    Ok(container(json, &writes))
}

/// From the place upwards, the first parent that is in the way. Missing parents are made.
fn check(json: &[u8], path: &[Step]) -> Result<(), RejectClass> {
    for len in (0..path.len()).rev() {
        let parent = read(json, &path[..len]).ok();
        match (path[len], parent.map(|parent| parent[0])) {
            (Step::Name(_), None | Some(b'{')) => {}
            (Step::Index(index), Some(b'[')) => {
                let len = parent.and_then(parts).map_or(0, |items| items.len());
                (index < len).then_some(()).ok_or(MissingField)?;
            }
            (Step::Index(_), None) => return Err(MissingField),
            _ => return Err(WrongType),
        }
    }
    Ok(())
}

type Rest<'a> = Vec<(&'static [Step], &'a [u8])>;

fn container(json: &[u8], writes: &[(&'static [Step], &[u8])]) -> Vec<u8> {
    let parts = parts(json).expect("what is no container was refused");
    let mut out = Vec::new();
    let mut copied = 0;
    for (number, part) in parts.iter().enumerate() {
        let step = part.name.as_deref().map_or(Way::Index(number), Way::Name);
        let below = below(writes, &step);
        if below.is_empty() {
            continue;
        }
        let is_last = parts[number + 1..].iter().all(|other| other.name != part.name);
        if part.name.is_some() && !is_last {
            out.extend_from_slice(&json[copied..part.start]);
            copied = parts[number + 1].start;
        } else {
            out.extend_from_slice(&json[copied..part.value.start]);
            out.extend(value(Some(&json[part.value.clone()]), &below));
            copied = part.value.end;
        }
    }
    let close = json.trim_ascii_end().len() - 1;
    out.extend_from_slice(&json[copied..close]);
    add(&mut out, writes, &parts);
    out.extend_from_slice(&json[close..]);
    out
}

/// New fields stand in front of the closing bracket, in the order in which they are first named.
fn add(out: &mut Vec<u8>, writes: &[(&'static [Step], &[u8])], parts: &[Part]) {
    let mut names: Vec<&str> = Vec::new();
    for (path, _) in writes {
        if let Step::Name(name) = path[0]
            && !names.contains(&name)
            && find(parts, path[0]).is_none()
        {
            out.extend_from_slice(if parts.is_empty() && names.is_empty() { b"" } else { b"," });
            names.push(name);
            out.extend(serde_json::to_vec(name).unwrap());
            out.push(b':');
            out.extend(value(None, &below(writes, &Way::Name(name))));
        }
    }
}

/// A value of which something is written, or all.
fn value(present: Option<&[u8]>, below: &Rest<'_>) -> Vec<u8> {
    match below.as_slice() {
        [([], json)] => json.to_vec(),
        _ => container(present.unwrap_or(b"{}"), below),
    }
}

enum Way<'a> {
    Name(&'a str),
    Index(usize),
}

/// What is written at that step or below, with the paths from there.
fn below<'a>(writes: &[(&'static [Step], &'a [u8])], step: &Way<'_>) -> Rest<'a> {
    let is_there = |first: Step| match (first, step) {
        (Step::Name(name), Way::Name(it)) => name == *it,
        (Step::Index(index), Way::Index(it)) => index == *it,
        _ => false,
    };
    let here = writes.iter().filter(|(path, _)| is_there(path[0]));
    here.map(|(path, json)| (&path[1..], *json)).collect()
}

/// The fields of an object or the items of a list; none of anything else.
fn parts(json: &[u8]) -> Option<Vec<Part>> {
    let mut at = space(json, 0);
    let is_object = match json[at] {
        b'{' => true,
        b'[' => false,
        _ => return None,
    };
    let mut parts = Vec::new();
    at = space(json, at + 1);
    while !matches!(json[at], b'}' | b']') {
        let start = at;
        let mut name = None;
        if is_object {
            let end = scalar_or_brackets(json, at);
            name = Some(serde_json::from_slice(&json[at..end]).unwrap());
            at = space(json, space(json, end) + 1);
        }
        let end = scalar_or_brackets(json, at);
        parts.push(Part { name, start, value: at..end });
        at = space(json, end);
        if json[at] == b',' {
            at = space(json, at + 1);
        }
    }
    Some(parts)
}

fn space(json: &[u8], at: usize) -> usize {
    at + json[at..].iter().take_while(|byte| b" \t\r\n".contains(byte)).count()
}

/// Where the value that begins there ends.
fn scalar_or_brackets(json: &[u8], start: usize) -> usize {
    let (mut depth, mut in_text, mut at) = (0, false, start);
    while at < json.len() {
        match (in_text, json[at]) {
            (true, b'\\') => at += 1,
            (_, b'"') => in_text = !in_text,
            (true, _) => {}
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') if depth == 0 => return at,
            (false, b'}' | b']') => depth -= 1,
            (false, b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    json.len()
}

//! JSON in a buffer with one part of it changed, as bytes: what a step wrote has no tape, so a
//! change below it makes it anew, everything else copied as it is spelled.
//!
//! The rules are those of `splice`: of a field that stands twice the last counts and the others go
//! when it is changed; missing parents are made; a list is not extended. The JSON was checked when
//! it was made or loaded.

use std::ops::Range;

use crate::codec::{
    escape::push_text,
    inside::{self, Part, Parts},
    path::Segment,
};

/// A value to be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Text, not escaped.
    Text(&'a [u8]),
    /// Text that needs no escape.
    Plain(&'a [u8]),
    /// JSON.
    Json(&'a [u8]),
}

impl Content<'_> {
    /// Appends it as JSON.
    #[inline]
    pub(super) fn push(self, out: &mut Vec<u8>) {
        match self {
            Content::Text(text) => push_text(out, text),
            Content::Json(json) => out.extend_from_slice(json),
            Content::Plain(text) => {
                out.push(b'"');
                out.extend_from_slice(text);
                out.push(b'"');
            }
        }
    }
}

/// Why nothing can be put there; with how many segments of the way lead to what is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// A parent that has no such part.
    Parent(usize),
    /// An item that is not there.
    Item(usize),
}

/// Appends `json` with a value at the end of `way`.
///
/// # Errors
///
/// If it cannot stand there; then nothing was appended.
pub(super) fn push_with(
    out: &mut Vec<u8>,
    json: &[u8],
    way: &[Segment],
    content: Content<'_>,
) -> Result<(), Blocked> {
    check(json, way)?;
    put(out, json, way, content);
    Ok(())
}

/// Appends `json` without what is at the end of `way`. False, with nothing appended, if nothing is.
pub(super) fn push_without(out: &mut Vec<u8>, json: &[u8], way: &[Segment]) -> bool {
    let is_there = inside::find(json, way).is_ok();
    if is_there {
        drop_from(out, json, way);
    }
    is_there
}

fn check(json: &[u8], way: &[Segment]) -> Result<(), Blocked> {
    let Err(astray) = inside::find(json, way) else { return Ok(()) };
    let is_item = |at: &usize| matches!(way[*at], Segment::Index(_));
    if let Some(item) = (astray.steps + 1..way.len()).rev().find(is_item) {
        return Err(Blocked::Item(item + 1));
    }
    match (&way[astray.steps], astray.value.first()) {
        (Segment::Name(_), Some(b'{')) => Ok(()),
        (Segment::Index(_), Some(b'[')) => Err(Blocked::Item(astray.steps + 1)),
        _ => Err(Blocked::Parent(astray.steps)),
    }
}

fn put(out: &mut Vec<u8>, json: &[u8], way: &[Segment], content: Content<'_>) {
    let Some((first, rest)) = way.split_first() else { return content.push(out) };
    let mut copier = Copier::new(out, json);
    let last = position(json, first);
    for (index, part) in Parts::of(json).enumerate() {
        if Some(index) == last {
            copier.open(&part);
            put(copier.out, &json[part.value.clone()], rest, content);
        } else if is_at(json, &part, index, first) {
            copier.cut(&part);
        } else {
            copier.keep(&part);
        }
    }
    let is_empty = copier.end_parts();
    if last.is_none() {
        copier.copy_to(json.len() - 1);
        copier.out.extend_from_slice(if is_empty { b"" } else { b"," });
        push_made(copier.out, first, rest, content);
    }
    copier.copy_to(json.len());
}

/// Appends a field and the objects that lead to its value.
fn push_made(out: &mut Vec<u8>, first: &Segment, rest: &[Segment], content: Content<'_>) {
    if let Segment::Name(name) = first {
        push_text(out, name.as_bytes());
        out.push(b':');
    }
    match rest.split_first() {
        None => content.push(out),
        Some((next, rest)) => {
            out.push(b'{');
            push_made(out, next, rest, content);
            out.push(b'}');
        }
    }
}

fn drop_from(out: &mut Vec<u8>, json: &[u8], way: &[Segment]) {
    let Some((first, rest)) = way.split_first() else { return };
    let mut copier = Copier::new(out, json);
    let last = position(json, first);
    for (index, part) in Parts::of(json).enumerate() {
        if Some(index) == last && !rest.is_empty() {
            copier.open(&part);
            drop_from(copier.out, &json[part.value.clone()], rest);
        } else if is_at(json, &part, index, first) {
            copier.cut(&part);
        } else {
            copier.keep(&part);
        }
    }
    copier.end_parts();
    copier.copy_to(json.len());
}

/// Which part a segment leads to.
fn position(json: &[u8], segment: &Segment) -> Option<usize> {
    let parts = Parts::of(json).enumerate();
    parts.filter(|(index, part)| is_at(json, part, *index, segment)).last().map(|(index, _)| index)
}

/// True if a segment leads to that part, or to another field of its name.
fn is_at(json: &[u8], part: &Part, index: usize, segment: &Segment) -> bool {
    match segment {
        Segment::Name(name) => part.is_named(json, name),
        Segment::Index(at) => *at == index && json[0] == b'[',
    }
}

/// Copies a container part by part, some left out, with the commas that are then right.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    pub(super) out: &'a mut Vec<u8>,
    json: &'a [u8],
    /// It is out, or left out, up to here.
    copied: usize,
    /// What is left out since the last part that stays.
    cut: Option<Range<usize>>,
    /// Where the last part that stays ends.
    kept: Option<usize>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, json: &'a [u8]) -> Copier<'a> {
        Copier { out, json, copied: 0, cut: None, kept: None }
    }

    /// Leaves a part out.
    pub(super) fn cut(&mut self, part: &Part) {
        let start = self.cut.take().map_or(part.start, |cut| cut.start);
        self.cut = Some(start..part.value.end);
    }

    /// A part stays.
    pub(super) fn keep(&mut self, part: &Part) {
        if let Some(cut) = self.cut.take() {
            self.copy_to(cut.start);
            self.copied = part.start;
        }
        self.kept = Some(part.value.end);
    }

    /// A part stays, with a value that the caller writes.
    pub(super) fn open(&mut self, part: &Part) {
        self.keep(part);
        self.copy_to(part.value.start);
        self.copied = part.value.end;
    }

    /// Behind the last part. True if none stays.
    pub(super) fn end_parts(&mut self) -> bool {
        if let Some(cut) = self.cut.take() {
            self.copy_to(self.kept.unwrap_or(cut.start));
            self.copied = cut.end;
        }
        self.kept.is_none()
    }

    pub(super) fn copy_to(&mut self, position: usize) {
        self.out.extend_from_slice(&self.json[self.copied..position]);
        self.copied = position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Path;

    fn way(path: &str) -> Vec<Segment> {
        Path::parse(path).unwrap().segments
    }

    fn with(json: &str, path: &str, value: &str) -> Result<String, Blocked> {
        let mut out = Vec::new();
        push_with(&mut out, json.as_bytes(), &way(path), Content::Json(value.as_bytes()))?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn without(json: &str, path: &str) -> Option<String> {
        let mut out = Vec::new();
        let is_there = push_without(&mut out, json.as_bytes(), &way(path));
        is_there.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_put_in() {
        for (json, path, expected) in [
            ("{}", "a", r#"{"a":7}"#),
            ("{ }", "a.b", r#"{ "a":{"b":7}}"#),
            (r#"{"x" : 1 }"#, "a", r#"{"x" : 1 ,"a":7}"#),
            (r#"{"a" : 1 , "x":2}"#, "a", r#"{"a" : 7 , "x":2}"#),
            (r#"{"a":1, "x":2 ,"a":3}"#, "a", r#"{"x":2 ,"a":7}"#),
            (r#"{"l":[1, {"b":2} ]}"#, "l[1].b", r#"{"l":[1, {"b":7} ]}"#),
            (r#"{"l":[1, 2]}"#, "l[0]", r#"{"l":[7, 2]}"#),
            (r#"{"\u0061":1}"#, "a", r#"{"\u0061":7}"#),
        ] {
            assert_eq!(with(json, path, "7").as_deref(), Ok(expected), "{json} {path}");
        }
        let mut out = Vec::new();
        push_with(&mut out, b"{}", &way("a"), Content::Text(b"\"")).unwrap();
        push_with(&mut out, b"{}", &way("a"), Content::Plain(b"x")).unwrap();
        assert_eq!(out, br#"{"a":"\""}{"a":"x"}"#);
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        for (json, path, blocked) in [
            (r#"{"a":1}"#, "a.b", Blocked::Parent(1)),
            (r#"{"a":{}}"#, "a[0]", Blocked::Parent(1)),
            (r#"{"a":[]}"#, "a[0]", Blocked::Item(2)),
            (r#"{"a":[]}"#, "a.b", Blocked::Parent(1)),
            ("{}", "a[0]", Blocked::Item(2)),
            (r#"{"a":1}"#, "a.b[0]", Blocked::Item(3)),
            ("7", "a", Blocked::Parent(0)),
        ] {
            assert_eq!(with(json, path, "7"), Err(blocked), "{json} {path}");
        }
    }

    #[test]
    fn parts_are_taken_out_with_a_comma() {
        for (json, path, expected) in [
            (r#"{"a":1}"#, "a", "{}"),
            (r#"{ "a":1 }"#, "a", "{  }"),
            (r#"{"a":1 , "b":2}"#, "a", r#"{"b":2}"#),
            (r#"{"b":2 , "a":1 }"#, "a", r#"{"b":2 }"#),
            (r#"{"b":2, "a":1, "c":3}"#, "a", r#"{"b":2, "c":3}"#),
            (r#"{"a":1, "b":2, "a":3}"#, "a", r#"{"b":2}"#),
            (r#"{"l":[1, 2 ,3]}"#, "l[2]", r#"{"l":[1, 2]}"#),
            (r#"{"l":[{"a":1,"b":2}]}"#, "l[0].a", r#"{"l":[{"b":2}]}"#),
        ] {
            assert_eq!(without(json, path).as_deref(), Some(expected), "{json} {path}");
        }
        assert_eq!(without(r#"{"a":{}}"#, "a.b"), None);
        assert_eq!(without("[1]", "[1]"), None);
    }
}

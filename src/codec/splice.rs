//! The event with its edits, as bytes: the input as it arrived, with what was written put in.
//!
//! A field that was there is replaced at its place; where it stood twice, at the last one's, and
//! the others go. A new field goes in front of the closing bracket; so does one that was removed
//! and then written again. A field that is removed takes the comma behind it along, the last one
//! that before it. Where nothing that is there was touched, which is the usual case, the input is
//! copied in two pieces. Everything between edits, white space included, is copied and never
//! spelled anew.

use crate::codec::{
    edits::{Edits, Written},
    tape::{Event, Node, Value},
    tree::{PathId, PathTree, Step},
};

/// Appends the whole event, white space around it included.
#[inline]
pub fn push_event(out: &mut Vec<u8>, tree: &PathTree, event: &Event<'_>, edits: &Edits) {
    let mut splicer = Splicer { out, tree, event, edits, copied: 0 };
    splicer.container(PathId::ROOT, Node::ROOT, 0);
    splicer.copy_to(event.input().len());
}

/// Appends one value as JSON: as it arrived if nobody touched it, else with its edits.
///
/// # Panics
///
/// If the path is not present.
pub fn push_value(
    out: &mut Vec<u8>,
    tree: &PathTree,
    event: &Event<'_>,
    edits: &Edits,
    path: PathId,
) {
    let mut splicer = Splicer { out, tree, event, edits, copied: 0 };
    match edits.found(path) {
        Some(node) if edits.written(path) == Written::Nothing => {
            let span = event.span(node);
            splicer.copied = span.start;
            if edits.is_touched(path) {
                splicer.container(path, node, event.ordinal(node));
            }
            splicer.copy_to(span.end);
        }
        _ => {
            assert!(edits.is_present(path), "only what is present can be written out");
            splicer.made(path);
        }
    }
}

/// Appends the value at a path as it stands now, as JSON. False, with nothing appended, if there is
/// none; unlike `push_value` it also looks into what was written above.
pub fn push_present(
    out: &mut Vec<u8>,
    tree: &PathTree,
    event: &Event<'_>,
    edits: &Edits,
    path: PathId,
) -> bool {
    if let Some(above) = edits.written_above(tree, path) {
        let value = edits.within(tree, path, above);
        out.extend_from_slice(value.unwrap_or_default());
        return value.is_some();
    }
    let is_there = edits.is_present(path);
    if is_there {
        push_value(out, tree, event, edits, path);
    }
    is_there
}

struct Splicer<'a> {
    out: &'a mut Vec<u8>,
    tree: &'a PathTree,
    event: &'a Event<'a>,
    edits: &'a Edits,
    /// The input up to here is out or left out.
    copied: usize,
}

impl Splicer<'_> {
    fn copy_to(&mut self, position: usize) {
        self.out.extend_from_slice(&self.event.input()[self.copied..position]);
        self.copied = position;
    }

    /// Writes an object or list that stands in the event, up to its closing bracket.
    #[inline]
    fn container(&mut self, path: PathId, node: Node, ordinal: usize) {
        let (close, mut empty) = match self.event.value(node) {
            Value::Object(0) => (self.event.close(ordinal), true),
            Value::Object(_) if self.is_changed(path) => self.fields(path, node, ordinal),
            Value::List(_) => (self.items(path, node, ordinal), false),
            _ => (self.event.close(ordinal), false),
        };
        self.copy_to(self.event.position(close));
        self.additions(path, &mut empty);
    }

    /// True if a field that stands there is not what it was.
    #[inline]
    fn is_changed(&self, path: PathId) -> bool {
        let is_changed = |child: &PathId| self.edits.is_changed(*child);
        self.edits.is_thinned(path) || self.tree.branch(path).children.iter().any(is_changed)
    }

    /// Goes through an object some of whose fields were touched. Returns its closing structural and
    /// whether no field is left.
    fn fields(&mut self, path: PathId, node: Node, ordinal: usize) -> (usize, bool) {
        let is_thinned = self.edits.is_thinned(path);
        let mut at = ordinal + 1;
        // The closing structural of the last field that stays, and where those begin that go since.
        let (mut kept, mut cut) = (None, None);
        for (name, value) in self.event.fields(node) {
            // Name, colon, value, then a comma or the end.
            let close = self.event.close(at + 2);
            let child = self.tree.child_named(path, name);
            let touched = child.filter(|child| self.edits.is_touched(*child));
            let stays = match (touched, child) {
                (Some(child), _) => self.edits.found(child) == Some(value),
                (None, child) => child.is_some() || !is_thinned,
            };
            if stays {
                if let Some(from) = cut.take() {
                    self.copy_to(from);
                    self.copied = self.event.position(at);
                }
                kept = Some(close);
                if let Some(child) = touched {
                    self.replace(child, value, at + 2, close);
                }
            } else {
                cut.get_or_insert(self.event.position(at));
            }
            at = close + 2;
        }
        if let Some(from) = cut {
            self.copy_to(kept.map_or(from, |close| self.event.end(close)));
            self.copied = self.event.end(at - 2);
        }
        (at - 1, kept.is_none())
    }

    fn items(&mut self, path: PathId, node: Node, ordinal: usize) -> usize {
        let mut at = ordinal + 1;
        for item in self.event.items(node) {
            let close = self.event.close(at);
            let children = &self.tree.branch(path).children;
            let child = children.iter().find(|child| {
                self.edits.is_touched(**child) && self.edits.found(**child) == Some(item)
            });
            if let Some(child) = child {
                self.replace(*child, item, at, close);
            }
            at = close + 2;
        }
        // An empty list closes at once; else `at` is one behind.
        at.max(ordinal + 2) - 1
    }

    fn replace(&mut self, path: PathId, node: Node, ordinal: usize, close: usize) {
        if self.edits.written(path) == Written::Nothing {
            self.container(path, node, ordinal);
        } else {
            self.copy_to(self.event.position(ordinal));
            self.made(path);
            self.copied = self.event.end(close);
        }
    }

    /// Writes the touched fields that do not stand in the event.
    #[inline]
    fn additions(&mut self, path: PathId, empty: &mut bool) {
        for child in &self.tree.branch(path).children {
            let is_new = self.edits.written(*child) != Written::Nothing;
            if !is_new || self.edits.found(*child).is_some() {
                continue;
            }
            if let Step::Name { json, .. } = &self.tree.branch(*child).segment {
                let skipped = usize::from(std::mem::replace(empty, false));
                self.out.extend_from_slice(&json[skipped..]);
                self.made(*child);
            }
        }
    }

    /// Writes a value of which nothing stands in the event.
    #[inline]
    fn made(&mut self, path: PathId) {
        match self.edits.content(self.edits.written(path)) {
            Some(content) => content.push(self.out),
            None => {
                self.out.push(b'{');
                self.additions(path, &mut true);
                self.out.push(b'}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Obstacle, Parser, Path};

    /// Writes each text to its path in order and splices; also checks the value of each path.
    fn spliced(input: &str, writes: &[(&str, &str)]) -> Result<String, Obstacle> {
        let mut tree = PathTree::new();
        let add = |(path, _): &(&str, &str)| tree.add(&Path::parse(path).unwrap());
        let paths: Vec<_> = writes.iter().map(add).collect();
        let mut edits = Edits::new(&tree, writes.len(), 8, 0);
        let mut parser = Parser::new(1024, 16);
        let event = parser.parse(input.as_bytes()).unwrap();
        edits.begin(&tree, &event);
        for (number, path) in paths.iter().enumerate() {
            let mut buffer = edits.take_buffer(number as u16);
            buffer.extend_from_slice(writes[number].1.as_bytes());
            edits.return_buffer(number as u16, buffer);
            edits.write(&tree, &event, *path, Written::Text(number as u16))?;
        }
        let mut out = Vec::new();
        push_event(&mut out, &tree, &event, &edits);
        let mut again = Vec::new();
        push_value(&mut again, &tree, &event, &edits, PathId::ROOT);
        assert_eq!(out.trim_ascii(), again);
        serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn additions_go_in_front_of_the_closing_bracket() {
        for (input, output) in [
            ("{}", r#"{"x":"1"}"#),
            (" { } \n", " { \"x\":\"1\"} \n"),
            (r#"{"a":1.50}"#, r#"{"a":1.50,"x":"1"}"#),
            ("{\"a\" : [ 1 ]\n}\t", "{\"a\" : [ 1 ]\n,\"x\":\"1\"}\t"),
        ] {
            assert_eq!(spliced(input, &[("x", "1")]).unwrap(), output);
        }
        assert_eq!(spliced("{}", &[("x", "1"), ("y", "\"")]).unwrap(), r#"{"x":"1","y":"\""}"#);
    }

    #[test]
    fn what_is_there_is_replaced_at_its_place() {
        for (input, output) in [
            (r#"{"x":1}"#, r#"{"x":"n"}"#),
            (r#"{"x": {"y":[1,{}]} ,"z":1}"#, r#"{"x": "n" ,"z":1}"#),
            (r#"{"a":1, "x" : 12 , "z":"x"}"#, r#"{"a":1, "x" : "n" , "z":"x"}"#),
            (r#"{"x":1,"a":2,"x":3}"#, r#"{"a":2,"x":"n"}"#),
            (r#"{ "x":{},"x":[] , "x" :3 }"#, r#"{ "x" :"n" }"#),
            (r#"{"\u0078":1}"#, r#"{"\u0078":"n"}"#),
        ] {
            assert_eq!(spliced(input, &[("x", "n")]).unwrap(), output);
        }
    }

    #[test]
    fn parents_are_made_and_nested_ones_are_kept() {
        for (input, output) in [
            (r#"{"b":0}"#, r#"{"b":0,"a":{"x":"1","y":{"z":"2"}}}"#),
            (r#"{"a":{}}"#, r#"{"a":{"x":"1","y":{"z":"2"}}}"#),
            (r#"{"a":{ "y":{"z":1,"k":2} }}"#, r#"{"a":{ "y":{"z":"2","k":2} ,"x":"1"}}"#),
            (r#"{"a":1,"a":{"x":1},"b":[]}"#, r#"{"a":{"x":"1","y":{"z":"2"}},"b":[]}"#),
        ] {
            assert_eq!(spliced(input, &[("a.x", "1"), ("a.y.z", "2")]).unwrap(), output);
        }
        let whole = spliced(r#"{"a":{"b":1}}"#, &[("a.b", "1"), ("a", "2")]).unwrap();
        assert_eq!(whole, r#"{"a":"2"}"#);
    }

    #[test]
    fn items_are_replaced_and_lists_never_extended() {
        let input = r#"{"a":[ 1 , {"b":2}, [] ]}"#;
        let output = r#"{"a":[ "n" , {"b":"m","c":"o"}, [] ]}"#;
        let writes = [("a[0]", "n"), ("a[1].b", "m"), ("a[1].c", "o")];
        assert_eq!(spliced(input, &writes).unwrap(), output);
        assert!(matches!(spliced(input, &[("a[3]", "n")]), Err(Obstacle::Item(_))));
        assert!(matches!(spliced("{}", &[("a[0]", "n")]), Err(Obstacle::Item(_))));
        assert!(matches!(spliced(input, &[("a.b", "n")]), Err(Obstacle::Parent(_))));
        assert!(matches!(spliced(input, &[("a[0].b", "n")]), Err(Obstacle::Parent(_))));
        assert!(matches!(spliced(r#"{"a":null}"#, &[("a.b", "n")]), Err(Obstacle::Parent(_))));
    }
}

//! Changes to an event, one behind the other, come to what parsing it, changing the tree and
//! printing it comes to; and what no change names leaves byte for byte.

#[path = "support/naive_changes.rs"]
mod naive_changes;

use hotspur::codec::{
    Edits, Event, Kept, Node, Obstacle, Parser, Path, PathId, PathTree, Written, splice,
};
use naive_changes::{Blocked, Naive};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

/// Fields, doubles of them, items, odd names; some above or below others.
const PATHS: [&str; 15] = [
    "a",
    "b",
    "c",
    "a.b",
    "a.c",
    "b.a.c",
    "a.b.c",
    "c[0]",
    "c[1]",
    "c[0].a",
    "a.c[1]",
    "c[1][0]",
    "b[\"x \\\"y\"]",
    "[\"é\"]",
    "d",
];

const VALUES: [&str; 9] = [
    "1.50",
    "-0",
    "null",
    "true",
    "\"\\u00e9\\n\"",
    "{}",
    "[]",
    "[1, {\"a\":[2] } ]",
    "{ \"a\" :1}",
];

#[derive(Clone, Debug)]
enum Change {
    Text(&'static str, String),
    Json(&'static str, String),
    Remove(&'static str),
    Rename(&'static str, &'static str),
    Keep(Vec<&'static str>),
}

impl Change {
    fn paths(&self) -> Vec<&'static str> {
        match self {
            Change::Text(path, _) | Change::Json(path, _) | Change::Remove(path) => vec![path],
            Change::Rename(new, old) => vec![new, old],
            Change::Keep(paths) => paths.clone(),
        }
    }
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t")]
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["\"a\"", "\"b\"", "\"c\"", "\"\\u0061\"", "\"x \\\"y\"", "\"é\"", "\"z\"", "\"\""])
}

fn object_of(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let field = (space(), name(), space(), space(), inner, space());
    let field = field.prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
    (vec(field, 0..6), space()).prop_map(|(fields, empty)| match fields.is_empty() {
        true => format!("{{{empty}}}"),
        false => format!("{{{}}}", fields.join(",")),
    })
}

fn json() -> impl Strategy<Value = String> {
    let leaf = select(VALUES.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 30, 5, |inner| {
        let item = (space(), inner.clone(), space()).prop_map(|(a, it, b)| format!("{a}{it}{b}"));
        let list = vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![1 => list, 2 => object_of(inner)]
    })
}

fn change() -> impl Strategy<Value = Change> {
    let path = || select(PATHS.to_vec());
    prop_oneof![
        2 => (path(), "[a\"é\n]{0,3}").prop_map(|(path, text)| Change::Text(path, text)),
        // What is written has no white space around it.
        3 => (path(), json()).prop_map(|(path, json)| Change::Json(path, json)),
        4 => path().prop_map(Change::Remove),
        3 => (path(), path()).prop_map(|(new, old)| Change::Rename(new, old)),
        1 => vec(path(), 1..5).prop_map(Change::Keep),
    ]
}

/// The changes as the pipeline makes them.
struct Spliced<'e> {
    tree: &'e PathTree,
    event: &'e Event<'e>,
    edits: Edits,
    kept: Vec<Kept>,
    next: u16,
}

impl Spliced<'_> {
    fn path(&self, path: &str) -> PathId {
        id(self.tree, path)
    }

    fn write(&mut self, path: &str, kind: fn(u16) -> Written, bytes: &[u8]) -> Result<(), Blocked> {
        let write = self.next;
        self.next += 1;
        let mut buffer = self.edits.take_buffer(write);
        buffer.extend_from_slice(bytes);
        self.edits.return_buffer(write, buffer);
        let path = self.path(path);
        self.edits.write(self.tree, self.event, path, kind(write)).map_err(|it| match it {
            Obstacle::Parent(_) => Blocked::Parent,
            Obstacle::Item(_) => Blocked::Item,
        })
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let path = self.path(path);
        let is_there = splice::push_present(&mut out, self.tree, self.event, &self.edits, path);
        is_there.then_some(out)
    }

    fn remove(&mut self, path: &str) {
        let path = self.path(path);
        self.edits.remove(self.tree, self.event, path, self.next);
        self.next += 1;
    }

    fn apply(&mut self, change: &Change) -> Result<(), Blocked> {
        match change {
            Change::Text(path, text) => self.write(path, Written::Text, text.as_bytes()),
            Change::Json(path, json) => self.write(path, Written::Json, json.as_bytes()),
            Change::Remove(path) => {
                self.remove(path);
                Ok(())
            }
            Change::Rename(new, old) => {
                let Some(value) = self.read(old) else { return Ok(()) };
                self.remove(old);
                self.write(new, Written::Json, &value)
            }
            Change::Keep(_) => {
                let kept = self.kept.remove(0);
                self.edits.keep(self.tree, self.event, &kept);
                Ok(())
            }
        }
    }

    fn printed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        splice::push_event(&mut out, self.tree, self.event, &self.edits);
        out
    }
}

fn id(tree: &PathTree, path: &str) -> PathId {
    let id = tree.find(&Path::parse(path).unwrap());
    id.unwrap_or_else(|| panic!("{path} was not added"))
}

fn check(input: &str, changes: &[Change], saved_at: usize) {
    let mut tree = PathTree::new();
    for path in PATHS {
        tree.add(&Path::parse(path).unwrap());
    }
    let mut writes = changes.len() as u16 * 2;
    let kept = changes.iter().filter_map(|change| match change {
        Change::Keep(paths) => {
            let paths: Vec<_> = paths.iter().map(|path| id(&tree, path)).collect();
            Some(Kept::new(&tree, &paths, &mut writes))
        }
        _ => None,
    });
    let kept = kept.collect();
    let mut parser = Parser::new(1 << 12, 64);
    let event = parser.parse(input.as_bytes()).unwrap();
    let mut edits = Edits::new(&tree, usize::from(writes), 8, 1);
    edits.begin(&tree, &event);
    let mut spliced = Spliced { tree: &tree, event: &event, edits, kept, next: 0 };
    let mut naive = Naive(serde_json::from_str(input).unwrap());
    let mut saved = None;
    for (number, change) in changes.iter().enumerate() {
        if number == saved_at {
            spliced.edits.save(0);
            saved = Some(naive.clone());
        }
        let before = naive.clone();
        let expected = match change {
            Change::Text(path, text) => naive.write(path, text.as_str().into()),
            Change::Json(path, json) => naive.write(path, serde_json::from_str(json).unwrap()),
            Change::Remove(path) => {
                naive.remove(path);
                Ok(())
            }
            Change::Rename(new, old) => naive.rename(new, old),
            Change::Keep(paths) => {
                naive.keep(paths);
                Ok(())
            }
        };
        assert_eq!(spliced.apply(change), expected, "{change:?} in {before:?}");
        if expected.is_err() {
            // Such a record is rejected: there is nothing more to do with it.
            break;
        }
        compare(&spliced, &naive);
    }
    if let Some(saved) = saved {
        spliced.edits.restore(0);
        compare(&spliced, &saved);
    }
}

fn compare(spliced: &Spliced<'_>, naive: &Naive) {
    let printed = spliced.printed();
    let text = String::from_utf8_lossy(&printed).into_owned();
    let value: Value = serde_json::from_slice(&printed).unwrap_or_else(|it| panic!("{it}: {text}"));
    assert_eq!(value, naive.0, "{text}");
    for path in PATHS {
        let read = spliced.read(path);
        let read = read.map(|json| serde_json::from_slice::<Value>(&json).unwrap());
        assert_eq!(read.as_ref(), naive.read(path), "{path} of {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changes_come_to_what_parsing_changing_and_printing_comes_to(
        input in object_of(json()),
        changes in vec(change(), 1..8),
        saved_at in 0..8_usize,
    ) {
        check(&input, &changes, saved_at);
    }

    #[test]
    fn what_no_change_names_leaves_byte_for_byte(
        input in object_of(json()),
        changes in vec(change(), 1..6),
    ) {
        let keeps = |change: &Change| matches!(change, Change::Keep(_));
        let changes: Vec<_> = changes.into_iter().filter(|it| !keeps(it)).collect();
        if let Some(output) = printed(&input, &changes) {
            let first = |path: &str| Path::parse(path).unwrap().segments[0].clone();
            let named: Vec<_> = changes.iter().flat_map(Change::paths).map(first).collect();
            let is_named = |name: &str| {
                named.contains(&hotspur::codec::Segment::Name(name.to_owned()))
            };
            prop_assert_eq!(fields(input.as_bytes(), is_named), fields(&output, is_named));
        }
    }
}

/// What comes of the changes, if none is refused.
fn printed(input: &str, changes: &[Change]) -> Option<Vec<u8>> {
    let mut tree = PathTree::new();
    for path in changes.iter().flat_map(Change::paths) {
        tree.add(&Path::parse(path).unwrap());
    }
    let mut parser = Parser::new(1 << 12, 64);
    let event = parser.parse(input.as_bytes()).unwrap();
    let mut edits = Edits::new(&tree, changes.len() * 2, 8, 0);
    edits.begin(&tree, &event);
    let mut spliced = Spliced { tree: &tree, event: &event, edits, kept: Vec::new(), next: 0 };
    changes.iter().try_for_each(|change| spliced.apply(change)).ok()?;
    Some(spliced.printed())
}

/// Names and bytes of the fields that no change names, in order.
fn fields(json: &[u8], is_named: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let mut parser = Parser::new(1 << 12, 64);
    let event = parser.parse(json).unwrap();
    let fields = event.fields(Node::ROOT).filter(|(name, _)| !is_named(name));
    fields.map(|(name, node)| (name.to_owned(), json[event.span(node)].to_vec())).collect()
}

//! Expressions over parsed records: ours, and the `cel` crate's interpreter over the same ones.

use std::hint::black_box;

use cel::{Context, Program as CratesProgram};
use hotspur::{
    codec::{self, Edits, Event, Parser, Path, PathTree, Segment},
    pipeline::cel::{Arena, Leaf, Named, Names, Program, Time, Value, Why, World, compile},
};

/// Bytes that a record's value has.
pub(crate) const RECORD_BYTES: usize = 200;

/// An order of that many bytes; half of them pass a filter for large orders.
pub(crate) fn order(number: u64) -> Vec<u8> {
    let kind = if number.is_multiple_of(4) { "offer" } else { "order" };
    let value = 40 + number * 37 % 180;
    let mut text = format!(
        r#"{{"id":"{number:08}","key":"user{}","type":"{kind}","value":{value},"currency":"EUR","#,
        number % 1000
    );
    text.push_str(r#""items":[1,2,3],"note":""#);
    let fill = RECORD_BYTES - 2 - text.len();
    text.extend(std::iter::repeat_n('x', fill));
    text.push_str("\"}");
    text.into_bytes()
}

/// The event alone.
#[derive(Default)]
struct EventNames {
    tree: PathTree,
}

impl Names for EventNames {
    fn resolve(&mut self, way: &[Segment]) -> Result<Option<Named>, String> {
        let [Segment::Name(root), rest @ ..] = way else { return Ok(None) };
        if root != "event" {
            return Ok(None);
        }
        let path = self.tree.add(&Path { segments: rest.to_vec() });
        Ok(Some(Named { leaf: Leaf::Event(path), kind: None }))
    }

    fn known(&self) -> Vec<String> {
        vec!["event".to_owned()]
    }

    fn table(&mut self, name: &str) -> Result<usize, String> {
        Err(format!("there is no table {name:?}"))
    }
}

struct EventWorld<'a> {
    event: &'a Event<'a>,
    edits: &'a Edits,
}

impl<'a> World<'a> for EventWorld<'a> {
    #[inline(always)]
    fn leaf(&mut self, leaf: Leaf, _arena: &'a Arena) -> Result<Value<'a>, Why> {
        let Leaf::Event(path) = leaf else { return Err(Why::Unknown) };
        let node = self.edits.found(path).ok_or(Why::Absent)?;
        Ok(Value::of_node(self.event, node))
    }

    #[inline(always)]
    fn on_tape(&self, leaf: Leaf) -> Option<codec::Value<'a>> {
        let Leaf::Event(path) = leaf else { return None };
        Some(self.event.value(self.edits.found(path)?))
    }

    fn now(&self) -> Time {
        Time::from_seconds(0).expect("the epoch")
    }

    fn lookup(&mut self, _: usize, _: &[u8], _: &'a Arena) -> Result<Value<'a>, Why> {
        Err(Why::Unknown)
    }
}

/// Records that are parsed already, one parser each.
pub(crate) struct Parsed {
    records: Vec<Vec<u8>>,
    parsers: Vec<Parser>,
}

impl Parsed {
    pub(crate) fn new(count: u64) -> Parsed {
        Parsed {
            records: (0..count).map(order).collect(),
            parsers: (0..count).map(|_| Parser::new(4 * RECORD_BYTES, 16)).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Lends all events to `use_them`.
    pub(crate) fn with_events<R>(&mut self, use_them: impl FnOnce(&[Event<'_>]) -> R) -> R {
        let pairs = self.parsers.iter_mut().zip(&self.records);
        let events = pairs.map(|(parser, record)| parser.parse(record).expect("an object"));
        use_them(&events.collect::<Vec<_>>())
    }

    /// The records as the crate's interpreter sees them: made of JSON before, one context each.
    pub(crate) fn contexts(&self) -> Vec<Context<'static, 'static>> {
        let context = |record: &Vec<u8>| {
            let event: serde_json::Value = serde_json::from_slice(record).expect("JSON");
            let mut context = Context::default();
            let event = cel::to_value(event).expect("a value");
            context.add_variable_from_value("event", event);
            context
        };
        self.records.iter().map(context).collect()
    }
}

/// A condition that is ours.
pub(crate) struct Ours {
    program: Program,
    tree: PathTree,
    /// Where the paths stand, for each event: found at the end of its parse.
    edits: Vec<Edits>,
    arena: Arena,
}

impl Ours {
    pub(crate) fn new(expression: &str) -> Ours {
        let mut names = EventNames::default();
        let program = compile(expression, &mut names).expect("an expression");
        let arena = Arena::with_capacity(1 << 16);
        Ours { program, tree: names.tree, edits: Vec::new(), arena }
    }

    /// Finds the paths in all events, as the parse of a pipeline ends.
    pub(crate) fn find_paths(&mut self, events: &[Event<'_>]) {
        let Ours { tree, edits, .. } = self;
        edits.resize_with(events.len(), || Edits::new(tree, 0, 0, 0));
        for (edits, event) in edits.iter_mut().zip(events) {
            edits.begin(tree, event);
        }
    }

    /// Decides for each event; how many it holds for.
    pub(crate) fn count(&mut self, events: &[Event<'_>]) -> usize {
        let mut count = 0;
        for (event, edits) in events.iter().zip(&self.edits) {
            self.arena.reset();
            let mut world = EventWorld { event, edits };
            let holds = self.program.is_true(&mut world, &self.arena);
            count += usize::from(black_box(holds) == Ok(true));
        }
        count
    }
}

/// The same by the crate's interpreter.
pub(crate) struct Crates {
    program: CratesProgram,
}

impl Crates {
    pub(crate) fn new(expression: &str) -> Crates {
        Crates { program: CratesProgram::compile(expression).expect("an expression") }
    }

    pub(crate) fn count(&self, contexts: &[Context<'_, '_>]) -> usize {
        let holds = |context: &&Context<'_, '_>| {
            black_box(self.program.execute(context)) == Ok(cel::Value::Bool(true))
        };
        contexts.iter().filter(holds).count()
    }
}

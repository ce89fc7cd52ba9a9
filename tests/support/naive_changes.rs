//! What changes to an event must come to, done to a tree of `serde_json`. Shares no code with the
//! codec but the reading of paths.

use hotspur::codec::{Path, Segment};
use serde_json::{Map, Value};

/// Why a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    Parent,
    Item,
}

/// An event as a tree.
#[derive(Clone, Debug)]
pub(crate) struct Naive(pub(crate) Value);

impl Naive {
    pub(crate) fn read(&self, path: &str) -> Option<&Value> {
        get(&self.0, &segments(path))
    }

    pub(crate) fn write(&mut self, path: &str, value: Value) -> Result<(), Blocked> {
        let way = segments(path);
        for len in (0..way.len()).rev() {
            match (&way[len], get(&self.0, &way[..len])) {
                (Segment::Name(_), None | Some(Value::Object(_))) => {}
                (Segment::Index(at), Some(Value::Array(items))) if *at < items.len() => {}
                (Segment::Index(_), None | Some(Value::Array(_))) => return Err(Blocked::Item),
                _ => return Err(Blocked::Parent),
            }
        }
        let mut at = &mut self.0;
        for segment in &way {
            at = match segment {
                Segment::Index(index) => &mut at[*index],
                Segment::Name(name) => &mut at[name],
            };
        }
        *at = value;
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Value> {
        let way = segments(path);
        let (last, above) = way.split_last()?;
        let mut parent = &mut self.0;
        for segment in above {
            parent = match segment {
                Segment::Index(index) => parent.get_mut(*index)?,
                Segment::Name(name) => parent.get_mut(name)?,
            };
        }
        match (last, parent) {
            (Segment::Name(name), Value::Object(fields)) => fields.remove(name),
            (Segment::Index(index), Value::Array(items)) if *index < items.len() => {
                Some(items.remove(*index))
            }
            _ => None,
        }
    }

    pub(crate) fn rename(&mut self, new: &str, old: &str) -> Result<(), Blocked> {
        self.remove(old).map_or(Ok(()), |value| self.write(new, value))
    }

    pub(crate) fn keep(&mut self, paths: &[&str]) {
        let ways: Vec<_> = paths.iter().map(|path| segments(path)).collect();
        let ways: Vec<_> = ways.iter().map(Vec::as_slice).collect();
        self.0 = kept(&self.0, &ways).unwrap_or_else(|| Value::Object(Map::new()));
    }
}

/// What is left of a value; nothing, if none of it is named.
fn kept(value: &Value, ways: &[&[Segment]]) -> Option<Value> {
    if ways.iter().any(|way| way.is_empty()) {
        return Some(value.clone());
    }
    let below = |is_it: &dyn Fn(&Segment) -> bool| -> Vec<&[Segment]> {
        ways.iter().filter(|way| is_it(&way[0])).map(|way| &way[1..]).collect()
    };
    match value {
        Value::Object(fields) => {
            let part = |(name, value): (&String, &Value)| {
                let is_it = |it: &Segment| matches!(it, Segment::Name(it) if it == name);
                Some((name.clone(), kept(value, &below(&is_it))?))
            };
            let fields: Map<_, _> = fields.iter().filter_map(part).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Array(items) => {
            let part = |(index, value): (usize, &Value)| {
                let is_it = |it: &Segment| matches!(it, Segment::Index(it) if *it == index);
                kept(value, &below(&is_it))
            };
            let items: Vec<_> = items.iter().enumerate().filter_map(part).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        _ => None,
    }
}

fn get<'v>(value: &'v Value, way: &[Segment]) -> Option<&'v Value> {
    way.iter().try_fold(value, |at, segment| match segment {
        Segment::Index(index) => at.get(*index),
        Segment::Name(name) => at.get(name),
    })
}

fn segments(path: &str) -> Vec<Segment> {
    Path::parse(path).unwrap().segments
}

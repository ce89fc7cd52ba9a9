//! A world of names that have values, or are only declared.

use hotspur::{
    codec::Segment,
    pipeline::cel::{Arena, Constant, Leaf, Named, Names, Time, Value, Why, World},
};

use crate::{case::Case, expected};

/// The names of a case. The values are leaked: the test ends soon.
pub(crate) struct Bound {
    container: String,
    values: Vec<(String, Option<&'static Constant>)>,
}

impl Bound {
    pub(crate) fn new(case: &Case) -> Bound {
        let bound = case.bindings.iter().map(|(name, value)| {
            let value: &'static Constant = Box::leak(Box::new(expected::constant(value)));
            (name.clone(), Some(value))
        });
        let mut values: Vec<_> = bound.collect();
        for name in &case.declared {
            if !values.iter().any(|(it, _)| it == name) {
                values.push((name.clone(), None));
            }
        }
        Bound { container: case.container.clone(), values }
    }
}

impl Names for Bound {
    fn resolve(&mut self, way: &[Segment]) -> Result<Option<Named>, String> {
        let name = |segment: &Segment| match segment {
            Segment::Name(name) => Some(name.clone()),
            Segment::Index(_) => None,
        };
        let names: Option<Vec<String>> = way.iter().map(name).collect();
        let Some(name) = names.map(|names| names.join(".")) else { return Ok(None) };
        let mut space = Some(self.container.as_str()).filter(|it| !it.is_empty());
        loop {
            let full = space.map_or(name.clone(), |space| format!("{space}.{name}"));
            if let Some(index) = self.values.iter().position(|(it, _)| *it == full) {
                return Ok(Some(Named { leaf: Leaf::Other(index as u32), kind: None }));
            }
            let Some(inner) = space else { return Ok(None) };
            space = inner.rsplit_once('.').map(|(outer, _)| outer);
        }
    }

    fn known(&self) -> Vec<String> {
        self.values.iter().map(|(name, _)| name.clone()).collect()
    }

    fn table(&mut self, name: &str) -> Result<usize, String> {
        Err(format!("there is no table {name:?}"))
    }
}

impl<'a> World<'a> for Bound {
    fn leaf(&mut self, leaf: Leaf, _arena: &'a Arena) -> Result<Value<'a>, Why> {
        let Leaf::Other(index) = leaf else { return Err(Why::Absent) };
        self.values[index as usize].1.map(Constant::value).ok_or(Why::Absent)
    }

    fn now(&self) -> Time {
        Time::from_seconds(0).expect("the epoch")
    }

    fn lookup(&mut self, _: usize, _: &[u8], _: &'a Arena) -> Result<Value<'a>, Why> {
        Err(Why::TableValueUnfit)
    }
}

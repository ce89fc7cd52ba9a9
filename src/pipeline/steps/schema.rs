//! `require` with a JSON Schema: the event as it stands now is parsed again and checked by the
//! crate `jsonschema`, which allocates. Where that is too slow, rules say the same of single paths.
//!
//! What this does not do: fetch anything. A schema refers to itself only.

use std::{fmt, fs, mem, path::Path};

use jsonschema::{Validator, paths::LocationSegment};
use serde_json::Value;

use crate::{
    codec::{self, Segment, splice},
    pipeline::stop::Stop,
    pipeline::work::Work,
    verdict::RejectClass,
};

/// A schema, compiled.
pub(crate) struct Schema(Validator);

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// # Errors
    ///
    /// A sentence, if the file cannot be read or is no schema.
    pub(crate) fn read(file: &Path) -> Result<Schema, String> {
        let shown = file.display();
        let text = fs::read(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let schema = serde_json::from_slice(&text);
        let schema = schema.map_err(|error| format!("{shown} is no JSON: {error}"))?;
        let validator = jsonschema::validator_for(&schema);
        validator.map(Schema).map_err(|error| format!("{shown} is no JSON Schema: {error}"))
    }

    /// What is wrong with an event: where, and what.
    fn check(&self, event: &[u8]) -> Result<(), String> {
        let value = serde_json::from_slice(event);
        let value = value.map_err(|error| format!("the event cannot be checked: {error}"))?;
        self.0.validate(&value).map_err(|error| {
            let path = path_in(&value, error.instance_path().segments());
            match path.segments.is_empty() {
                true => format!("the event: {error}"),
                false => format!("`{path}`: {error}"),
            }
        })
    }
}

/// The crate's places do not tell a field that is called like a number from an item.
fn path_in<'s>(value: &Value, places: impl Iterator<Item = LocationSegment<'s>>) -> codec::Path {
    let mut at = Some(value);
    let segment = |place: LocationSegment<'s>| {
        let name = place.to_string();
        let (segment, below) = match (at, place) {
            (Some(Value::Array(items)), LocationSegment::Index(index)) => {
                (Segment::Index(index), items.get(index))
            }
            (Some(Value::Object(fields)), _) => (Segment::Name(name.clone()), fields.get(&name)),
            _ => (Segment::Name(name), None),
        };
        at = below;
        segment
    };
    codec::Path { segments: places.map(segment).collect() }
}

impl<'p> Work<'p, '_> {
    pub(super) fn require_schema(&mut self, schema: &Schema) -> Result<(), Stop<'p>> {
        let mut event = mem::take(&mut self.memory.one);
        event.clear();
        splice::push_event(&mut event, &self.plan.tree, self.event, self.edits);
        let checked = schema.check(&event);
        self.memory.one = event;
        checked.map_err(|wrong| self.reject(RejectClass::Schema, format_args!("{wrong}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Result<Schema, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("order.schema.json");
        fs::write(&file, text).unwrap();
        Schema::read(&file)
    }

    #[test]
    fn what_is_wrong_is_told_with_its_path() {
        let schema = schema(
            r#"{ "type": "object", "required": ["id"], "properties": {
                 "items": { "items": { "properties": { "0": { "minimum": 1 } } } } } }"#,
        );
        let schema = schema.unwrap();
        assert_eq!(schema.check(br#"{"id":1,"items":[{"0":1}]}"#), Ok(()));
        let wrong = schema.check(br#"{"id":1,"items":[{},{"0":0.5}]}"#).unwrap_err();
        assert!(wrong.starts_with(r#"`items[1]["0"]`: 0.5 is less than"#), "{wrong}");
        let wrong = schema.check(b"{}").unwrap_err();
        assert!(wrong.starts_with("the event: \"id\" is a required property"), "{wrong}");
    }

    #[test]
    fn a_file_that_is_no_schema_is_told_of() {
        for (text, part) in [
            ("{", "is no JSON:"),
            (r#"{"type": 7}"#, "is no JSON Schema:"),
            (r#"{"$ref": "https://example.com/other.json"}"#, "is no JSON Schema:"),
        ] {
            let error = schema(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(Schema::read(Path::new("absent.json")).unwrap_err().contains("cannot be read"));
    }
}

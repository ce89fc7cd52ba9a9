//! What a window computes, read from a record: one value for each aggregate, lent and not copied.
//!
//! A value that is absent or null is none, and the aggregate passes it over. First, last and
//! collected values keep the record's spelling of a number; what computes takes the number.

use crate::{
    codec,
    pipeline::{
        Lookup,
        cel::{self, Arena, Leaf},
        evaluate::{Made, Scope},
        expression::Expression,
        failure::Failure,
        process::Watch,
        stop::Stop,
    },
    state::Input,
    verdict::RejectClass,
};

/// An aggregate's name and where its values come from.
#[derive(Debug)]
pub(crate) struct Aggregated {
    pub(crate) name: Box<str>,
    /// As it was written.
    pub(crate) text: Box<str>,
    /// Nothing for `count()`.
    pub(crate) of: Option<Expression>,
    pub(crate) wants: Wants,
    /// An earlier one that looks at the same value: it is read once.
    pub(crate) as_earlier: Option<usize>,
}

/// Notes which of them look at the same.
pub(crate) fn share(aggregates: &mut [Aggregated]) {
    for at in 1..aggregates.len() {
        let (earlier, [it, ..]) = aggregates.split_at_mut(at) else { unreachable!("one is left") };
        let leaf = it.leaf();
        let is_same = |other: &Aggregated| other.leaf() == leaf && other.wants == it.wants;
        it.as_earlier = leaf.and_then(|_| earlier.iter().position(is_same));
    }
}

impl Aggregated {
    /// Of one that looks at nothing but a path.
    fn leaf(&self) -> Option<Leaf> {
        match &self.of {
            Some(Expression::Program(program)) => program.leaf(),
            _ => None,
        }
    }
}

/// What an aggregate looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// That there is a value.
    Presence,
    /// The value.
    Value,
    /// The value, a number as it is spelled.
    Spelling,
}

/// Reads the values of a record into `inputs`, which are absent until then.
pub(super) fn read<'p, 'm>(
    aggregates: &'p [Aggregated],
    scope: &Scope<'m>,
    made: &'m mut Made,
    tables: &mut dyn Lookup,
    inputs: &mut [Input<'m>],
) -> Result<(), Stop<'p>>
where
    'p: 'm,
{
    let Made { bytes, arena } = made;
    let arena: &'m Arena = arena;
    for (at, aggregate) in aggregates.iter().enumerate() {
        if let Some(earlier) = aggregate.as_earlier {
            inputs[at] = inputs[earlier];
            continue;
        }
        let Some(of @ Expression::Program(program)) = &aggregate.of else { continue };
        if aggregate.wants == Wants::Value
            && let Some(number) = scope.on_tape(program).and_then(number_of)
        {
            inputs[at] = number;
            continue;
        }
        let value = match scope.value(program, arena, bytes, tables) {
            Ok(value) => value,
            Err(Failure { class: RejectClass::MissingField, .. }) => continue,
            Err(failure) => return Err(Stop::Operand(failure, of)),
        };
        let read = input_of(&value, aggregate.wants, arena, bytes);
        inputs[at] = read.map_err(|why| Stop::Operand(Failure::of_whole(why), of))?;
    }
    Ok(())
}

/// The short way to what most aggregates look at.
#[inline]
fn number_of<'m>(value: codec::Value<'_>) -> Option<Input<'m>> {
    match value {
        codec::Value::Signed(number) => Some(Input::Int(number)),
        // Every integer that is not below zero.
        codec::Value::Unsigned(number) => i64::try_from(number).ok().map(Input::Int),
        codec::Value::Float(number) => Some(Input::Double(number)),
        _ => None,
    }
}

fn input_of<'m>(
    value: &cel::Value<'m>,
    wants: Wants,
    arena: &'m Arena,
    scratch: &mut Vec<u8>,
) -> Result<Input<'m>, cel::Why> {
    use cel::Value;
    let spelling = match value {
        Value::Int(_, origin) | Value::Uint(_, origin) | Value::Double(_, origin) => {
            origin.spelling().filter(|_| wants == Wants::Spelling)
        }
        _ => None,
    };
    Ok(match *value {
        Value::Null | Value::Optional(None) => Input::Null,
        Value::Optional(Some(value)) => return input_of(value, wants, arena, scratch),
        _ if wants == Wants::Presence => Input::Bool(true),
        Value::Bool(truth) => Input::Bool(truth),
        Value::Int(number, _) => spelling.map_or(Input::Int(number), Input::Json),
        Value::Uint(number, _) => spelling.map_or(Input::Uint(number), Input::Json),
        Value::Double(number, _) => spelling.map_or(Input::Double(number), Input::Json),
        Value::Text(text) => Input::Text(text),
        Value::Bytes(bytes) => Input::Bytes(bytes),
        _ => {
            scratch.clear();
            value.push_json(scratch, arena)?;
            Input::Json(arena.keep_bytes(scratch))
        }
    })
}

/// Tells who watches what was read.
pub(super) fn show(
    index: u16,
    aggregates: &[Aggregated],
    inputs: &[Input<'_>],
    watch: &mut impl Watch,
) {
    for (aggregate, input) in aggregates.iter().zip(inputs).filter(|(it, _)| it.of.is_some()) {
        watch.read(index, &aggregate.text, shown(input).as_bytes());
    }
}

/// A value in a sentence: its beginning, if it is long.
#[cold]
pub(super) fn shown(input: &Input<'_>) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 40;
    let text = match input {
        Input::Absent => "absent".to_owned(),
        Input::Null => "null".to_owned(),
        Input::Bool(truth) => truth.to_string(),
        Input::Int(number) => number.to_string(),
        Input::Uint(number) => number.to_string(),
        Input::Double(number) => number.to_string(),
        Input::Text(text) => format!("{text:?}"),
        Input::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Input::Json(json) => String::from_utf8_lossy(json).into_owned(),
    };
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

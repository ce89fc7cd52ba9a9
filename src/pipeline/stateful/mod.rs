//! The steps whose effect on a record depends on earlier ones, as they run: `dedup` and `window`.
//!
//! What they remember is in `stores`; here a record's key, time and values are read from it, and
//! what the store says becomes what is done. Behind a window no record of the source goes on: its
//! results do, each an event of its own, from `Pipeline::process_given_off`. A record that is late
//! may go to a topic, as it is at that step.

pub(super) mod aggregates;

use crate::{
    codec,
    limits::{AGGREGATES_MAX, STATE_ENTRY_BYTES_MAX},
    pipeline::{
        Lookup, Mark, cel,
        evaluate::{Kind, Scope},
        expression::Expression,
        failure::Failure,
        process::Watch,
        stop::Stop,
        stores::{Admitted, WindowKey},
        work::{Sources, Surroundings, Work, as_key},
    },
    record::Destination,
    state::{
        Input,
        window::{Added, Refusal},
    },
    verdict::{RejectClass, Sentence, SkipClass, Step},
};
use aggregates::Aggregated;

/// For no more than so many less memory is written.
const FEW_AGGREGATES: usize = 8;

/// A step that drops duplicates, compiled.
#[derive(Debug)]
pub(super) struct Dedup {
    /// The number of its store.
    pub(super) store: usize,
    pub(super) key: Expression,
    pub(super) max_keys: usize,
}

/// A step that aggregates, compiled.
#[derive(Debug)]
pub(super) struct Window {
    /// The number of its store.
    pub(super) store: usize,
    pub(super) key: Expression,
    /// The buffer of the key.
    pub(super) key_buffer: u16,
    pub(super) time: Time,
    pub(super) aggregates: Vec<Aggregated>,
    /// Where late records go.
    pub(super) late: Option<Destination>,
    pub(super) max_keys: usize,
}

/// Where a record's time is.
#[derive(Debug)]
pub(super) enum Time {
    /// The timestamp that the broker has.
    OfRecord(Expression),
    /// A program.
    Of(Expression),
}

impl Time {
    fn expression(&self) -> &Expression {
        match self {
            Time::OfRecord(expression) | Time::Of(expression) => expression,
        }
    }
}

impl<'p> Work<'p, '_> {
    pub(super) fn dedup<T: Lookup>(
        &mut self,
        index: u16,
        dedup: &'p Dedup,
        sources: &mut Sources<'_, T>,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        let Sources { made, tables } = sources;
        let Work { plan, record, event, edits, stores, .. } = self;
        let scope = Scope { tree: &plan.tree, event, edits, record, others: &plan.others };
        let key = scope.evaluate(&dedup.key, made, *tables).and_then(as_key);
        let key = key.map_err(|failure| Stop::Operand(failure, &dedup.key))?;
        watch.read(index, &dedup.key.shown(&plan.tree), key.bytes);
        match stores.admit(dedup.store, record, key.bytes) {
            Admitted::Fresh => {
                watch.decided(index, &"it is the first with this key");
                Ok(())
            }
            Admitted::Seen => {
                watch.decided(index, &"a record with this key came before");
                Err(Stop::Skip(SkipClass::Duplicate))
            }
            Admitted::Behind => Err(Stop::Behind),
            Admitted::Full => {
                let max = dedup.max_keys;
                let reason = format_args!(
                    "this partition remembers {max} keys, which is all that max_keys allows"
                );
                self.told = Some(Sentence::format(reason));
                Err(Stop::Told(RejectClass::StateFull))
            }
        }
    }

    /// A record ends here: it is held or refused, or it is late.
    pub(super) fn window<T: Lookup, M: FnMut(Mark), W: Watch>(
        &mut self,
        index: u16,
        window: &'p Window,
        around: &mut Surroundings<'_, T, M, W>,
    ) -> Result<(), (Stop<'p>, Step)> {
        let Surroundings { sources, watch, .. } = around;
        let added = self.add(index, window, sources, *watch);
        let stop = match (added, window.late) {
            (Ok(Added::Late), Some(topic)) => {
                let name = self.topics.name(topic);
                watch.decided(index, &format_args!("it is late and goes to {name}"));
                self.outgoing.destination = topic;
                (around.mark)(Mark::Operated);
                self.encode_as_it_is(around.results);
                return Ok(());
            }
            (Ok(Added::Late), None) => {
                watch.decided(index, &"every window that it belongs to is closed");
                Stop::Skip(SkipClass::Late)
            }
            (Ok(_), _) => {
                watch.decided(index, &"it counts in the windows of its key");
                Stop::Hold
            }
            (Err(stop), _) => stop,
        };
        Err((stop, Step::Number(index)))
    }

    fn add<T: Lookup>(
        &mut self,
        index: u16,
        window: &'p Window,
        sources: &mut Sources<'_, T>,
        watch: &mut impl Watch,
    ) -> Result<Added, Stop<'p>> {
        let mut buffer = self.edits.take_buffer(window.key_buffer);
        let added = self.add_with(index, window, &mut buffer, sources, watch);
        self.edits.return_buffer(window.key_buffer, buffer);
        added
    }

    fn add_with<T: Lookup>(
        &mut self,
        index: u16,
        window: &'p Window,
        buffer: &mut Vec<u8>,
        sources: &mut Sources<'_, T>,
        watch: &mut impl Watch,
    ) -> Result<Added, Stop<'p>> {
        let Sources { made, tables } = sources;
        let Work { plan, record, event, edits, stores, .. } = self;
        let scope = Scope { tree: &plan.tree, event, edits, record, others: &plan.others };
        let key = scope.evaluate(&window.key, made, *tables).and_then(as_key);
        let key = key.map_err(|failure| Stop::Operand(failure, &window.key))?;
        watch.read(index, &window.key.shown(&plan.tree), key.bytes);
        let kind = key.kind;
        buffer.extend_from_slice(key.bytes);
        let key = match kind {
            Kind::Number | Kind::Bool => WindowKey::Json(buffer),
            _ => WindowKey::Text(buffer),
        };
        let time_ms = time_of(window, &scope, sources)?;
        watch.read(index, &"time, in ms", itoa::Buffer::new().format(time_ms).as_bytes());
        let (made, tables) = (&mut *sources.made, &mut *sources.tables);
        let (mut few, mut all);
        let inputs = match window.aggregates.len() {
            count @ ..=FEW_AGGREGATES => {
                few = [Input::Absent; FEW_AGGREGATES];
                &mut few[..count]
            }
            count => {
                all = [Input::Absent; AGGREGATES_MAX];
                &mut all[..count]
            }
        };
        aggregates::read(&window.aggregates, &scope, made, tables, inputs)?;
        if watch.is_watching() {
            aggregates::show(index, &window.aggregates, inputs, watch);
        }
        let added = stores.add(window.store, record, key, time_ms, inputs);
        let Added::Refused(refusal) = added else { return Ok(added) };
        self.told = Some(refused(refusal, window, inputs, time_ms));
        Err(Stop::Told(refusal.class()))
    }
}

/// A record's time, in milliseconds since the epoch.
fn time_of<'p, T: Lookup>(
    window: &'p Window,
    scope: &Scope<'_>,
    sources: &mut Sources<'_, T>,
) -> Result<i64, Stop<'p>> {
    let expression = window.time.expression();
    let wrong = |failure: Failure| Stop::Operand(failure, expression);
    let Time::Of(Expression::Program(program)) = &window.time else {
        let absent = || wrong(crate::pipeline::failure::Why::Absent.missing());
        return scope.record.timestamp_ms.ok_or_else(absent);
    };
    match scope.on_tape(program) {
        Some(codec::Value::Signed(millis)) => return Ok(millis),
        // Past what any calendar has, if it does not fit; the store says so.
        Some(codec::Value::Unsigned(millis)) => {
            return Ok(i64::try_from(millis).unwrap_or(i64::MAX));
        }
        _ => {}
    }
    let millis = scope.with_value(program, sources.made, sources.tables, millis).map_err(wrong)?;
    millis.map_err(|kind| wrong(crate::pipeline::failure::Why::NoTime(kind).wrong_type()))
}

/// The kind of what is no time.
fn millis(value: cel::Value<'_>) -> Result<i64, Kind> {
    match value {
        cel::Value::Timestamp(time) => Ok(time.nanos().div_euclid(1_000_000) as i64),
        cel::Value::Int(millis, _) => Ok(millis),
        // Past what any calendar has; the store says so.
        cel::Value::Uint(millis, _) => Ok(i64::try_from(millis).unwrap_or(i64::MAX)),
        cel::Value::Double(millis, _) if millis.is_finite() => Ok(millis.floor() as i64),
        other => Err(Kind::of_value(&other)),
    }
}

#[cold]
fn refused(refusal: Refusal, window: &Window, inputs: &[Input<'_>], time_ms: i64) -> Sentence {
    match refusal {
        Refusal::MaxKeys => Sentence::format(format_args!(
            "{} keys have open windows in this partition, which is all that max_keys allows",
            window.max_keys
        )),
        Refusal::MaxAge => Sentence::from("its session would be longer than max_age"),
        Refusal::EntryBytes => Sentence::format(format_args!(
            "the windows of its key would have more than {STATE_ENTRY_BYTES_MAX} bytes"
        )),
        Refusal::NotANumber(aggregate) => {
            let Aggregated { name, text, .. } = &window.aggregates[aggregate];
            let value = aggregates::shown(&inputs[aggregate]);
            Sentence::format(format_args!("`{name}` = `{text}` wants a number, not {value}"))
        }
        Refusal::Time => Sentence::format(format_args!("no calendar has its time, {time_ms} ms")),
    }
}

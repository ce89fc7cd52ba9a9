//! One record through the plan: parsed here, its steps run by `work`, its results put by `encode`.

use std::fmt;

use crate::{
    codec::{Edits, ParseErrorKind, Parser, Written},
    config::{Problem, Settings, settings::Tombstones},
    limits::{RESULT_TOPICS_MAX, RESULTS_PER_RECORD_MAX, STATE_ENTRY_BYTES_MAX},
    pipeline::{
        Found, Lookup, Mark, Processed, Results,
        compile::{self, Plan},
        encode::{entry, headers_of, key_of},
        evaluate::Made,
        origin,
        results::Part,
        steps::{
            Memory,
            outgoing::{Outgoing, Topics},
        },
        stop::{Stop, stopped},
        stores::StateStores,
        work::{Sources, Surroundings, Work},
    },
    record::{Destination, Record},
    verdict::{RejectClass, Rejection, Skip, SkipClass, Step, Verdict},
};

/// Where results go, unless a step says otherwise; `assemble` numbers the sinks so.
pub const SINK: Destination = Destination(0);

/// How much deeper a window's result nests what it collected.
const RESULT_DEPTH: usize = 2;

/// Room that each write starts with.
pub(super) const WRITE_BYTES: usize = 4096;

/// Compiled steps and sink expressions with their reused memory; one for each hot thread.
#[derive(Debug)]
pub struct Pipeline {
    plan: Plan,
    parser: Parser,
    edits: Edits,
    made: Made,
    memory: Memory,
    outgoing: Outgoing,
    topics: Topics,
    stores: StateStores,
    /// Of what windows give off, which may be larger and deeper than a record.
    results_parser: Option<Parser>,
}

/// Told what the steps see and do, in the order in which they do it; the hot thread has none.
pub(super) trait Watch {
    /// False where nobody needs to be told.
    fn is_watching(&self) -> bool {
        true
    }
    /// A step begins.
    fn began(&mut self, _step: u16) {}
    /// A step's condition was not true: it does nothing.
    fn passed_over(&mut self, _step: u16) {}
    /// A step read the value of an expression.
    fn read(&mut self, _step: u16, _expression: &dyn fmt::Display, _value: &[u8]) {}
    /// A step chose between ways to go on, as a sentence says.
    fn decided(&mut self, _step: u16, _how: &dyn fmt::Display) {}
    /// A step looked a key up.
    fn looked_up(&mut self, _step: u16, _table: &str, _key: &[u8], _found: &Found<'_>) {}
    /// A step wrote.
    fn wrote(&mut self, _step: u16, _path: &dyn fmt::Display, _written: Written, _bytes: &[u8]) {}
}

pub(super) struct Unwatched;

impl Watch for Unwatched {
    fn is_watching(&self) -> bool {
        false
    }
}

impl Pipeline {
    /// Compiles the settings; table i of a `Lookup` is the i-th of `Settings::tables`.
    ///
    /// # Errors
    ///
    /// All problems at once, with their key paths.
    pub fn compile(settings: &Settings) -> Result<Pipeline, Vec<Problem>> {
        let (plan, topics, own) = compile::compile(settings)?;
        Ok(Pipeline {
            parser: Parser::new(settings.limits.record, settings.limits.depth),
            results_parser: plan.has_windows().then(|| {
                let depth = settings.limits.depth + RESULT_DEPTH;
                Parser::new(STATE_ENTRY_BYTES_MAX, depth)
            }),
            edits: Edits::new(&plan.tree, plan.writes, WRITE_BYTES, plan.eaches),
            made: Made::with_capacity(WRITE_BYTES),
            memory: Memory::new(WRITE_BYTES, own),
            outgoing: Outgoing::new(plan.headers.len(), plan.eaches),
            topics,
            stores: StateStores::new(plan.stores.clone(), plan.room),
            plan,
        })
    }

    /// Topics that results go to, by the number of their destination.
    pub fn topics(&self) -> &[String] {
        &self.topics.names
    }

    /// What topics may begin with that records name: those that are there are to be learned.
    pub fn prefixes(&self) -> &[String] {
        &self.plan.prefixes
    }

    /// A topic is there that begins with one of the prefixes.
    ///
    /// # Panics
    ///
    /// Past `RESULT_TOPICS_MAX` topics.
    pub fn learn_topic(&mut self, name: &str) {
        self.topics.number(name);
        assert!(self.topics.names.len() <= RESULT_TOPICS_MAX, "too many topics");
    }

    /// Every topic is taken for one that is there, where it begins with one of the prefixes.
    pub(super) fn imagine_topics(&mut self) {
        self.topics.are_unknown = true;
    }

    /// What steps keep between records.
    #[inline]
    pub fn stores(&self) -> &StateStores {
        &self.stores
    }

    /// The same, to be told what becomes of records.
    #[inline]
    pub fn stores_mut(&mut self) -> &mut StateStores {
        &mut self.stores
    }

    /// Results that one record may come to.
    pub fn results_max(&self) -> usize {
        if self.plan.eaches > 0 { RESULTS_PER_RECORD_MAX } else { 1 }
    }

    /// How messages, dead letters and metrics name a place in the pipeline.
    pub fn step_name(&self, step: Step) -> &str {
        match step {
            Step::Parse => "parse",
            Step::Encode => "encode",
            Step::Sink => "sink",
            Step::Number(index) => &self.plan.steps[usize::from(index)].name,
        }
    }

    /// A table's name, by its index in the settings.
    pub fn table_name(&self, table: usize) -> &str {
        &self.plan.tables[table]
    }

    /// True if an expression asks that table by `lookup`.
    pub(super) fn asks(&self, table: usize) -> bool {
        self.plan.asked.contains(&table)
    }

    /// Names of the steps, in order.
    pub fn step_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.plan.steps.iter().map(|step| step.name.as_str())
    }

    /// The table and key that a record is likely to look up first: a guess, good for prefetching.
    #[inline]
    pub fn foresee<'a>(&self, record: &Record<'a>) -> Option<(usize, &'a [u8])> {
        let foresight = self.plan.foresight.as_ref()?;
        Some((foresight.number, foresight.guess(record)?))
    }

    /// Tells the stores what a record is likely to ask them for: guesses, as `foresee` makes them.
    #[inline]
    pub fn foresee_state(&mut self, record: &Record<'_>) {
        for foresight in &self.plan.state_foresights {
            if let Some(key) = foresight.guess(record) {
                self.stores.foresee(foresight.number, record.partition, key);
            }
        }
    }

    /// Processes one record. Results of an emitted one were pushed to `results`; of any other
    /// nothing stays there. `mark` is told the end of parse and of operate, unless it ended before.
    #[inline]
    pub fn process<T: Lookup>(
        &mut self,
        record: &Record<'_>,
        tables: &mut T,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        self.process_watched(record, tables, mark, results, &mut Unwatched)
    }

    /// Processes what the state of the step of that index gave off: runs the steps behind it.
    pub fn process_given_off<T: Lookup>(
        &mut self,
        record: &Record<'_>,
        step: u16,
        tables: &mut T,
        results: &mut Results,
    ) -> Processed {
        self.process_given_off_watched(record, step, tables, results, &mut Unwatched)
    }

    pub(super) fn process_given_off_watched<T: Lookup>(
        &mut self,
        record: &Record<'_>,
        step: u16,
        tables: &mut T,
        results: &mut Results,
        watch: &mut impl Watch,
    ) -> Processed {
        let first = usize::from(step) + 1;
        self.process_from(first, record, tables, &mut |_| {}, results, watch)
    }

    #[inline]
    pub(super) fn process_watched<T: Lookup>(
        &mut self,
        record: &Record<'_>,
        tables: &mut T,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
        watch: &mut impl Watch,
    ) -> Processed {
        self.process_from(0, record, tables, mark, results, watch)
    }

    /// Runs the steps from that one on.
    #[inline]
    pub(super) fn process_from<T: Lookup>(
        &mut self,
        first: usize,
        record: &Record<'_>,
        tables: &mut T,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
        watch: &mut impl Watch,
    ) -> Processed {
        let plan = &self.plan;
        let mut origin_ns = origin::of_record(&plan.origin, plan.unit_nanos, record);
        let parse_rejected = |class, reason: fmt::Arguments<'_>| Processed {
            verdict: Verdict::Reject(Rejection::new(class, Step::Parse, reason)),
            origin_ns,
        };
        if let Some(deliveries) = record.exhausted() {
            return Processed { verdict: exhausted(deliveries), origin_ns };
        }
        let Some(value) = record.value else {
            return Processed { verdict: tombstone(plan, record, mark, results), origin_ns };
        };
        // What a window gives off is bounded by itself.
        let parser = match &mut self.results_parser {
            Some(parser) if first > 0 => parser,
            _ => &mut self.parser,
        };
        if first == 0 && value.len() > plan.record_bytes_max {
            let (len, max) = (value.len(), plan.record_bytes_max);
            let reason = format_args!("the value has {len} bytes, more than limits.record = {max}");
            return parse_rejected(RejectClass::TooLarge, reason);
        }
        let event = match parser.parse(value) {
            Ok(event) => event,
            Err(error) => {
                return parse_rejected(class_of(error.kind), format_args!("{error}"));
            }
        };
        self.edits.begin(&plan.tree, &event);
        self.made.begin();
        self.outgoing.begin();
        let before = (results.len(), results.bytes_len());
        let mut work = Work {
            plan,
            record,
            event: &event,
            edits: &mut self.edits,
            outgoing: &mut self.outgoing,
            topics: &mut self.topics,
            memory: &mut self.memory,
            stores: &mut self.stores,
            results_before: before.0,
            told: None,
        };
        let mut sources = Sources { made: &mut self.made, tables };
        origin_ns = origin_ns.or_else(|| work.origin_ns(&mut sources));
        mark(Mark::Parsed);
        let mut around = Surroundings { sources, mark, results, watch };
        // Made here and not in a variable of its own, whose 250 bytes would be copied.
        if let Err((stop, step)) = work.run(first, &mut around) {
            results.truncate(before.0, before.1);
            return match stop {
                Stop::Hold => Processed { verdict: Verdict::Hold(step), origin_ns },
                Stop::Skip(class) => {
                    Processed { verdict: Verdict::Skip(Skip { class, step }), origin_ns }
                }
                _ => Processed { verdict: stopped(plan, &stop, work.told, step), origin_ns },
            };
        }
        Processed { verdict: Verdict::Emit, origin_ns }
    }
}

fn class_of(kind: ParseErrorKind) -> RejectClass {
    match kind {
        ParseErrorKind::NotJson => RejectClass::NotJson,
        ParseErrorKind::NotObject => RejectClass::NotObject,
        ParseErrorKind::TooDeep => RejectClass::TooDeep,
    }
}

/// An entry of a stream that came too often.
#[cold]
fn exhausted(deliveries: &str) -> Verdict {
    let reason = format_args!(
        "it was delivered {deliveries} times and never acknowledged: whoever takes it may die of it"
    );
    Verdict::Reject(Rejection::new(RejectClass::ClaimsExhausted, Step::Parse, reason))
}

/// A record without a value is passed over, written as it is, or rejected.
#[cold]
fn tombstone(
    plan: &Plan,
    record: &Record<'_>,
    mark: &mut impl FnMut(Mark),
    results: &mut Results,
) -> Verdict {
    match plan.tombstones {
        Tombstones::Skip => Verdict::Skip(Skip { class: SkipClass::Tombstone, step: Step::Parse }),
        Tombstones::Reject => {
            let reason = format_args!("the record has no value (a tombstone)");
            Verdict::Reject(Rejection::new(RejectClass::NotJson, Step::Parse, reason))
        }
        Tombstones::Pass => {
            mark(Mark::Parsed);
            mark(Mark::Operated);
            let headers = headers_of(record, results);
            let parts = (key_of(record), Part::Absent, headers);
            results.push(entry(plan, record, SINK, parts));
            Verdict::Emit
        }
    }
}

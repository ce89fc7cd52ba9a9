//! `route`, `key` and `headers`: where a result goes, and what it carries beside its value.
//!
//! Topics are numbered at start; data can choose among them and never names another one. Under a
//! prefix those count that were there at the start, because a producer that makes topics because
//! of a typing error in data is nobody's wish.

use std::mem;

use crate::{
    pipeline::{
        Lookup,
        evaluate::Kind,
        expression::Expression,
        failure::Why,
        process::{SINK, Watch},
        steps::shown,
        stop::Stop,
        work::{Sources, Work},
    },
    record::Destination,
    verdict::{RejectClass, SkipClass},
};

/// How a topic is chosen.
#[derive(Debug)]
pub(crate) enum Route {
    /// By the first condition that is true.
    To(Vec<(Expression, Destination)>, Otherwise),
    /// By name, among these.
    Among(Expression, Vec<Destination>),
    /// By name, among those that begin so.
    Prefix(Expression, Box<str>),
}

/// What becomes of a record of which no condition is true.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Otherwise {
    To(Destination),
    Skip,
    Reject,
}

/// The topics that results can go to, by the number of their destination.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topics {
    pub(crate) names: Vec<String>,
    /// Any topic under a route's prefix is taken for one that is there.
    pub(crate) are_unknown: bool,
}

impl Topics {
    /// The number of a topic that is known, or becomes so.
    pub(crate) fn number(&mut self, name: &str) -> Destination {
        let known = self.names.iter().position(|it| it == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        Destination(known as u8)
    }

    pub(crate) fn name(&self, destination: Destination) -> &str {
        &self.names[usize::from(destination.0)]
    }
}

/// A key or a header's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// No step says anything.
    #[default]
    AsItCame,
    /// There is to be none.
    Absent,
    /// In that buffer.
    Written(u16),
}

/// What the steps said of the result under way, beside its value.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) destination: Destination,
    pub(crate) key: Choice,
    /// By the headers' numbers.
    pub(crate) headers: Vec<Choice>,
    saved: Vec<Choice>,
    saved_heads: Vec<(Destination, Choice)>,
}

impl Outgoing {
    pub(crate) fn new(headers: usize, saves: usize) -> Outgoing {
        Outgoing {
            destination: SINK,
            key: Choice::AsItCame,
            headers: vec![Choice::AsItCame; headers],
            saved: vec![Choice::AsItCame; headers * saves],
            saved_heads: vec![(SINK, Choice::AsItCame); saves],
        }
    }

    /// Begins with a record.
    #[inline]
    pub(crate) fn begin(&mut self) {
        (self.destination, self.key) = (SINK, Choice::AsItCame);
        self.headers.fill(Choice::AsItCame);
    }

    /// Keeps what was said, as `codec::Edits` does.
    pub(crate) fn save(&mut self, level: usize) {
        self.saved_heads[level] = (self.destination, self.key);
        let len = self.headers.len();
        self.saved[level * len..][..len].copy_from_slice(&self.headers);
    }

    pub(crate) fn restore(&mut self, level: usize) {
        (self.destination, self.key) = self.saved_heads[level];
        let len = self.headers.len();
        self.headers.copy_from_slice(&self.saved[level * len..][..len]);
    }

    /// True if a header of the record goes on.
    #[inline]
    pub(crate) fn changes_headers(&self) -> bool {
        self.headers.iter().any(|it| *it != Choice::AsItCame)
    }
}

impl<'p> Work<'p, '_> {
    pub(super) fn route<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        route: &'p Route,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        let destination = match route {
            Route::To(ways, otherwise) => {
                self.first_true(index, ways, *otherwise, sources, watch)?
            }
            Route::Among(topic, _) | Route::Prefix(topic, _) => {
                let mut name = mem::take(&mut self.memory.one);
                name.clear();
                let pushed = self.push_text(index, topic, &mut name, sources, watch);
                let named = pushed.and_then(|_| self.named(route, &name));
                self.memory.one = name;
                named?
            }
        };
        self.outgoing.destination = destination;
        watch.decided(index, &format_args!("it goes to {}", self.topics.name(destination)));
        Ok(())
    }

    fn first_true<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        ways: &'p [(Expression, Destination)],
        otherwise: Otherwise,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<Destination, Stop<'p>> {
        for (when, destination) in ways {
            if self.is_true(index, when, sources, watch)? {
                return Ok(*destination);
            }
        }
        match otherwise {
            Otherwise::To(destination) => Ok(destination),
            Otherwise::Skip => {
                watch.decided(index, &"no condition is true");
                Err(Stop::Skip(SkipClass::Filtered))
            }
            Otherwise::Reject => {
                Err(self.reject(RejectClass::NoRoute, format_args!("no condition is true")))
            }
        }
    }

    fn named(&mut self, route: &Route, name: &[u8]) -> Result<Destination, Stop<'p>> {
        let is_it =
            |topics: &[String], it: &Destination| topics[usize::from(it.0)].as_bytes() == name;
        let found = match route {
            Route::Among(_, among) => {
                among.iter().copied().find(|it| is_it(&self.topics.names, it))
            }
            Route::Prefix(_, prefix) if name.starts_with(prefix.as_bytes()) => {
                if let (true, Ok(name)) = (self.topics.are_unknown, str::from_utf8(name)) {
                    self.topics.number(name);
                }
                let mut all = (0..self.topics.names.len()).map(|it| Destination(it as u8));
                all.find(|it| is_it(&self.topics.names, it))
            }
            Route::To(..) | Route::Prefix(..) => None,
        };
        found.ok_or_else(|| self.no_route(route, name))
    }

    #[cold]
    fn no_route(&mut self, route: &Route, name: &[u8]) -> Stop<'p> {
        let name = shown(name);
        match route {
            Route::Prefix(_, prefix) if name.starts_with(&**prefix) => {
                let reason = format_args!("the topic {name:?} was not there at the start");
                self.reject(RejectClass::NoRoute, reason)
            }
            Route::Prefix(_, prefix) => {
                let reason = format_args!("the topic {name:?} does not begin with {prefix:?}");
                self.reject(RejectClass::NoRoute, reason)
            }
            _ => {
                let reason = format_args!("the topic {name:?} is not among those of the route");
                self.reject(RejectClass::NoRoute, reason)
            }
        }
    }

    pub(super) fn key<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        expression: &'p Expression,
        write: u16,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        self.outgoing.key = match self.fill(index, expression, write, sources, watch)? {
            Kind::Null => Choice::Absent,
            kind @ (Kind::Object | Kind::List) => {
                return Err(Stop::Operand(Why::Unusable(kind).wrong_type(), expression));
            }
            _ => Choice::Written(write),
        };
        Ok(())
    }

    pub(super) fn header<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        number: usize,
        expression: &'p Expression,
        write: u16,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        self.outgoing.headers[number] = match self.fill(index, expression, write, sources, watch)? {
            Kind::Null => Choice::Absent,
            _ => Choice::Written(write),
        };
        Ok(())
    }

    /// Fills a buffer with a value as text.
    fn fill<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        expression: &'p Expression,
        write: u16,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<Kind, Stop<'p>> {
        let mut buffer = self.edits.take_buffer(write);
        let kind = self.push_text(index, expression, &mut buffer, sources, watch);
        self.edits.return_buffer(write, buffer);
        kind
    }
}

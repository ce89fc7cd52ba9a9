//! Steps without state, compiled: paths found, topics and headers numbered, buffers counted.

use crate::{
    codec::{Kept, Path, PathId, Segment},
    config::settings::{self, Otherwise, Require},
    limits::RESULT_TOPICS_MAX,
    pipeline::{
        compile::{Compiler, Target, toml_key},
        expression::Expression,
        steps::{self, Each, Route, Rule, Schema, Stateless, threshold},
    },
    record::{Destination, OWN_HEADERS},
};

impl Compiler {
    /// `None`: it was told what is wrong.
    pub(super) fn stateless(
        &mut self,
        place: &str,
        operator: &settings::Operator,
    ) -> Option<Stateless> {
        use settings::Operator;
        let key = format!("{place}.{}", operator.name());
        match operator {
            Operator::Set(sets) => {
                let set = |(path, text): &(String, String)| {
                    let key = format!("{key}.{}", toml_key(path));
                    let expression = self.expression(&key, text);
                    let target = self.json_target(&key, path, place);
                    Some((expression?, target?))
                };
                all(sets.iter().map(set)).map(Stateless::Set)
            }
            Operator::Remove(paths) => self.remove(&key, paths),
            Operator::Keep(paths) => self.keep(&key, paths),
            Operator::Rename(renames) => {
                let old = |(new, old): &(String, String)| {
                    self.removal(&format!("{key}.{}", toml_key(new)), old)
                };
                let olds: Vec<_> = renames.iter().map(old).collect();
                let rename = |((new, _), old): (&(String, String), Option<Target>)| {
                    let key = format!("{key}.{}", toml_key(new));
                    Some((self.json_target(&key, new, place)?, old?))
                };
                all(renames.iter().zip(olds).map(rename)).map(Stateless::Rename)
            }
            Operator::Alias(aliases) => {
                all(aliases.iter().map(|alias| self.alias(&key, alias, place)))
                    .map(Stateless::Alias)
            }
            Operator::Require(Require::Schema(file)) => match Schema::read(file) {
                Ok(schema) => Some(Stateless::Schema(Box::new(schema))),
                Err(sentence) => self.problem(&key, sentence),
            },
            Operator::Require(Require::Fields(fields)) => {
                let rule = |(path, rules): &(String, settings::Rules)| {
                    let path = self.path(&key, path)?;
                    Rule::new(path, rules).map_err(|it| self.problem::<()>(&key, it)).ok()
                };
                all(fields.iter().map(rule)).map(Stateless::Require)
            }
            Operator::Filter(text) => self.condition(&key, text).map(Stateless::Filter),
            Operator::Each(each) => self.each(&key, each, place),
            Operator::Route(route) => self.route(&key, route).map(Stateless::Route),
            Operator::Key(text) => {
                let expression = self.expression(&key, text)?;
                Some(Stateless::Key(expression, self.next_write()))
            }
            Operator::Headers(headers) => {
                let header = |(name, text): &(String, String)| self.header(&key, name, text);
                all(headers.iter().map(header)).map(Stateless::Headers)
            }
            Operator::Sample { share, by } => {
                let by = by.as_ref().map(|by| self.expression(&format!("{key}.by"), by));
                let by = by.map_or(Some(None), |by| by.map(Some))?;
                Some(Stateless::Sample { threshold: threshold(*share), by })
            }
            Operator::Own(own) => self.own(&key, own, place).map(Stateless::Own),
            Operator::Lookup { .. } | Operator::Hash { .. } | Operator::Text(_) => None,
            Operator::Dedup(_) | Operator::Window(_) => None,
        }
    }

    pub(super) fn path(&mut self, key: &str, path: &str) -> Option<PathId> {
        match Path::parse(path) {
            Ok(path) => Some(self.names.tree.add(&path)),
            Err(sentence) => self.problem(key, format!("{path:?} is no path: {sentence}")),
        }
    }

    /// A path that a step writes any JSON to.
    pub(super) fn json_target(&mut self, key: &str, path: &str, place: &str) -> Option<Target> {
        let target = self.target(key, path, place)?;
        self.names.may_hold_parts(target.path);
        Some(target)
    }

    /// A path that a step removes: what is left of what was written there is not known here.
    fn removal(&mut self, key: &str, path: &str) -> Option<Target> {
        let path = self.path(key, path)?;
        self.names.may_be_gone(path);
        // What is left of a list that loses an item is a value of its own.
        if let (true, Some(list)) = (self.names.tree.is_item(path), self.names.tree.parent(path)) {
            self.names.may_hold_parts(list);
        }
        Some(Target { path, write: self.next_write() })
    }

    /// Items count as they stand before the step, so the later ones of a list go first.
    fn remove(&mut self, key: &str, paths: &[String]) -> Option<Stateless> {
        let mut targets: Vec<_> = all(paths.iter().map(|path| self.removal(key, path)))?;
        let way = |target: &Target| -> Vec<Option<usize>> {
            let index = |segment: &Segment| match segment {
                Segment::Index(index) => Some(*index),
                Segment::Name(_) => None,
            };
            self.names.tree.path(target.path).segments.iter().map(index).collect()
        };
        targets.sort_by_key(|target| std::cmp::Reverse(way(target)));
        Some(Stateless::Remove(targets))
    }

    fn keep(&mut self, key: &str, paths: &[String]) -> Option<Stateless> {
        let paths: Vec<_> = all(paths.iter().map(|path| self.path(key, path)))?;
        self.names.may_be_gone(PathId::ROOT);
        self.names.is_thinned = true;
        for path in &paths {
            let above = std::iter::successors(Some(*path), |at| self.names.tree.parent(*at));
            let items: Vec<_> = above.filter(|at| self.names.tree.is_item(*at)).collect();
            for item in items {
                let list = self.names.tree.parent(item).unwrap_or(PathId::ROOT);
                self.names.may_hold_parts(list);
            }
        }
        let Compiler { names, writes, .. } = self;
        Some(Stateless::Keep(Kept::new(&names.tree, &paths, writes)))
    }

    fn alias(
        &mut self,
        key: &str,
        alias: &settings::Alias,
        place: &str,
    ) -> Option<(Target, Vec<Target>)> {
        let key = format!("{key}.{}", toml_key(&alias.path));
        let mut spellings: Vec<_> =
            all(alias.spellings.iter().map(|spelling| self.removal(&key, spelling)))?;
        let target = self.json_target(&key, &alias.path, place)?;
        // The path is the first spelling anyway.
        spellings.retain(|spelling| spelling.path != target.path);
        Some((target, spellings))
    }

    fn each(&mut self, key: &str, each: &settings::Each, place: &str) -> Option<Stateless> {
        let of = self.expression(&format!("{key}.of"), &each.of);
        let list = self.next_write();
        let into = self.json_target(&format!("{key}.into"), &each.into, place);
        let at_key = format!("{key}.at");
        let at = each.at.as_ref().map(|at| self.json_target(&at_key, at, place));
        let at = at.map_or(Some(None), |at| at.map(Some))?;
        self.eaches += 1;
        Some(Stateless::Each(Each { of: of?, list, into: into?, at, level: self.eaches - 1 }))
    }

    fn route(&mut self, key: &str, route: &settings::Route) -> Option<Route> {
        match route {
            settings::Route::To(ways, otherwise) => {
                let way = |(index, (when, topic)): (usize, &(String, String))| {
                    let key = format!("{key}.to[{index}]");
                    let when = self.condition(&format!("{key}.when"), when);
                    let topic = self.topic(&key, topic);
                    Some((when?, topic?))
                };
                let ways = all(ways.iter().enumerate().map(way));
                let otherwise = match otherwise {
                    Otherwise::Sink => steps::outgoing::Otherwise::To(Destination(0)),
                    Otherwise::Skip => steps::outgoing::Otherwise::Skip,
                    Otherwise::Reject => steps::outgoing::Otherwise::Reject,
                    Otherwise::Topic(topic) => {
                        let topic = self.topic(&format!("{key}.otherwise"), topic)?;
                        steps::outgoing::Otherwise::To(topic)
                    }
                };
                Some(Route::To(ways?, otherwise))
            }
            settings::Route::Among(topic, among) => {
                let expression = self.expression(&format!("{key}.topic"), topic);
                let key = format!("{key}.among");
                let among = all(among.iter().map(|topic| self.topic(&key, topic)));
                Some(Route::Among(expression?, among?))
            }
            settings::Route::Prefix(topic, prefix) => {
                let expression = self.expression(&format!("{key}.topic"), topic)?;
                self.prefixes.push(prefix.clone());
                Some(Route::Prefix(expression, prefix.as_str().into()))
            }
        }
    }

    pub(super) fn topic(&mut self, key: &str, topic: &str) -> Option<Destination> {
        let destination = self.topics.number(topic);
        if self.topics.names.len() <= RESULT_TOPICS_MAX {
            return Some(destination);
        }
        let most = RESULT_TOPICS_MAX;
        self.problem(key, format!("the routes name more topics than {most}, the sink's included"))
    }

    fn header(&mut self, key: &str, name: &str, text: &str) -> Option<(usize, Expression, u16)> {
        let key = format!("{key}.{}", toml_key(name));
        if name.as_bytes().starts_with(OWN_HEADERS) {
            let wrong = "headers that begin with \"hotspur.\" are Hotspur's own".to_owned();
            return self.problem(&key, wrong);
        }
        let expression = self.expression(&key, text)?;
        let known = self.headers.iter().position(|it| **it == *name.as_bytes());
        let number = known.unwrap_or_else(|| {
            self.headers.push(name.as_bytes().into());
            self.headers.len() - 1
        });
        Some((number, expression, self.next_write()))
    }
}

/// All of them, or nothing; but each is made, so that all problems are told.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<_> = items.collect();
    items.into_iter().collect()
}

//! Steps whose operators the program brought along, compiled: their keys first, then the operator.

use crate::{
    config::operators::{Own, OwnValue, Takes},
    pipeline::{
        compile::Compiler,
        operator::{Given, Maker, Refusal},
        process::WRITE_BYTES,
        steps::own::{Key, OwnStep, Slot},
    },
};

impl Compiler {
    /// `None`: it was told what is wrong.
    pub(super) fn own(&mut self, key: &str, own: &Own, place: &str) -> Option<OwnStep> {
        let at = |name: &str| format!("{key}.{name}");
        let keys = || own.operator.keys.iter().zip(&own.values);
        let mut compiled: Vec<Option<Key>> = keys()
            .map(|(key, value)| match (key.takes, value) {
                (Takes::Expression, OwnValue::Text(text)) => {
                    self.expression(&at(key.name), text).map(Key::Expression)
                }
                (Takes::Table, OwnValue::Text(name)) => {
                    let table = self.table(&at(key.name), name);
                    self.names.asked.extend(table);
                    table.map(Key::Table)
                }
                (Takes::Path, _) => Some(Key::Path(None)),
                (_, OwnValue::Absent) => None,
                _ => Some(Key::AtStart),
            })
            .collect();
        // Behind all expressions, which see the event as it stands before the step.
        for ((key, value), compiled) in keys().zip(&mut compiled) {
            if let (Takes::Path, OwnValue::Text(path)) = (key.takes, value) {
                let target = self.json_target(&at(key.name), path, place);
                *compiled = target.map(|target| Key::Path(Some(target)));
            }
        }
        if !own.is_whole() {
            return None;
        }
        let Maker(make) = own.operator.maker.downcast_ref().expect("a registry put it there");
        let operator = match make(&Given(&own.values)) {
            Ok(operator) => operator,
            Err(Refusal { key: None, reason }) => return self.problem(key, reason),
            Err(Refusal { key: Some(number), reason }) => {
                return self.problem(&at(own.operator.keys[number].name), reason);
            }
        };
        let keys = compiled.into_iter().collect::<Option<Vec<_>>>()?;
        self.own.push(Slot::new(operator, &keys, WRITE_BYTES));
        Some(OwnStep { slot: self.own.len() - 1, keys })
    }
}

//! The operators of a program, by name, before any configuration is read.

use std::{fmt, sync::Arc};

use super::{Given, Keys, Operator, Refusal};
use crate::config::operators::{OwnOperator, OwnOperators};

type Make = dyn Fn(&Given<'_>) -> Result<Box<dyn Operator>, Refusal> + Send + Sync;

/// Makes an operator for a step.
pub(in crate::pipeline) struct Maker(pub(crate) Box<Make>);

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}

/// Takes operators down by their names.
#[derive(Debug, Default)]
pub struct Registry(OwnOperators);

impl Registry {
    /// No operator so far.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Makes an operator known. `declare` says which keys it takes, once, and gives back what makes
    /// one for each step, of what the step says there.
    ///
    /// # Panics
    ///
    /// If no step can name it so: the name is that of a built-in operator or of one that was
    /// registered, or is no bare key of TOML; the same of the names of its keys.
    pub fn register<D, M, O>(&mut self, name: &'static str, declare: D)
    where
        D: FnOnce(&mut Keys) -> M,
        M: Fn(&Given<'_>) -> Result<O, Refusal> + Send + Sync + 'static,
        O: Operator,
    {
        let mut keys = Keys::default();
        let make = declare(&mut keys);
        let make = move |given: &Given<'_>| -> Result<Box<dyn Operator>, Refusal> {
            make(given).map(|operator| Box::new(operator) as Box<dyn Operator>)
        };
        let maker = Arc::new(Maker(Box::new(make)));
        let added = self.0.add(OwnOperator { name, keys: keys.0, maker });
        added.unwrap_or_else(|why| panic!("an operator cannot be registered: {why}"));
    }

    /// What was registered, for [`crate::config::Sources`].
    pub fn operators(&self) -> OwnOperators {
        self.0.clone()
    }
}

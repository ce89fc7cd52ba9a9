//! Topics by the numbers of their destinations: the results', the state's, the dead letters'.

use crate::{config::Settings, record::Destination};

/// All that a run writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    results: Vec<String>,
    /// Where some step keeps state.
    state: Option<String>,
    letters: String,
}

impl Destinations {
    /// Behind those of the results.
    pub fn new(settings: &Settings, results: &[String], keeps_state: bool) -> Destinations {
        Destinations {
            results: results.to_vec(),
            state: keeps_state.then(|| settings.state.topic.clone()),
            letters: settings.dead_letters.topic.clone(),
        }
    }

    /// That of changes of state, if some step keeps any.
    pub fn state(&self) -> Option<Destination> {
        self.state.as_ref().map(|_| Destination(self.results.len() as u8))
    }

    /// That of dead letters: the last one.
    pub fn letters(&self) -> Destination {
        Destination((self.results.len() + self.state.iter().len()) as u8)
    }

    /// Topics of the results' producer, which writes state, too.
    pub(super) fn of_results(&self) -> Vec<String> {
        self.results.iter().chain(&self.state).cloned().collect()
    }

    /// The topic of the dead letters' producer, where they have one of their own.
    pub(super) fn of_letters(&self) -> &[String] {
        std::slice::from_ref(&self.letters)
    }

    /// Topics of one producer for everything.
    pub(super) fn all(&self) -> Vec<String> {
        [&self.of_results()[..], self.of_letters()].concat()
    }

    /// Those that results are counted for; empty names for others.
    pub(super) fn counted(&self) -> Vec<String> {
        let state = self.state.iter().map(|_| String::new());
        self.results.iter().cloned().chain(state).chain([self.letters.clone()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_stands_between_results_and_letters() {
        let [a, b, state, dead] = ["a", "b", "s", "dead"].map(str::to_owned);
        let results = vec![a.clone(), b.clone()];
        let without = Destinations { results, state: None, letters: dead.clone() };
        assert_eq!((without.state(), without.letters()), (None, Destination(2)));
        assert_eq!(without.all(), [a.clone(), b.clone(), dead.clone()]);
        assert_eq!(without.counted(), without.all());
        let with = Destinations { state: Some(state.clone()), ..without };
        assert_eq!((with.state(), with.letters()), (Some(Destination(2)), Destination(3)));
        assert_eq!(with.of_results(), [a.clone(), b.clone(), state.clone()]);
        assert_eq!(with.all(), [a.clone(), b.clone(), state, dead.clone()]);
        assert_eq!(with.counted(), [a, b, String::new(), dead]);
    }
}

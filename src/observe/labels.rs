//! Names for the numbers that the hot thread counts by: steps and destinations.

use crate::{config::settings, measure::counters::Place, verdict::Step};

/// What steps and destinations are called, by their index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// A step's name, else its number from 1.
    pub steps: Vec<String>,
    /// Topics, by `Destination`.
    pub destinations: Vec<String>,
}

impl Labels {
    /// Names the steps as configured.
    pub fn new(steps: &[settings::Step], destinations: Vec<String>) -> Labels {
        let label = |(number, step): (usize, &settings::Step)| {
            step.name.clone().unwrap_or_else(|| number.to_string())
        };
        Labels { steps: (1..).zip(steps).map(label).collect(), destinations }
    }

    /// What a place in the path of a record is called in metrics and headers.
    pub fn step(&self, step: Step) -> String {
        match step {
            Step::Parse => "parse".to_owned(),
            Step::Number(index) => self.number(usize::from(index)),
            Step::Encode => "encode".to_owned(),
            Step::Sink => "sink".to_owned(),
        }
    }

    /// The same of a counted place.
    pub fn place(&self, place: Place) -> String {
        match place.step_index() {
            Some(index) => self.number(index),
            None if place == Place::PARSE => "parse".to_owned(),
            None if place == Place::ENCODE => "encode".to_owned(),
            None => "sink".to_owned(),
        }
    }

    fn number(&self, index: usize) -> String {
        self.steps.get(index).cloned().unwrap_or_else(|| (index + 1).to_string())
    }
}

/// Where a step is counted.
pub fn place_of(step: Step) -> Place {
    match step {
        Step::Parse => Place::PARSE,
        Step::Number(index) => Place::step(index),
        Step::Encode => Place::ENCODE,
        Step::Sink => Place::SINK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_called_like_its_step() {
        let labels = Labels { steps: vec!["enrich".to_owned()], destinations: Vec::new() };
        let steps = [Step::Parse, Step::Number(0), Step::Number(1), Step::Encode, Step::Sink];
        for (step, name) in steps.into_iter().zip(["parse", "enrich", "2", "encode", "sink"]) {
            assert_eq!(labels.step(step), name);
            assert_eq!(labels.place(place_of(step)), name);
        }
    }
}

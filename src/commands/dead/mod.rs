//! `dead`: what lies in the dead letters, counted and shown. It joins no group, commits nothing.

mod sample;
mod tally;

use std::sync::atomic::AtomicBool;

use super::{
    Exit, Outcome,
    letters::{Letters, parse_class},
    print,
};
use crate::{config::Loaded, limits::LETTERS_SHOWN_MAX};

use tally::Tally;

/// Arguments of `dead`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Counts by class, step, source partition and hour, then the newest letters. \
    A letter is marked as replayed once `hotspur replay` has copied it."
)]
pub struct Arguments {
    /// Only letters of that class; may be given again
    #[arg(long = "class", value_name = "C", value_parser = parse_class)]
    pub classes: Vec<String>,
    /// So many of the newest letters are shown
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(0..=LETTERS_SHOWN_MAX as u64))]
    pub show: u64,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> Outcome {
    let settings = &loaded.settings;
    let stop = AtomicBool::new(false);
    let mut letters = Letters::open(settings, &stop)?;
    letters.learn_replayed(settings, &stop)?;
    let partitions = letters.partitions();
    let mut tally = Tally::new(&settings.dead_letters.topic, partitions, arguments.show as usize);
    while !letters.are_at_end() {
        letters.read(|found| {
            let is_class = |it: &String| it == found.opened.class;
            if arguments.classes.is_empty() || arguments.classes.iter().any(is_class) {
                tally.add(found);
            }
        })?;
    }
    drop(letters);
    match arguments.json {
        true => print(&format!("{:#}\n", tally.to_json()))?,
        false => print(&tally.to_text(&arguments.classes))?,
    };
    Ok(Exit::Done)
}

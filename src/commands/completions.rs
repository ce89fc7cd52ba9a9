//! `completions` and `man`: what a shell and `man` know of the command line.

use super::{Failure, Outcome, description, print};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which shell
    pub shell: clap_complete::Shell,
}

/// Prints completions for a shell.
pub fn run(arguments: &Arguments) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut description(), "hotspur", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Prints the manual page, and behind it those of the commands that it names.
pub fn manual() -> Outcome {
    let mut text = Vec::new();
    let mut hotspur = description().disable_help_subcommand(true);
    hotspur.build();
    for command in std::iter::once(&hotspur).chain(hotspur.get_subcommands()) {
        let page = clap_mangen::Man::new(command.clone());
        page.render(&mut text).map_err(|error| {
            Failure::unavailable(format!("failed to write the manual: {error}"))
        })?;
    }
    print(&String::from_utf8_lossy(&text))
}

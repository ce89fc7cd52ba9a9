//! One file a command: a command line in, an exit status out.
//!
//! Here stand the command line itself, which command it means, and how its end becomes a status.
//! Results go to standard output, everything else to standard error.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    assemble,
    config::{self, Loaded, OwnOperators, Sources},
};

pub mod check;
pub mod completions;
pub mod dead;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod graph;
pub mod init;
pub mod jitter;
mod letters;
pub mod load;
pub mod logging;
pub mod measure;
pub mod profiles;
mod progress;
pub mod remote;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
pub mod signals;
pub mod table;
pub mod test;
pub mod top;
pub mod try_one;

pub use exit::{Exit, Failure, Outcome};

/// Warnings of the configuration that a log begins with.
const WARNINGS_TOLD_MAX: usize = 2;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "hotspur", version, about, propagate_version = true)]
#[command(after_help = "Start with `hotspur demo`, or `hotspur init orders > hotspur.toml`.")]
pub struct CommandLine {
    /// Configuration file; else HOTSPUR_CONFIG, else ./hotspur.toml
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Tuning profile, by name or path
    #[arg(short, long, value_name = "NAME|FILE", global = true)]
    pub profile: Option<String>,
    /// Sets one key, a TOML key on the left; may be given again
    #[arg(short, long, value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
    /// Logs more; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Logs only errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Operators that the program brought along; no argument says them
    #[arg(skip)]
    pub operators: OwnOperators,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the pipeline until SIGINT or SIGTERM, or up to an end
    Run(run::Arguments),
    /// Shows the whole of it with nothing installed
    Demo(demo::Arguments),
    /// Prints a commented configuration to start from
    Init(init::Arguments),
    /// Reads the configuration and lists all its problems
    #[command(visible_aliases = ["validate", "lint"])]
    Check(check::Arguments),
    /// Prints a JSON Schema for editors and programs
    Schema(schema::Arguments),
    /// Puts records from standard input through the pipeline, without a broker
    Try(try_one::Arguments),
    /// Generates load into the source
    Load(load::Arguments),
    /// Loads one table as `run` would and shows it, or one of its values
    Table(table::Arguments),
    /// Lists the tuning profiles, prints one, compares two
    Profiles(profiles::Arguments),
    /// Prints completions for a shell
    Completions(completions::Arguments),
    /// Prints the manual page
    Man,
    /// Runs pipeline cases: what must come out of records, from files
    Test(test::Arguments),
    /// Measures the pipeline under load: latency from when records were due, loss, order
    Measure(measure::Arguments),
    /// Tables and a page from histogram files; two runs compared
    Report(report::Arguments),
    /// What lies in the dead letters
    Dead(dead::Arguments),
    /// Sends dead letters through once more, each exactly once
    Replay(replay::Arguments),
    /// Is this machine fit for the profile: what is found, what it costs, what mends it
    Doctor(doctor::Arguments),
    /// How often and for how long a core is taken away, and by whom
    Jitter(jitter::Arguments),
    /// A picture of the pipeline
    Graph(graph::Arguments),
    /// A running process at a glance, as on its live page
    Top(top::Arguments),
    /// Records of a running process (not built yet)
    Tap(Later),
    /// Pauses a running process: it takes no more records and stays in its group
    Pause(remote::Arguments),
    /// Resumes a paused process, or one whose breaker is open
    Resume(remote::Arguments),
}

/// Arguments of a command that is not built: anything, so that the sentence about it is the answer.
#[derive(Debug, clap::Args)]
pub struct Later {
    /// As they will be
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub arguments: Vec<String>,
}

/// Reads the command line of the process, does what it says, tells what failed.
pub fn main() -> Exit {
    main_with(std::env::args_os(), OwnOperators::default())
}

/// The same with these arguments, of which the first is the program, and these operators.
pub fn main_with<I, A>(arguments: I, operators: OwnOperators) -> Exit
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => CommandLine { operators, ..line },
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nobody is left to be told if the terminal is gone.
            let _ = error.print();
            return exit;
        }
    };
    match dispatch(&line) {
        Ok(exit) => exit,
        Err(Failure { exit, message }) => {
            if !message.is_empty() {
                // As above.
                let _ = writeln!(io::stderr(), "{}", message.trim_end());
            }
            exit
        }
    }
}

fn dispatch(line: &CommandLine) -> Outcome {
    refuse_useless(line)?;
    match &line.command {
        Command::Run(arguments) => {
            let mut loaded = loaded_and(line, arguments.sets())?;
            arguments.fit_streams(&mut loaded.settings)?;
            loaded.settings.source.range = arguments.range(&loaded.settings)?;
            loaded.settings.state.resets = arguments.reset_state;
            run::run(&loaded)
        }
        Command::Demo(arguments) => {
            logging::set_up(None, line.verbose, line.quiet);
            demo::run(arguments, line.profile.clone(), line.set.clone())
        }
        Command::Init(arguments) => init::run(arguments),
        Command::Check(arguments) => {
            logging::set_up(None, line.verbose, line.quiet);
            check::run(arguments, &sources(line))
        }
        Command::Schema(arguments) => schema::run(arguments, &line.operators),
        Command::Try(arguments) => try_one::run(&loaded(line)?, arguments),
        Command::Load(arguments) => load::run(&loaded(line)?, arguments),
        Command::Table(arguments) => table::run(&loaded(line)?, arguments),
        Command::Profiles(arguments) => profiles::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man => completions::manual(),
        Command::Test(arguments) => {
            logging::set_up(None, line.verbose, line.quiet);
            test::run(line, arguments)
        }
        Command::Measure(arguments) => measure::run(loaded(line)?, arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Dead(arguments) => dead::run(&loaded(line)?, arguments),
        Command::Replay(arguments) => replay::run(&loaded(line)?, arguments),
        Command::Doctor(arguments) => {
            logging::set_up(None, line.verbose, line.quiet);
            doctor::run(arguments, &sources(line))
        }
        Command::Jitter(arguments) => jitter::run(line, arguments),
        Command::Graph(arguments) => graph::run(&loaded(line)?, arguments),
        Command::Top(arguments) => top::run(line, arguments),
        Command::Tap(_) => not_built("tap"),
        Command::Pause(arguments) => remote::post(line, arguments, "/pause"),
        Command::Resume(arguments) => remote::post(line, arguments, "/resume"),
    }
}

fn not_built(command: &str) -> Outcome {
    Err(Failure::not_built(&format!("`hotspur {command}`")))
}

/// An option that a command does not use is refused: it would be believed to do something.
fn refuse_useless(line: &CommandLine) -> Result<(), Failure> {
    let command = match &line.command {
        Command::Demo(_) if line.config.is_some() => {
            return Err(Failure::usage(
                "`hotspur demo` has a configuration of its own: -s and -p change it, take -c out",
            ));
        }
        Command::Init(_) => "init",
        Command::Schema(_) => "schema",
        Command::Profiles(_) => "profiles",
        Command::Jitter(_) => "jitter",
        Command::Report(_) => "report",
        Command::Completions(_) => "completions",
        Command::Man => "man",
        _ => return Ok(()),
    };
    match line.config.is_some() || line.profile.is_some() || !line.set.is_empty() {
        true => Err(Failure::usage(format!(
            "`hotspur {command}` reads no configuration: take -c, -p and -s out"
        ))),
        false => Ok(()),
    }
}

fn sources(line: &CommandLine) -> Sources {
    let (file, profile, set) = (line.config.clone(), line.profile.clone(), line.set.clone());
    Sources { operators: line.operators.clone(), ..Sources::of_process(file, profile, set) }
}

/// The configuration, with logging set up as it says and its warnings logged.
fn loaded(line: &CommandLine) -> Result<Loaded, Failure> {
    loaded_and(line, std::iter::empty())
}

/// The same, with what a command's own options set.
fn loaded_and(line: &CommandLine, sets: impl Iterator<Item = String>) -> Result<Loaded, Failure> {
    let mut sources = sources(line);
    sources.set.extend(sets);
    let loaded = config::load_and(&sources, &assemble::problems)
        .map_err(|report| Failure::usage(report.to_string()))?;
    logging::set_up(Some(&loaded.settings.log), line.verbose, line.quiet);
    let warnings = &loaded.warnings.problems;
    for located in warnings.iter().take(WARNINGS_TOLD_MAX) {
        tracing::warn!(event = "config.doubtful", "{}", located.summary());
    }
    if let Some(more) = warnings.len().checked_sub(WARNINGS_TOLD_MAX).filter(|it| *it > 0) {
        tracing::warn!(event = "config.doubtful", more, "`hotspur check` lists all");
    }
    tell_ignored(&loaded);
    Ok(loaded)
}

/// Names the variables that look as if they were ours and are not, at `-v`.
pub(crate) fn tell_ignored(loaded: &Loaded) {
    for variable in &loaded.ignored_variables {
        tracing::debug!(event = "config.ignored_variable", variable);
    }
}

/// Writes a command's result. A reader that went away (`hotspur schema | head`) is no failure.
pub(crate) fn print(text: &str) -> Outcome {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(Failure {
            exit: Exit::Unavailable,
            message: format!("failed to write to standard output: {error}"),
        }),
    }
}

/// Whether standard output is a terminal whose user wants colours.
pub(crate) fn coloured_output() -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_set && io::stdout().is_terminal()
}

/// The command line's own description, for completions and the manual.
pub(crate) fn description() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        description().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_command() {
        for words in [["hotspur", "-c", "a.toml", "check"], ["hotspur", "lint", "-c", "a.toml"]] {
            let line = CommandLine::try_parse_from(words).unwrap();
            assert_eq!(line.config, Some("a.toml".into()));
            assert!(matches!(line.command, Command::Check(_)));
        }
    }
}

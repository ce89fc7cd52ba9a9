//! `test`: pipeline cases from files, each through the pipeline of a run, and how they went.
//!
//! All files and all configurations are read first, so that what is wrong with them is told at once
//! and before any case runs. Then every case runs, with a pipeline and tables of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{CommandLine, Exit, Failure, Outcome, coloured_output, print, sources};
use crate::{
    assemble,
    config::{self, Loaded, Report, Sources},
    pipeline::cases::{self, CaseFile, Tried},
};

mod junit;
mod text;

/// How a file of cases ends.
const ENDING: &str = ".cases.toml";

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files of cases, or folders of them; else NAME.cases.toml beside the configuration NAME.toml
    /// and tests/**/*.cases.toml in its folder
    pub files: Vec<PathBuf>,
    /// Writes what comes out into the files, for the cases that differ
    #[arg(long)]
    pub bless: bool,
    /// Also writes the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// A file of cases, read, with its configuration.
struct Suite {
    path: PathBuf,
    file: CaseFile,
    loaded: Loaded,
}

/// How a case went.
struct Entry<'s> {
    file: &'s Path,
    line: usize,
    name: &'s str,
    tried: Tried,
    is_blessed: bool,
}

/// Runs the command.
pub fn run(line: &CommandLine, arguments: &Arguments) -> Outcome {
    let sources = sources(line);
    let paths = match arguments.files.as_slice() {
        [] => beside_configuration(&sources)?,
        given => expanded(given)?,
    };
    let suites = read(&paths, &sources, arguments.bless)?;
    if suites.iter().all(|suite| suite.file.cases.is_empty()) {
        return Err(no_case(&paths));
    }
    let mut entries = Vec::new();
    for suite in &suites {
        entries.extend(tried(suite, arguments.bless)?);
    }
    print(&text::report(&entries, coloured_output()))?;
    if let Some(path) = &arguments.junit {
        let written = junit::report(&entries).and_then(|xml| {
            fs::write(path, xml).map_err(|error| format!("{}: {error}", path.display()))
        });
        written.map_err(|why| Failure::unavailable(format!("failed to write JUnit XML: {why}")))?;
    }
    let is_failed = |entry: &Entry<'_>| !entry.tried.is_passed() && !entry.is_blessed;
    Ok(if entries.iter().any(is_failed) { Exit::False } else { Exit::Done })
}

/// The files that belong to the configuration.
fn beside_configuration(sources: &Sources) -> Result<Vec<PathBuf>, Failure> {
    let Some(configuration) = sources.path() else {
        return Err(load(sources).err().map_or_else(
            || Failure::usage("there is no configuration to test"),
            |report| Failure::usage(report.to_string()),
        ));
    };
    let own = configuration.with_extension(&ENDING[1..]);
    let folder = configuration.parent().unwrap_or(Path::new("")).join("tests");
    let mut paths: Vec<PathBuf> = Some(own.clone()).filter(|it| it.exists()).into_iter().collect();
    paths.extend(under(&folder)?);
    match paths.is_empty() {
        true => Err(no_case(&[own, folder.join("**/*.cases.toml")])),
        false => Ok(paths),
    }
}

fn no_case(places: &[PathBuf]) -> Failure {
    let places: Vec<String> = places.iter().map(|it| it.display().to_string()).collect();
    Failure::usage(format!(
        "no case found in {}: a case stands under [[cases]], and `hotspur schema cases` says what \
         it holds",
        places.join(", ")
    ))
}

/// Files as they are, folders as the files of cases in them.
fn expanded(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for path in given {
        match path.is_dir() {
            true => paths.extend(under(path)?),
            false => paths.push(path.clone()),
        }
    }
    if paths.is_empty() { Err(no_case(given)) } else { Ok(paths) }
}

/// Files of cases in a folder and in those in it, in order of their names.
fn under(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| Failure::usage(format!("cannot be read: {error}")))?;
        if entry.file_type().is_file() && entry.file_name().to_string_lossy().ends_with(ENDING) {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

/// Reads all files and their configurations, or tells all that is wrong with them.
fn read(paths: &[PathBuf], sources: &Sources, may_be_open: bool) -> Result<Vec<Suite>, Failure> {
    let (mut suites, mut problems) = (Vec::new(), String::new());
    for path in paths {
        let report = CaseFile::read(path, may_be_open).and_then(|file| {
            let loaded = load(&sources_of(path, &file, sources))?;
            let unknown = file.unknown_tables(&loaded.settings);
            if unknown.is_empty() { Ok((file, loaded)) } else { Err(unknown) }
        });
        match report {
            Ok((file, loaded)) => suites.push(Suite { path: path.clone(), file, loaded }),
            // One configuration of several files is told of once.
            Err(report) if problems.contains(&report.to_string()) => {}
            Err(report) => problems.push_str(&report.to_string()),
        }
    }
    if problems.is_empty() { Ok(suites) } else { Err(Failure::usage(problems)) }
}

/// The configuration of a file: the one that it names, else that of `-c`, else the one that is
/// named like it, else the one that `run` would take.
fn sources_of(path: &Path, file: &CaseFile, sources: &Sources) -> Sources {
    let folder = path.parent().unwrap_or(Path::new(""));
    let named = file.configuration.as_ref().map(|it| folder.join(it));
    let name = path.file_name().map(|it| it.to_string_lossy()).unwrap_or_default();
    let like = name.strip_suffix(ENDING).map(|stem| folder.join(format!("{stem}.toml")));
    let found = named.or_else(|| sources.file.clone()).or(like.filter(|it| it.exists()));
    Sources { file: found.or_else(|| sources.path()), ..sources.clone() }
}

fn load(sources: &Sources) -> Result<Loaded, Report> {
    config::load_and(sources, &assemble::problems)
}

/// Runs the cases of a file.
fn tried<'s>(suite: &'s Suite, bless: bool) -> Result<Vec<Entry<'s>>, Failure> {
    let Suite { path, file, loaded } = suite;
    let mut entries = Vec::new();
    for case in &file.cases {
        let tried = case
            .run(&loaded.settings)
            .map_err(|problems| Failure::usage(loaded.locate(problems).to_string()))?;
        let (line, name) = (case.line, case.name.as_str());
        entries.push(Entry { file: path, line, name, tried, is_blessed: false });
    }
    if bless {
        write_back(suite, &mut entries)?;
    }
    Ok(entries)
}

/// Writes what came out of the cases that differ, or that said nothing of it.
fn write_back(suite: &Suite, entries: &mut [Entry<'_>]) -> Result<(), Failure> {
    let Suite { path, file, loaded } = suite;
    let is_due = |(index, entry): &(usize, &mut Entry<'_>)| {
        !entry.tried.is_passed() || file.cases[*index].is_open()
    };
    let mut due: Vec<_> = entries.iter_mut().enumerate().filter(is_due).collect();
    if due.is_empty() {
        return Ok(());
    }
    let tried: Vec<_> = due.iter().map(|(index, entry)| (*index, &entry.tried)).collect();
    let sink = &loaded.settings.sink.topic;
    let failed = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: failed to write what came out: {why}", path.display()))
    };
    let blessed =
        cases::bless(file.text(), &file.cases, &tried, sink).map_err(|why| failed(&why))?;
    fs::write(path, blessed).map_err(|why| failed(&why))?;
    due.iter_mut().for_each(|(_, entry)| entry.is_blessed = true);
    Ok(())
}

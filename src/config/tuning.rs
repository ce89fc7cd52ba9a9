//! The part of a configuration that is about the machine, read by itself.

use std::path::PathBuf;

use super::{
    Locator, Sources, build, in_order, layers, problem::Problem, report::Report, settings, walk,
};

/// The part of a configuration that is about the machine.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The profile's name or path.
    pub profile: String,
    /// `[engine]`.
    pub engine: settings::Engine,
    /// Whether a table is to lie in huge pages.
    pub huge_pages: bool,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
}

/// Sections that a tuning consists of.
const TUNING_KEYS: [&str; 3] = ["profile", "engine", "limits"];

/// Reads all layers for what they say of the machine: there need not be a file, and it need not say
/// what a pipeline does. What it does say must be right.
///
/// # Errors
///
/// All problems at once, if at least one is an error.
pub fn load_tuning(sources: &Sources) -> Result<Tuning, Report> {
    let gathered = layers::gather_if_any(sources)?;
    let walked =
        walk::walk(&gathered.tree, &gathered.layers, &sources.environment, &sources.operators);
    let (problems, derived) = (Vec::new(), Vec::new());
    let mut builder =
        build::Builder { walked: &walked, layers: &gathered.layers, problems, derived };
    let settings = builder.settings();
    let is_tuning = |problem: &Problem| {
        let section = problem.key.split('.').next().unwrap_or_default();
        TUNING_KEYS.contains(&section)
    };
    let huge_pages = builder.boolean("engine.huge_pages")
        || settings.tables.iter().any(|table| table.huge_pages);
    let found: Vec<Problem> = builder.problems.into_iter().filter(is_tuning).collect();
    let (layers, places) = (gathered.layers, walked.places);
    let locator = Locator { layers, places, file: gathered.file.clone() };
    let located = found.into_iter().map(|problem| locator.locate(problem));
    let problems = gathered.problems.into_iter().chain(walked.problems).chain(located);
    let report = in_order(problems.collect(), &locator.file);
    if report.has_errors() {
        return Err(report);
    }
    let settings::Settings { profile, engine, .. } = settings;
    Ok(Tuning { profile, engine, huge_pages, file: sources.path() })
}

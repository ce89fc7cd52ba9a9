//! What the user chose: layers of text become checked, plain structs once, and nothing after sees
//! raw text.
//!
//! The way through: `layers` reads the texts (`tree`, `environment`, `profiles`), `walk` checks every
//! key against `keys` and `unbuilt` and reads its value (`values`, `units`, `substitute`,
//! `properties`), `build` assembles `Settings` and tells what does not fit together. `report` shows
//! all problems at once. `docs` and `schema` say what there is; they read the same `keys`.

use std::{collections::BTreeMap, path::PathBuf};

mod build;
mod build_steps;
mod docs;
mod environment;
mod hints;
mod host;
mod keys;
mod layers;
mod librdkafka;
pub mod problem;
pub mod profiles;
mod properties;
pub mod report;
pub mod schema;
mod secrets;
pub mod settings;
mod substitute;
mod together;
mod tree;
mod unbuilt;
pub mod units;
mod values;
mod walk;

pub use docs::DEFAULT_FILE;
pub use layers::Sources;
pub use problem::{Problem, Severity};
pub use report::Report;
pub use settings::Settings;
pub use walk::Effective;

use layers::{Layer, LayerKind};
use report::Located;
use tree::Place;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that was read.
    pub file: PathBuf,
    /// Every value in force with the layer that set it, as it may be shown.
    pub effective: Vec<Effective>,
    /// What is doubtful.
    pub warnings: Report,
    /// `HOTSPUR_…` variables that mean nothing here.
    pub ignored_variables: Vec<String>,
    locator: Locator,
}

impl Loaded {
    /// Places of problems that were found later, from their key paths.
    pub fn locate(&self, problems: Vec<Problem>) -> Report {
        let locate = |problem| self.locator.locate(problem);
        Report { problems: problems.into_iter().map(locate).collect() }
    }
}

/// Reads all layers and checks them.
///
/// # Errors
///
/// All problems at once, warnings included, if at least one is an error.
pub fn load(sources: &Sources) -> Result<Loaded, Report> {
    let gathered = layers::gather(sources)?;
    let mut walked = walk::walk(&gathered.tree, &gathered.layers, &sources.environment);
    let mut builder = build::Builder {
        walked: &walked,
        layers: &gathered.layers,
        problems: Vec::new(),
        derived: Vec::new(),
    };
    let settings = builder.settings();
    let build::Builder { problems: found, derived, .. } = builder;
    let places = std::mem::take(&mut walked.places);
    let locator = Locator { layers: gathered.layers, places, file: gathered.file.clone() };
    let mut problems = gathered.problems;
    problems.append(&mut walked.problems);
    problems.extend(found.into_iter().map(|problem| locator.locate(problem)));
    let report = in_order(problems, &locator.file);
    if report.has_errors() {
        return Err(report);
    }
    let mut effective = walked.effective;
    effective.extend(derived);
    effective.sort_by_key(|effective| section_rank(&effective.key));
    Ok(Loaded {
        settings,
        file: gathered.file,
        effective,
        warnings: report,
        ignored_variables: gathered.ignored,
        locator,
    })
}

/// The place of a key's section in the default file.
fn section_rank(key: &str) -> usize {
    let section = |key: &str| key.split(['.', '[']).next().unwrap_or_default().to_owned();
    let wanted = section(key);
    keys::KEYS.iter().position(|key| section(key.pattern) == wanted).unwrap_or(usize::MAX)
}

/// The file's own problems in the order of its lines, then those of other layers; each once.
fn in_order(mut problems: Vec<Located>, file: &std::path::Path) -> Report {
    let file = file.display().to_string();
    problems.sort_by_key(|located| {
        let is_other = located.file.as_deref() != Some(&file);
        (is_other, located.file.clone(), located.position)
    });
    let mut once: Vec<Located> = Vec::with_capacity(problems.len());
    for located in problems {
        if !once.contains(&located) {
            once.push(located);
        }
    }
    Report { problems: once }
}

/// Finds the place of a key path.
#[derive(Clone, Debug)]
struct Locator {
    layers: Vec<Layer>,
    places: BTreeMap<String, Place>,
    file: PathBuf,
}

impl Locator {
    fn locate(&self, problem: Problem) -> Located {
        let mut key = problem.key.as_str();
        let mut exact = true;
        loop {
            let place = self.places.get(key).filter(|place| self.is_users(place));
            if let Some(place) = place {
                let is_line = !self.layers[place.layer].text[place.value.clone()].contains('\n');
                return Located::new(problem, place, exact && is_line, &self.layers);
            }
            let Some(end) = key.rfind(['.', '[']) else { break };
            key = &key[..end];
            exact = false;
        }
        let file = Some(self.file.display().to_string());
        Located { problem, file, position: Some((1, 1)), excerpt: None }
    }

    /// Nobody can mend the built-in defaults.
    fn is_users(&self, place: &Place) -> bool {
        self.layers[place.layer].kind != LayerKind::Default
    }
}

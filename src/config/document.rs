//! A TOML file beside the configuration, read as a tree that knows its places, so that its problems
//! are told as those of the configuration are.

use std::{fs, path::Path};

use super::{
    layers::{Layer, LayerKind},
    problem::Problem,
    report::{Located, Report},
    tree::{self, Node, Place},
};

/// A file and what stands in it.
#[derive(Debug)]
pub(crate) struct Document {
    layers: [Layer; 1],
    root: Node,
}

impl Document {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no TOML.
    pub(crate) fn read(path: &Path) -> Result<Document, Report> {
        let text = fs::read_to_string(path).map_err(|error| {
            let problem = Problem::error("", format!("cannot be read: {error}"));
            let file = Some(path.display().to_string());
            Report { problems: vec![Located { problem, file, position: None, excerpt: None }] }
        })?;
        Document::of_text(&path.display().to_string(), text)
    }

    /// The same for a text that is at hand.
    pub(crate) fn of_text(shown: &str, text: String) -> Result<Document, Report> {
        let layers = [Layer {
            kind: LayerKind::File,
            shown: shown.to_owned(),
            text,
            folder: Path::new("").to_owned(),
            secrets: Vec::new(),
        }];
        match tree::read(&layers[0].text, 0) {
            Ok(root) => Ok(Document { layers, root }),
            Err(error) => {
                let place = Place { layer: 0, key: error.span.clone(), value: error.span };
                let problem = Problem::error("", format!("this is no TOML: {}", error.message));
                Err(Report { problems: vec![Located::new(problem, &place, true, &layers)] })
            }
        }
    }

    /// All of it.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The text as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.layers[0].text
    }

    /// The problem at a value's place.
    pub(crate) fn at_value(&self, problem: Problem, place: &Place) -> Located {
        let is_line = !self.text()[place.value.clone()].contains('\n');
        Located::new(problem, place, is_line, &self.layers)
    }

    /// The problem at a key's place.
    pub(crate) fn at_key(&self, problem: Problem, place: &Place) -> Located {
        Located::new(problem, place, false, &self.layers)
    }

    /// The line of a key, from 1.
    pub(crate) fn line(&self, place: &Place) -> usize {
        self.text()[..place.key.start].matches('\n').count() + 1
    }
}

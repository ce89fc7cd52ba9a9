//! `graph`: a picture of the pipeline, from its source to its topics, as SVG or as Mermaid text.

use super::{Outcome, print};
use crate::config::Loaded;

mod mermaid;
mod picture;
mod svg;

use picture::Picture;

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How it is drawn
    #[arg(long, default_value = "svg")]
    pub format: Format,
}

/// How a picture is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A picture in one file, for light and dark
    Svg,
    /// Text for whatever draws Mermaid, such as Markdown on GitHub
    Mermaid,
}

/// Runs the command.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> Outcome {
    let picture = Picture::of(loaded);
    print(&match arguments.format {
        Format::Svg => svg::draw(&picture),
        Format::Mermaid => mermaid::draw(&picture),
    })
}

//! `check`: reads the configuration and lists all its problems; on request also what is in force,
//! and whether the peers can be reached.

use std::path::PathBuf;

use serde_json::json;

use super::{Exit, Outcome, print, tell_ignored};
use crate::{
    assemble::{self, Creation},
    config::{self, Effective, Loaded, Report, Severity, Sources},
};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Also reaches brokers, topics, the group and the tables
    #[arg(long)]
    pub connect: bool,
    /// Makes the topics that are missing
    #[arg(long, requires = "connect")]
    pub create: bool,
    /// With so many partitions; else with as many as the source topics have
    #[arg(long, value_name = "N", requires = "create",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Option<u32>,
    /// Prints every value in force, with the layer that set it
    #[arg(long)]
    pub effective: bool,
    /// Fails on warnings too
    #[arg(long)]
    pub deny_warnings: bool,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    fn creation(&self) -> Creation {
        match (self.create, self.partitions) {
            (false, _) => Creation::No,
            (true, None) => Creation::Yes,
            (true, Some(partitions)) => Creation::Partitions(partitions),
        }
    }
}

/// All that was found.
struct Findings {
    report: Report,
    /// The file, if there is one, also where it cannot be used.
    file: Option<PathBuf>,
    loaded: Option<Loaded>,
    connection: Option<(Vec<String>, Report)>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, sources: &Sources) -> Outcome {
    let findings = find(arguments, sources);
    match arguments.json {
        true => print(&format!("{:#}\n", findings.to_json(arguments)))?,
        false => print(&findings.to_text(arguments))?,
    };
    Ok(findings.exit(arguments))
}

fn find(arguments: &Arguments, sources: &Sources) -> Findings {
    let file = sources.path();
    let loaded = match config::load_and(sources, &assemble::problems_here) {
        Ok(loaded) => loaded,
        Err(report) => return Findings { report, file, loaded: None, connection: None },
    };
    tell_ignored(&loaded);
    let report = loaded.warnings.clone();
    let reach = arguments.connect && !report.has_errors();
    let connection = reach.then(|| {
        let (settings, creation) = (&loaded.settings, arguments.creation());
        let steps = assemble::stateful_steps(settings);
        let found = assemble::check_connections(settings, &steps, creation);
        (found.lines, loaded.locate(found.problems))
    });
    Findings { report, file, loaded: Some(loaded), connection }
}

impl Findings {
    fn exit(&self, arguments: &Arguments) -> Exit {
        let connection = self.connection.as_ref().map(|(_, report)| report);
        let warnings = self.count(Severity::Warning);
        if self.report.has_errors() {
            Exit::Usage
        } else if connection.is_some_and(Report::has_errors) {
            Exit::Unavailable
        } else if arguments.deny_warnings && warnings > 0 {
            Exit::Usage
        } else {
            Exit::Done
        }
    }

    /// Of the configuration, and of what it names.
    fn count(&self, severity: Severity) -> usize {
        let connection = self.connection.as_ref().map_or(0, |(_, report)| report.count(severity));
        self.report.count(severity) + connection
    }

    fn effective(&self, arguments: &Arguments) -> &[Effective] {
        match &self.loaded {
            Some(loaded) if arguments.effective => &loaded.effective,
            _ => &[],
        }
    }

    fn to_text(&self, arguments: &Arguments) -> String {
        let effective = self.effective(arguments);
        let lines: Vec<String> =
            effective.iter().map(|it| format!("{} = {}", it.key, it.value)).collect();
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(60);
        let mut text = String::new();
        for (line, effective) in lines.iter().zip(effective) {
            text.push_str(&format!("{line:longest$}  # {}\n", effective.layer));
        }
        text.push_str(&self.report.to_string());
        if let Some((lines, report)) = &self.connection {
            lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
            text.push_str(&report.to_string());
        }
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let plural = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        let counts = format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"));
        match &self.file {
            Some(file) if errors + warnings == 0 => format!("{}: no problems\n", file.display()),
            Some(file) => format!("{}: {counts}\n", file.display()),
            None => format!("{counts}\n"),
        }
    }

    fn to_json(&self, arguments: &Arguments) -> serde_json::Value {
        let effective = self
            .effective(arguments)
            .iter()
            .map(|it| json!({ "key": it.key, "value": it.value, "layer": it.layer }));
        let mut object = json!({
            "v": 1,
            "file": self.file.as_ref().map(|file| file.display().to_string()),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": self.report.to_json(),
        });
        if arguments.effective {
            object["effective"] = effective.collect();
        }
        if let Some((lines, report)) = &self.connection {
            object["connection"] = json!({ "lines": lines, "problems": report.to_json() });
        }
        object
    }
}

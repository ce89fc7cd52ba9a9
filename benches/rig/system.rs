//! What is measured: hotspur as it is built, the plain loop, or nothing at all between two topics.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{peer, process::Process};

/// Entries of the orders' table.
pub(crate) const KEYS: u64 = 100_000;

/// Which of the shipped pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    Names,
    OrdersSpliced,
}

impl Steps {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Steps::Names => "names",
            Steps::OrdersSpliced => "orders-spliced",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Steps::Names => {
                "[[steps]]\n\
                 hash = { algorithm = \"md5\", of = \"record.value\", into = \"hash\" }\n"
            }
            Steps::OrdersSpliced => {
                "[[steps]]\n\
                 lookup = { table = \"users\", key = \"event.key\", into = \"cached\", \
                 on_miss = \"skip\" }\n\
                 [[steps]]\n\
                 text.result = \"processed_{event.key}_{event.value}_{event.cached}\"\n"
            }
        }
    }
}

/// How the plain loop's clients are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientSettings {
    /// As librdkafka comes.
    Defaults,
    /// As hotspur sets its own.
    Ours,
}

impl ClientSettings {
    pub(crate) fn word(self) -> &'static str {
        match self {
            ClientSettings::Defaults => "defaults",
            ClientSettings::Ours => "ours",
        }
    }
}

/// Between the input topic and the output topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Nothing: the listener reads the input.
    Hop,
    Hotspur {
        profile: &'static str,
        idle: &'static str,
        /// Lines of `[delivery]`.
        delivery: &'static str,
    },
    Plain(ClientSettings),
    /// A profile as it is, with the cores that it wants.
    Profile {
        name: &'static str,
        /// Lines of `[engine]`.
        engine: &'static str,
    },
}

impl System {
    /// On a machine of two cores: one for the hot thread, and for `ultra` the other for all else,
    /// with a client thread that spins in between.
    pub(crate) const PROFILES: [System; 5] = [
        System::Profile { name: "balanced", engine: "" },
        System::Profile { name: "laptop", engine: "" },
        System::Profile { name: "low-latency", engine: "core = 1\n" },
        System::Profile { name: "throughput", engine: "" },
        System::Profile { name: "ultra", engine: "core = 1\nclient_cores = \"0\"\n" },
    ];

    pub(crate) const PARK: System =
        System::Hotspur { profile: "balanced", idle: "park", delivery: "" };
    pub(crate) const SPIN: System =
        System::Hotspur { profile: "balanced", idle: "spin", delivery: "" };
    pub(crate) const THROUGHPUT: System =
        System::Hotspur { profile: "throughput", idle: "park", delivery: "" };

    pub(crate) fn name(self) -> String {
        match self {
            System::Hop => "bare hop".to_owned(),
            System::Hotspur { profile: "balanced", idle, .. } => format!("hotspur, {idle}"),
            System::Hotspur { profile, idle, .. } => format!("hotspur, {profile}, {idle}"),
            System::Plain(ClientSettings::Defaults) => "plain loop, defaults".to_owned(),
            System::Plain(ClientSettings::Ours) => "plain loop, our settings".to_owned(),
            System::Profile { name, .. } => name.to_owned(),
        }
    }

    /// Starts it in a folder of its own; nothing where there is nothing to start.
    pub(crate) fn start(self, steps: Steps, places: &Places, folder: &Path) -> Option<Process> {
        match self {
            System::Hop => None,
            System::Plain(settings) => {
                let mut command = Command::new(env::current_exe().expect("this program's path"));
                command.args(peer::arguments(steps, settings, places));
                Some(Process::start(&mut command, folder, ""))
            }
            System::Hotspur { .. } | System::Profile { .. } => {
                let file = folder.join("hotspur.toml");
                let text = self.configuration(steps, places, folder);
                fs::write(&file, text).expect("a configuration file");
                let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
                command.arg("--config").arg(&file).arg("run").current_dir(folder);
                for name in ["HOTSPUR_CONFIG", "HOTSPUR_PROFILE"] {
                    command.env_remove(name);
                }
                Some(Process::start(&mut command, folder, "hotspur-hot"))
            }
        }
    }

    /// What hotspur is told; nothing where something else runs.
    pub(crate) fn configuration(self, steps: Steps, places: &Places, folder: &Path) -> String {
        let (profile, delivery, engine) = match self {
            System::Hotspur { profile, idle, delivery } => {
                (profile, delivery, format!("idle = \"{idle}\"\n"))
            }
            System::Profile { name, engine } => (name, "", engine.to_owned()),
            System::Hop | System::Plain(_) => return String::new(),
        };
        let Places { brokers, input, output, table } = places;
        let table = match steps {
            Steps::Names => String::new(),
            Steps::OrdersSpliced => format!("[tables.users]\nfile = {table:?}\n"),
        };
        format!(
            "hotspur = 1\nname = \"{output}\"\nprofile = \"{profile}\"\n\
             [kafka]\nbrokers = \"{brokers}\"\n\
             [source.kafka]\ntopics = [\"{input}\"]\nstart = \"earliest\"\n\
             [sink.kafka]\ntopic = \"{output}\"\n\
             [dead_letters]\ntopic = \"{output}\"\n\
             [delivery]\n{delivery}\
             {table}\
             [engine]\n{engine}\
             [observe]\nout = {:?}\nlisten = \"127.0.0.1:0\"\n\
             {}",
            folder.join("out"),
            steps.text(),
        )
    }
}

/// Where records come from and go to.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) brokers: String,
    pub(crate) input: String,
    pub(crate) output: String,
    /// The orders' table, as JSON lines.
    pub(crate) table: PathBuf,
}

/// Writes the orders' table.
pub(crate) fn write_table(path: &Path) {
    let line = |number| format!("{{\"key\":\"user{number}\",\"value\":\"tier-{number}\"}}\n");
    let text: String = (1..=KEYS).map(line).collect();
    fs::write(path, text).expect("the table can be written");
}

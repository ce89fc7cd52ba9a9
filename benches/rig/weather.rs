//! The weather pipeline as it is shipped, run and loaded by the program as it is built.

use std::process::{Child, Command, Stdio};

use super::redis_server::Server;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/pipelines/weather.toml");

/// Its group, and the streams that it reads and writes.
pub(crate) const GROUP: &str = "weather";
pub(crate) const OBSERVATIONS: &str = "observations";
pub(crate) const RESULTS: &str = "weather";

/// Weather stations.
pub(crate) const STATIONS: &str = "1000";

fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
    let url = format!("source.redis.url={}", server.url());
    command.args(["--quiet", "-c", FILE, "-s", &url]).args(words);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// Has `hotspur load` write so many observations; its own figure of records a second.
pub(crate) fn load(server: &Server, count: u64) -> f64 {
    let count = count.to_string();
    let words = ["load", "--count", &count, "--payload", "weather", "--keys", STATIONS];
    let output = command(server, &words).output().expect("hotspur starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "hotspur load failed: {text}");
    let rate = text.trim_end().strip_suffix(" records/s").and_then(|it| it.rsplit(' ').next());
    rate.and_then(|it| it.parse().ok()).expect("hotspur load says how fast it was")
}

/// `hotspur run`; ends with its owner.
pub(crate) struct Run(Child);

impl Run {
    /// A worker that takes so many entries at once.
    pub(crate) fn start(server: &Server, batch: usize) -> Run {
        let batch = format!("limits.batch={batch}");
        let words = ["-s", &batch, "-s", "engine.core=none", "-s", "observe.listen=off", "run"];
        let mut command = command(server, &words);
        Run(command.stdout(Stdio::null()).spawn().expect("hotspur starts"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! A redis-server of the test's own, in memory, on a port that it keeps when it is restarted.
//!
//! `HOTSPUR_TEST_REDIS_SERVER` names another program that takes the same arguments, as Valkey's.

use std::process::Stdio;

use tempfile::TempDir;

use super::{await_true, child::Process, free_port};

/// A running redis-server.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Process,
    folder: TempDir,
    port: u16,
}

impl Redis {
    /// Starts one, empty, and waits until it answers.
    pub(crate) fn start() -> Redis {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let redis = Redis { process: launch(port, &folder), folder, port };
        redis.await_answer();
        redis
    }

    /// The address for a configuration.
    pub(crate) fn url(&self) -> String {
        self.url_of(0)
    }

    /// Where it listens on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of one of its databases.
    pub(crate) fn url_of(&self, database: u8) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a command in one of its databases.
    pub(crate) fn run_in(&self, database: u8, command: &[&str]) {
        let client = redis::Client::open(self.url_of(database)).expect("a URL");
        let mut connection = client.get_connection().expect("Redis answers");
        let mut words = redis::Cmd::new();
        words.arg(command).exec(&mut connection).expect("Redis takes a command");
    }

    /// Kills the server; what it held is gone.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after `kill`, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.process = launch(self.port, &self.folder);
        self.await_answer();
    }

    /// Takes its time away: connections stay open, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Gives it back.
    pub(crate) fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// Sets a key.
    pub(crate) fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value.as_ref());
        self.ask(&command).expect("Redis takes a key");
    }

    /// Sets many keys at once.
    pub(crate) fn set_all(&self, entries: impl Iterator<Item = (String, String)>) {
        let mut command = redis::cmd("MSET");
        for (key, value) in entries {
            command.arg(key).arg(value);
        }
        self.ask(&command).expect("Redis takes keys");
    }

    /// Deletes a key.
    pub(crate) fn delete(&self, key: &str) {
        self.ask(redis::cmd("DEL").arg(key)).expect("Redis deletes a key");
    }

    fn await_answer(&self) {
        await_true(format_args!("Redis on port {}", self.port), || {
            self.ask(&redis::cmd("PING")).is_ok()
        });
    }

    fn ask(&self, command: &redis::Cmd) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        command.query(&mut client.get_connection()?)
    }
}

fn launch(port: u16, folder: &TempDir) -> Process {
    let server = std::env::var("HOTSPUR_TEST_REDIS_SERVER");
    Process::start(server.as_deref().unwrap_or("redis-server"), |command| {
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
    })
}

//! A real redis-server of the test's own: a child process on a free port, ended by its id.

use std::{
    io::ErrorKind,
    net::TcpListener,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use hotspur::config::settings::{RedisTable, TablePlace};
use tempfile::TempDir;

use crate::cache_rig::until;

const ATTEMPTS: usize = 5;

/// A server that ends with the test, however that ends.
pub(crate) struct Server {
    child: Option<Child>,
    /// Where it writes `dump.rdb` when it is told to, and reads it from when it starts.
    pub(crate) directory: TempDir,
    port: u16,
    password: Option<&'static str>,
    options: &'static [&'static str],
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(None)
    }

    pub(crate) fn start_with(password: Option<&'static str>) -> Server {
        let mut server = Server::absent();
        server.password = password;
        server.started()
    }

    /// With options of the command line.
    pub(crate) fn start_as(options: &'static [&'static str]) -> Server {
        let mut server = Server::absent();
        server.options = options;
        server.started()
    }

    fn started(mut self) -> Server {
        for _ in 0..ATTEMPTS {
            if self.try_launch() {
                return self;
            }
            self.port = free_port();
        }
        panic!("redis-server did not start on any of {ATTEMPTS} free ports");
    }

    /// An address where nobody listens yet.
    pub(crate) fn absent() -> Server {
        let directory = tempfile::tempdir().unwrap();
        Server { child: None, directory, port: free_port(), password: None, options: &[] }
    }

    /// Starts it where it is to be, with what it last saved.
    pub(crate) fn launch(&mut self) {
        assert!(self.try_launch(), "redis-server did not start on port {}", self.port);
    }

    /// With other options from the next launch on.
    pub(crate) fn set_options(&mut self, options: &'static [&'static str]) {
        self.options = options;
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Takes its time away: connections stay open, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Gives it back.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn connect(&self) -> redis::Connection {
        self.try_connect().unwrap()
    }

    pub(crate) fn url(&self, database: u8) -> String {
        let password = self.password.map(|it| format!(":{it}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn place(&self, prefix: &str) -> TablePlace {
        TablePlace::Redis(self.redis(prefix))
    }

    pub(crate) fn redis(&self, prefix: &str) -> RedisTable {
        let shown = format!("redis://127.0.0.1:{}/0", self.port);
        RedisTable::new(&self.url(0), &shown, prefix)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn try_connect(&self) -> redis::RedisResult<redis::Connection> {
        let mut connection = redis::Client::open(self.url(0))?.get_connection()?;
        redis::cmd("PING").exec(&mut connection)?;
        Ok(connection)
    }

    /// False if it ended before it answered: another process took the port.
    fn try_launch(&mut self) -> bool {
        let mut command = ending_with_parent("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.directory.path());
        command.args(self.options);
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let child = match command.stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Ok(child) => self.child.insert(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("redis-server is not on PATH: run scripts/test, which installs it")
            }
            Err(error) => panic!("redis-server did not start: {error}"),
        };
        let id = child.id();
        let mut ended = false;
        until("redis-server answers", || {
            let child = self.child.as_mut().unwrap();
            ended = child.try_wait().unwrap().is_some();
            ended || self.try_connect().is_ok_and(|mut it| process_id(&mut it) == id)
        });
        !ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The kernel ends it with the thread of the test, also when the test program is killed; elsewhere
/// than on Linux it ends with its `Server` alone.
fn ending_with_parent(program: &str) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    } else {
        Command::new(program)
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing connections: who
/// connects again and again to a server that is away would else meet itself there one day.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = process::id().wrapping_mul(97) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(12_000 + next % 8_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn process_id(connection: &mut redis::Connection) -> u32 {
    let info: String = redis::cmd("INFO").arg("server").query(connection).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
    line.unwrap().trim().parse().unwrap()
}

/// A command and its arguments, with spaces between them.
pub(crate) fn run(redis: &mut redis::Connection, words: &str) {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.exec(redis).unwrap();
}

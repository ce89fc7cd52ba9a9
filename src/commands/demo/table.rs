//! The demo's table: a redis-server of its own where there is one, else a file; both change.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use redis::Connection;

/// How long a redis-server may take to answer.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);
const SERVER_PAUSE: Duration = Duration::from_millis(10);

/// Entries: fewer than the orders have keys, so that some orders find nothing.
pub(super) const ENTRIES: u64 = 950;

/// A table that can be written to.
pub(super) enum DemoTable {
    /// In a server that ends with this value.
    Redis { server: Server, connection: Connection },
    /// In a file that is replaced as a whole.
    File { path: PathBuf, versions: Vec<u64> },
}

impl DemoTable {
    /// Starts a redis-server in `folder`, or makes a file there, and fills it.
    pub(super) fn open(folder: &Path) -> io::Result<DemoTable> {
        let mut table = match Server::start(folder) {
            Ok(server) => {
                let connection = server.connect()?;
                DemoTable::Redis { server, connection }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = folder.join("users.jsonl");
                DemoTable::File { path, versions: vec![0; ENTRIES as usize] }
            }
            Err(error) => return Err(error),
        };
        for number in 1..=ENTRIES {
            table.set(number, 0)?;
        }
        table.publish()?;
        Ok(table)
    }

    /// What it is, for the person who watches.
    pub(super) fn description(&self) -> String {
        match self {
            DemoTable::Redis { server, .. } => {
                format!("a redis-server of the demo's own, {}", server.url())
            }
            DemoTable::File { path, .. } => format!(
                "the file {} (there is no redis-server on this machine's PATH)",
                path.display()
            ),
        }
    }

    /// The lines of `[tables.users]` that say where it is.
    pub(super) fn settings(&self) -> String {
        match self {
            DemoTable::Redis { server, .. } => {
                format!("redis = \"{}\"\nprefix = \"user:\"\n", server.url())
            }
            DemoTable::File { path, .. } => format!("file = {:?}\n", path.display().to_string()),
        }
    }

    /// Gives one entry another value, seen by others after `publish`.
    pub(super) fn set(&mut self, number: u64, version: u64) -> io::Result<()> {
        match self {
            DemoTable::Redis { connection, .. } => redis::cmd("SET")
                .arg(format!("user:user{number}"))
                .arg(value(version))
                .exec(connection)
                .map_err(io::Error::other),
            DemoTable::File { versions, .. } => {
                versions[number as usize - 1] = version;
                Ok(())
            }
        }
    }

    /// Between two calls of `publish`: a file is written as a whole, a server key by key.
    pub(super) fn pause(&self) -> Duration {
        match self {
            DemoTable::Redis { .. } => Duration::from_millis(5),
            DemoTable::File { .. } => Duration::from_millis(500),
        }
    }

    /// Replaces the file, by rename, so that a reader never sees half of it.
    pub(super) fn publish(&mut self) -> io::Result<()> {
        let DemoTable::File { path, versions } = self else { return Ok(()) };
        let line = |(index, version): (usize, &u64)| {
            format!("{{\"key\":\"user{}\",\"value\":\"{}\"}}\n", index + 1, value(*version))
        };
        let text: String = versions.iter().enumerate().map(line).collect();
        let fresh = path.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(fresh, path)
    }
}

fn value(version: u64) -> String {
    format!("gold{version}")
}

/// A redis-server child; ended when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Path) -> io::Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Server { child, port })
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn connect(&self) -> io::Result<Connection> {
        let client = redis::Client::open(self.url()).map_err(io::Error::other)?;
        let deadline = Instant::now() + SERVER_PATIENCE;
        loop {
            match client.get_connection() {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() >= deadline => return Err(io::Error::other(error)),
                Err(_) => thread::park_timeout(SERVER_PAUSE),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

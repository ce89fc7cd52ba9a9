//! Where a Redis is and who we are there, and a connection to it that has introduced itself.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ::redis::{ConnectionAddr, IntoConnectionInfo};

use crate::transport::Trouble;

/// To connect, and to wait for an answer where a thread may wait.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// A server in this process that simulations step: what it is asked it may execute and answer when
/// and as far as the schedule says.
pub trait InProcess: fmt::Debug + Send + Sync {
    /// Another connection. Until nothing may wait any more, it answers each command at once.
    ///
    /// # Errors
    ///
    /// If there is nobody to connect to.
    fn connect(&self) -> io::Result<Box<dyn Wire>>;
}

/// The client's end of a connection to a server in this process.
pub trait Wire: Read + Write + fmt::Debug + Send {
    /// From now on what is written may be executed later, and a read that finds nothing would
    /// block.
    fn set_nonblocking(&self);
}

/// A server and a login.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    place: Place,
    username: Option<String>,
    password: Option<String>,
    database: i64,
    shown: String,
}

#[derive(Clone, Debug)]
enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
    InProcess(Arc<dyn InProcess>),
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Tcp(host, port), Place::Tcp(other, at)) => (host, port) == (other, at),
            (Place::Unix(path), Place::Unix(other)) => path == other,
            (Place::InProcess(server), Place::InProcess(other)) => Arc::ptr_eq(server, other),
            _ => false,
        }
    }
}

impl Eq for Place {}

impl Address {
    /// Checks a URL; `shown` is the same without secrets.
    ///
    /// # Errors
    ///
    /// A sentence about why it is none.
    pub fn parse(url: &str, shown: &str) -> Result<Address, String> {
        let is_tls = url.starts_with("rediss:") || url.starts_with("valkeys:");
        let no_tls =
            || format!("{shown}: TLS to Redis is not built in yet; use redis:// or redis+unix://");
        let info = url.into_connection_info().map_err(|error| match is_tls {
            true => no_tls(),
            false => format!(
                "{shown} is no URL of a Redis ({}); write redis://[user:password@]host:port/0",
                error.category()
            ),
        })?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return Err(no_tls()),
        };
        let login = info.redis_settings();
        Ok(Address {
            place,
            username: login.username().map(str::to_owned),
            password: login.password().map(str::to_owned),
            database: login.db(),
            shown: shown.to_owned(),
        })
    }

    /// The same for whom a fault of it is trouble.
    pub(super) fn of(peer: &'static str, url: &str, shown: &str) -> Result<Address, Trouble> {
        Address::parse(url, shown).map_err(|text| Trouble {
            peer,
            code: "ERR",
            text: text.as_str().into(),
            heals: false,
        })
    }

    /// A server in this process.
    pub fn in_process(server: Arc<dyn InProcess>) -> Address {
        Address {
            place: Place::InProcess(server),
            username: None,
            password: None,
            database: 0,
            shown: "a server in this process".to_owned(),
        }
    }

    /// True if connections are made by whoever asks for one, and no thread is needed.
    pub(super) fn is_in_process(&self) -> bool {
        matches!(self.place, Place::InProcess(_))
    }

    /// The URL as it may be printed.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// True if both are of one database of one server, whoever asks there.
    pub fn is_same_server(&self, other: &Address) -> bool {
        self.place == other.place && self.database == other.database
    }

    /// What introduces us: commands that are each answered by `+OK`.
    pub(super) fn introduction(&self) -> Vec<Vec<Vec<u8>>> {
        let mut commands = Vec::new();
        if let Some(password) = &self.password {
            let mut command = vec![b"AUTH".to_vec()];
            command.extend(self.username.iter().map(|it| it.as_bytes().to_vec()));
            command.push(password.as_bytes().to_vec());
            commands.push(command);
        }
        if self.database != 0 {
            commands.push(vec![b"SELECT".to_vec(), self.database.to_string().into_bytes()]);
        }
        commands
    }

    /// Connects; reads and writes of what it returns wait for `TIMEOUT` at most.
    pub(super) fn connect(&self) -> io::Result<Socket> {
        let socket = match &self.place {
            Place::InProcess(server) => Socket::InProcess(server.connect()?),
            Place::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Place::Tcp(host, port) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                let mut addresses = (host.as_str(), *port).to_socket_addrs()?;
                let stream = loop {
                    let Some(address) = addresses.next() else { return Err(last) };
                    match TcpStream::connect_timeout(&address, TIMEOUT) {
                        Ok(stream) => break stream,
                        Err(error) => last = error,
                    }
                };
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
        };
        socket.set_timeouts(Some(TIMEOUT))?;
        Ok(socket)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    InProcess(Box<dyn Wire>),
}

impl Socket {
    pub(super) fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(it) => {
                it.set_read_timeout(timeout).and_then(|()| it.set_write_timeout(timeout))
            }
            Socket::Unix(it) => {
                it.set_read_timeout(timeout).and_then(|()| it.set_write_timeout(timeout))
            }
            Socket::InProcess(_) => Ok(()),
        }
    }

    /// From now on nothing waits.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(it) => it.set_nonblocking(true),
            Socket::Unix(it) => it.set_nonblocking(true),
            Socket::InProcess(it) => {
                it.set_nonblocking();
                Ok(())
            }
        }
    }

    /// None, as a negative number, where no thread ever waits.
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Socket::Tcp(it) => it.as_raw_fd(),
            Socket::Unix(it) => it.as_raw_fd(),
            Socket::InProcess(_) => -1,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(it) => it.read(bytes),
            Socket::Unix(it) => it.read(bytes),
            Socket::InProcess(it) => it.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(it) => it.write(bytes),
            Socket::Unix(it) => it.write(bytes),
            Socket::InProcess(it) => it.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_secrets_stay_hidden() {
        let parse = |url: &str| Address::parse(url, "SHOWN");
        let address = parse("redis://me:secret@host:6380/3").unwrap();
        assert_eq!(address.place, Place::Tcp("host".to_owned(), 6380));
        assert!(!format!("{address:?}").contains("secret"));
        let words = |it: Vec<Vec<u8>>| String::from_utf8(it.join(&b' ')).unwrap();
        let introduction: Vec<_> = address.introduction().into_iter().map(words).collect();
        assert_eq!(introduction, ["AUTH me secret", "SELECT 3"]);
        assert!(parse("redis://host").unwrap().introduction().is_empty());
        assert!(parse("rediss://:secret@host").unwrap_err().contains("TLS to Redis is not"));
        let message = parse("http://:secret@host").unwrap_err();
        assert!(message.starts_with("SHOWN is no URL of a Redis"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn one_server_may_be_asked_by_several() {
        let parse = |url: &str| Address::parse(url, url).unwrap();
        let one = parse("redis://host/1");
        assert!(one.is_same_server(&parse("redis://me:secret@host:6379/1")));
        assert!(!one.is_same_server(&parse("redis://host/2")));
        assert!(!one.is_same_server(&parse("redis://other/1")));
    }
}

//! One connection to one Redis, that may track a prefix: commands out, replies and pushes in.
//!
//! The crate's connection is used with one reply read at a time: so a large answer is applied and
//! dropped before the next is read, and the first error ends it. After any error or timeout the
//! connection must be dropped: late replies would be taken for others. Left out: TLS, which the
//! crate is built without, and following a cluster or a sentinel.

use std::{mem, time::Duration};

use ::redis::{
    Client, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushKind, RedisError, Value, io::tcp::TcpSettings,
};

use super::trouble::Trouble;

/// To connect and introduce oneself; also the longest silence before a server counts as gone.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Where a Redis is.
#[derive(Clone)]
pub(super) struct Address {
    info: ConnectionInfo,
    shown: String,
}

impl Address {
    /// Checks a URL; `shown` is the same without secrets. The error is a sentence.
    pub(super) fn parse(url: &str, shown: &str) -> Result<Address, String> {
        let info = url.into_connection_info().map_err(|error| refusal(url, shown, &error))?;
        let info = match info.addr() {
            ConnectionAddr::TcpTls { .. } => return Err(no_tls(shown)),
            ConnectionAddr::Tcp(..) => {
                info.set_tcp_settings(TcpSettings::default().set_nodelay(true))
            }
            _ => info,
        };
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        Ok(Address { info: info.set_redis_settings(settings), shown: shown.to_owned() })
    }

    /// The same for a connection that does not track, which any server can have.
    pub(super) fn untracked(self) -> Address {
        let settings = self.info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        Address { info: self.info.set_redis_settings(settings), ..self }
    }

    /// The database's number.
    pub(super) fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }
}

fn no_tls(shown: &str) -> String {
    format!("{shown}: TLS to Redis is not built in yet; use redis:// or redis+unix://")
}

fn refusal(url: &str, shown: &str, error: &RedisError) -> String {
    if url.starts_with("rediss:") || url.starts_with("valkeys:") {
        return no_tls(shown);
    }
    let category = error.to_string();
    format!("{shown} is no URL of a Redis ({category}); write redis://[user:password@]host:port/0")
}

/// What the server tells without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// These keys changed or went.
    Keys(Vec<Vec<u8>>),
    /// Everything went, or may have changed.
    Everything,
}

/// An open connection.
pub(super) struct Link {
    connection: Connection,
    pushes: Vec<Push>,
    shown: String,
}

impl Link {
    /// Connects and has the server tell of every change under the prefix. When it returns,
    /// tracking is in force: what is read from now on cannot change unnoticed.
    pub(super) fn open(address: &Address, prefix: &[u8]) -> Result<Link, Trouble> {
        let mut link = Link::open_untracked(address)?;
        link.track(prefix).map_err(|error| Trouble::of_tracking(&error, &address.shown))?;
        Ok(link)
    }

    /// Connects.
    pub(super) fn open_untracked(address: &Address) -> Result<Link, Trouble> {
        Link::connect(address).map_err(|error| Trouble::of(&error, &address.shown))
    }

    fn connect(address: &Address) -> Result<Link, RedisError> {
        let client = Client::open(address.info.clone())?;
        let connection = client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        Ok(Link { connection, pushes: Vec::new(), shown: address.shown.clone() })
    }

    fn track(&mut self, prefix: &[u8]) -> Result<(), RedisError> {
        let mut tracking = ::redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        if !prefix.is_empty() {
            tracking.arg("PREFIX").arg(prefix);
        }
        self.connection.send_packed_command(&tracking.get_packed_command())?;
        self.reply()?.extract_error()?;
        Ok(())
    }

    /// The server's URL as it may be printed.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Sends commands; each is to be followed by one `receive`, in order.
    pub(super) fn send(&mut self, commands: &Pipeline) -> Result<(), Trouble> {
        let sent = self.connection.send_packed_command(&commands.get_packed_pipeline());
        sent.map_err(|error| Trouble::of(&error, &self.shown))
    }

    /// The next reply, an error of the server included. Pushes on the way are kept.
    pub(super) fn receive(&mut self) -> Result<Value, Trouble> {
        self.reply().map_err(|error| Trouble::of(&error, &self.shown))
    }

    /// The pushes since the last call.
    pub(super) fn take_pushes(&mut self) -> Vec<Push> {
        mem::take(&mut self.pushes)
    }

    fn reply(&mut self) -> Result<Value, RedisError> {
        loop {
            match self.connection.recv_response()? {
                Value::Push { kind: PushKind::Invalidate, data } => self.pushes.push(push(data)),
                Value::Push { .. } => {}
                reply => return Ok(reply),
            }
        }
    }
}

fn push(data: Vec<Value>) -> Push {
    match data.into_iter().next() {
        Some(Value::Array(keys)) => Push::Keys(keys.into_iter().filter_map(bytes).collect()),
        _ => Push::Everything,
    }
}

/// A string of bytes, in whichever of its spellings.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::VerbatimString { text, .. } => Some(text.into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_secrets_stay_hidden() {
        let address = Address::parse("redis://:secret@host:6380/3", "redis://:***@host:6380/3");
        let address = address.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(address.info.redis_settings().db(), 3);
        assert_eq!(address.info.redis_settings().protocol(), ProtocolVersion::RESP3);
        let refused = |url| Address::parse(url, "SHOWN").err().unwrap();
        assert!(refused("rediss://:secret@host").contains("TLS to Redis is not built in yet"));
        let message = refused("http://:secret@host");
        assert!(message.starts_with("SHOWN is no URL of a Redis"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn a_push_without_keys_means_everything() {
        assert_eq!(push(vec![Value::Nil]), Push::Everything);
        let keys = vec![Value::BulkString(b"a".to_vec()), Value::BulkString(b"b".to_vec())];
        let expected = Push::Keys(vec![b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(push(vec![Value::Array(keys)]), expected);
    }
}

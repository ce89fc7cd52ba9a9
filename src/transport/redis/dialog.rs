//! Questions and answers one after another, on threads that may wait.
//!
//! For what is done before a connection is handed to the hot thread, and for commands of the
//! program that only ask. After an error the connection is of no more use.

use std::{
    io::{self, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    address::{Address, Socket},
    faults,
    resp::{self, Item, Items, Scanner},
};
use crate::transport::Trouble;

/// How long a server may take to answer where nothing but the program itself waits.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Between two tries to reach a server.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that is asked one thing at a time.
#[derive(Debug)]
pub(super) struct Dialog {
    peer: &'static str,
    address: Address,
    socket: Socket,
    input: Vec<u8>,
    /// A reply that comes late would be taken for that to the next question.
    is_broken: bool,
}

impl Dialog {
    /// Connects and introduces itself.
    pub(super) fn open(peer: &'static str, address: &Address) -> Result<Dialog, Trouble> {
        let socket = address.connect().map_err(|error| {
            let why = format!("it cannot be reached: {error}");
            faults::lost(peer, address, &why)
        })?;
        let address = address.clone();
        let mut dialog = Dialog { peer, address, socket, input: Vec::new(), is_broken: false };
        for command in dialog.address.introduction() {
            let what = String::from_utf8_lossy(&command[0]).into_owned();
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            dialog.ask(&words)?.or_else(|error| dialog.refused(&what, &error))?;
        }
        Ok(dialog)
    }

    /// The same; a busy server has its time to answer.
    pub(super) fn open_patient(peer: &'static str, address: &Address) -> Result<Dialog, Trouble> {
        let dialog = Dialog::open(peer, address)?;
        let set = dialog.socket.set_timeouts(Some(ANSWERED_WITHIN));
        set.map_err(|error| faults::lost(peer, address, &error.to_string()))?;
        Ok(dialog)
    }

    /// The same, again and again while the trouble heals: no longer than `patience`, and until the
    /// flag is true, then `None`.
    pub(super) fn open_unless(
        peer: &'static str,
        address: &Address,
        (patience, stop): (Duration, &AtomicBool),
    ) -> Result<Option<Dialog>, Trouble> {
        let deadline = Instant::now() + patience;
        loop {
            let opened = Dialog::open_patient(peer, address).and_then(|mut dialog| {
                // A server that is still loading says so.
                dialog.require("PING", &[b"PING"]).map(|_| dialog)
            });
            match opened {
                _ if stop.load(Ordering::Acquire) => return Ok(None),
                Err(trouble) if trouble.heals && Instant::now() < deadline => {
                    thread::park_timeout(PAUSE);
                }
                opened => return opened.map(Some),
            }
        }
    }

    /// Sends a command and waits for its reply; the inner error is the server's own.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> Result<Result<Vec<u8>, Vec<u8>>, Trouble> {
        let mut command = Vec::new();
        resp::command(&mut command, words);
        self.send(&command)
    }

    /// The same of a command that is written already.
    pub(super) fn send(&mut self, command: &[u8]) -> Result<Result<Vec<u8>, Vec<u8>>, Trouble> {
        if self.is_broken {
            return Err(faults::lost(self.peer, &self.address, "the connection was given up"));
        }
        let reply = self.exchange(command).map_err(|error| {
            self.is_broken = true;
            let why = format!("it does not answer: {error}");
            faults::lost(self.peer, &self.address, &why)
        })?;
        Ok(match Items::of(&reply).next() {
            Some(Item::Error(error)) => Err(error.to_vec()),
            _ => Ok(reply),
        })
    }

    /// The same, where every error of the server is trouble. `what` is what was asked for.
    pub(super) fn require(&mut self, what: &str, words: &[&[u8]]) -> Result<Vec<u8>, Trouble> {
        self.ask(words)?.or_else(|error| self.refused(what, &error))
    }

    /// An error of the server as trouble.
    pub(super) fn refused<T>(&self, what: &str, error: &[u8]) -> Result<T, Trouble> {
        Err(faults::trouble(self.peer, &self.address, what, error))
    }

    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.socket.write_all(command)?;
        self.input.clear();
        let (mut scanner, mut chunk) = (Scanner::default(), [0; 4096]);
        loop {
            let len = match self.socket.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => len,
            };
            self.input.extend_from_slice(&chunk[..len]);
            match scanner.scan(&self.input) {
                Ok(None) => {}
                Ok(Some(len)) if len == self.input.len() => {
                    return Ok(std::mem::take(&mut self.input));
                }
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no Redis")),
            }
        }
    }

    /// The connection, with nothing on its way.
    pub(super) fn into_socket(self) -> io::Result<Socket> {
        self.socket.set_nonblocking()?;
        Ok(self.socket)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn after_a_reply_that_was_none_nothing_is_asked_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}/0", listener.local_addr().unwrap());
        let address = Address::parse(&url, &url).unwrap();
        let answers = [&b"+one\r\n"[..], b"HTTP\r\n", b"+four\r\n"];
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut socket, mut command) = (listener.accept().unwrap().0, [0; 64]);
                for answer in answers {
                    let len = socket.read(&mut command).unwrap_or(0);
                    // The other side has gone, which is as good.
                    let _ = (len > 0).then(|| socket.write_all(answer));
                }
            });
            let mut dialog = Dialog::open("source", &address).unwrap();
            assert_eq!(dialog.ask(&[b"PING"]).unwrap().unwrap(), b"+one\r\n");
            assert!(dialog.ask(&[b"PING"]).unwrap_err().text.as_str().contains("it is no Redis"));
            let trouble = dialog.ask(&[b"PING"]).unwrap_err();
            assert!(trouble.heals && trouble.text.as_str().contains("was given up"), "{trouble:?}");
        });
    }
}

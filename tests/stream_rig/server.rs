//! A server in memory that executes and answers when the schedule says so.
//!
//! What a client writes lies in the inbox of its connection until a step executes it; a reply lies
//! there until it is let through. A connection that is cut takes both with it, or lives on without
//! its client: then what was asked is executed later all the same, as by a server that was frozen.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    sync::{Arc, Mutex, MutexGuard},
};

use hotspur::transport::redis::{InProcess, Wire};

use super::data::{Data, Reply};

/// How the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Well,
    /// Nobody can connect.
    Away,
    /// A replica: nothing can be written.
    ReadOnly,
    /// Nothing can be added.
    Full,
    /// Nothing can be done.
    Loading,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) data: Data,
    pub(crate) health: Health,
    /// Connections made so far.
    made: u64,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    /// Each command is answered at once.
    is_waited_for: bool,
    /// Nobody reads replies any more.
    is_orphan: bool,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Bytes of the outbox that were let through.
    arrived: usize,
    /// Commands of a transaction that is open.
    queued: Option<Vec<Vec<Vec<u8>>>>,
    /// The first command in the inbox waits for entries, until then.
    blocked_until: Option<u64>,
}

/// The server; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl InProcess for Server {
    fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let mut state = self.state();
        if state.health == Health::Away {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        state.made += 1;
        let number = state.made;
        state.connections.push(Connection {
            number,
            is_waited_for: true,
            is_orphan: false,
            inbox: Vec::new(),
            outbox: Vec::new(),
            arrived: 0,
            queued: None,
            blocked_until: None,
        });
        Ok(Box::new(End { server: self.clone(), number }))
    }
}

/// The client's end.
struct End {
    server: Server,
    number: u64,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("End").field(&self.number).finish()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(it) = self.server.state().connection(self.number) {
            it.is_orphan = true;
        }
    }
}

impl Wire for End {
    fn set_nonblocking(&self) {
        if let Some(it) = self.server.state().connection(self.number) {
            it.is_waited_for = false;
        }
    }
}

impl Read for End {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut state = self.server.state();
        let it = state.connection(self.number).ok_or(ErrorKind::ConnectionReset)?;
        if it.is_orphan {
            return Ok(0);
        }
        let len = it.arrived.min(bytes.len());
        if len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        bytes[..len].copy_from_slice(&it.outbox[..len]);
        it.outbox.drain(..len);
        it.arrived -= len;
        Ok(len)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.server.state();
        let it = state.connection(self.number).ok_or(ErrorKind::ConnectionReset)?;
        if it.is_orphan {
            return Err(ErrorKind::BrokenPipe.into());
        }
        it.inbox.extend_from_slice(bytes);
        if it.is_waited_for {
            // Others may go, and with them its place.
            while state.index(self.number).is_some_and(|it| state.execute(it)) {}
            let index = state.index(self.number).expect("it is there");
            state.let_through(index, usize::MAX);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn index(&self, number: u64) -> Option<usize> {
        self.connections.iter().position(|it| it.number == number)
    }

    fn connection(&mut self, number: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|it| it.number == number)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Lets bytes of replies through.
    pub(crate) fn let_through(&mut self, index: usize, bytes: usize) {
        let it = &mut self.connections[index];
        it.arrived = it.arrived.saturating_add(bytes).min(it.outbox.len());
    }

    /// The client has lost it. What it asked for is forgotten, or will be done all the same.
    pub(crate) fn cut(&mut self, index: usize, is_forgotten: bool) {
        match is_forgotten {
            true => drop(self.connections.swap_remove(index)),
            false => self.connections[index].is_orphan = true,
        }
    }

    /// All connections are lost, with what they asked for.
    pub(crate) fn cut_all(&mut self) {
        self.connections.clear();
    }

    /// The next command of a connection, for a trace.
    pub(crate) fn next_words(&self, index: usize) -> String {
        let it = &self.connections[index];
        let (_, ranges) = command(&it.inbox).unwrap_or_default();
        let word = |&(at, end): &(usize, usize)| match end - at {
            0..100 => String::from_utf8_lossy(&it.inbox[at..end]).into_owned(),
            _ => "…".to_owned(),
        };
        let words: Vec<String> = ranges.iter().map(word).collect();
        format!("{} {}", it.number, words.join(" "))
    }

    /// Executes the next command of a connection; false if there is none, or it waits.
    pub(crate) fn execute(&mut self, index: usize) -> bool {
        let State { data, health, connections, .. } = self;
        let it = &mut connections[index];
        let Some((len, ranges)) = command(&it.inbox) else {
            if it.is_orphan {
                self.connections.swap_remove(index);
            }
            return false;
        };
        let words: Vec<&[u8]> = ranges.iter().map(|(at, end)| &it.inbox[*at..*end]).collect();
        let reply = match (words[0], &mut it.queued) {
            (b"MULTI", queued) => {
                *queued = Some(Vec::new());
                Reply::Simple("OK")
            }
            (b"EXEC", queued) => {
                let commands = queued.take().expect("a transaction");
                let run = |command: &Vec<Vec<u8>>| {
                    let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
                    run(data, *health, &words)
                };
                Reply::Array(commands.iter().map(run).collect())
            }
            (b"CLIENT", _) if words[1] == b"INFO" => {
                let (number, name) = (it.number, "name= db=0");
                Reply::Bulk(format!("id={number} addr=here:{number} {name}\n").into_bytes())
            }
            (b"CLIENT", _) => {
                let (id, address) = (number(words[3]), words[5].to_vec());
                assert_eq!(address, format!("here:{id}").into_bytes());
                it.inbox.drain(..len);
                let own = it.number;
                let before = connections.len();
                connections.retain(|it| it.number != id);
                let killed = (before - connections.len()) as i64;
                let it = self.connection(own).expect("it asks");
                write(&Reply::Integer(killed), &mut it.outbox);
                return true;
            }
            (_, Some(queued)) => {
                queued.push(words.iter().map(|it| it.to_vec()).collect());
                Reply::Simple("QUEUED")
            }
            _ => run(data, *health, &words),
        };
        if reply == Reply::Blocks {
            let until = *it.blocked_until.get_or_insert(data.now_ms + number(words[7]));
            if data.now_ms < until {
                return false;
            }
            write(&Reply::NilArray, &mut it.outbox);
        } else {
            write(&reply, &mut it.outbox);
        }
        it.blocked_until = None;
        it.inbox.drain(..len);
        true
    }
}

fn number(word: &[u8]) -> u64 {
    std::str::from_utf8(word).ok().and_then(|it| it.parse().ok()).expect("a number")
}

/// A reply as it goes over the wire.
fn write(reply: &Reply, out: &mut Vec<u8>) {
    let mut line = |kind: char, text: &str| {
        out.extend_from_slice(format!("{kind}{text}\r\n").as_bytes());
    };
    match reply {
        Reply::Simple(text) => line('+', text),
        Reply::Error(text) => line('-', text),
        Reply::Integer(number) => line(':', &number.to_string()),
        Reply::NilArray => line('*', "-1"),
        Reply::Bulk(bytes) => {
            line('$', &bytes.len().to_string());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Reply::Array(items) => {
            line('*', &items.len().to_string());
            items.iter().for_each(|it| write(it, out));
        }
        Reply::Blocks => unreachable!("it has no reply yet"),
    }
}

/// What the server says in its health.
fn run(data: &mut Data, health: Health, words: &[&[u8]]) -> Reply {
    let writes = !matches!(words[0], b"PING" | b"XLEN" | b"XPENDING");
    let adds = matches!(words[0], b"XADD" | b"XGROUP");
    match health {
        Health::Loading => {
            Reply::Error("LOADING Redis is loading the dataset in memory".to_owned())
        }
        Health::ReadOnly if writes => {
            Reply::Error("READONLY You can't write against a read only replica.".to_owned())
        }
        Health::Full if adds => {
            Reply::Error("OOM command not allowed when used memory > 'maxmemory'.".to_owned())
        }
        _ => data.execute(words),
    }
}

/// The first command in these bytes: its length, and where its words are.
fn command(bytes: &[u8]) -> Option<(usize, Vec<(usize, usize)>)> {
    let line = |at: usize| {
        let end = at + bytes[at..].iter().position(|it| *it == b'\n')?;
        Some((number(&bytes[at + 1..end - 1]) as usize, end + 1))
    };
    let (count, mut at) = line(0)?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (len, start) = line(at).filter(|(len, start)| start + len + 2 <= bytes.len())?;
        words.push((start, start + len));
        at = start + len + 2;
    }
    Some((at, words))
}

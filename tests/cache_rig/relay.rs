//! Stands between a table and its Redis and passes on what both say: late, not all of it, or with
//! other answers to some commands, as a server gives them on a bad day.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hotspur::config::settings::{RedisTable, TablePlace};

/// What it does to the bytes.
#[derive(Debug, Default)]
struct Ways {
    /// Milliseconds that each piece of an answer waits.
    delay_ms: AtomicU64,
    /// What the server tells without being asked goes no further.
    swallows_pushes: AtomicBool,
    /// What is answered to the commands of that name instead of what the server says.
    answer: Mutex<Option<(&'static str, &'static str)>>,
    /// How often that was.
    answered: AtomicU64,
    has_ended: AtomicBool,
    /// Of all connections so far.
    streams: Mutex<Vec<TcpStream>>,
}

/// A relay to one server; ends with its drop.
pub(crate) struct Relay {
    ways: Arc<Ways>,
    port: u16,
}

impl Relay {
    /// Of that server, which listens on this machine.
    pub(crate) fn start(server: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ways = Arc::new(Ways::default());
        let accepting = ways.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.has_ended.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    relay(client, server, &accepting);
                }
            }
        });
        Relay { ways, port }
    }

    /// The server's first database, through here.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The server's place, through here.
    pub(crate) fn place(&self, prefix: &str) -> TablePlace {
        let url = self.url();
        TablePlace::Redis(RedisTable::new(&url, &url, prefix))
    }

    /// Has each piece of an answer wait.
    pub(crate) fn delay(&self, delay: Duration) {
        self.ways.delay_ms.store(delay.as_millis() as u64, Ordering::Release);
    }

    /// Whether what the server tells without being asked goes no further.
    pub(crate) fn swallow_pushes(&self, yes: bool) {
        self.ways.swallows_pushes.store(yes, Ordering::Release);
    }

    /// Has commands of that name answered so, in RESP without the last line's end; `None` ends it.
    pub(crate) fn answer(&self, answer: Option<(&'static str, &'static str)>) {
        *self.ways.answer.lock().unwrap() = answer;
    }

    /// How often a command was answered so.
    pub(crate) fn answered(&self) -> u64 {
        self.ways.answered.load(Ordering::Acquire)
    }

    fn cut(&self) {
        for stream in self.ways.streams.lock().unwrap().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ways.has_ended.store(true, Ordering::Release);
        self.cut();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// Names of the commands that wait for an answer, in order.
type Asked = Arc<Mutex<VecDeque<Vec<u8>>>>;

fn relay(client: TcpStream, server: TcpStream, ways: &Arc<Ways>) {
    let copy = |stream: &TcpStream| stream.try_clone().unwrap();
    ways.streams.lock().unwrap().extend([copy(&client), copy(&server)]);
    let (from_client, to_server) = (copy(&client), copy(&server));
    let asked = Asked::default();
    let noted = asked.clone();
    thread::spawn(move || {
        let note = |command: &[u8]| {
            noted.lock().unwrap().push_back(name_of(command));
            Some(command.to_vec())
        };
        pass_on(from_client, to_server, note, || {});
    });
    let ways = ways.clone();
    thread::spawn(move || {
        pass_on(server, client, |reply| ways.change(reply, &asked), || ways.pause());
    });
}

impl Ways {
    fn pause(&self) {
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::Acquire));
        let end = Instant::now() + delay;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
    }

    /// What becomes of a reply.
    fn change(&self, reply: &[u8], asked: &Asked) -> Option<Vec<u8>> {
        if reply[0] == b'>' {
            let swallows = self.swallows_pushes.load(Ordering::Acquire);
            return Some(reply.to_vec()).filter(|_| !swallows);
        }
        let name = asked.lock().unwrap().pop_front().unwrap_or_default();
        match *self.answer.lock().unwrap() {
            Some((command, answer)) if command.as_bytes() == name => {
                self.answered.fetch_add(1, Ordering::AcqRel);
                Some(format!("{answer}\r\n").into_bytes())
            }
            _ => Some(reply.to_vec()),
        }
    }
}

/// Passes on whole commands or replies, as they are changed, until either end closes.
fn pass_on(
    mut from: TcpStream,
    mut to: TcpStream,
    mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    pause: impl Fn(),
) {
    let (mut waiting, mut piece) = (Vec::new(), vec![0; 256 << 10]);
    'open: while let Ok(taken @ 1..) = from.read(&mut piece) {
        waiting.extend(&piece[..taken]);
        pause();
        let mut passed = 0;
        while let Some(length) = length_of(&waiting[passed..]) {
            let changed = change(&waiting[passed..passed + length]);
            passed += length;
            if changed.is_some_and(|it| to.write_all(&it).is_err()) {
                break 'open;
            }
        }
        waiting.drain(..passed);
    }
    // They may be closed already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The first word of a command, an array of texts.
fn name_of(command: &[u8]) -> Vec<u8> {
    let mut lines = command.split(|byte| *byte == b'\n');
    lines.nth(2).unwrap_or_default().trim_ascii().to_ascii_uppercase()
}

/// Bytes of the command or reply that stands first, if all of it is there.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|it| it == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).unwrap().parse::<i64>().unwrap();
    let parts = match bytes[0] {
        b'$' | b'!' | b'=' => {
            let text = usize::try_from(number()).map_or(0, |length| length + 2);
            return Some(line + text).filter(|length| *length <= bytes.len());
        }
        b'*' | b'~' | b'>' => number(),
        b'%' | b'|' => 2 * number(),
        _ => 0,
    };
    (0..parts).try_fold(line, |length, _| Some(length + length_of(&bytes[length..])?))
}

//! Stands where a name stands that leads to one Redis and later to another, or to one that answers
//! everything with the same error.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Where connections lead.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// To the server of that port on this machine.
    To(u16),
    /// Nowhere: each command is answered so.
    Answer(&'static str),
}

#[derive(Debug)]
struct Shared {
    way: Mutex<Way>,
    open: Mutex<Vec<TcpStream>>,
    answered: AtomicU64,
}

/// The relay; its threads end with the test program.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    port: u16,
}

impl Relay {
    pub(crate) fn start(way: Way) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let shared = Arc::new(Shared {
            way: Mutex::new(way),
            open: Mutex::default(),
            answered: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // One that breaks is tried again by who wanted it.
                let _ = accepting.serve(client);
            }
        });
        Relay { shared, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Connections that were answered with an error so far.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Acquire)
    }

    /// New connections lead there; those that are open stay where they are.
    pub(crate) fn lead(&self, way: Way) {
        *self.shared.way.lock().expect("nobody panics with it") = way;
    }

    /// Cuts all that are open.
    pub(crate) fn cut(&self) {
        for stream in self.shared.open.lock().expect("nobody panics with it").drain(..) {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let way = self.way.lock().expect("nobody panics with it").clone();
        let mut open = self.open.lock().expect("nobody panics with it");
        open.push(client.try_clone()?);
        match way {
            Way::Answer(error) => {
                self.answered.fetch_add(1, Ordering::AcqRel);
                thread::spawn(move || answer(client, error));
            }
            Way::To(port) => {
                let server = TcpStream::connect(("127.0.0.1", port))?;
                open.push(server.try_clone()?);
                let (from, to) = (client.try_clone()?, server.try_clone()?);
                thread::spawn(move || copy(from, to));
                thread::spawn(move || copy(server, client));
            }
        }
        Ok(())
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Whoever ends it, both sides hear of it.
    let _ = io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Commands come one at a time: each waits for its answer.
fn answer(mut client: TcpStream, error: &str) {
    let mut bytes = [0; 4096];
    while client.read(&mut bytes).is_ok_and(|len| len > 0) {
        if client.write_all(format!("-{error}\r\n").as_bytes()).is_err() {
            return;
        }
    }
}

//! The server's share of stream → pipeline → stream: the commands that any client sends, prepared
//! beforehand, by one that looks at nothing in the replies but that they are there.
//!
//! Its results are those of the last run, and it acknowledges entries together with them, before it
//! could know that the server took these: so the server's list of what is pending stays short,
//! which costs it less, and nobody can use it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use memchr::memmem;

use super::{
    redis_server::Server,
    through::{Figures, begin_anew, watch},
    weather::{GROUP, OBSERVATIONS, RESULTS},
};

/// Entries asked for at once: of 10, 64 and 256 what costs the server least.
pub(crate) const BATCH: usize = 64;

/// Batches under way: enough that the server never waits, few enough for its caches.
const UNDER_WAY: usize = 4;

/// How the reply to an `XACK` begins, and no other.
const ACKNOWLEDGED: &[u8] = b"\r\n:";

type Entries = Vec<(String, Vec<Vec<u8>>)>;

/// How fast the server carries out what a pipeline asks of it.
pub(crate) fn run(server: &Server, entries: u64) -> Figures {
    let mut client = server.client();
    let mut all = |stream: &str| -> Entries {
        redis::cmd("XRANGE").arg(&[stream, "-", "+"]).query(&mut client).expect("entries")
    };
    let (ids, results) = (all(OBSERVATIONS), all(RESULTS));
    assert_eq!(ids.len(), results.len(), "the run before had a result for each");
    let batches = ids.chunks(BATCH).zip(results.chunks(BATCH));
    let batches: Vec<_> = batches.map(|(ids, results)| commands(ids, results)).collect();
    begin_anew(&mut client);
    redis::cmd("XGROUP").arg(&["CREATE", OBSERVATIONS, GROUP, "0"]).exec(&mut client).expect("it");
    let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let (under_way, answered) = sync_channel(UNDER_WAY);
    let (stream, batches) = (&stream, &batches);
    thread::scope(|scope| {
        scope.spawn(move || write(stream, batches, &under_way));
        scope.spawn(move || read(stream, batches.len(), &answered));
        watch(server, entries)
    })
}

/// All that a batch takes, trimmed as hotspur does it: once.
fn commands(ids: &[(String, Vec<Vec<u8>>)], results: &[(String, Vec<Vec<u8>>)]) -> Vec<u8> {
    let mut pipe = redis::pipe();
    let count = BATCH.to_string();
    let read = ["GROUP", GROUP, "alone", "COUNT", &count, "STREAMS", OBSERVATIONS, ">"];
    pipe.cmd("XREADGROUP").arg(&read);
    for (index, (_, fields)) in results.iter().enumerate() {
        pipe.cmd("XADD").arg(RESULTS);
        if index == 0 {
            pipe.arg(&["MAXLEN", "~", "1000000"]);
        }
        pipe.arg("*").arg(fields);
    }
    let ids: Vec<_> = ids.iter().map(|(id, _)| id).collect();
    pipe.cmd("XACK").arg(&[OBSERVATIONS, GROUP]).arg(ids);
    pipe.get_packed_pipeline()
}

fn write(mut stream: &TcpStream, batches: &[Vec<u8>], under_way: &SyncSender<()>) {
    for commands in batches {
        under_way.send(()).expect("who reads is there");
        stream.write_all(commands).expect("the server takes it");
    }
}

fn read(mut stream: &TcpStream, mut batches: usize, answered: &Receiver<()>) {
    let (mut replies, mut kept) = (vec![0; 1 << 20], 0);
    while batches > 0 {
        let len = kept + stream.read(&mut replies[kept..]).expect("replies");
        assert!(len > kept, "the server closed the connection");
        for _ in memmem::find_iter(&replies[..len], ACKNOWLEDGED) {
            answered.recv().expect("who writes is there");
            batches -= 1;
        }
        // One may be cut in two.
        let end = len - len.min(ACKNOWLEDGED.len() - 1);
        replies.copy_within(end..len, 0);
        kept = len - end;
    }
}

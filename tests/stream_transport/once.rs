//! Entries and the record of them are there both or neither, whatever fails, and never twice; and a
//! stream is read whole, with what is recorded.

use hotspur::{
    record::Headers,
    transport::redis::{EntryShape, NotAdded, OnceWriter, Recording, StreamPages},
};

use crate::{client, len, output, server::Server, wait};

const HASH: &str = "noted";

fn writer(url: &str) -> OnceWriter {
    let mut writer = OnceWriter::connect("dead_letters", (url, url)).expect("it answers");
    let shape = || EntryShape::Field { name: "body".to_owned(), maxlen: None };
    for (number, stream) in ["one", "two"].iter().enumerate() {
        let destination = writer.destination(stream, shape()).expect("few streams");
        assert_eq!(usize::from(destination.0), number);
    }
    assert_eq!(writer.destination("one", EntryShape::Object).expect("it is known").0, 0);
    writer
}

fn value(mark: &str, at: u32) -> String {
    format!("{{\"at\":{at},\"mark\":\"{mark}\"}}")
}

/// Writes to both streams.
fn write(writer: &mut OnceWriter, key: &str, mark: &str, at: u32) -> Result<bool, NotAdded> {
    let value = value(mark, at);
    let recording = Recording { hash: HASH, key, mark, value: &value };
    writer.write(&recording, [output(0, b"1"), output(1, b"2")].into_iter())
}

fn held(server: &Server) -> u64 {
    redis::cmd("HLEN").arg(HASH).query(&mut client(server)).expect("a hash")
}

fn run(server: &Server, words: &[&str]) {
    redis::Cmd::new().arg(words).exec(&mut client(server)).expect("a command");
}

#[test]
fn what_was_noted_is_not_added_again() {
    let server = Server::start();
    let mut writer = writer(&server.url(0));
    assert!(matches!(write(&mut writer, "1-0", "aa", 1), Ok(true)));
    assert!(matches!(write(&mut writer, "1-0", "aa", 1), Ok(false)), "somebody else's");
    assert!(matches!(write(&mut writer, "1-0", "aa", 2), Ok(false)));
    assert_eq!((len(&server, "one"), len(&server, "two"), held(&server)), (1, 1, 1));
    assert!(matches!(write(&mut writer, "1-0", "bb", 3), Ok(true)), "about another letter");
    assert!(matches!(write(&mut writer, "1-1", "aa", 1), Ok(true)));
    assert_eq!((len(&server, "one"), held(&server)), (3, 2));
    run(&server, &["HSET", HASH, "1-2", "words"]);
    assert!(matches!(write(&mut writer, "1-2", "aa", 1), Ok(false)), "no mark fits any");
    writer.forget_before(HASH, "1-1".parse().expect("an id")).expect("it answers");
    assert_eq!(held(&server), 2);
    assert!(matches!(write(&mut writer, "1-0", "bb", 3), Ok(true)));
    assert_eq!((len(&server, "one"), len(&server, "two")), (4, 4));
}

#[test]
fn what_fails_in_the_middle_is_undone() {
    let server = Server::start();
    let user = ["ACL", "SETUSER", "some", "on", "nopass", "~*", "+@all", "-hset"];
    run(&server, &user);
    let url = server.url(0);
    let of_user = url.replace("redis://", "redis://some:any@");
    run(&server, &["SET", "two", "no stream"]);
    let trouble = |failed: Result<bool, NotAdded>| match failed {
        Err(NotAdded::Trouble(trouble)) => (trouble.code, trouble.heals),
        other => panic!("{other:?}"),
    };
    let failed = write(&mut writer(&url), "1-0", "aa", 1);
    assert_eq!(trouble(failed), ("WRONGTYPE", false));
    assert_eq!((len(&server, "one"), held(&server)), (0, 0), "the second stream is none");
    run(&server, &["DEL", "two"]);
    let last = format!("{0}-{0}", u64::MAX);
    run(&server, &["XADD", "two", &last, "a", "1"]);
    let failed = write(&mut writer(&url), "1-0", "aa", 1);
    assert!(matches!(failed, Err(NotAdded::Refused("ERR"))), "no id is left: {failed:?}");
    assert_eq!((len(&server, "one"), held(&server)), (0, 0), "what was added is taken back");
    run(&server, &["DEL", "two"]);
    let failed = write(&mut writer(&of_user), "1-0", "aa", 1);
    assert_eq!(trouble(failed), ("NOPERM", false));
    assert_eq!((len(&server, "one"), len(&server, "two"), held(&server)), (0, 0, 0));
    run(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(trouble(write(&mut writer(&url), "1-0", "aa", 1)), ("OOM", true));
    run(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!((len(&server, "one"), held(&server)), (0, 0));
    assert!(matches!(write(&mut writer(&url), "1-0", "aa", 1), Ok(true)));
}

#[test]
fn what_the_form_cannot_say_is_refused_and_adds_nothing() {
    let server = Server::start();
    let url = server.url(0);
    let mut writer = OnceWriter::connect("dead_letters", (&url, &url)).expect("it answers");
    writer.destination("one", EntryShape::Object).expect("few streams");
    let value = value("aa", 1);
    let recording = Recording { hash: HASH, key: "1-0", mark: "aa", value: &value };
    let mut of = |object: &[u8]| writer.write(&recording, [output(0, object)].into_iter());
    assert!(matches!(of(b"[1]"), Err(NotAdded::Refused("NO_OBJECT"))));
    let members: Vec<_> = (0..4_000).map(|it| format!("\"{it}\":1")).collect();
    let large = format!("{{{}}}", members.join(","));
    assert!(matches!(of(large.as_bytes()), Err(NotAdded::Refused("TOO_MANY_FIELDS"))));
    assert_eq!((len(&server, "one"), held(&server)), (0, 0));
    let members: Vec<_> = (0..3_400).map(|it| format!("\"{it}\":1")).collect();
    assert!(matches!(of(format!("{{{}}}", members.join(",")).as_bytes()), Ok(true)));
    assert_eq!(len(&server, "one"), 1);
}

#[test]
fn a_stream_is_read_to_the_end_that_it_had_with_what_is_noted() {
    let server = Server::start();
    let mut pipe = redis::pipe();
    for number in 0..1_000 {
        let id = format!("{}-1", number + 1);
        pipe.cmd("XADD").arg(&["one", &id, "key", "k", "body", "v", "a", "1"]).ignore();
        if number % 2 == 0 {
            pipe.cmd("HSET").arg(&[HASH, &id, "yes"]).ignore();
        }
    }
    pipe.exec(&mut client(&server)).expect("entries");
    let url = server.url(0);
    let names = ("one", &b"body"[..], HASH);
    let opened = StreamPages::open("dead_letters", (&url, &url), names, wait());
    let mut reader = opened.expect("it answers").expect("nobody stops");
    assert_eq!((reader.entries(), reader.first().ms), (1_000, 1));
    assert_eq!(reader.held_beside().expect("a hash"), 500);
    run(&server, &["XADD", "one", "2000-0", "body", "later"]);
    run(&server, &["XDEL", "one", "400-1"]);
    let (mut seen, mut was_cut_off) = (Vec::new(), false);
    while !reader.is_at_end() {
        let read = reader.read(|record, noted| {
            assert_eq!((record.key, record.value), (Some(&b"k"[..]), Some(&b"v"[..])));
            let a: Option<Option<&[u8]>> = Headers::value_of(&record.headers, b"a");
            assert_eq!((a, record.offset), (Some(Some(&b"1"[..])), seen.len() as i64));
            let id = record.entry_id().expect("an id").to_owned();
            assert_eq!(record.timestamp_ms.map(|it| format!("{it}-1")), Some(id.clone()));
            seen.push((id, noted == Some(b"yes")));
        });
        read.expect("it answers");
        if seen.len() == 240 {
            // Its connection is lost between two pages.
            run(&server, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            was_cut_off = true;
        }
    }
    assert!(was_cut_off);
    let expected: Vec<_> =
        (1..=1_000).filter(|it| *it != 400).map(|it| (format!("{it}-1"), it % 2 == 1)).collect();
    assert_eq!(seen, expected);
}

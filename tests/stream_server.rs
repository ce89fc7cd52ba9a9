//! The server in memory of the stream simulation answers as a real one does: random commands go to
//! both, and each reply and all that is left must be the same.

#[expect(dead_code, reason = "not every test program uses all of it")]
mod cache_rig;
#[path = "stream_rig/data.rs"]
mod data;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use data::{Data, Reply};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use redis::Value;
use server::Server;

const STREAMS: [&str; 2] = ["a", "b"];
const GROUPS: [&str; 2] = ["g", "h"];
const CONSUMERS: [&str; 3] = ["x", "y", "z"];

/// As the model has it: an error by its code, and the time that an entry was idle is not compared.
fn as_reply(value: Value) -> Reply {
    match value {
        Value::Nil => Reply::NilArray,
        Value::Int(number) => Reply::Integer(number),
        Value::BulkString(bytes) => Reply::Bulk(bytes),
        Value::SimpleString(text) => Reply::Bulk(text.into_bytes()),
        Value::Okay => Reply::Bulk(b"OK".to_vec()),
        Value::Array(items) => Reply::Array(items.into_iter().map(as_reply).collect()),
        other => panic!("no reply of a command of streams: {other:?}"),
    }
}

fn comparable(reply: Reply, is_pending: bool) -> Reply {
    match reply {
        Reply::Simple(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Reply::Error(text) => Reply::Error(text.split(' ').next().unwrap_or_default().to_owned()),
        Reply::Array(lines) if is_pending => {
            let without_idle = |line| match line {
                Reply::Array(mut parts) => {
                    parts.remove(2);
                    Reply::Array(parts)
                }
                other => other,
            };
            Reply::Array(lines.into_iter().map(without_idle).collect())
        }
        other => other,
    }
}

/// Both servers.
struct Twins {
    real: redis::Connection,
    model: Data,
}

impl Twins {
    fn run(&mut self, words: &[String]) -> Reply {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|it| _ = command.arg(it));
        let real = match command.query::<Value>(&mut self.real) {
            Ok(value) => as_reply(value),
            Err(error) => Reply::Error(error.code().unwrap_or("ERR").to_owned()),
        };
        let bytes: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let is_pending = words[0] == "XPENDING";
        let model = comparable(self.model.execute(&bytes), is_pending);
        let real = comparable(real, is_pending);
        assert_eq!(real, model, "the real one and the model, asked {words:?}");
        real
    }
}

struct Schedule {
    random: SmallRng,
    last: u64,
}

impl Schedule {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.random_range(0..of.len())]
    }

    /// Ids of entries that were there once, mostly.
    fn id(&mut self) -> String {
        format!("{}-0", self.random.random_range(0..=self.last))
    }

    fn ids(&mut self) -> Vec<String> {
        (0..self.random.random_range(1..4)).map(|_| self.id()).collect()
    }

    fn command(&mut self) -> Vec<String> {
        let (stream, group) = (self.one(&STREAMS), self.one(&GROUPS));
        let (consumer, count) = (self.one(&CONSUMERS), self.random.random_range(1..4).to_string());
        let (id, ids) = (self.id(), self.ids());
        let words: Vec<&str> = match self.random.random_range(0..100) {
            0..25 => {
                self.last += 1;
                return [stream, &format!("{}-0", self.last), "n", "1"]
                    .map(str::to_owned)
                    .into_iter()
                    .fold(vec!["XADD".to_owned()], |mut all, it| {
                        all.push(it);
                        all
                    });
            }
            25..30 => vec!["XGROUP", "CREATE", stream, group, &id, "MKSTREAM"],
            30..50 => {
                let read = ["XREADGROUP", "GROUP", group, consumer, "COUNT", &count, "STREAMS"];
                [&read[..], &[stream, ">"]].concat()
            }
            50..60 => {
                let read = ["XREADGROUP", "GROUP", group, consumer, "COUNT", &count, "STREAMS"];
                [&read[..], &[stream, &id]].concat()
            }
            60..66 => vec!["XPENDING", stream, group, "-", "+", "100", consumer],
            66..70 => vec!["XPENDING", stream, group, "IDLE", "0", &id, "+", &count],
            70..80 => vec!["XAUTOCLAIM", stream, group, consumer, "0", &id, "COUNT", &count],
            80..84 => {
                let ids = ids.iter().map(String::as_str);
                ["XCLAIM", stream, group, consumer, "0"]
                    .into_iter()
                    .chain(ids)
                    .chain(["JUSTID"])
                    .collect()
            }
            84..92 => {
                ["XACK", stream, group].into_iter().chain(ids.iter().map(String::as_str)).collect()
            }
            92..96 => ["XDEL", stream].into_iter().chain(ids.iter().map(String::as_str)).collect(),
            96..98 => vec!["XTRIM", stream, "MAXLEN", &count],
            _ => vec!["XLEN", stream],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

#[test]
fn the_model_answers_as_a_real_server() {
    let server = Server::start();
    let client = redis::Client::open(server.url(0)).expect("a URL");
    let mut real = client.get_connection().expect("a connection");
    for seed in 0..200 {
        eprintln!("seed {seed}");
        redis::cmd("FLUSHALL").exec(&mut real).expect("it forgets");
        let mut twins = Twins { real, model: Data::default() };
        let mut schedule = Schedule { random: SmallRng::seed_from_u64(seed), last: 0 };
        for _ in 0..200 {
            let command = schedule.command();
            twins.run(&command);
        }
        for (stream, group) in STREAMS.iter().flat_map(|it| GROUPS.map(|group| (it, group))) {
            let words = ["XPENDING", stream, group, "-", "+", "1000"].map(str::to_owned);
            twins.run(&words);
        }
        real = twins.real;
    }
}

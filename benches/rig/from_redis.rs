//! A real redis-server of the bench's own: how fast it is copied, and how soon a change is seen.
//!
//! Both go the way of a run: `cache::open`, the gate, a hot thread that turns and looks up. Each
//! load is a process of its own, so that its peak of memory is its own.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    ops::ControlFlow::Continue,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use hotspur::{
    cache::{self, Tables},
    config::settings::{RedisTable, Table, TablePlace},
    host,
};

use super::{
    Plan, footprint, isolated,
    redis_server::Server,
    structures::{KEY_BYTES, VALUE_BYTES},
};

const PREFIX: &str = "user:";
const LOADS: usize = 3;

/// Keys a second that a copy takes in at least, without and with expiry.
const PLAIN_MIN: f64 = 500_000.0;
const EXPIRING_MIN: f64 = 200_000.0;
/// Its peak of memory as a multiple of what it ends with.
const PEAK_MAX: f64 = 1.5;

/// Tables and PINGs in turn.
const PAIRS: usize = 4;
const WRITES_A_SECOND: u64 = 20_000;
/// Keys that are written in turn: each again after 6.4 ms.
const WRITTEN_KEYS: u64 = 128;
/// From the time that a SET was due until a lookup gives its value.
const SEEN_P50_MAX: Duration = Duration::from_micros(300);
const SEEN_P999_MAX: Duration = Duration::from_millis(2);

/// So many keys of the bench's length, with an expiry far away or without.
fn fill(server: &Server, keys: u64, expires: bool) {
    let redis = &mut server.client();
    redis::cmd("FLUSHALL").exec(redis).expect("an empty server");
    let value = "v".repeat(VALUE_BYTES);
    for start in (0..keys).step_by(10_000) {
        let mut commands = redis::pipe();
        for number in start..keys.min(start + 10_000) {
            let set = commands.cmd("SET").arg(key(number)).arg(&value);
            if expires {
                set.arg("EX").arg(86_400);
            }
            set.ignore();
        }
        commands.exec(redis).expect("keys are set");
    }
}

fn key(number: u64) -> String {
    format!("{PREFIX}{number:0KEY_BYTES$}")
}

fn table(url: &str) -> Table {
    let place = TablePlace::Redis(RedisTable::new(url, url, PREFIX));
    Table { load_timeout: Duration::from_secs(300), ..Table::new("users", place) }
}

pub(crate) fn show(plan: &Plan) -> bool {
    let kept = show_loads(&Server::start(), plan);
    // One that has just thrown a million keys away gives memory back for a while, and answers late.
    show_visible(&Server::start(), plan) && kept
}

fn show_loads(server: &Server, plan: &Plan) -> bool {
    println!("## Copying {} keys from redis-server on the same machine\n", plan.redis_keys);
    println!(
        "The best of {LOADS} loads, each in a process of its own, as `hotspur run` does it.\n"
    );
    println!("| keys | keys/s | at least | peak memory over the final | at most |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut kept = true;
    for (name, expires, at_least) in
        [("without expiry", false, PLAIN_MIN), ("each expires in a day", true, EXPIRING_MIN)]
    {
        fill(server, plan.redis_keys, expires);
        let loads: Vec<_> = (0..LOADS).map(|_| load(&server.url())).collect();
        let rate = loads.iter().map(|it| plan.redis_keys as f64 / it.0).fold(0.0, f64::max);
        let peak = loads.iter().map(|it| it.1).fold(0.0, f64::max);
        let verdict = |is_kept| if is_kept { "" } else { " (missed)" };
        kept &= rate >= at_least && peak <= PEAK_MAX;
        println!(
            "| {name} | {rate:.0}{} | {at_least} | {peak:.2}{} | {PEAK_MAX} |",
            verdict(rate >= at_least),
            verdict(peak <= PEAK_MAX),
        );
    }
    println!();
    kept
}

/// Seconds, and peak memory as a multiple of the final.
fn load(url: &str) -> (f64, f64) {
    let mut child = Command::new(env::current_exe().expect("this program has a path"));
    let output = child.args(["--load", url]).output().expect("this program starts").stdout;
    let text = String::from_utf8(output).expect("text");
    let mut figures = text.split_whitespace().map(|it| it.parse().expect("a number"));
    let mut next = || figures.next().expect("two figures");
    (next(), next())
}

/// What the process for one load does.
pub(crate) fn load_and_tell(url: &str) {
    let start = Instant::now();
    let (mut tables, handles) = cache::open(&[table(url)]).expect("it opens");
    handles[0].wait_loaded(&mut tables, |_| Continue(())).expect("it loads");
    let took = start.elapsed().as_secs_f64();
    tables.quiesce();
    let (resident, peak) = footprint::resident();
    println!("{took} {}", peak as f64 / resident as f64);
}

fn show_visible(server: &Server, plan: &Plan) -> bool {
    let length = plan.redis_length;
    println!("## From SET to a lookup that sees it\n");
    println!(
        "{WRITES_A_SECOND} SETs a second in the open loop for {length:?}, {PAIRS} times, from when \
         each was"
    );
    println!(
        "due; {WRITTEN_KEYS} keys are written in turn, and every turn looks all of them up. A value"
    );
    println!("that was replaced before it was seen counts with the one that replaced it. In turns");
    println!(
        "with it, a PING in the place of the table: what server, writer and machine alone take.\n"
    );
    let cores = isolated::cores();
    let (mut table, mut ping) = (histogram(), histogram());
    let before = stolen(cores.1);
    for pair in 0..PAIRS {
        let mut look = || table.add(visible(server, plan)).expect("the same bounds");
        let mut ask = || ping.add(control(server, plan)).expect("the same bounds");
        // Whoever goes first meets another machine than whoever goes second.
        if pair % 2 == 0 {
            look();
            ask();
        } else {
            ask();
            look();
        }
    }
    if let (Some(before), Some(after)) = (before, stolen(cores.1)) {
        println!(
            "The host took {:?} of the core that all but the hot thread share.\n",
            after - before
        );
    }
    println!("| of | SETs | p50 | p90 | p99 | p99.9 | max |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let at = |of: &Histogram<u64>, quantile| Duration::from_nanos(of.value_at_quantile(quantile));
    for (name, of) in [("the table", &table), ("a PING in its place", &ping)] {
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|it| at(of, it));
        let max = Duration::from_nanos(of.max());
        println!("| {name} | {} | {p50:?} | {p90:?} | {p99:?} | {p999:?} | {max:?} |", of.len());
    }
    let (p50, p999) = (at(&table, 0.5), at(&table, 0.999));
    let bound = SEEN_P999_MAX.max(at(&ping, 0.999) * 3 / 2);
    let is_kept = p50 <= SEEN_P50_MAX && p999 <= bound;
    let verdict = if is_kept { "" } else { " (missed)" };
    println!(
        "\nThe aim is {SEEN_P50_MAX:?} for p50 and {SEEN_P999_MAX:?} for p99.9, and where the \
         machine alone has more, 1.5 times that: {bound:?}{verdict}.\n"
    );
    is_kept
}

fn visible(server: &Server, plan: &Plan) -> Histogram<u64> {
    // Without the numbers of the last time.
    fill(server, 10_000, false);
    // All threads but this one stay off the hot core, as in a run.
    let _guard = host::Housekeeping::enter(&[isolated::cores().1].into_iter().collect());
    let (mut tables, handles) = cache::open(&[table(&server.url())]).expect("it opens");
    handles[0].wait_loaded(&mut tables, |_| Continue(())).expect("it loads");
    let start = Instant::now() + Duration::from_millis(100);
    let socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    thread::scope(|scope| {
        scope.spawn(|| write(&socket, start, last_write(plan)));
        look(&mut tables, start, last_write(plan))
    })
}

/// A PING as often as the refresher asks, in its place, and what a SET would take if the next PONG
/// showed it: what server, writer and machine alone take. From when each SET was due, as above: a
/// machine that stands still for 5 ms holds up a hundred of them, and one PING.
fn control(server: &Server, plan: &Plan) -> Histogram<u64> {
    // Where the table's side thread was.
    let _guard = host::Housekeeping::enter(&[isolated::cores().1].into_iter().collect());
    let start = Instant::now() + Duration::from_millis(100);
    let last = last_write(plan);
    let [mut pings, socket] =
        [(), ()].map(|()| TcpStream::connect(("127.0.0.1", server.port)).expect("a connection"));
    pings.set_nodelay(true).expect("an option of every socket");
    let mut latency = histogram();
    thread::scope(|scope| {
        let writing = scope.spawn(|| write(&socket, start, last));
        let mut pong = [0; 7];
        let mut next = 1;
        while !writing.is_finished() {
            thread::park_timeout(Duration::from_micros(100));
            let asked = Instant::now();
            pings.write_all(b"PING\r\n").expect("the server takes it");
            pings.read_exact(&mut pong).expect("the server answers");
            let answered = Instant::now();
            while next <= last && due(start, next) <= asked {
                latency.saturating_record((answered - due(start, next)).as_nanos() as u64);
                next += 1;
            }
        }
    });
    latency
}

/// What the host of a virtual machine has taken of a core so far, to 10 ms; none if it does not
/// say.
fn stolen(core: usize) -> Option<Duration> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find(|it| it.split(' ').next() == Some(&format!("cpu{core}")))?;
    let hundredths: u64 = line.split(' ').nth(8)?.parse().ok()?;
    Some(Duration::from_millis(10 * hundredths))
}

fn last_write(plan: &Plan) -> u64 {
    WRITES_A_SECOND * plan.redis_length.as_millis() as u64 / 1_000
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("good bounds")
}

fn due(start: Instant, number: u64) -> Instant {
    start + Duration::from_nanos(number * 1_000_000_000 / WRITES_A_SECOND)
}

/// Each SET when it is due; the number is the value.
fn write(mut socket: &TcpStream, start: Instant, last: u64) {
    // Who measures goes first, so that what it is late is not taken for the table's; without the
    // right to that it does without.
    // SAFETY: sets a number of the calling thread in the kernel, and touches no memory.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
    socket.set_nodelay(true).expect("an option of every socket");
    // Replies would cost the one core that server, writer and refresher share a fourth program.
    let mut commands = "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n".to_owned();
    for number in 1..=last {
        let wait = due(start, number).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            socket.write_all(commands.as_bytes()).expect("the server takes it");
            commands.clear();
            thread::sleep(due(start, number).saturating_duration_since(Instant::now()));
        }
        let (key, value) = (key(number % WRITTEN_KEYS), number.to_string());
        // Writing to a string cannot fail.
        let _ = write!(
            commands,
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
            key.len(),
            value.len()
        );
    }
    socket.write_all(commands.as_bytes()).expect("the server takes it");
}

/// Turns as a hot thread does, on its core, until the last of every key is there.
fn look(tables: &mut Tables, start: Instant, last: u64) -> Histogram<u64> {
    // Fails where a system keeps no thread on a core; then it runs where it may.
    let _ = host::pin_current(isolated::cores().0);
    let mut latency = histogram();
    let keys: Vec<String> = (0..WRITTEN_KEYS).map(|it| format!("{it:0KEY_BYTES$}")).collect();
    // The number that is to be seen next under each key; key 0 has the last of each round.
    let first = |key| if key == 0 { WRITTEN_KEYS } else { key };
    let mut next: Vec<u64> = (0..WRITTEN_KEYS).map(first).collect();
    let give_up = due(start, last) + Duration::from_secs(10);
    while next.iter().any(|it| *it <= last) {
        tables.quiesce();
        assert!(Instant::now() < give_up, "some SET was never seen");
        for (key, next) in keys.iter().zip(&mut next) {
            let value = tables.get(0, key.as_bytes()).expect("every key is there");
            let text = std::str::from_utf8(value.bytes).expect("text");
            let Ok(seen) = text.parse::<u64>() else { continue };
            while *next <= seen {
                let age = Instant::now().saturating_duration_since(due(start, *next));
                latency.saturating_record(age.as_nanos() as u64);
                *next += WRITTEN_KEYS;
            }
        }
    }
    latency
}

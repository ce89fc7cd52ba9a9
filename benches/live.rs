//! What somebody who looks costs: demos by themselves and demos whose live page is open, in turn.
//!
//! Each is a process of its own at 1,000 orders a second. Compared are what the record's transit
//! took and the CPU time of the whole process; the ratio is taken pair by pair. One reader of the
//! events stands for one page. Prints Markdown; there is no promise in figures to be kept, only
//! "nothing measurable": ratios of the medians beside how far pairs without anybody differ.
//! `-- --quick` does three short pairs.

#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/statistics.rs"]
mod statistics;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use hotspur::observe::log_reader::Log;

use statistics::median;

/// What one demo came to, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Figures {
    p50: f64,
    p99: f64,
    /// Of the process, a record.
    cpu: f64,
    /// Seconds that the reader was told of.
    moments: u64,
}

/// One of them.
type Figure = fn(&Figures) -> f64;

const RATE: f64 = 1_000.0;

fn main() {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let (pairs, seconds) = if is_quick { (3, 5) } else { (11, 12) };
    println!("# Somebody who looks\n\n{}", circumstances::circumstances());
    println!(
        "{pairs} times three demos of {seconds} s at {RATE} orders a second, in turn: two that \
         nobody looks at, one whose events are read.\n"
    );
    println!("| of | alone | watched | watched ÷ alone | alone ÷ alone |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut rounds = Vec::new();
    for round in 0..pairs {
        // Whoever goes first meets another machine than whoever goes last.
        let mut order = [false, true, false];
        order.rotate_left(round % 3);
        let figures = order.map(|is_watched| (is_watched, demo(seconds, is_watched)));
        let alone: Vec<_> = figures.iter().filter(|it| !it.0).map(|it| it.1).collect();
        let watched = figures.iter().find(|it| it.0).expect("one is").1;
        assert!(watched.moments + 2 >= seconds, "told of {} seconds only", watched.moments);
        rounds.push((alone[0], alone[1], watched));
    }
    let rows: [(&str, Figure); 3] = [
        ("transit p50", |it| it.p50),
        ("transit p99", |it| it.p99),
        ("CPU of the process, a record", |it| it.cpu),
    ];
    for (name, of) in rows {
        let alone = median(rounds.iter().map(|(first, _, _)| of(first)));
        let watched = median(rounds.iter().map(|(_, _, it)| of(it)));
        let ratios = rounds.iter().map(|(first, other, it)| of(it) * 2.0 / (of(first) + of(other)));
        let noise: Vec<f64> =
            rounds.iter().map(|(first, other, _)| of(other) / of(first)).collect();
        let [low, high] = quartiles(&noise);
        println!(
            "| {name} | {:.1} µs | {:.1} µs | {:.2} | {:.2} ({low:.2} to {high:.2}) |",
            alone / 1e3,
            watched / 1e3,
            median(ratios),
            median(noise.iter().copied()),
        );
    }
    println!("\nIn brackets the middle half of the pairs.");
}

fn quartiles(figures: &[f64]) -> [f64; 2] {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    [figures.len() / 4, figures.len() - 1 - figures.len() / 4].map(|at| figures[at])
}

fn demo(seconds: u64, is_watched: bool) -> Figures {
    let folder = tempfile::tempdir().expect("a folder for a while");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hotspur"))
        .args(["demo", "--for", &format!("{seconds}s"), "-s", "log.format=json"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let address = lines.find_map(|line| address(&line.ok()?)).expect("it says where it listens");
    let others = thread::spawn(move || lines.for_each(drop));
    let reader = is_watched.then(|| thread::spawn(move || read_events(&address)));
    let before = children_ticks();
    assert!(child.wait().expect("it ends").success());
    let cpu_ns = (children_ticks() - before) as f64 * 1e9 / TICKS_A_SECOND;
    others.join().expect("its log is read");
    let moments = reader.map_or(0, |it| it.join().expect("a reader"));
    let (p50, p99) = transit(&folder.path().join("out"));
    Figures { p50, p99, cpu: cpu_ns / (seconds as f64 * RATE), moments }
}

fn address(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["event"] == "run.listening").then(|| event["address"].as_str().map(str::to_owned))?
}

/// How many moments there were until the run ended.
fn read_events(address: &str) -> u64 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET /live/events HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("a question");
    let mut text = String::new();
    // An end in the middle of an event is the end of the run.
    let _ = stream.read_to_string(&mut text);
    text.matches("event: moment").count() as u64
}

/// What Linux counts CPU time in, everywhere.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU time of children that were waited for.
fn children_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("a Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    // `cutime` and `cstime`, the 16th and 17th field; the name and what is before it are gone.
    number(13) + number(14)
}

fn transit(folder: &Path) -> (f64, f64) {
    let files = fs::read_dir(folder).expect("a folder of files");
    let path = files
        .map(|it| it.expect("an entry").path())
        .find(|it| it.extension().is_some_and(|it| it == "hlog"))
        .expect("a log");
    let log = Log::read(&path).expect("a log that can be read");
    let mut sum = hdrhistogram::Histogram::<u64>::new(3).expect("three digits");
    for line in log.lines.iter().filter(|it| it.span == "transit") {
        sum.add(log.histogram(line).expect("a histogram")).expect("bounds that grow");
    }
    (sum.value_at_quantile(0.5) as f64, sum.value_at_quantile(0.99) as f64)
}

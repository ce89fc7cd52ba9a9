//! Stream → pipeline → stream, all entries being there before: `hotspur run` with the weather
//! pipeline, and two loops on the crate `redis` that do the same.
//!
//! Both loops ask for as many entries at once and make the same results with `serde_json`. The
//! plain one awaits each `XADD`, then the `XACK` of the batch; the pipelined one sends the `XADD`s
//! of a batch and the `XACK` together, and waits for that. All are timed by how many results there
//! are: from the first tenth to the last, so that starting is in no figure. What the server's
//! thread worked meanwhile is in the kernel's books. Beside them stand the same commands, prepared
//! beforehand (`commands_alone`): what even they do not have is out of reach.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use redis::{Cmd, Connection, Value as Reply};
use serde_json::Value;

use super::{
    Plan, commands_alone,
    paired::ratio,
    redis_server::Server,
    statistics::median,
    weather::{self, GROUP, OBSERVATIONS, RESULTS},
};

/// Entries asked for at once. Ten is what Redis's documentation and other processors take.
const BATCHES: [usize; 3] = [10, 64, 256];

/// Times as fast as either loop hotspur is at least.
const TIMES_MIN: f64 = 3.0;

/// Of the entries the plain loop, which takes its time, gets so many.
const PLAIN_PART: u64 = 5;

/// Between two looks at how many results there are, which the server has to answer, too.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// Entries a second, and nanoseconds of the server for each.
pub(crate) type Figures = [f64; 2];

type Run = fn(&Server, usize, u64) -> Figures;

type Entries = Vec<(String, HashMap<String, Vec<u8>>)>;

/// Prints the figures; false if a promise is not kept.
pub(crate) fn show(server: &Server, plan: &Plan) -> bool {
    let entries = plan.observations;
    weather::load(server, entries);
    println!("## Stream → pipeline → stream: {entries} observations that are there\n");
    println!(
        "{} times in turn `hotspur run`, a plain loop on the crate `redis` (on a fifth \
         of the entries), one that sends a batch as one pipeline, and the commands alone, {} \
         entries at once, prepared beforehand; medians. Busy: how much of its one thread the \
         server needed while hotspur ran.\n",
        plan.rounds,
        commands_alone::BATCH
    );
    println!(
        "| entries in a batch | hotspur entries/s | × the plain loop | at least | × the pipelined \
         loop | commands alone × the pipelined loop | plain loop entries/s | pipelined loop \
         entries/s | commands alone entries/s | server ns an entry | with the pipelined loop | \
         alone | busy |"
    );
    println!("|{}", " ---: |".repeat(13));
    let mut is_kept = true;
    for batch in BATCHES {
        is_kept &= compare(server, plan, batch);
    }
    println!();
    is_kept
}

/// One size; false if the promise is not kept beside either loop, though the server could do it.
fn compare(server: &Server, plan: &Plan, batch: usize) -> bool {
    let runs: [Run; 3] =
        [hotspur, pipelined, |server, _, count| commands_alone::run(server, count)];
    let (mut figures, mut plainly) = ([const { Vec::<Figures>::new() }; 3], Vec::new());
    for round in 0..plan.rounds {
        let mut samples = Vec::new();
        // Whoever goes first meets another machine than whoever goes last.
        for who in (0..3).map(|it| (it + round) % 3) {
            // Never before the commands alone, which are made of a whole run's results.
            if who == 0 {
                plainly.push(plain(server, batch, plan.observations / PLAIN_PART));
                samples.push(sample(server));
            }
            figures[who].push(runs[who](server, batch, plan.observations));
            samples.push(sample(server));
        }
        assert!(samples.windows(2).all(|it| it[0] == it[1]), "all have the same results");
    }
    let [ours, theirs, alone] = &figures;
    let of = |all: &[Figures], index: usize| median(all.iter().map(|it| it[index]));
    let rates = |all: &[Figures]| all.iter().map(|it| it[0]).collect::<Vec<_>>();
    let times = ratio(rates(ours), rates(&plainly));
    let (pipelined, bound) =
        (ratio(rates(ours), rates(theirs)), ratio(rates(alone), rates(theirs)));
    let is_kept = times.median >= TIMES_MIN;
    let (is_level, is_possible) = (pipelined.median >= TIMES_MIN, bound.high >= TIMES_MIN);
    println!(
        "| {batch} | {:.0} | {times}{} | × {TIMES_MIN} | {pipelined}{} | {bound} | {:.0} | {:.0} | \
         {:.0} | {:.0} | {:.0} | {:.0} | {:.0} % |",
        of(ours, 0),
        if is_kept { "" } else { " (missed)" },
        match (is_level, is_possible) {
            (true, _) => "",
            (false, true) => " (missed)",
            (false, false) => " (nor do they)",
        },
        of(&plainly, 0),
        of(theirs, 0),
        of(alone, 0),
        of(ours, 1),
        of(theirs, 1),
        of(alone, 1),
        100.0 * median(ours.iter().map(|it| it[0] * it[1] / 1e9)),
    );
    is_kept && (is_level || !is_possible)
}

/// No results and no group.
pub(crate) fn begin_anew(client: &mut Connection) {
    redis::cmd("DEL").arg(RESULTS).exec(client).expect("no results");
    // An error says that there is none.
    let _: Result<Reply, _> =
        redis::cmd("XGROUP").arg(&["DESTROY", OBSERVATIONS, GROUP]).query(client);
}

fn hotspur(server: &Server, batch: usize, entries: u64) -> Figures {
    begin_anew(&mut server.client());
    let _run = weather::Run::start(server, batch);
    watch(server, entries)
}

fn plain(server: &Server, batch: usize, entries: u64) -> Figures {
    beside(server, batch, entries, write_each)
}

fn pipelined(server: &Server, batch: usize, entries: u64) -> Figures {
    beside(server, batch, entries, write_together)
}

/// A loop that writes a batch's results so.
fn beside(server: &Server, batch: usize, entries: u64, write: Write) -> Figures {
    let mut client = server.client();
    begin_anew(&mut client);
    thread::scope(|scope| {
        scope.spawn(|| work(&mut client, batch, entries, write));
        watch(server, entries)
    })
}

/// Watches results come.
pub(crate) fn watch(server: &Server, entries: u64) -> Figures {
    let mut client = server.client();
    let mut await_results = |count: u64| {
        let give_up = Instant::now() + Duration::from_secs(120);
        loop {
            let len: u64 = redis::cmd("XLEN").arg(RESULTS).query(&mut client).expect("a number");
            if len >= count {
                return (Instant::now(), server.cpu_ns(), len);
            }
            assert!(Instant::now() < give_up, "{len} results of {count}");
            thread::sleep(LOOK_EVERY);
        }
    };
    let (start, before, first) = await_results(entries / 10);
    let (end, after, last) = await_results(entries);
    assert!(last - first > entries / 2, "whoever watches had no core: {first} results at once");
    let results = (last - first) as f64;
    [results / (end - start).as_secs_f64(), (after - before) / results]
}

/// The first results.
fn sample(server: &Server) -> Vec<Value> {
    let range = ["-", "+", "COUNT", "1000"];
    let entries: Entries =
        redis::cmd("XRANGE").arg(RESULTS).arg(&range).query(&mut server.client()).expect("results");
    entries.iter().map(|(_, it)| serde_json::from_slice(&it["payload"]).expect("JSON")).collect()
}

/// Takes the results of a batch, and the ids of its entries.
type Write = fn(&mut Connection, Vec<Cmd>, Vec<String>);

/// A loop that reads, changes and writes batch by batch.
fn work(client: &mut Connection, batch: usize, entries: u64, write: Write) {
    redis::cmd("XGROUP").arg(&["CREATE", OBSERVATIONS, GROUP, "0"]).exec(client).expect("a group");
    let count = batch.to_string();
    let read = ["GROUP", GROUP, "plain", "COUNT", &count, "BLOCK", "1000", "STREAMS"];
    let mut done = 0;
    while done < entries {
        let streams: Option<Vec<(String, Entries)>> = redis::cmd("XREADGROUP")
            .arg(&read)
            .arg(&[OBSERVATIONS, ">"])
            .query(client)
            .expect("entries");
        let (mut results, mut ids) = (Vec::new(), Vec::new());
        for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
            let mut event: Value = serde_json::from_slice(&fields["payload"]).expect("JSON");
            change(&mut event);
            let mut result = redis::cmd("XADD");
            result
                .arg(&[RESULTS, "MAXLEN", "~", "1000000", "*", "key"])
                .arg(event["station"].as_str().expect("text"))
                .arg("payload")
                .arg(serde_json::to_vec(&event).expect("JSON"));
            results.push(result);
            ids.push(id);
        }
        done += ids.len() as u64;
        write(client, results, ids);
    }
}

/// Awaits each result, then that the batch is acknowledged.
fn write_each(client: &mut Connection, results: Vec<Cmd>, ids: Vec<String>) {
    for result in results {
        result.exec(client).expect("a result is taken");
    }
    acknowledgement(ids).exec(client).expect("it is acknowledged");
}

/// All in one pipeline.
fn write_together(client: &mut Connection, results: Vec<Cmd>, ids: Vec<String>) {
    let mut pipe = redis::pipe();
    for result in results {
        pipe.add_command(result).ignore();
    }
    pipe.add_command(acknowledgement(ids)).exec(client).expect("results are taken");
}

fn acknowledgement(ids: Vec<String>) -> Cmd {
    let mut command = redis::cmd("XACK");
    command.arg(&[OBSERVATIONS, GROUP]).arg(ids);
    command
}

/// What the pipeline does to an observation.
fn change(event: &mut Value) {
    let number = |name: &str| event[name].as_f64().expect("a number");
    let (celsius, humidity) = (number("celsius"), number("humidity"));
    let tenths = |number: f64| (10.0 * number).round() / 10.0;
    let fahrenheit = (celsius * 18.0 + 320.0).round() / 10.0;
    let eighth = (humidity / 100.0).sqrt().sqrt().sqrt();
    let dew_point = tenths(eighth * (112.0 + 0.9 * celsius) + 0.1 * celsius - 112.0);
    let class = match celsius {
        ..=0.0 => "frost",
        ..12.0 => "cold",
        ..24.0 => "mild",
        ..30.0 => "warm",
        _ => "hot",
    };
    let (f, h) = (fahrenheit, humidity);
    event["fahrenheit"] = fahrenheit.into();
    event["dew_point"] = dew_point.into();
    if f >= 80.0 && h >= 40.0 {
        event["heat_index"] = tenths(
            -42.379 + 2.04901523 * f + 10.14333127 * h
                - 0.22475541 * f * h
                - 0.00683783 * f * f
                - 0.05481717 * h * h
                + 0.00122874 * f * f * h
                + 0.00085282 * f * h * h
                - 0.00000199 * f * f * h * h,
        )
        .into();
    }
    event["class"] = class.into();
}

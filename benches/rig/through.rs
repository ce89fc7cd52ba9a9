//! Stream → pipeline → stream, all entries being there before: `hotspur run` with the weather
//! pipeline, and a plain loop on the crate `redis` that does the same.
//!
//! The plain loop asks for as many entries at once, makes the same results with `serde_json`, sends
//! them in one pipeline with the `XACK`, and waits for that. Both are timed by how many results
//! there are: from the first tenth to the last, so that starting is in neither figure. What the
//! server's thread worked meanwhile is in the kernel's books. Beside both stand the same commands,
//! prepared beforehand (`commands_alone`): three times the loop's speed is out of reach where even
//! they do not have it.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use redis::{Connection, Value as Reply};
use serde_json::Value;

use super::{
    Plan, commands_alone,
    paired::{Ratio, ratio},
    redis_server::Server,
    statistics::median,
    weather::{self, GROUP, OBSERVATIONS, RESULTS},
};

/// Entries asked for at once. Ten is what Redis's documentation and other processors take.
const BATCHES: [usize; 3] = [10, 64, 256];

/// Times as fast as hotspur is at least.
const TIMES_MIN: f64 = 3.0;

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
        "{} times in turn `hotspur run`, a plain loop on the crate `redis`, and the commands \
         alone, {} entries at once, prepared beforehand; medians. Faster by: than the plain loop. \
         Busy: how much of its one thread the server needed while hotspur ran.\n",
        plan.rounds,
        commands_alone::BATCH
    );
    println!(
        "| entries in a batch | hotspur entries/s | faster by | at least | plain loop entries/s | \
         commands alone entries/s | faster by | server ns an entry | with the loop | alone | busy |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut is_kept = true;
    for batch in BATCHES {
        is_kept &= compare(server, plan, batch);
    }
    println!();
    is_kept
}

/// One size; false if the promise is not kept though the server could do it.
fn compare(server: &Server, plan: &Plan, batch: usize) -> bool {
    let runs: [Run; 3] = [hotspur, plain, |server, _, count| commands_alone::run(server, count)];
    let mut figures = [const { Vec::<Figures>::new() }; 3];
    for round in 0..plan.rounds {
        let mut samples = Vec::new();
        // Whoever goes first meets another machine than whoever goes last.
        for who in (0..3).map(|it| (it + round) % 3) {
            figures[who].push(runs[who](server, batch, plan.observations));
            samples.push(sample(server));
        }
        assert!(samples.windows(2).all(|it| it[0] == it[1]), "all have the same results");
    }
    let [ours, theirs, alone] = &figures;
    let of = |all: &[Figures], index: usize| median(all.iter().map(|it| it[index]));
    let rates = |all: &[Figures]| all.iter().map(|it| it[0]).collect::<Vec<_>>();
    let Ratio { median: times, low, high } = ratio(rates(ours), rates(theirs));
    let bound = ratio(rates(alone), rates(theirs));
    let (is_kept, is_possible) = (times >= TIMES_MIN, bound.high >= TIMES_MIN);
    let verdict = match (is_kept, is_possible) {
        (true, _) => "",
        (false, true) => " (missed)",
        (false, false) => " (nor do they)",
    };
    println!(
        "| {batch} | {:.0} | × {times:.2} ({low:.2} to {high:.2}){verdict} | × {TIMES_MIN} | {:.0} \
         | {:.0} | × {:.2} ({:.2} to {:.2}) | {:.0} | {:.0} | {:.0} | {:.0} % |",
        of(ours, 0),
        of(theirs, 0),
        of(alone, 0),
        bound.median,
        bound.low,
        bound.high,
        of(ours, 1),
        of(theirs, 1),
        of(alone, 1),
        100.0 * median(ours.iter().map(|it| it[0] * it[1] / 1e9)),
    );
    is_kept || !is_possible
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
    let mut client = server.client();
    begin_anew(&mut client);
    thread::scope(|scope| {
        scope.spawn(|| work(&mut client, batch, entries));
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

/// The plain loop.
fn work(client: &mut Connection, batch: usize, entries: u64) {
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
        let (mut pipe, mut ids) = (redis::pipe(), Vec::new());
        for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
            let mut event: Value = serde_json::from_slice(&fields["payload"]).expect("JSON");
            change(&mut event);
            pipe.cmd("XADD")
                .arg(&[RESULTS, "MAXLEN", "~", "1000000", "*", "key"])
                .arg(event["station"].as_str().expect("text"))
                .arg("payload")
                .arg(serde_json::to_vec(&event).expect("JSON"))
                .ignore();
            ids.push(id);
        }
        pipe.cmd("XACK").arg(&[OBSERVATIONS, GROUP]).arg(&ids).ignore();
        pipe.exec(client).expect("results are taken");
        done += ids.len() as u64;
    }
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

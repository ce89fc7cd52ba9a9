//! The table beside what else a hot thread could look things up in, in one run.
//!
//! Structures take turns, for several rounds, and ratios are taken round by round, so that a
//! machine that slows down slows all. One pinned thread reads; a writer on another core does what a
//! row says. Prints Markdown; exit status 1 if a promise is not kept. `-- --quick` takes a minute
//! and smaller tables; `-- redis` measures instead how fast a real redis-server is copied and how
//! soon a change is seen; it starts a server of its own.

#[path = "rig/batches.rs"]
mod batches;
#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/contenders.rs"]
mod contenders;
#[path = "rig/footprint.rs"]
mod footprint;
#[path = "rig/from_redis.rs"]
mod from_redis;
#[path = "rig/isolated.rs"]
mod isolated;
#[path = "rig/redis_server.rs"]
#[expect(dead_code, reason = "not every bench uses all of it")]
mod redis_server;
#[path = "rig/statistics.rs"]
mod statistics;
#[path = "rig/structures.rs"]
mod structures;

use std::{
    env,
    process::{Command, ExitCode},
    time::Duration,
};

use contenders::{Contender, Pair, control, middle, ratio};
use hotspur::host;
use isolated::{Seen, Stamps, Work, cores};
use structures::{
    Chase, DashMap, KEY_BYTES, LeftRight, Locked, Nothing, Ours, OursReads, Papaya, Reads,
    Structure, VALUE_BYTES,
};

#[global_allocator]
static ALLOCATOR: footprint::Counting = footprint::Counting;

/// How much worse a reader may be beside a writer: of 100,000 writes a second …
const BUSY_RATIO_MAX: f64 = 1.15;
/// … and while everything is written.
const FULL_RATIO_MAX: f64 = 1.3;
/// Bytes an entry over its key and value.
const OVERHEAD_MAX: f64 = 48.0;

const BUSY: Work = Work::Replace(100_000);
const VERY_BUSY: Work = Work::Replace(1_000_000);
const ALL: [Work; 5] = [Work::Idle, BUSY, VERY_BUSY, Work::Reload, Work::Grow];

/// How much is done.
pub(crate) struct Plan {
    small: u64,
    large: u64,
    rounds: usize,
    large_rounds: usize,
    length: Duration,
    pub(crate) batches: usize,
    pub(crate) redis_keys: u64,
    pub(crate) redis_length: Duration,
}

const WHOLE: Plan = Plan {
    small: 1_000_000,
    large: 10_000_000,
    rounds: 5,
    large_rounds: 3,
    length: Duration::from_millis(500),
    batches: 200_000,
    redis_keys: 1_000_000,
    redis_length: Duration::from_secs(10),
};
const QUICK: Plan = Plan {
    small: 200_000,
    large: 1_000_000,
    rounds: 3,
    large_rounds: 1,
    length: Duration::from_millis(100),
    batches: 5_000,
    redis_keys: 100_000,
    redis_length: Duration::from_secs(2),
};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let plan = if words.contains(&"--quick") { QUICK } else { WHOLE };
    match words[..] {
        ["--footprint", name, keys] => {
            show_footprint(name, keys.parse().expect("a number of keys"));
            return ExitCode::SUCCESS;
        }
        ["--load", url] => {
            from_redis::load_and_tell(url);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    println!("# The table\n\n{}", circumstances::circumstances());
    let kept = if words.contains(&"redis") { from_redis::show(&plan) } else { show_lookups(&plan) };
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_lookups(plan: &Plan) -> bool {
    let pinned = host::pin_current(cores().0);
    println!(
        "Reader on core {}, writer on core {}{}. Keys of {KEY_BYTES} bytes, values of \
         {VALUE_BYTES}; every lookup finds its key and reads both ends of its value.\n",
        cores().0,
        cores().1,
        pinned.err().map(|error| format!(" (not pinned: {error})")).unwrap_or_default(),
    );
    let stamps = Stamps::calibrated();
    let mut kept = show_single(plan.small, plan.rounds, true, plan, stamps);
    kept &= show_single(plan.large, plan.large_rounds, false, plan, stamps);
    kept
}

/// The crates and ours.
fn contenders(keys: u64) -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(Pair::<Ours, _>::filled(keys)),
        Box::new(control(keys)),
        Box::new(Pair::<Papaya, _>::filled(keys)),
        Box::new(Pair::<DashMap, _>::filled(keys)),
        Box::new(Pair::<LeftRight, _>::filled(keys)),
        Box::new(Pair::<Locked, _>::filled(keys)),
    ]
}

/// With a small table all structures grow and reload; with a large one ours alone, once.
fn show_single(keys: u64, rounds: usize, is_small: bool, plan: &Plan, stamps: Stamps) -> bool {
    println!("## Lookups at {keys} keys\n");
    let footprints = footprints(keys);
    let mut all = contenders(keys);
    let mut kept = true;
    if is_small {
        batches::show_zipf(&mut all, keys, plan);
    } else {
        let ours = all[0].as_any().downcast_mut::<Pair<Ours, OursReads>>();
        kept &= batches::show(&mut ours.expect("ours comes first").reader().0, keys, plan);
    }
    let entry_bytes = footprints[0].1 as usize + KEY_BYTES + VALUE_BYTES;
    let mut chase = Chase::over(keys as usize * entry_bytes);
    let (mut limits, mut clocks) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let over = |start: std::time::Instant| start.elapsed() >= plan.length;
        for (reads, kind) in [(true, &mut limits), (false, &mut clocks)] {
            let latency = match reads {
                true => isolated::read(&mut chase, 1, over, stamps),
                false => isolated::read(&mut Nothing, 1, over, stamps),
            };
            kind.push(Seen { latency, written: isolated::Written::default() });
        }
        for (index, contender) in all.iter_mut().enumerate() {
            for work in ALL {
                let is_long = matches!(work, Work::Reload | Work::Grow);
                if is_small || !is_long || (round == 0 && index < 2) {
                    contender.run(work, plan.length, stamps);
                }
            }
        }
    }
    println!("Each lookup by itself, entering and leaving included, in nanoseconds; medians of");
    println!("{rounds} rounds. The clock's own share is in every figure.\n");
    show_rows(&all, &limits, &clocks);
    kept &= show_promises(&all, is_small);
    kept & show_memory(&all, &footprints, is_small)
}

fn show_rows(all: &[Box<dyn Contender>], limits: &[Seen], clocks: &[Seen]) {
    println!(
        "| structure | writer | p50 | p99 | p99.9 | p99.99 | max, µs | writes/s | longest batch of \
         64 writes, µs |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let as_is = |seen: &[Seen]| show_row(&seen.iter().collect::<Vec<_>>());
    println!("| the clock alone | none | {}", as_is(clocks));
    println!("| limit: one dependent cache miss | none | {}", as_is(limits));
    for work in ALL {
        for contender in all {
            let seen = contender.seen(work);
            if !seen.is_empty() {
                println!("| {} | {} | {}", contender.name(), work_name(work), show_row(&seen));
            }
        }
    }
    println!();
}

fn show_row(seen: &[&Seen]) -> String {
    let at = |quantile| middle(seen, |it| it.at(quantile));
    format!(
        "{:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        middle(seen, |it| it.max() / 1e3),
        middle(seen, |it| it.written.a_second),
        middle(seen, stall) / 1e3,
    )
}

fn stall(seen: &Seen) -> f64 {
    seen.written.stall.as_nanos() as f64
}

fn work_name(work: Work) -> String {
    match work {
        Work::Idle => "idle".to_owned(),
        Work::Replace(rate) => format!("{rate} updates/s"),
        Work::Grow => "growth to twice the keys".to_owned(),
        Work::Reload => "full reload, 1000000 keys/s".to_owned(),
    }
}

fn show_promises(all: &[Box<dyn Contender>], is_small: bool) -> bool {
    println!("As a multiple of the same beside an idle writer:\n");
    println!("| writer | p50 | p99.9 | control p50 | control p99.9 | at most |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut kept = true;
    for (work, at_most) in
        [(BUSY, BUSY_RATIO_MAX), (Work::Grow, FULL_RATIO_MAX), (Work::Reload, FULL_RATIO_MAX)]
    {
        let ratios = |it: &dyn Contender| [0.5, 0.999].map(|at| ratio(it, work, |it| it.at(at)));
        let (ours, control) = (ratios(&*all[0]), ratios(&*all[1]));
        let verdict = ours.map(|it| if it <= at_most { "" } else { " (missed)" });
        kept &= ours.iter().all(|it| *it <= at_most);
        println!(
            "| {} | {:.2}{} | {:.2}{} | {:.2} | {:.2} | {at_most} |",
            work_name(work),
            ours[0],
            verdict[0],
            ours[1],
            verdict[1],
            control[0],
            control[1],
        );
    }
    println!();
    // A large table's growth and reload are seen once, which shows them and proves nothing.
    kept || !is_small
}

/// Bytes an entry; and whether any crate is better in all that matters beside a busy writer.
fn show_memory(
    all: &[Box<dyn Contender>],
    footprints: &[(&str, f64, f64)],
    is_small: bool,
) -> bool {
    println!("| structure | bytes an entry over key and value | the same, as resident |");
    println!("| --- | ---: | ---: |");
    for (name, asked, resident) in footprints {
        println!("| {name} | {asked:.1} | {resident:.1} |");
    }
    println!();
    let fits = footprints[0].1 <= OVERHEAD_MAX;
    let figures = |name: &str| {
        let it = all.iter().find(|it| it.name() == name).expect("it was measured");
        let memory = footprints.iter().find(|it| it.0 == name).expect("it was measured").1;
        let (busy, grown) = (it.seen(VERY_BUSY), it.seen(Work::Grow));
        let max = |seen: &[&Seen]| middle(seen, Seen::max);
        [middle(&busy, |it| it.at(0.999)), max(&grown), middle(&grown, stall), memory]
    };
    if !is_small {
        return fits;
    }
    let ours = figures(Ours::NAME);
    let is_better = |name: &str| figures(name).iter().zip(&ours).all(|(it, ours)| it < ours);
    let better: Vec<_> =
        footprints.iter().map(|it| it.0).filter(|it| *it != Ours::NAME && is_better(it)).collect();
    println!(
        "At most {OVERHEAD_MAX} bytes are promised{}. Better in all of p99.9 at 1000000 updates/s, \
         the reader's max during growth, the writer's stall and bytes an entry: {}.\n",
        if fits { "" } else { " (missed)" },
        if better.is_empty() { "none".to_owned() } else { format!("{better:?} (missed)") },
    );
    fits && better.is_empty()
}

/// Each in a process of its own.
fn footprints(keys: u64) -> Vec<(&'static str, f64, f64)> {
    let names = [Ours::NAME, Papaya::NAME, DashMap::NAME, LeftRight::NAME, Locked::NAME];
    names
        .map(|name| {
            let mut child = Command::new(env::current_exe().expect("this program has a path"));
            child.args(["--footprint", name, &keys.to_string()]);
            let output = child.output().expect("this program starts").stdout;
            let text = String::from_utf8(output).expect("text");
            let mut figures = text.split_whitespace().map(|it| it.parse().expect("a number"));
            let mut next = || figures.next().expect("two figures");
            (name, next(), next())
        })
        .to_vec()
}

fn show_footprint(name: &str, keys: u64) {
    fn show<S: Structure>(keys: u64) {
        let before = (footprint::live(), footprint::resident().0);
        let (mut writer, mut reads) = S::filled(keys);
        // What was left behind on the way goes once the reader has turned.
        reads.look(&structures::key_of(0));
        writer.publish();
        let over = |bytes: f64| bytes / keys as f64 - (KEY_BYTES + VALUE_BYTES) as f64;
        let live = (footprint::live() - before.0) as f64;
        let resident = (footprint::resident().0 - before.1) as f64;
        println!("{} {}", over(live), over(resident));
        drop((writer, reads));
    }
    match name {
        Ours::NAME => show::<Ours>(keys),
        Papaya::NAME => show::<Papaya>(keys),
        DashMap::NAME => show::<DashMap>(keys),
        LeftRight::NAME => show::<LeftRight>(keys),
        _ => show::<Locked>(keys),
    }
}

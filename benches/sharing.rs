//! What a neighbour on the same cache line costs a thread that writes its own word, and that ours
//! has none.
//!
//! The hot side writes two words a turn, as it does around each poll, while a side thread on
//! another core counts in a word beside them, as broker threads count answers: on the same line, or
//! with the words in `OwnLine`, as they are in the program. Beside both the hot side alone. All
//! three in turn, round by round; `-- --quick` is short.

#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/statistics.rs"]
mod statistics;

use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Instant,
};

use hotspur::{host, measure::OwnLine};

use statistics::median;

/// The promise: a turn beside a side thread, of one alone.
const RATIO_MAX: f64 = 1.1;

#[derive(Default)]
struct Words {
    polls: AtomicU64,
    polled: AtomicU64,
}

/// Neighbours on one line.
#[derive(Default)]
#[repr(align(128))]
struct Close {
    words: Words,
    answers: AtomicU64,
}

/// As in the program.
#[derive(Default)]
struct Apart {
    words: OwnLine<Words>,
    answers: AtomicU64,
}

fn main() {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let (rounds, turns) = if is_quick { (5, 2_000_000) } else { (31, 20_000_000) };
    let cores: Vec<usize> = host::affinity::current().unwrap_or_default().iter().collect();
    let (Some(&side), Some(&hot)) = (cores.first(), cores.last().filter(|_| cores.len() > 1))
    else {
        println!("two cores are needed, one of them for the side thread");
        std::process::exit(1);
    };
    println!("# Cache lines\n\n{}", circumstances::circumstances());
    println!(
        "Hot side on core {hot}, side thread on core {side}; {rounds} rounds of {turns} turns, \
         in turn. Nanoseconds a turn, medians of the rounds.\n"
    );
    let (close, apart) = (Close::default(), Apart::default());
    let measures: [(&str, &dyn Fn() -> f64); 3] = [
        ("alone", &|| alone(hot, turns, &apart.words)),
        ("beside, on one line", &|| beside([hot, side], turns, &close.words, &close.answers)),
        ("beside, in `OwnLine`", &|| beside([hot, side], turns, &apart.words, &apart.answers)),
    ];
    let mut figures = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for place in 0..3 {
            // Whoever goes first meets another machine than whoever goes last.
            let which = (place + round) % 3;
            figures[which].push(measures[which].1());
        }
    }
    println!("| | ns a turn | of alone |\n| --- | ---: | ---: |");
    let ratio = |which: usize| {
        let pairs = figures[which].iter().zip(&figures[0]);
        median(pairs.map(|(figure, alone)| figure / alone))
    };
    for (which, (name, _)) in measures.iter().enumerate() {
        let nanos = median(figures[which].iter().copied());
        println!("| {name} | {nanos:.2} | × {:.2} |", ratio(which));
    }
    println!("\nThe promise is × {RATIO_MAX} for ours.");
    if ratio(2) > RATIO_MAX {
        std::process::exit(1);
    }
}

fn alone(hot: usize, turns: u64, words: &Words) -> f64 {
    thread::scope(|scope| scope.spawn(|| turn(hot, turns, words)).join().expect("no fault"))
}

fn beside([hot, side]: [usize; 2], turns: u64, words: &Words, answers: &AtomicU64) -> f64 {
    let (begun, end) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            host::pin_current(side).expect("a core of this process");
            while !end.load(Ordering::Relaxed) {
                answers.fetch_add(1, Ordering::Relaxed);
                begun.store(true, Ordering::Relaxed);
            }
        });
        while !begun.load(Ordering::Relaxed) {
            hint::spin_loop();
        }
        let nanos = scope.spawn(|| turn(hot, turns, words)).join().expect("no fault");
        end.store(true, Ordering::Relaxed);
        nanos
    })
}

/// Nanoseconds that one turn takes.
fn turn(core: usize, turns: u64, words: &Words) -> f64 {
    host::pin_current(core).expect("a core of this process");
    let begin = Instant::now();
    for number in 0..turns {
        words.polls.fetch_add(1, Ordering::AcqRel);
        words.polled.store(number, Ordering::Release);
        words.polls.fetch_add(1, Ordering::AcqRel);
    }
    begin.elapsed().as_nanos() as f64 / turns as f64
}

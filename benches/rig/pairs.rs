//! Two systems in the open loop, many times in turns: whether one is worse beyond noise.
//!
//! A tail of a few records says little once. So rounds are compared pair by pair: the median of the
//! pairs' ratios, its quartiles, and in how many pairs the first system was the better one. With a
//! coin's chances `pairs_to_lose` pairs or more are lost once in twenty times; only then one is
//! called worse.

use std::time::Duration;

use super::{
    broker::Broker,
    open_loop::{self, Figures},
    statistics::median,
    system::System,
};

/// How likely a fair coin may call the first system worse.
const SIGNIFICANCE: f64 = 0.05;

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// Runs the pairs at one rate and prints what came out.
pub(crate) fn show(broker: &Broker, of: [System; 2], rate: u64, rounds: usize, length: Duration) {
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            runs[which].push(open_loop::run(broker, of[which], rate, length));
        }
    }
    let [first, second] = of.map(System::name);
    println!("### {rate} records/s: {first}, against {second}\n");
    println!("| quantile | {first} µs | {second} µs | ratio, its quartiles | better in | worse |");
    println!("| --- | ---: | ---: | ---: | ---: | --- |");
    for (name, level) in QUANTILES {
        let at = |run: &Figures| run.latency.value_at_quantile(level) as f64 / 1_000.0;
        let [ours, theirs] = [&runs[0], &runs[1]].map(|it| median(it.iter().map(at)));
        let ratios: Vec<f64> = runs[0].iter().zip(&runs[1]).map(|it| at(it.0) / at(it.1)).collect();
        let better = ratios.iter().filter(|ratio| **ratio < 1.0).count();
        let is_worse = rounds - better >= pairs_to_lose(rounds);
        let middle = median(ratios.iter().copied());
        let [low, high] = [0.25, 0.75].map(|share| quantile(&ratios, share));
        let verdict = if is_worse { "yes" } else { "not beyond noise" };
        println!(
            "| {name} | {ours:.0} | {theirs:.0} | {middle:.2}, {low:.2} to {high:.2} | \
             {better} of {rounds} | {verdict} |"
        );
    }
    let [ours, theirs] = [&runs[0], &runs[1]].map(|runs| {
        let late = median(runs.iter().map(|it| it.missed_slots as f64));
        let lost: u64 = runs.iter().map(|it| it.lost).sum();
        let cpu = median(runs.iter().map(|it| it.process_ns / 1_000.0));
        format!("{cpu:.0} µs CPU a record, {late:.0} sent late a round, {lost} lost")
    });
    println!("\n{first}: {ours}; {second}: {theirs}.\n");
}

/// The fewest pairs out of `rounds` that a fair coin loses at most once in twenty times.
fn pairs_to_lose(rounds: usize) -> usize {
    let mut tail = 0.0;
    let mut ways = 1.0;
    let all = 2.0_f64.powi(rounds as i32);
    for lost in (0..=rounds).rev() {
        tail += ways / all;
        if tail > SIGNIFICANCE {
            return lost + 1;
        }
        ways *= lost as f64 / (rounds - lost + 1) as f64;
    }
    rounds
}

/// The figure below which that share of them lies; the nearest one, none is made up.
fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * share).round() as usize]
}

//! The conformance cases of CEL's specification, as far as they need neither Protobuf nor types.
//!
//! `scripts/setup cel` fetches them; nothing of them stands in this repository. Which cases are out
//! of scope is decided by rules (`case`), each counted. Of the others at least 95 of 100 pass, and
//! those that do not are listed in `not_passed.txt`, which this test compares with what it found:
//! `BLESS=1` writes it anew.

mod case;
mod expected;
mod world;

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use case::{Case, Rule};
use hotspur::pipeline::cel::{Arena, compile, compile_unchecked};
use world::Bound;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.servers/cel-spec/0.6.1.json");
const NOT_PASSED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cel_conformance/not_passed.txt");

/// The share of the cases in scope that must pass.
const PASSED_MIN: f64 = 0.95;

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    out_of_scope: usize,
}

#[test]
fn cases_in_scope_pass_but_for_those_that_are_listed() {
    let mut by_file: BTreeMap<String, Totals> = BTreeMap::new();
    let mut by_rule: BTreeMap<Rule, usize> = BTreeMap::new();
    let mut not_passed = String::new();
    for case in read() {
        let totals = by_file.entry(case.file.clone()).or_default();
        if let Some(rule) = case.out_of_scope() {
            totals.out_of_scope += 1;
            *by_rule.entry(rule).or_default() += 1;
            continue;
        }
        match outcome(&case) {
            Ok(()) => totals.passed += 1,
            Err(reason) => {
                totals.failed += 1;
                let expression = case.expression.replace('\n', "\\n");
                writeln!(not_passed, "{}: {expression}\n    {reason}", case.name).unwrap();
            }
        }
    }
    let share = print(&by_file, &by_rule);
    compare(&not_passed);
    assert!(share >= PASSED_MIN, "{:.1} % of the cases in scope pass", share * 100.0);
}

fn read() -> Vec<Case> {
    let text = fs::read_to_string(CASES)
        .unwrap_or_else(|error| panic!("{CASES}: {error}; `scripts/setup cel` fetches it"));
    let cases = case::all(&serde_json::from_str(&text).expect("the cases are JSON"));
    assert!(cases.len() > 2_000, "{} cases are too few", cases.len());
    cases
}

/// Whether a case passes; if not, why.
fn outcome(case: &Case) -> Result<(), String> {
    let mut bound = Bound::new(case);
    let compiled = match case.is_checked {
        true => compile(&case.expression, &mut bound),
        false => compile_unchecked(&case.expression, &mut bound),
    };
    let program = match (compiled, &case.expected) {
        (Ok(program), _) => program,
        (Err(_), None) => return Ok(()),
        (Err(error), Some(_)) => return Err(format!("does not compile: {}", error.message)),
    };
    let arena = Arena::with_capacity(1 << 16);
    match (program.evaluate(&mut bound, &arena), &case.expected) {
        (Err(_), None) => Ok(()),
        (Err(fault), Some(_)) => Err(format!("{} {}", program.label(&fault), fault.why)),
        (Ok(value), None) => Err(format!("is no fault but {}", expected::show(value, &arena))),
        (Ok(value), Some(wanted)) => match expected::is_same(value, wanted, &arena) {
            true => Ok(()),
            false => Err(format!("is {}", expected::show(value, &arena))),
        },
    }
}

/// Prints the totals; returns the share that passed.
fn print(by_file: &BTreeMap<String, Totals>, by_rule: &BTreeMap<Rule, usize>) -> f64 {
    println!("{:<20}{:>8}{:>8}{:>14}", "file", "passed", "failed", "out of scope");
    let mut sum = Totals::default();
    for (file, totals) in by_file {
        let Totals { passed, failed, out_of_scope } = totals;
        println!("{file:<20}{passed:>8}{failed:>8}{out_of_scope:>14}");
        sum.passed += passed;
        sum.failed += failed;
        sum.out_of_scope += out_of_scope;
    }
    println!("{:<20}{:>8}{:>8}{:>14}", "all", sum.passed, sum.failed, sum.out_of_scope);
    for (rule, count) in by_rule {
        println!("out of scope, {}: {count}", rule.name());
    }
    let share = sum.passed as f64 / (sum.passed + sum.failed) as f64;
    println!("{:.2} % of the cases in scope pass", share * 100.0);
    share
}

/// What did not pass is what the list says.
fn compare(not_passed: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(NOT_PASSED, not_passed).expect("the list can be written");
    }
    let listed = fs::read_to_string(Path::new(NOT_PASSED)).unwrap_or_default();
    assert_eq!(not_passed, listed, "what does not pass is not what {NOT_PASSED} lists");
}

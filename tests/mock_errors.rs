//! Every error that Kafka's protocol has, as the answer to every kind of request that a run makes:
//! nothing is lost and nothing stands still, or the run ends with a sentence.
//!
//! By the embedded broker, which can be told to answer so. Each case is an engine of its own, with
//! a source and a sink that are real but for the broker: an error once, five times in a row, and
//! five times with answers that take 50 ms. Drawn by a seed, some of them run with every test;
//! `HOTSPUR_ALL=1` runs all. `HOTSPUR_SEED` draws others, `HOTSPUR_CASE` runs one by its name.
//!
//! What may not be believed of that broker: it does not look at the sequence numbers of a producer
//! without transactions, so results that it has twice are not counted here. Nor does it hide what
//! is not committed, or keep positions that are committed in transactions: of those is asked only
//! that nothing is missing and nothing stands still. Loss and doubles are judged on a real broker.

#[path = "mock_errors/expected.rs"]
mod expected;
#[path = "mock_errors/rig.rs"]
mod rig;
#[path = "support/small_engine.rs"]
mod small_engine;

use std::{
    env, fmt,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use expected::Expected;
use hotspur::transport::kafka::{EmbeddedKafka, Request};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

/// Which request is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Produce,
    Fetch,
    OffsetCommit,
    JoinGroup,
    FindCoordinator,
    InitProducerId,
    AddPartitionsToTransaction,
    AddOffsetsToTransaction,
    TransactionOffsetCommit,
    EndTransaction,
}

const REQUESTS: [Target; 10] = [
    Target::Produce,
    Target::Fetch,
    Target::OffsetCommit,
    Target::JoinGroup,
    Target::FindCoordinator,
    Target::InitProducerId,
    Target::AddPartitionsToTransaction,
    Target::AddOffsetsToTransaction,
    Target::TransactionOffsetCommit,
    Target::EndTransaction,
];

impl Target {
    fn request(self) -> Request {
        match self {
            Target::Produce => Request::Produce,
            Target::Fetch => Request::Fetch,
            Target::OffsetCommit => Request::OffsetCommit,
            Target::JoinGroup => Request::JoinGroup,
            Target::FindCoordinator => Request::FindCoordinator,
            Target::InitProducerId => Request::InitProducerId,
            Target::AddPartitionsToTransaction => Request::AddPartitionsToTransaction,
            Target::AddOffsetsToTransaction => Request::AddOffsetsToTransaction,
            Target::TransactionOffsetCommit => Request::TransactionOffsetCommit,
            Target::EndTransaction => Request::EndTransaction,
        }
    }

    /// Asked for by a producer with transactions only.
    fn is_of_transactions(self) -> bool {
        use Target::*;
        matches!(
            self,
            InitProducerId
                | AddPartitionsToTransaction
                | AddOffsetsToTransaction
                | TransactionOffsetCommit
                | EndTransaction
        )
    }

    /// Asked for before the first record is processed.
    fn is_at_start(self) -> bool {
        matches!(self, Target::JoinGroup | Target::FindCoordinator | Target::InitProducerId)
    }
}

/// How the error comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Once,
    Run,
    Slowly,
}

/// What no code stands for: the connection is closed.
const DISCONNECT: (i16, &str) = (-195, "_TRANSPORT");

/// How often an error comes in a run.
const RUN: usize = 5;

/// Cases that every test runs.
const DRAWN: usize = 48;

/// Cases at a time.
const THREADS: usize = 6;

struct Case {
    target: Target,
    code: i16,
    name: &'static str,
    form: Form,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}:{:?}", self.target, self.name, self.form)
    }
}

impl Case {
    fn push(&self, kafka: &EmbeddedKafka) {
        let (times, rtt) = match self.form {
            Form::Once => (1, Duration::ZERO),
            Form::Run => (RUN, Duration::ZERO),
            Form::Slowly => (RUN, Duration::from_millis(50)),
        };
        kafka.push_error_number(self.target.request(), self.code, times, rtt);
    }

    /// Runs it and says what is not as it has to be.
    fn check(&self) -> Result<(), String> {
        let outcome = rig::run(self);
        let mut all: Vec<_> = outcome.results.iter().chain(&outcome.letters).copied().collect();
        all.sort_unstable();
        all.dedup();
        println!(
            "{self}: {} results, {} letters, {:?}, {}",
            outcome.results.len(),
            outcome.letters.len(),
            outcome.took,
            outcome.sentence.as_deref().unwrap_or("ran on")
        );
        let wanted = expected::of(self.target, self.name, self.form);
        let is_whole = all == (0..rig::RECORDS).collect::<Vec<_>>();
        if !is_whole && wanted != Expected::Untrue {
            return Err(format!("{self}: of {} records only {}", rig::RECORDS, all.len()));
        }
        let has_ended = outcome.sentence.is_some();
        let is_sentence = outcome.sentence.as_ref().is_none_or(|it| it.split(' ').count() > 2);
        let has_letters = !outcome.letters.is_empty();
        let is_as_wanted = match wanted {
            Expected::Heals | Expected::Untrue => !has_ended && !has_letters,
            Expected::Ends => has_ended,
            Expected::MayEnd => !has_letters,
            Expected::Refused => true,
        };
        match is_as_wanted && is_sentence {
            true => Ok(()),
            false => Err(format!("{self}: this was to be {wanted:?}: {outcome:?}")),
        }
    }
}

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for target in REQUESTS {
        for (code, name) in EmbeddedKafka::error_numbers().chain([DISCONNECT]) {
            for form in [Form::Once, Form::Run, Form::Slowly] {
                cases.push(Case { target, code, name, form });
            }
        }
    }
    cases
}

fn chosen() -> Vec<Case> {
    let mut cases = all_cases();
    if let Ok(name) = env::var("HOTSPUR_CASE") {
        cases.retain(|it| it.to_string().contains(&name));
    } else if env::var_os("HOTSPUR_ALL").is_none() {
        let seed = env::var("HOTSPUR_SEED").map_or(1, |it| it.parse().expect("a number"));
        println!("HOTSPUR_SEED={seed}");
        cases.shuffle(&mut SmallRng::seed_from_u64(seed));
        cases.truncate(DRAWN);
    }
    cases
}

#[test]
fn every_error_heals_or_ends_the_run_and_loses_nothing() {
    let (cases, start) = (chosen(), Instant::now());
    let (next, failures) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().expect("no panic").next() else { return };
                    if let Err(failure) = case.check() {
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    println!("{} cases in {:?}", cases.len(), start.elapsed());
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

//! What the user chose: layers of text become checked, plain structs once, and nothing after sees
//! raw text.
//!
//! The way through: `layers` reads the texts (`tree`, `environment`, `profiles`), `walk` checks
//! every key against `keys` and `unbuilt` and reads its value (`values`, `units`, `substitute`,
//! `properties`), `build` assembles `Settings` and tells what does not fit together. `report` shows
//! all problems at once. `docs` and `schema` say what there is; they read the same `keys`.

use std::{collections::BTreeMap, path::PathBuf};

pub mod breaker;
mod build;
mod build_stateful;
mod build_stateless;
mod build_steps;
mod delivery;
mod docs;
pub(crate) mod document;
mod engine;
mod environment;
pub(crate) mod hints;
mod host;
mod keys;
mod layers;
mod librdkafka;
pub mod operators;
mod outline;
pub mod problem;
pub mod profiles;
mod properties;
pub mod range;
pub mod report;
pub mod requirement;
mod retry;
pub mod schema;
mod secrets;
pub mod settings;
mod state;
mod stateful;
mod step_values;
pub mod steps;
pub mod streams;
mod substitute;
mod together;
pub(crate) mod tree;
mod tuning;
mod unbuilt;
pub mod units;
mod values;
mod walk;

pub use docs::DEFAULT_FILE;
pub use layers::Sources;
pub use operators::OwnOperators;
pub use outline::StepOutline;
pub use problem::{Problem, Severity};
pub use report::Report;
pub use settings::Settings;
pub use tuning::{Tuning, load_tuning};
pub use walk::Effective;

use layers::{Layer, LayerKind};
use report::Located;
use tree::{Node, Place};

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that was read.
    pub file: PathBuf,
    /// Every value in force with the layer that set it, as it may be shown.
    pub effective: Vec<Effective>,
    /// What is doubtful.
    pub warnings: Report,
    /// `HOTSPUR_…` variables that mean nothing here.
    pub ignored_variables: Vec<String>,
    locator: Locator,
    tree: Node,
    environment: BTreeMap<String, String>,
    operators: OwnOperators,
}

/// The configuration as it was read, to resolve `${file:…}` in it again.
#[derive(Clone, Debug)]
pub struct Reread {
    locator: Locator,
    tree: Node,
    environment: BTreeMap<String, String>,
    operators: OwnOperators,
}

impl Reread {
    /// The settings with secrets as their files hold them now; everything else is as it was.
    ///
    /// # Errors
    ///
    /// If such a file cannot be read, or what it holds does not fit.
    pub fn settings(&self) -> Result<Settings, Report> {
        let layers = &self.locator.layers;
        let walked = walk::walk(&self.tree, layers, &self.environment, &self.operators);
        let (problems, derived) = (Vec::new(), Vec::new());
        let mut builder = build::Builder { walked: &walked, layers, problems, derived };
        let settings = builder.settings();
        let found = builder.problems.into_iter().map(|problem| self.locator.locate(problem));
        let found: Vec<_> = found.collect();
        let report =
            in_order(walked.problems.into_iter().chain(found).collect(), &self.locator.file);
        if report.has_errors() { Err(report) } else { Ok(settings) }
    }
}

impl Loaded {
    /// For who reads secrets again in the run.
    pub fn reread(&self) -> Reread {
        let (locator, tree) = (self.locator.clone(), self.tree.clone());
        let (environment, operators) = (self.environment.clone(), self.operators.clone());
        Reread { locator, tree, environment, operators }
    }

    /// The steps in short, in order.
    pub fn outline(&self) -> Vec<StepOutline> {
        outline::steps(&self.tree, &self.operators)
    }

    /// The topic that the state of steps is kept in.
    pub fn state_topic(&self) -> String {
        let named = outline::state_topic(&self.tree).map(str::to_owned);
        named.unwrap_or_else(|| format!("{}.state", self.settings.name))
    }

    /// Places of problems that were found later, from their key paths.
    pub fn locate(&self, problems: Vec<Problem>) -> Report {
        let locate = |problem| self.locator.locate(problem);
        Report { problems: problems.into_iter().map(locate).collect() }
    }
}

/// Reads all layers and checks them.
///
/// # Errors
///
/// All problems at once, warnings included, if at least one is an error.
pub fn load(sources: &Sources) -> Result<Loaded, Report> {
    load_and(sources, &|_| Vec::new())
}

/// The same, with what others have to say of the settings among the problems: `inspect` sees them
/// also where they have errors, and is not believed about keys that are at fault anyway.
///
/// # Errors
///
/// As `load`.
pub fn load_and(
    sources: &Sources,
    inspect: &dyn Fn(&Settings) -> Vec<Problem>,
) -> Result<Loaded, Report> {
    let gathered = layers::gather(sources)?;
    let Sources { environment, operators, .. } = sources;
    let mut walked = walk::walk(&gathered.tree, &gathered.layers, environment, operators);
    let mut builder = build::Builder {
        walked: &walked,
        layers: &gathered.layers,
        problems: Vec::new(),
        derived: Vec::new(),
    };
    let settings = builder.settings();
    let build::Builder { problems: found, derived, .. } = builder;
    let places = std::mem::take(&mut walked.places);
    let locator = Locator { layers: gathered.layers, places, file: gathered.file.clone() };
    let mut problems = gathered.problems;
    problems.append(&mut walked.problems);
    problems.extend(found.into_iter().map(|problem| locator.locate(problem)));
    let is_error = |it: &&Located| it.problem.severity == Severity::Error;
    let known: Vec<String> =
        problems.iter().filter(is_error).map(|it| it.problem.key.clone()).collect();
    let is_known = |key: &str| known.iter().any(|it| !it.is_empty() && key.starts_with(it));
    let others = inspect(&settings).into_iter().filter(|problem| !is_known(&problem.key));
    problems.extend(others.map(|problem| locator.locate(problem)));
    let report = in_order(problems, &locator.file);
    if report.has_errors() {
        return Err(report);
    }
    let mut effective = walked.effective;
    effective.extend(derived);
    effective.sort_by_key(|effective| section_rank(&effective.key));
    Ok(Loaded {
        settings,
        file: gathered.file,
        effective,
        warnings: report,
        ignored_variables: gathered.ignored,
        locator,
        tree: gathered.tree,
        environment: environment.clone(),
        operators: operators.clone(),
    })
}

/// The place of a key's section in the default file.
fn section_rank(key: &str) -> usize {
    let section = |key: &str| key.split(['.', '[']).next().unwrap_or_default().to_owned();
    let wanted = section(key);
    keys::KEYS.iter().position(|key| section(key.pattern) == wanted).unwrap_or(usize::MAX)
}

/// The file's own problems in the order of its lines, then those of other layers; each once.
fn in_order(mut problems: Vec<Located>, file: &std::path::Path) -> Report {
    let file = file.display().to_string();
    problems.sort_by_key(|located| {
        let is_other = located.file.as_deref() != Some(&file);
        (is_other, located.file.clone(), located.position)
    });
    let mut once: Vec<Located> = Vec::with_capacity(problems.len());
    for located in problems {
        if !once.contains(&located) {
            once.push(located);
        }
    }
    Report { problems: once }
}

/// Finds the place of a key path.
#[derive(Clone, Debug)]
struct Locator {
    layers: Vec<Layer>,
    places: BTreeMap<String, Place>,
    file: PathBuf,
}

impl Locator {
    fn locate(&self, problem: Problem) -> Located {
        let mut key = problem.key.as_str();
        let mut exact = true;
        loop {
            let place = self.places.get(key).filter(|place| self.is_users(place));
            if let Some(place) = place {
                let is_line = !self.layers[place.layer].text[place.value.clone()].contains('\n');
                return Located::new(problem, place, exact && is_line, &self.layers);
            }
            let Some(end) = key.rfind(['.', '[']) else { break };
            key = &key[..end];
            exact = false;
        }
        let file = Some(self.file.display().to_string());
        Located { problem, file, position: Some((1, 1)), excerpt: None }
    }

    /// Nobody can mend the built-in defaults.
    fn is_users(&self, place: &Place) -> bool {
        self.layers[place.layer].kind != LayerKind::Default
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::{
        settings::{Core, HashAlgorithm, Idle, OnMiss, Operator, Start, TablePlace, Tombstones},
        *,
    };

    const PIPELINE: &str = r#"
name = "orders"
instance = "3"
[kafka.properties]
"linger.ms" = 1
"max.in.flight" = 5
"max.poll.interval.ms" = 60000
[source.kafka]
topics = ["orders", "returns"]
start = "1h"
brokers = "elsewhere:9092"
properties = { "fetch.min.bytes" = 7 }
[sink.kafka]
topic = "processed"
properties = { "queue.buffering.max.ms" = 3 }
[tables.users]
redis = "redis://me:${TEST_SECRET}@localhost"
[tables.countries]
file = "countries.jsonl"
on_empty = "allow"
load_timeout = "1m30s"
[[steps]]
lookup = { table = "users", key = "event.key", into = "cached", on_miss = { default = 1 } }
[[steps]]
lookup = { table = "countries", key = "event.country", into = "country" }
[[steps]]
name = "digest"
hash = { algorithm = "xxh3", of = "record.value", into = "hash" }
[[steps]]
text.result = "${literal}_{event.key}"
"#;

    fn load_text(text: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotspur.toml");
        fs::write(&file, text).unwrap();
        let environment = [("TEST_SECRET".to_owned(), "hush".to_owned())].into();
        load(&Sources { file: Some(file), environment, ..Sources::default() }).unwrap()
    }

    #[test]
    fn secrets_are_read_again_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (file, secret) = (folder.path().join("hotspur.toml"), folder.path().join("password"));
        let url = "redis://:${file:password}@localhost";
        fs::write(&file, PIPELINE.replace("redis://me:${TEST_SECRET}@localhost", url)).unwrap();
        fs::write(&secret, "old\n").unwrap();
        let sources = Sources { file: Some(file.clone()), ..Sources::default() };
        let reread = load(&sources).unwrap().reread();
        let url = |settings: &Settings| match &settings.tables[1].place {
            TablePlace::Redis(redis) => redis.url.clone(),
            TablePlace::File(_) => unreachable!("users is the second table"),
        };
        fs::write(&file, "nonsense").unwrap();
        fs::write(&secret, "new").unwrap();
        assert_eq!(url(&reread.settings().unwrap()), "redis://:new@localhost");
        fs::remove_file(&secret).unwrap();
        let report = reread.settings().unwrap_err().to_string();
        assert!(report.contains("tables.users.redis") && report.contains("password"), "{report}");
    }

    #[test]
    fn a_tuning_needs_no_file_and_no_topics_but_a_typo_is_told() {
        let tuning = |file: Option<&PathBuf>, profile: &str, set: &[&str]| {
            let set = set.iter().map(|it| (*it).to_owned()).collect();
            let (file, profile) = (file.cloned(), Some(profile.to_owned()));
            load_tuning(&Sources { file, profile, set, ..Sources::default() })
        };
        let found = tuning(None, "low-latency", &["engine.core=3"]).unwrap();
        assert_eq!((found.engine.core, found.engine.idle), (Core::Number(3), Idle::Spin));
        assert_eq!((found.profile.as_str(), found.file), ("low-latency", None));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotspur.toml");
        fs::write(&file, "[engine]\nidle = \"yield\"\n").unwrap();
        assert_eq!(tuning(Some(&file), "laptop", &[]).unwrap().engine.idle, Idle::Yield);
        let report = |set: &str| tuning(Some(&file), "laptop", &[set]).unwrap_err().to_string();
        assert!(report("engine.coer=3").contains("coer"));
        let both = report("engine={ core = 1, housekeeping_cores = \"1\" }");
        assert!(both.contains("hot thread's own"), "{both}");
        assert!(tuning(None, "lowlatency", &[]).unwrap_err().to_string().contains("low-latency"));
    }

    #[test]
    fn clients_get_their_own_properties_over_the_shared_ones() {
        let settings = load_text(PIPELINE).settings;
        let (source, sink) = (&settings.source.client, &settings.sink.client);
        assert_eq!(
            (source.brokers.as_str(), sink.brokers.as_str()),
            ("elsewhere:9092", "localhost:9092")
        );
        let of = |client: &settings::KafkaClient, name: &str| client.properties.get(name).cloned();
        assert_eq!(of(source, "fetch.min.bytes").as_deref(), Some("7"));
        assert_eq!(of(source, "max.poll.interval.ms").as_deref(), Some("60000"));
        assert_eq!(of(source, "linger.ms"), None);
        assert_eq!(of(source, "bootstrap.servers").as_deref(), Some("elsewhere:9092"));
        assert_eq!(of(source, "client.id").as_deref(), Some("orders"));
        assert_eq!(of(sink, "linger.ms").as_deref(), Some("3"));
        assert_eq!(of(sink, "fetch.queue.backoff.ms"), None);
        let dead_letters = &settings.dead_letters.client;
        assert_eq!(of(dead_letters, "linger.ms").as_deref(), Some("1"));
        assert_eq!(of(dead_letters, "max.in.flight.requests.per.connection").as_deref(), Some("5"));
    }

    #[test]
    fn settings_say_what_the_file_says_and_defaults_fill_the_rest() {
        let loaded = load_text(PIPELINE);
        let settings = &loaded.settings;
        assert_eq!((settings.name.as_str(), settings.instance.as_str()), ("orders", "3"));
        assert_eq!(settings.source.topics, ["orders", "returns"]);
        assert_eq!(settings.source.group, "orders");
        assert_eq!(settings.source.start, Start::Age(Duration::from_secs(3600)));
        assert_eq!(settings.source.tombstones, Tombstones::Skip);
        assert_eq!(settings.dead_letters.topic, "orders.dead");
        assert_eq!(settings.sink.key, "record.key");
        assert_eq!(settings.delivery.commit_interval, Duration::from_millis(100));
        assert_eq!(
            (settings.latency.origin.as_str(), settings.latency.unit_nanos),
            ("record.timestamp", 1_000_000)
        );
        assert_eq!((settings.engine.core, settings.engine.idle), (Core::Auto, Idle::Auto));
        assert_eq!(settings.limits.in_flight_bytes, 64 << 20);
        assert_eq!(settings.observe.out, None);
        assert_eq!(settings.log.json, None);
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }

    #[test]
    fn tables_and_steps_stand_as_written() {
        let loaded = load_text(PIPELINE);
        let [countries, users] = loaded.settings.tables.as_slice() else { panic!("two tables") };
        let folder = loaded.file.parent().unwrap();
        let TablePlace::File(path) = &countries.place else { panic!("a file") };
        assert_eq!(path, &folder.join("countries.jsonl"));
        assert!(!countries.fail_on_empty && users.fail_on_empty);
        assert_eq!(countries.load_timeout, Duration::from_secs(90));
        let TablePlace::Redis(redis) = &users.place else { panic!("a Redis") };
        let settings::RedisTable { url, shown, prefix, .. } = redis;
        assert_eq!(url, "redis://me:hush@localhost");
        assert_eq!((shown.as_str(), prefix.as_str()), ("redis://me:${TEST_SECRET}@localhost", ""));
        let steps = &loaded.settings.steps;
        let misses: Vec<&OnMiss> = steps
            .iter()
            .filter_map(|step| match &step.operator {
                Operator::Lookup { on_miss, .. } => Some(on_miss),
                _ => None,
            })
            .collect();
        assert_eq!(misses, [&OnMiss::Default("1".to_owned()), &OnMiss::Reject]);
        assert_eq!(
            (steps[2].name.as_deref(), steps[2].place.as_str()),
            (Some("digest"), "steps[2]")
        );
        assert!(matches!(
            &steps[2].operator,
            Operator::Hash { algorithm: HashAlgorithm::Xxh3, .. }
        ));
        let Operator::Text(templates) = &steps[3].operator else { panic!("a text") };
        assert_eq!(templates[0].1, "${literal}_{event.key}", "steps are not substituted");
    }

    #[test]
    fn later_problems_find_their_place() {
        let loaded = load_text(PIPELINE);
        let line = |key: &str| {
            let report = loaded.locate(vec![Problem::error(key, "is wrong")]);
            report.problems[0].position.unwrap().0
        };
        assert_eq!(line("steps[0].lookup.key"), 23);
        assert_eq!(line("steps[3].text.result"), 30);
        assert_eq!(line("kafka.properties.\"linger.ms\""), 5);
        assert_eq!(line("sink.kafka.value"), 13);
        assert_eq!(line("nowhere"), 1);
    }

    #[test]
    fn a_breaker_that_replaces_none_has_the_defaults_where_it_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotspur.toml");
        fs::write(&file, PIPELINE).unwrap();
        let breaker = |set: &[&str]| {
            let set = set.iter().map(|it| (*it).to_owned()).collect();
            let environment = [("TEST_SECRET".to_owned(), "hush".to_owned())].into();
            let file = Some(file.clone());
            let sources = Sources { file, set, environment, ..Sources::default() };
            load(&sources).unwrap().settings.delivery.breaker
        };
        assert_eq!(breaker(&["delivery.breaker=false"]), None);
        let default = breaker(&[]).unwrap();
        assert_eq!((default.rejected, default.window, default.stops), (0.5, 1000, true));
        assert_eq!(default.within, Duration::from_secs(60));
        let again = breaker(&["delivery.breaker=false", "delivery.breaker.window=7"]);
        assert_eq!(again, Some(settings::Breaker { window: 7, ..default }));
        let whole = "delivery.breaker={ rejected = 0, within = \"1s\", then = \"pause\" }";
        let (within, stops) = (Duration::from_secs(1), false);
        let expected = settings::Breaker { rejected: 0.0, within, stops, ..default };
        assert_eq!(breaker(&[whole]), Some(expected));
    }
}

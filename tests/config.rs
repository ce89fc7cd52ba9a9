//! The configuration from outside: files in, `check`'s words and exit statuses out.
//!
//! `tests/cases/config/NAME.toml` is checked and must give exactly `NAME.out`. After a change of
//! words, `HOTSPUR_BLESS=1 cargo test --test config` writes the `.out` files anew; read the diff.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use hotspur::config::{self, Sources};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/config");
const TUNING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning");

/// Runs the program with these arguments, in the cases' folder, with nothing else set.
fn hotspur(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    hotspur_in(Path::new(CASES), arguments, environment)
}

fn hotspur_in(
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_hotspur"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What is in force, by key: value and layer.
fn effective(
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> BTreeMap<String, (String, String)> {
    let arguments = [&["check", "--effective", "--json"], arguments].concat();
    let (status, output, _) = hotspur(&arguments, environment);
    assert_eq!(status, 0, "{output}");
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let rows = output["effective"].as_array().unwrap();
    let row =
        |row: &serde_json::Value| (text(&row["key"]), (text(&row["value"]), text(&row["layer"])));
    rows.iter().map(row).collect()
}

fn pair<'a>(values: &'a BTreeMap<String, (String, String)>, key: &str) -> (&'a str, &'a str) {
    let (value, layer) = values.get(key).unwrap_or_else(|| panic!("{key} is not in force"));
    (value, layer)
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths.filter(|path| is_configuration(path, extension)).collect();
    files.sort();
    files
}

/// Cases of a pipeline lie beside it.
fn is_configuration(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
        && !path.to_string_lossy().ends_with(".cases.toml")
}

#[test]
fn every_kind_of_error_is_told_at_its_place() {
    let environment = [("TEST_HOST", "localhost"), ("TEST_SECRET", "hush"), ("TEST_SIZE", "1GiB")];
    let cases = files(CASES, "toml");
    assert!(cases.len() >= 15);
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let (status, output, _) = hotspur(&["check", "-c", name], &environment);
        let golden = case.with_extension("out");
        if std::env::var_os("HOTSPUR_BLESS").is_some() {
            fs::write(&golden, &output).unwrap();
        }
        assert_eq!(output, fs::read_to_string(&golden).unwrap(), "{name}");
        let is_right = output.ends_with("no problems\n");
        assert_eq!(status, if is_right { 0 } else { 2 }, "{name}");
        assert!(!output.contains("hush"), "{name} shows a secret");
    }
}

#[test]
fn a_topic_for_state_that_no_step_keeps_is_doubtful_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{TUNING}/pipelines/names.toml")).unwrap();
    let text = format!("{text}\n[state]\ntopic = \"names.state\"\n");
    fs::write(folder.path().join("hotspur.toml"), text).unwrap();
    let (status, output, _) = hotspur_in(folder.path(), &["check"], &[]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("warning: state.topic: no step keeps state"), "{output}");
    assert_eq!(hotspur_in(folder.path(), &["check", "--deny-warnings"], &[]).0, 2);
}

#[test]
fn shipped_pipelines_have_no_problems() {
    for path in files(&format!("{TUNING}/pipelines"), "toml") {
        let arguments = ["check", "--deny-warnings", "-c", path.to_str().unwrap()];
        let (status, output, _) = hotspur(&arguments, &[]);
        assert_eq!(status, 0, "{output}");
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (status, printed, _) = hotspur(&["init", name], &[]);
        assert_eq!((status, printed), (0, fs::read_to_string(&path).unwrap()));
    }
}

#[test]
fn shipped_profiles_have_no_problems() {
    for path in files(&format!("{TUNING}/profiles"), "toml") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let arguments = ["check", "-c", "accepted-defaults.toml", "--deny-warnings", "-p", name];
        let (status, output, _) = hotspur(&arguments, &[]);
        assert_eq!(status, 0, "{name}: {output}");
        let (status, printed, _) = hotspur(&["profiles", name], &[]);
        assert_eq!((status, printed), (0, fs::read_to_string(&path).unwrap()));
    }
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hotspur.toml");
    let text = "name = \"orders\"\n[source.kafka]\ntopics = [\"a\"]\n[sink.kafka]\ntopic = \"b\"\n\
                [limits]\nbatch = 10\nin_flight = 2000\n";
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let environment = [
        ("HOTSPUR_CONFIG", file),
        ("HOTSPUR_PROFILE", "throughput"),
        ("HOTSPUR_LIMITS__BATCH", "11"),
        ("HOTSPUR_LIMITS__DEPTH", "12"),
        ("HOTSPUR_SOURCE__KAFKA__TOPICS", "x, y"),
        ("HOTSPUR_KAFKA__PROPERTIES__LINGER_MS", "5"),
    ];
    let arguments = ["-p", "laptop", "-s", "limits.depth=13", "-s", "engine.drain_timeout=1s"];
    let values = effective(&arguments, &environment);
    assert_eq!(pair(&values, "profile"), ("\"laptop\"", "-p"));
    assert_eq!(pair(&values, "engine.idle").0, "\"park\"");
    assert!(pair(&values, "engine.idle").1.starts_with("profile laptop:"));
    assert_eq!(pair(&values, "limits.in_flight").0, "2000");
    assert!(pair(&values, "limits.in_flight").1.ends_with("hotspur.toml:8"));
    assert_eq!(pair(&values, "limits.batch"), ("11", "HOTSPUR_LIMITS__BATCH"));
    assert_eq!(pair(&values, "limits.depth"), ("13", "-s"));
    assert_eq!(pair(&values, "engine.drain_timeout"), ("\"1s\"", "-s"));
    assert_eq!(pair(&values, "source.kafka.topics").0, "[\"x\", \"y\"]");
    assert_eq!(pair(&values, "kafka.properties.\"linger.ms\"").0, "\"5\"");
    assert_eq!(pair(&values, "limits.record"), ("\"1MiB\"", "default"));
    assert_eq!(pair(&values, "source.kafka.group"), ("\"orders\"", "name"));
    assert_eq!(pair(&values, "dead_letters.topic"), ("\"x.dead\"", "source.kafka.topics"));
}

#[test]
fn a_profile_of_ones_own_inherits() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("mine.toml");
    fs::write(&profile, "inherits = \"throughput\"\n[limits]\nbatch = 77\n").unwrap();
    let arguments = ["-c", "accepted-defaults.toml", "-p", profile.to_str().unwrap()];
    let values = effective(&arguments, &[]);
    assert_eq!(pair(&values, "limits.batch").0, "77");
    assert_eq!(pair(&values, "kafka.properties.\"linger.ms\"").0, "2");
    assert!(pair(&values, "kafka.properties.\"linger.ms\"").1.starts_with("profile throughput:"));
    assert_eq!(pair(&values, "kafka.properties.\"fetch.error.backoff.ms\"").0, "10");
}

#[test]
fn secrets_are_never_shown() {
    let set = "kafka.properties={ \"security.protocol\" = \"sasl_ssl\", \
               \"sasl.mechanisms\" = \"PLAIN\", \"sasl.password\" = \"hush\" }";
    let redis = "tables.users.redis=redis://me:hush@localhost";
    let key = "source.kafka.properties.\"ssl.key.password\"=${TEST_SECRET}";
    let token = ["-s", "observe.token=hush"];
    let arguments = ["-c", "accepted-defaults.toml", "-s", set, "-s", redis, "-s", key];
    let arguments = [&arguments[..], &token[..]].concat();
    let environment = [("TEST_SECRET", "hush")];
    let values = effective(&arguments, &environment);
    assert_eq!(pair(&values, "kafka.properties.\"sasl.password\"").0, "\"***\"");
    assert_eq!(pair(&values, "observe.token").0, "\"***\"");
    assert_eq!(pair(&values, "tables.users.redis").0, "\"redis://me:***@localhost\"");
    let written = pair(&values, "source.kafka.properties.\"ssl.key.password\"").0;
    assert_eq!(written, "\"${TEST_SECRET}\"");
    let wrong = [&["check", "-s", "limits.depth=${TEST_SECRET}"], &arguments[..]].concat();
    let (status, output, error) = hotspur(&wrong, &environment);
    assert_eq!(status, 2);
    assert!(!output.contains("hush") && !error.contains("hush"), "{output}{error}");
}

#[test]
fn a_secret_under_a_misspelt_name_is_not_shown_either() {
    let misspelt = [
        (["-s", "kafka.properties.\"sasl.passwort\"=hush"], [("HOTSPUR_NAME", "x")]),
        (["-s", "name=x"], [("HOTSPUR_KAFKA__PROPERTIES__SASL_PASSWORT", "hush")]),
        (["-s", "name=x"], [("HOTSPUR_KAFKA__PROPERTIES", "{ \"sasl.passwort\" = \"hush\" }")]),
    ];
    for (set, environment) in misspelt {
        let arguments = [&["check", "--effective", "-c", "accepted-defaults.toml"], &set[..]];
        let (status, output, error) = hotspur(&arguments.concat(), &environment);
        assert_eq!(status, 2);
        assert!(output.contains("did you mean \"sasl.password\"?"), "{output}");
        assert!(!output.contains("hush") && !error.contains("hush"), "{output}{error}");
    }
}

#[test]
fn one_key_of_the_breaker_changes_only_that_and_false_takes_all_of_it_away() {
    let base = ["-c", "accepted-defaults.toml"];
    let window = ["-s", "delivery.breaker.window=10"];
    let values = effective(&[&base[..], &["-s", "delivery.breaker=false"]].concat(), &[]);
    assert_eq!(pair(&values, "delivery.breaker"), ("false", "-s"));
    assert!(!values.contains_key("delivery.breaker.window"));
    let environment = [("HOTSPUR_DELIVERY__BREAKER__THEN", "pause")];
    let shipped = format!("{TUNING}/pipelines/names.toml");
    let values = effective(&[&["-c", &shipped][..], &window].concat(), &environment);
    assert_eq!(pair(&values, "delivery.breaker.window"), ("10", "-s"));
    assert_eq!(pair(&values, "delivery.breaker.rejected"), ("0.5", "default"));
    let variable = "HOTSPUR_DELIVERY__BREAKER__THEN";
    assert_eq!(pair(&values, "delivery.breaker.then"), ("\"pause\"", variable));
}

#[test]
fn a_table_of_properties_can_come_from_a_variable() {
    let environment = [("HOTSPUR_KAFKA__PROPERTIES", "{ \"check.crcs\" = true }")];
    let values = effective(&["-c", "accepted-defaults.toml"], &environment);
    let shown = pair(&values, "kafka.properties.\"check.crcs\"");
    assert_eq!(shown, ("true", "HOTSPUR_KAFKA__PROPERTIES"));
}

#[test]
fn problems_of_variables_and_arguments_are_told_at_their_place() {
    let environment =
        [("HOTSPUR_LIMITS__DEPTH", "deep"), ("HOTSPUR_LOG", "loud"), ("HOTSPUR_LIMIT__DEPTH", "1")];
    let arguments = [
        "check",
        "-c",
        "accepted-defaults.toml",
        "-s",
        "engine.core=two",
        "-s",
        "depth",
        "-p",
        "latop",
    ];
    let (status, output, _) = hotspur(&arguments, &environment);
    assert_eq!(status, 2);
    for expected in [
        "environment:1:23: error: limits.depth: expected a whole number, found \"deep\"",
        "   | HOTSPUR_LIMITS__DEPTH=deep\n   |                       ^^^^",
        "environment:1:1: error: limit: there is no such key",
        "environment:1:13: error: log.level: ",
        "command line:1:16: error: engine.core: ",
        "\"depth\" is not KEY=VALUE",
        "there is no profile named \"latop\"",
        "did you mean \"laptop\"?",
    ] {
        assert!(output.contains(expected), "{expected}\n{output}");
    }
}

#[test]
fn problems_are_also_told_as_json() {
    let (status, output, _) = hotspur(&["lint", "-c", "missing.toml", "--json"], &[]);
    assert_eq!(status, 2);
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&output["errors"], &output["warnings"]), (&2.into(), &1.into()));
    let problems = output["problems"].as_array().unwrap();
    let topics = problems.iter().find(|it| it["key"] == "source.kafka.topics").unwrap();
    assert_eq!((&topics["line"], &topics["column"]), (&1.into(), &9.into()));
    assert_eq!((&topics["file"], &topics["severity"]), (&"missing.toml".into(), &"error".into()));
}

#[test]
fn warnings_fail_only_when_they_are_denied() {
    let arguments = ["validate", "-c", "accepted-defaults.toml", "-s", "engine.core=none"];
    let arguments = [&arguments[..], &["-s", "engine.idle=spin"]].concat();
    let (status, output, _) = hotspur(&arguments, &[]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("warning: engine.idle"));
    let (status, ..) = hotspur(&[&arguments[..], &["--deny-warnings"]].concat(), &[]);
    assert_eq!(status, 2);
}

#[test]
fn run_without_a_file_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["run", "check", "try"] {
        let (status, output, error) = hotspur_in(folder.path(), &[command], &[]);
        assert_eq!(status, 2, "{command}");
        let words = "`hotspur init orders > hotspur.toml`, or `hotspur demo`";
        assert!(output.contains(words) || error.contains(words), "{output}{error}");
    }
    let (status, output, _) = hotspur(&["check", "-c", "absent.toml"], &[]);
    assert_eq!(status, 2);
    assert!(output.contains("cannot read absent.toml"), "{output}");
}

#[test]
fn variables_that_mean_nothing_are_named_on_request() {
    let environment = [("HOTSPUR_HOME", "/"), ("HOTSPUR_LOG_FORMAT", "json")];
    let arguments = ["check", "-v", "-c", "accepted-defaults.toml"];
    let (status, _, error) = hotspur(&arguments, &environment);
    assert_eq!(status, 0);
    let line: serde_json::Value = serde_json::from_str(error.lines().next().unwrap()).unwrap();
    assert_eq!(line["event"], "config.ignored_variable");
    assert_eq!(line["variable"], "HOTSPUR_HOME");
    let (_, _, error) = hotspur(&["check", "-c", "accepted-defaults.toml"], &environment);
    assert_eq!(error, "");
}

/// The schema's answer to one file, as far as keys and single values go.
fn schema_problems(
    schema: &serde_json::Value,
    value: &serde_json::Value,
    path: &str,
    problems: &mut Vec<String>,
) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &&serde_json::Value| {
            let mut found = Vec::new();
            schema_problems(choice, value, path, &mut found);
            found.is_empty()
        };
        if !choices.iter().any(|choice| fits(&choice)) {
            problems.push(format!("{path}: {value}"));
        }
    }
    let is_type = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        _ => value.is_boolean(),
    };
    let types = match &schema["type"] {
        serde_json::Value::Array(types) => types.iter().filter_map(|it| it.as_str()).collect(),
        serde_json::Value::String(one) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let is_choice = schema["enum"].as_array().is_none_or(|choices| choices.contains(value));
    let is_substituted = value.as_str().is_some_and(|text| text.contains("${"));
    let is_pattern = schema["pattern"] != r"\$\{" || is_substituted;
    let is_const = schema.get("const").is_none_or(|only| only == value);
    if (!types.is_empty() && !types.iter().any(|name| is_type(name)))
        || !is_choice
        || !is_const
        || !is_pattern
    {
        problems.push(format!("{path}: {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        schema_problems(&schema["items"], item, &format!("{path}[{index}]"), problems);
    }
    for (name, child) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(inner), _) => schema_problems(inner, child, &path, problems),
            (None, Some(serde_json::Value::Bool(false))) => problems.push(path),
            (None, Some(inner)) => schema_problems(inner, child, &path, problems),
            (None, None) => {}
        }
    }
}

fn json_of(item: &toml_edit::Item) -> serde_json::Value {
    if let Some(table) = item.as_table_like() {
        return table.iter().map(|(name, item)| (name.to_owned(), json_of(item))).collect();
    }
    if let Some(tables) = item.as_array_of_tables() {
        let of = |table: &toml_edit::Table| json_of(&toml_edit::Item::Table(table.clone()));
        return tables.iter().map(of).collect();
    }
    match item.as_value().unwrap() {
        toml_edit::Value::String(text) => text.value().clone().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(boolean) => (*boolean.value()).into(),
        toml_edit::Value::Array(items) => {
            items.iter().map(|item| json_of(&toml_edit::Item::Value(item.clone()))).collect()
        }
        other => other.to_string().into(),
    }
}

fn problems_by_schema(path: &Path) -> Vec<String> {
    let (status, schema, _) = hotspur(&["schema", "config"], &[]);
    assert_eq!(status, 0);
    let schema = serde_json::from_str(&schema).unwrap();
    let document: toml_edit::DocumentMut = fs::read_to_string(path).unwrap().parse().unwrap();
    let mut problems = Vec::new();
    schema_problems(&schema, &json_of(document.as_item()), "", &mut problems);
    problems
}

#[test]
fn the_schema_takes_what_the_loader_takes_and_refuses_what_it_refuses() {
    let mut right = files(&format!("{TUNING}/pipelines"), "toml");
    right.push(format!("{TUNING}/default.toml").into());
    right.push(format!("{CASES}/accepted-defaults.toml").into());
    right.push(format!("{CASES}/accepted-steps.toml").into());
    for path in right {
        assert_eq!(problems_by_schema(&path), Vec::<String>::new(), "{}", path.display());
    }
    let mut unknown = problems_by_schema(&Path::new(CASES).join("unknown-keys.toml"));
    let expected = [
        ".limit",
        ".nmae",
        ".source.kafka.guarantee",
        ".source.kafka.topcis",
        ".steps[0].lookup.on_mis",
        ".steps[1].lokup",
        ".tables.users.prefx",
    ];
    unknown.sort();
    assert_eq!(unknown, expected);
    let wrong = problems_by_schema(&Path::new(CASES).join("wrong-values.toml"));
    for key in
        [".limits.in_flight_bytes:", ".engine.idle:", ".log.format:", ".source.kafka.topics:"]
    {
        assert!(wrong.iter().any(|problem| problem.starts_with(key)), "{key} {wrong:?}");
    }
}

proptest::proptest! {
    /// Whatever a file, a variable or an argument holds, problems are told and nothing panics.
    #[test]
    fn no_text_makes_the_loader_panic(
        case in 0_usize..4,
        at in 0.0_f64..1.0,
        length in 0_usize..6,
        inserted in "[\\[\\]{}=.,\"'$#:\n äé€😀a-z0-9]{0,6}",
        argument in "[a-z.]{0,12}=?[^\u{0}]{0,12}",
    ) {
        let right = ["accepted-defaults.toml", "accepted-steps.toml"];
        let names = ["unknown-keys.toml", "wrong-values.toml", right[0], right[1]];
        let text = fs::read_to_string(Path::new(CASES).join(names[case])).unwrap();
        let mut characters: Vec<char> = text.chars().collect();
        let start = (at * characters.len() as f64) as usize;
        let end = (start + length).min(characters.len());
        characters.splice(start..end, inserted.chars());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotspur.toml");
        fs::write(&file, characters.into_iter().collect::<String>()).unwrap();
        let sources = Sources {
            file: Some(file),
            profile: None,
            environment: [("HOTSPUR_LIMITS__DEPTH".to_owned(), inserted)].into(),
            set: vec![argument],
            ..Sources::default()
        };
        match config::load(&sources) {
            Ok(loaded) => proptest::prop_assert!(!loaded.warnings.has_errors()),
            Err(report) => {
                proptest::prop_assert!(report.has_errors());
                proptest::prop_assert!(report.to_string().contains("error: "));
            }
        }
    }
}

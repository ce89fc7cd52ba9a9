//! Operators of one's own, as a configuration and a pipeline know them.

#[path = "../benches/rig/allocations.rs"]
mod allocations;
#[path = "operators/brought.rs"]
mod brought;
#[path = "operators/rig.rs"]
mod rig;

use std::fs;

use hotspur::{
    cache::Value,
    config::{self, OwnOperators, Sources, schema},
    operator::{Answer, Call, Operator, Registry},
    pipeline::{
        Found,
        cases::CaseFile,
        trial::{self, TrialOptions},
    },
    verdict::{Awaited, Verdict},
};
use rig::{Rig, load, problems, text};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const GEO: &str = r#"
[[steps]]
name = "where"
geo = { lat = "event.lat", lon = "event.at.lon", into = "cell", degrees = 0.5 }
"#;

const USERS: &str = "tables.users.file = \"users.jsonl\"\n";

fn step(operator: &str) -> String {
    format!("[[steps]]\n{operator}\n")
}

#[test]
fn it_reads_writes_and_rejects() {
    let mut rig = Rig::new(GEO);
    for (value, expected) in [
        (
            r#"{"lat":48.2,"at":{"lon":-16.4}}"#,
            r#"{"lat":48.2,"at":{"lon":-16.4},"cell":"96:-33"}"#,
        ),
        (r#"{"cell":1,"lat":-1,"at":{"lon":7}}"#, r#"{"cell":"-2:14","lat":-1,"at":{"lon":7}}"#),
        (r#"{"lat":91,"at":{"lon":7}}"#, "schema at where: 91 is no latitude"),
        (r#"{"at":{"lon":7}}"#, "missing_field at where: `event.lat` is absent"),
        (
            r#"{"lat":1,"at":3}"#,
            "wrong_type at where: `event.at.lon` cannot be: `event.at` is a number",
        ),
        (
            r#"{"lat":"x","at":{"lon":7}}"#,
            "wrong_type at where: `event.lat` is text, and a number is wanted",
        ),
    ] {
        assert_eq!(rig.run(value), expected);
    }
}

#[test]
fn values_of_every_kind_are_lent() {
    let shown = |of: &str| {
        let of = format!("show = {{ of = '''{of}''', into = \"v\" }}");
        let steps = step("set.made = 'event.list + [2.0]'") + &step(&of);
        let out = Rig::new(&steps).run(r#"{"list":[1, "a"],"o":{"x":null},"t":"é\n"}"#);
        match serde_json::from_str::<serde_json::Value>(&out) {
            Ok(event) => event["v"].as_str().unwrap().to_owned(),
            Err(_) => out,
        }
    };
    let bytes = |json: &str| format!("Json(Json({:?}))", json.as_bytes());
    for (of, expected) in [
        ("event.o.x", "Null"),
        ("event.?o.gone", "Null"),
        ("has(event.o)", "Bool(true)"),
        ("event.list[0]", "Int(1)"),
        ("18446744073709551615u", "Uint(18446744073709551615)"),
        ("event.list[0] + 0.5", "Double(1.5)"),
        ("event.t", "Text(\"é\\n\")"),
        ("\"plain\"", "Text(\"plain\")"),
        ("type(event.list)", "Text(\"list\")"),
        ("record.key", "Bytes([255])"),
        ("record.offset", "Int(0)"),
        ("now()", "Timestamp(1700000000000000000)"),
        ("duration(\"1s\")", "Duration(1000000000)"),
        ("event.list", &bytes(r#"[1, "a"]"#)),
        ("event.o", &bytes(r#"{"x":null}"#)),
        ("event.made", &bytes(r#"[1,"a",2.0]"#)),
        ("event.made[2]", "Double(2.0)"),
        ("event.list.map(x, [x])", &bytes(r#"[[1],["a"]]"#)),
        ("event.list[7]", "missing_field at 2: `event.list[7]` is absent"),
        (
            "size(event.o.x)",
            "expression at 2: `size` does not take null (at character 1 of `size(event.o.x)`)",
        ),
    ] {
        assert_eq!(shown(of), expected, "{of}");
    }
}

#[test]
fn a_table_is_asked_and_its_trouble_is_the_records() {
    let tier = "tier = { table = \"users\", key = \"event.k\", into = \"v\", into_age = \"ms\" }";
    let mut rig = Rig::new(&(USERS.to_owned() + &step(tier)));
    let mut run = |says| rig.run_where(says, r#"{"k":12.50}"#);
    let with = |v: &str| format!(r#"{{"k":12.50,"v":{v},"ms":3}}"#);
    assert_eq!(run(text("gold")), with("\"gold\""));
    assert_eq!(run(Found::Hit(Value::json(b"{\"a\": [1]}"))), with("{\"a\": [1]}"));
    assert_eq!(run(Found::Hit(Value::json(b"7"))), with("\"Int(7)\""));
    assert_eq!(run(Found::Miss), with("\"none\""));
    assert_eq!(run(Found::Stale), "stale_table at 1: the table `users` is too old");
    let late = "lookup_timeout at 1: the table `users` had no answer in time";
    assert_eq!(run(Found::Late), late);
    let unfit = "wrong_type at 1: the table `users` holds a value that is not of its kind";
    assert!(run(text("gold")).starts_with("{"));
    assert!(run(Found::Hit(Value::text(b"\xff"))).starts_with(unfit));
    for (value, reason) in [
        ("{\"k\":null}", "wrong_type at 1: `event.k` is null, which cannot be a key"),
        ("{\"k\":[1]}", "wrong_type at 1: `event.k` is a list, which cannot be a key"),
    ] {
        assert_eq!(rig.run(value), reason);
    }
}

#[test]
fn a_record_waits_for_a_table_on_demand_whatever_the_operator_makes_of_it() {
    let awaited = Awaited { table: 0, hash: 77 };
    let (unknown, value) = (Found::Unknown(awaited), r#"{"k":"a"}"#);
    for careless in ["false", "true"] {
        let tier = format!(
            "tier = {{ table = \"users\", key = \"event.k\", into = \"v\", careless = {careless} }}"
        );
        let mut rig = Rig::new(&(USERS.to_owned() + &step(&tier)));
        rig.table.says = unknown;
        assert_eq!(rig.process(value), Verdict::Wait(awaited));
        assert!(rig.run_where(Found::Stale, value).starts_with("stale_table"));
        assert_eq!(rig.run_where(text("gold"), value), r#"{"k":"a","v":"gold"}"#);
        let late = rig.run_where(Found::Late, value);
        match careless {
            "true" => assert_eq!(late, r#"{"k":"a","v":"none"}"#),
            _ => assert!(late.starts_with("lookup_timeout"), "{late}"),
        }
        assert_eq!(rig.table.asked.get(), 4);
    }
    let show = step("show = { of = \"lookup('users', 't:' + event.k)\", into = \"v\" }");
    let mut rig = Rig::new(&(USERS.to_owned() + &show));
    assert_eq!(rig.run_where(unknown, value), "waits for 77");
    assert_eq!(rig.run_where(text("x"), value), r#"{"k":"a","v":"Text(\"x\")"}"#);
}

#[test]
fn records_are_skipped_rejected_and_passed_by() {
    let judge = |more: &str| {
        let more = format!("verdict = {{ of = \"event.t\", word = \"end\"{more} }}");
        Rig::new(&step(&format!("name = \"judge\"\nwhen = \"has(event.t)\"\n{more}")))
    };
    let mut rig = judge("");
    assert_eq!(rig.run(r#"{"t":"end"}"#), "skipped: sampled");
    assert_eq!(rig.run(r#"{"t":"go"}"#), r#"{"t":"go"}"#);
    assert_eq!(rig.run(r#"{"s":1}"#), r#"{"s":1}"#);
    let mut rig = judge(", strict = true");
    assert_eq!(rig.run(r#"{"t":"go"}"#), "conflict at judge: \"go\" is not \"end\"");
    assert_eq!(rig.run(r#"{"t":"end"}"#), "skipped: sampled");
}

#[test]
fn its_state_is_its_own_and_of_its_step() {
    let steps = step("count = { into = \"n\", by = \"event.by\" }")
        + &step("count = { into = \"m.n\", also = \"seen\" }")
        + &step("set.sum = \"event.n + event.m.n\"");
    let mut rig = Rig::new(&steps);
    let now = "1700000000000000000";
    let first = format!(r#"{{"by":5,"n":5,"m":{{"n":1}},"seen":[{now},0],"sum":6}}"#);
    assert_eq!(rig.run(r#"{"by":5}"#), first);
    assert_eq!(rig.run("{}"), "missing_field at 1: `event.by` is absent");
    let third = format!(r#"{{"by":-1,"n":4,"m":{{"n":2}},"seen":[{now},2],"sum":6}}"#);
    assert_eq!(rig.run(r#"{"by":-1}"#), third);
    assert_eq!(Rig::new(&steps).run(r#"{"by":5}"#), first, "another pipeline has others");
    let way = "wrong_type at 2: `m.n` cannot be written: `event.m` is there and has no such part";
    assert_eq!(rig.run(r#"{"by":1,"m":7}"#), way);
}

#[test]
fn behind_each_it_is_called_for_every_element() {
    let steps = step("each = { of = \"event.items\", into = \"item\" }")
        + &step("remove = [\"items\"]")
        + &step("count = { into = \"n\", by = \"event.item\" }")
        + &step("verdict = { of = \"string(event.item)\", word = \"7\" }");
    let mut rig = Rig::new(&steps);
    let expected = r#"{"item":1,"n":1}|{"item":2,"n":10}"#;
    assert_eq!(rig.run(r#"{"items":[1,7,2]}"#), expected);
}

#[test]
fn behind_a_window_it_sees_results_and_nothing_that_must_be_waited_for() {
    let window =
        step("window = { kind = 'count', size = 2, max_age = '1m', aggregate.n = 'count()' }")
            + &step("count = { into = \"m\", by = \"event.n\" }");
    let loaded = load(&window).unwrap_or_else(|report| panic!("{report}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("window.cases.toml");
    let cases = r#"
        [[cases]]
        name = "two windows"
        input = [
            { value = '{}', key = "a", timestamp = 0 },
            { value = '{}', key = "a", timestamp = 0 },
            { value = '{}', key = "b", timestamp = 0 },
            { value = '{}', key = "b", timestamp = 0 },
        ]
        output = [
            '{"key":"a","start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:00:00Z","n":2,"m":2}',
            '{"key":"b","start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:00:00Z","n":2,"m":4}',
        ]
    "#;
    fs::write(&path, cases).unwrap();
    let file = CaseFile::read(&path, false).unwrap_or_else(|report| panic!("{report}"));
    let tried = file.cases[0].run(&loaded.settings).unwrap_or_else(|it| panic!("{it:?}"));
    assert!(tried.is_passed(), "{tried:?}");

    let on_demand = "[tables.users]\nredis = \"redis://localhost\"\nload = \"on-demand\"\n";
    let tier = step("tier = { table = \"users\", key = \"event.key\", into = \"t\" }");
    let told = problems(&(on_demand.to_owned() + &window + &tier));
    assert!(told.contains("steps[2]") && told.contains("cannot wait for \"users\""), "{told}");
}

#[test]
fn problems_are_told_at_their_places_with_a_way_out() {
    let told = |steps: &str| problems(steps);
    let has = |steps: &str, parts: &[&str]| {
        let told = told(steps);
        parts.iter().for_each(|part| assert!(told.contains(part), "{part:?} not in:\n{told}"));
    };
    let geo = |keys: &str| step(&format!("geo = {{ {keys} }}"));
    has(
        &geo("lat = \"event.lat\", lno = \"event.lon\", into = \"cell\""),
        &["steps[0].geo.lno: there is no such key", "did you mean \"lon\"?"],
    );
    has(
        &geo("lat = \"event.lat\", into = \"cell\", cells = 1"),
        &[
            "5:1: error: steps[0].geo.lon: this is missing",
            "lon = \"event.key\"",
            "geo takes lat, lon, into, degrees",
        ],
    );
    has(
        &geo("lat = 48, lon = \"event.lon +\", into = \"a..b\", degrees = \"one\""),
        &[
            "steps[0].geo.lat: expected an expression in quotes, found 48",
            "steps[0].geo.lon: \"event.lon +\", character",
            "steps[0].geo.into: \"a..b\" is no path",
            "steps[0].geo.degrees: expected a number, found \"one\"",
        ],
    );
    has(
        &geo("lat = \"event.lat\", lon = \"evnt.lon\", into = \"cell\", degrees = 0"),
        &[
            "steps[0].geo.lon: \"evnt.lon\", character 1",
            "steps[0].geo.degrees: 0 is no size of a square",
        ],
    );
    has(&step("geo = \"event.lat\""), &["steps[0].geo: expected a table, found text"]);
    has(&step("goe = { lat = \"1\" }"), &["there is no such key", "did you mean \"geo\"?"]);
    has(&step("geo = {}\nfilter = \"true\""), &["exactly one operator; this has geo and filter"]);
    has(
        &(USERS.to_owned() + &step("tier = { table = \"usrs\", key = \"1\", into = \"t\" }")),
        &["steps[0].tier.table: there is no table named \"usrs\"", "did you mean \"users\"?"],
    );
    has(
        &step("verdict = { of = \"event.a\", word = \"\", strict = 1 }"),
        &["steps[0].verdict.strict: expected true or false, found 1"],
    );
    has(
        &step("verdict = { of = \"event.a\", word = \"\" }"),
        &["steps[0].verdict: no word ends a record"],
    );
    // What it writes has no fields that could be known, and what it reads stands before it.
    let after = GEO.to_owned() + &step("text.a = \"{event.cell.x}\"");
    assert!(load(&after).is_ok());
}

#[test]
fn pictures_schemas_and_explanations_know_it() {
    let tier = "tier = { table = \"users\", key = \"event.k\", into = \"v\" }";
    let steps = USERS.to_owned() + &step(tier) + GEO;
    let loaded = load(&steps).unwrap();
    assert!(loaded.warnings.is_empty(), "the table is looked up: {}", loaded.warnings);
    let [first, second] = &loaded.outline()[..] else { panic!("two steps") };
    assert_eq!((first.operator.as_str(), &first.tables[..]), ("tier", &["users".to_owned()][..]));
    assert_eq!((second.operator.as_str(), second.lines.len()), ("geo", 4));

    let schema = schema::config_with(&rig::operators());
    let step = &schema["properties"]["steps"]["items"];
    assert_eq!(step["properties"]["geo"]["required"], serde_json::json!(["lat", "lon", "into"]));
    assert_eq!(step["properties"]["geo"]["properties"]["degrees"]["default"], 1.0);
    let named =
        |name: &str| step["oneOf"].as_array().unwrap().iter().any(|it| it["required"][0] == name);
    assert!(named("geo") && named("lookup") && !named("gone"));

    let options = TrialOptions { explain: true, ..TrialOptions::default() };
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let input = &br#"{"k":"a","lat":91,"at":{"lon":1}}"#[..];
    trial::run(&loaded.settings, input, &mut output, &mut notes, &options).unwrap();
    let notes = String::from_utf8(notes).unwrap();
    assert!(notes.contains("users"), "a table that was not given is told: {notes}");
    let answer: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let seen = serde_json::json!([
        {
            "step": "1", "operator": "tier", "did": "ran", "read": { "event.k": "a" },
            "lookups": [{ "table": "users", "key": "t:a", "found": "miss" }],
            "wrote": { "v": "none" },
        },
        {
            "step": "where", "operator": "geo", "did": "rejected",
            "read": { "event.lat": "91", "event.at.lon": "1" },
        },
    ]);
    assert_eq!(answer["steps"], seen, "{answer:#}");
}

#[test]
fn what_reads_a_configuration_otherwise_knows_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let sources = rig::sources(GEO, folder.path());
    config::load_tuning(&sources).unwrap_or_else(|report| panic!("{report}"));
    let reread = config::load(&sources).unwrap().reread();
    let settings = reread.settings().unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(settings.steps[0].operator.name(), "geo");
    let without = Sources { operators: OwnOperators::default(), ..sources };
    let report = config::load(&without).unwrap_err().to_string();
    assert!(report.contains("steps[0].geo: there is no such key"), "{report}");
}

#[test]
fn it_allocates_nothing_that_the_operator_does_not() {
    let steps = USERS.to_owned()
        + &step("tier = { table = \"users\", key = \"event.k\", into = \"v\", into_age = \"ms\" }")
        + GEO
        + &step("show = { of = \"event.at\", into = \"w\" }");
    let mut rig = Rig::new(&steps);
    rig.table.says = text("gold");
    let value = r#"{"k":"a","lat":48.2,"at":{"lon":-16.4}}"#;
    (0..100).for_each(|_| assert_eq!(rig.process(value), Verdict::Emit));
    let before = allocations::calls();
    (0..100).for_each(|_| assert_eq!(rig.process(value), Verdict::Emit));
    assert_eq!(allocations::calls() - before, 0);
}

struct Nothing;

impl Operator for Nothing {
    fn apply(&mut self, _: &mut Call<'_>) -> Answer {
        Ok(())
    }
}

#[test]
#[should_panic(expected = "\"lookup\" is a key of every step or one of Hotspur's own operators")]
fn a_built_in_operator_is_not_replaced() {
    Registry::new().register("lookup", |_| |_| Ok(Nothing));
}

#[test]
#[should_panic(expected = "there are two operators \"nothing\"")]
fn a_name_is_registered_once() {
    let mut steps = Registry::new();
    steps.register("nothing", |_| |_| Ok(Nothing));
    steps.register("nothing", |_| |_| Ok(Nothing));
}

#[test]
fn the_readme_shows_the_example_of_the_crate() {
    let documentation = include_str!("../src/lib.rs");
    let start = documentation.find("//! use hotspur::operator").expect("the example");
    let shown = documentation[start..].lines().take_while(|line| *line != "//! # }");
    let shown = shown.filter(|line| !line.starts_with("//! #"));
    let lines: Vec<_> =
        shown.map(|line| line.trim_start_matches("//!").trim_start_matches(' ')).collect();
    assert!(lines.len() <= 30, "{} lines", lines.len());
    let readme = fs::read_to_string("README.md").expect("README.md");
    let readme: Vec<_> = readme.lines().map(str::trim_start).collect();
    let is_there = readme.windows(lines.len()).any(|window| window == lines);
    assert!(is_there, "README.md does not show:\n{}", lines.join("\n"));
}

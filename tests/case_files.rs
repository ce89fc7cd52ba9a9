//! `test` from the command line: statuses, lines, differences, files that are written.

#[path = "support/command_line.rs"]
mod command_line;

use std::{fs, process::Command};

use command_line::Folder;

const ORDERS: &str = include_str!("../tuning/pipelines/orders.toml");

/// The first case passes, the second fails; the comments are there to stay.
const CASES: &str = r#"# Orders.
[tables.users]
user1 = "gold" # their tier

[[cases]]
name = "known"
input = '{"key":"user1","value":7}' # in
output = 'processed_user1_7_gold'

[[cases]]
name = "changed"
input = '{"key":"user1","value":8}'
# what comes out
output = { value = 'processed_user1_8_tin', topic = "processed" } # out
"#;

fn orders(cases: &str) -> Folder {
    Folder::empty().with("hotspur.toml", ORDERS).with("hotspur.cases.toml", cases)
}

fn one_case(lines: &str) -> String {
    format!("[[cases]]\n{lines}\n")
}

#[test]
fn cases_that_pass_are_a_line_each_and_status_0() {
    let known = CASES.split("[[cases]]\nname = \"changed\"").next().unwrap_or_default();
    let answer = orders(known).run(&["test"]).is(0, &[]);
    assert_eq!(answer.output, "ok      hotspur.cases.toml:5: known\n\n1 passed, 0 failed\n");
    assert_eq!(answer.errors, "");
}

#[test]
fn a_case_that_fails_shows_what_differs_and_is_status_1() {
    let answer = orders(CASES).run(&["test"]).is(1, &[]);
    let expected = "\
ok      hotspur.cases.toml:5: known
FAILED  hotspur.cases.toml:10: changed
        result 1, value (- expected, + came out)
        - processed_user1_8_tin
        + processed_user1_8_gold

1 passed, 1 failed
";
    assert_eq!(answer.output, expected);
}

#[test]
fn json_is_shown_line_by_line_and_endings_with_their_reasons() {
    let cases = "[[cases]]\ninput = ['{\"key\":\"a\",\"value\":1}', 'nonsense']\n\
                 outcomes = ['emitted', 'emitted']\n\
                 output = [{ json = '{\"a\":[1,2],\"b\":1}' }]\n";
    let config = ORDERS.replace("event.result", "event").replace("\"skip\"", "\"null\"");
    let folder = Folder::empty().with("a.toml", &config).with("a.cases.toml", cases);
    let answer = folder.run(&["test", "a.cases.toml"]).is(1, &[]);
    for part in [
        "outcomes (- expected, + came out)",
        "          emitted\n        - emitted\n        + rejected:not_json\n",
        "        -   \"a\": [\n        -     1,\n",
        "        +   \"cached\": null,\n",
        "record 2: rejected:not_json at step parse: ",
    ] {
        assert!(answer.output.contains(part), "no {part:?} in\n{}", answer.output);
    }
}

#[test]
fn blessed_cases_hold_what_came_out_and_keep_their_comments() {
    let folder = orders(CASES);
    folder.run(&["test", "--bless"]).is(0, &["blessed hotspur.cases.toml:10: changed"]);
    let blessed = fs::read_to_string(folder.0.path().join("hotspur.cases.toml")).expect("a file");
    let value = "value = 'processed_user1_8_tin'";
    assert_eq!(blessed, CASES.replace(value, "value = \"processed_user1_8_gold\""));
    folder.run(&["test"]).is(0, &["2 passed, 0 failed"]);
    folder.run(&["test", "--bless"]).is(0, &["2 passed, 0 failed\n"]);
    let again = fs::read_to_string(folder.0.path().join("hotspur.cases.toml")).expect("a file");
    assert_eq!(again, blessed);
}

#[test]
fn a_case_that_says_nothing_is_wrong_until_it_is_blessed() {
    let folder = orders(&one_case("input = 'nonsense'"));
    folder.run(&["test"]).is(2, &["hotspur.cases.toml:1:", "says nothing of what must", "--bless"]);
    folder.run(&["test", "--bless"]).is(0, &["blessed hotspur.cases.toml:1: case 1"]);
    let text = fs::read_to_string(folder.0.path().join("hotspur.cases.toml")).expect("a file");
    assert_eq!(text, "[[cases]]\ninput = 'nonsense'\nrejected = \"not_json\"\n");
    folder.run(&["test"]).is(0, &["1 passed"]);
}

#[test]
fn junit_is_xml_with_a_suite_a_file_and_a_failure_a_case() {
    let folder = orders(CASES);
    fs::create_dir(folder.0.path().join("tests")).expect("a folder");
    let odd = one_case("name = 'a <\"name\"> & more'\ninput = 'x'\nrejected = 'not_json'");
    fs::write(folder.0.path().join("tests/odd.cases.toml"), odd).expect("a file");
    folder.run(&["test", "--junit", "results.xml"]).is(1, &["2 passed, 1 failed"]);
    let text = fs::read_to_string(folder.0.path().join("results.xml")).expect("a file");
    let document = roxmltree::Document::parse(&text).expect("XML");
    let root = document.root_element();
    let counts = ["tests", "failures"].map(|name| root.attribute(name));
    assert_eq!((root.tag_name().name(), counts), ("testsuites", [Some("3"), Some("1")]));
    let suites: Vec<_> = root.children().filter(roxmltree::Node::is_element).collect();
    let names: Vec<_> = suites.iter().map(|suite| suite.attribute("name").unwrap_or("")).collect();
    assert_eq!(names, ["hotspur.cases.toml", "tests/odd.cases.toml"]);
    let cases: Vec<_> = document.descendants().filter(|it| it.has_tag_name("testcase")).collect();
    let names: Vec<_> = cases.iter().map(|case| case.attribute("name").unwrap_or("")).collect();
    assert_eq!(names, ["known", "changed", "a <\"name\"> & more"]);
    assert_eq!(cases[1].attribute("line"), Some("10"));
    let failure = cases[1].children().find(|it| it.has_tag_name("failure")).expect("a failure");
    assert!(failure.attribute("message").unwrap_or("").contains("result 1, value"));
    assert!(failure.text().unwrap_or("").contains("+ processed_user1_8_gold"));
    let nowhere = folder.run(&["test", "--junit", "nowhere/results.xml"]);
    nowhere.is(3, &["failed to write JUnit XML: nowhere/results.xml: "]);
}

#[test]
fn all_that_is_wrong_with_all_files_is_told_at_once_and_no_case_runs() {
    let folder =
        orders("[[cases]]\nname = 'n'\ninptu = 'x'\noutput = 'x'\n[tables.user]\na = 'b'\n")
            .with(
                "more.cases.toml",
                "[[cases]]\ninput = 'x'\noutput = 'x'\nrejected = 'not_josn'\n",
            )
            .with("toml.cases.toml", "[[cases\n")
            .with(
                "table.cases.toml",
                "[tables.user]\na = 'b'\n[[cases]]\ninput = ''\nheld = true\n",
            );
    let files = ["hotspur", "more", "toml", "table", "gone"].map(|it| format!("{it}.cases.toml"));
    let words: Vec<&str> = ["test"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let answer = folder.run(&words).is(
        2,
        &[
            "hotspur.cases.toml:3:1: error: cases[0].inptu: a case has no key \"inptu\"",
            "did you mean \"input\"?",
            "hotspur.cases.toml:1:1: error: cases[0]: has no input",
            "more.cases.toml:4:12: error: cases[0].rejected: \"not_josn\" is no class",
            "did you mean \"not_json\"?",
            "more.cases.toml:3:10: error: cases[0].output: nothing comes out of a record",
            "toml.cases.toml:1:8: error: this is no TOML",
            "table.cases.toml:1:9: error: tables.user: there is no table named \"user\"; \
             known are: users; did you mean \"users\"?",
            "gone.cases.toml: error: cannot be read",
        ],
    );
    assert_eq!(answer.output, "");
}

#[test]
fn no_case_is_status_2_with_the_places_that_were_looked_at() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    let places = "no case found in hotspur.cases.toml, tests/**/*.cases.toml";
    folder.run(&["test"]).is(2, &[places, "`hotspur schema cases`"]);
    let folder = folder.with("hotspur.cases.toml", "[tables.users]\na = 'b'\n");
    folder.run(&["test"]).is(2, &["no case found in hotspur.cases.toml"]);
    fs::create_dir(folder.0.path().join("none")).expect("a folder");
    folder.run(&["test", "none"]).is(2, &["no case found in none"]);
    Folder::empty().run(&["test"]).is(2, &["hotspur init orders > hotspur.toml"]);
}

#[test]
fn files_are_found_beside_the_configuration_and_below_tests() {
    let case =
        |name: &str| one_case(&format!("name = '{name}'\ninput = ''\nrejected = 'not_json'"));
    let folder = Folder::empty();
    let path = |name: &str| folder.0.path().join(name);
    fs::create_dir_all(path("conf/tests/deep")).expect("a folder");
    for (name, text) in [
        ("conf/o.toml", ORDERS.to_owned()),
        ("conf/o.cases.toml", case("own")),
        ("conf/other.cases.toml", case("not asked for")),
        ("conf/tests/deep/a.cases.toml", case("deep")),
        ("conf/tests/b.cases.toml", case("below")),
        ("conf/tests/b.toml.txt", case("no case")),
    ] {
        fs::write(path(name), text).expect("a file");
    }
    let answer = folder.run(&["-c", "conf/o.toml", "test"]).is(0, &["3 passed"]);
    for place in
        ["o.cases.toml:1: own", "tests/b.cases.toml:1: below", "tests/deep/a.cases.toml:1:"]
    {
        assert!(answer.output.contains(&format!("ok      conf/{place}")), "{}", answer.output);
    }
}

#[test]
fn the_configuration_is_the_named_one_else_that_of_c_else_the_one_of_the_same_name() {
    let to = |topic: &str| ORDERS.replace("topic = \"processed\"", &format!("topic = \"{topic}\""));
    let case = |topic: &str, more: &str| {
        format!(
            "{more}\n[tables.users]\na = 't'\n[[cases]]\ninput = '{{\"key\":\"a\",\"value\":1}}'\n\
             output = {{ topic = '{topic}' }}\n"
        )
    };
    let folder = Folder::empty()
        .with("hotspur.toml", &to("here"))
        .with("given.toml", &to("given"))
        .with("same.toml", &to("same"))
        .with("same.cases.toml", &case("same", ""))
        .with("else.cases.toml", &case("here", ""))
        .with("named.cases.toml", &case("given", "configuration = 'given.toml'"));
    let files = ["same.cases.toml", "else.cases.toml", "named.cases.toml"];
    folder.run(&[&["test"], &files[..]].concat()).is(0, &["3 passed"]);
    let given = folder.run(&[&["-c", "given.toml", "test"], &files[..]].concat());
    given.is(1, &["1 passed, 2 failed", "result 1, topic", "+ given"]);
    folder.run(&["test", "-s", "sink.kafka.topic=set", "same.cases.toml"]).is(1, &["+ set"]);
    let wrong = folder.with("hotspur.toml", "hotspur = 1\nnmae = 'x'\n");
    wrong.run(&["test", "else.cases.toml"]).is(2, &["hotspur.toml:2:", "nmae"]);
}

#[test]
fn each_case_has_tables_and_records_of_its_own() {
    let cases = r#"
[tables.users]
a = "file's"
[[cases]]
input = '{"key":"a","value":1}'
tables.users = { a = "own" }
output = "processed_a_1_own"
[[cases]]
input = ['{"key":"a","value":1}', '{"key":"b","value":1}']
output = "processed_a_1_file's"
outcomes = ["emitted", "skipped:table_miss"]
"#;
    orders(cases).run(&["test"]).is(0, &["2 passed"]);
}

/// On a terminal, which `script` is one, the words have colours, unless nobody wants any.
#[test]
fn colours_are_for_terminals_whose_user_wants_them() {
    let folder = orders(CASES);
    let on_terminal = |no_colour: Option<&str>| {
        let mut command = Command::new("script");
        command.args(["-qec", concat!(env!("CARGO_BIN_EXE_hotspur"), " test"), "/dev/null"]);
        command.env_remove("NO_COLOR").env("TERM", "xterm").current_dir(folder.0.path());
        no_colour.into_iter().for_each(|value| _ = command.env("NO_COLOR", value));
        let output = command.output().expect("`script` of bsdutils");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains("1 passed") && output.status.code() == Some(1), "{text}");
        text
    };
    let text = on_terminal(None);
    assert!(text.contains("\x1b[31mFAILED") && text.contains("\x1b[32m+ "), "{text:?}");
    assert!(!on_terminal(Some("1")).contains('\x1b'));
    assert!(!folder.run(&["test"]).is(1, &[]).output.contains('\x1b'));
}

#[test]
fn records_are_explained_step_by_step() {
    let folder = Folder::empty()
        .with("hotspur.toml", ORDERS)
        .with("users.jsonl", "{\"key\":\"a\",\"value\":\"gold\"}\n");
    let input = "{\"key\":\"a\",\"value\":7}\n{\"key\":\"b\",\"value\":7}\nnonsense\n";
    let words = ["try", "--explain", "--table", "users=users.jsonl"];
    let answer = folder.run_on(&words, input).is(0, &[]);
    let lines: Vec<serde_json::Value> =
        answer.output.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    let did = |line: usize| {
        let steps = lines[line]["steps"].as_array().expect("steps");
        let one = |it: &serde_json::Value| format!("{} {}", it["operator"], it["did"]);
        steps.iter().map(one).collect::<Vec<_>>().join(", ").replace('"', "")
    };
    assert_eq!(did(0), "lookup ran, text ran");
    assert_eq!(did(1), "lookup skipped, text not_reached");
    assert_eq!(did(2), "lookup not_reached, text not_reached");
    let step = &lines[0]["steps"][1];
    let read = serde_json::json!({"event.key": "a", "event.value": "7", "event.cached": "gold"});
    assert_eq!((&step["read"], &step["wrote"]["result"]), (&read, &"processed_a_7_gold".into()));
}

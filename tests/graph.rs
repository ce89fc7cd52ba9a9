//! `graph` from the command line: Mermaid as it is kept, SVG that an XML parser reads.

#[path = "support/command_line.rs"]
mod command_line;

use command_line::Folder;

const ORDERS: &str = include_str!("../tuning/pipelines/orders.toml");

const NAMED: &str = r#"
hotspur = 1
name = "shop"
[source.kafka]
topics = ["orders", "returns"]
[sink.kafka]
topic = "processed"
[tables.users]
redis = "redis://:secret@localhost:6379/0"
[tables.countries]
file = "countries.jsonl"
[[steps]]
name = "find user"
lookup = { table = "users", key = "event.key", into = "user", on_miss = "null" }
[[steps]]
name = "find country"
lookup = { table = "countries", key = "event.user", into = "country", into_age = "age" }
[[steps]]
hash = { algorithm = "md5", of = "record.value", into = "hash" }
[[steps]]
name = "say <it> & \"quote\""
text.'["odd name"]' = "{event.country} < 'x' && {event.hash}"
"#;

const SENSORS: &str = include_str!("../tuning/pipelines/sensors.toml");

#[test]
fn mermaid_is_as_it_is_kept() {
    for (pipeline, kept) in [
        (ORDERS, include_str!("golden/orders.mermaid")),
        (SENSORS, include_str!("golden/sensors.mermaid")),
    ] {
        let folder = Folder::empty().with("hotspur.toml", pipeline);
        let answer = folder.run(&["graph", "--format", "mermaid"]).is(0, &[]);
        assert_eq!(answer.output, kept);
        assert_eq!(answer.errors, "");
    }
}

#[test]
fn svg_is_the_default_and_xml_in_which_each_step_is_named() {
    let folder = Folder::empty().with("hotspur.toml", NAMED);
    let answer = folder.run(&["graph"]).is(0, &[]);
    assert_eq!(folder.run(&["graph", "--format", "svg"]).output, answer.output);
    let document = roxmltree::Document::parse(&answer.output).expect("XML");
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let texts: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")))
        .filter_map(|node| node.text())
        .collect();
    for text in [
        "shop",
        "orders",
        "returns",
        "1 find user: lookup",
        "user = users[event.key], else null",
        "2 find country: lookup",
        "age = age of countries",
        "3 hash",
        "hash = md5(record.value)",
        "4 say <it> & \"quote\": text",
        "\"[\\\"odd name\\\"]\" = {event.country} < 'x' && {event.hash}",
        "table users",
        "table countries",
        "dead letters",
        "orders.dead",
        "processed",
    ] {
        assert!(texts.contains(&text), "no {text:?} in {texts:#?}");
    }
    assert!(!answer.output.contains("secret"), "{}", answer.output);
    // The name of SVG's own namespace is the only address in it.
    assert_eq!(answer.output.matches("http").count(), 1, "{}", answer.output);
}

#[test]
fn another_format_or_a_wrong_configuration_is_refused() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    folder.run(&["graph", "--format", "png"]).is(2, &["png", "svg", "mermaid"]);
    let folder = folder.with("hotspur.toml", &ORDERS.replace("table = \"users\"", "table = \"u\""));
    folder.run(&["graph"]).is(2, &["there is no table named \"u\""]);
}

#[test]
fn help_completions_and_the_manual_name_the_commands_as_they_are_built() {
    let folder = Folder::empty();
    let help = folder.run(&["--help"]).is(0, &["Runs pipeline cases", "A picture of the pipeline"]);
    let planned: Vec<&str> =
        help.output.lines().filter(|line| line.contains("not built yet")).collect();
    assert!(planned.iter().all(|line| line.trim_start().starts_with("tap")), "{planned:?}");
    folder.run(&["test", "--help"]).is(0, &["--bless", "--junit <FILE>", "tests/**/*.cases.toml"]);
    folder.run(&["graph", "--help"]).is(0, &["--format <FORMAT>", "svg", "mermaid"]);
    folder.run(&["completions", "bash"]).is(0, &["--bless", "--junit", "svg mermaid"]);
    folder.run(&["man"]).is(0, &["\\-\\-bless", "\\-\\-junit", "hotspur\\-graph"]);
}

//! The command line as a new user meets it: no server, an empty folder, statuses and sentences.

#[path = "support/command_line.rs"]
mod command_line;

use std::net::TcpListener;

use command_line::Folder;

const ORDERS: &str = include_str!("../tuning/pipelines/orders.toml");

fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn every_command_that_is_planned_says_that_it_is_not_built() {
    let folder = Folder::empty();
    folder.run(&["tap", "--some", "thing"]).is(2, &["`hotspur tap` is not built yet"]);
}

#[test]
fn a_measurement_that_cannot_be_is_refused_before_anything_is_reached() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    let measure = |more: &[&str]| {
        let words = ["measure", "--for", "1s"];
        folder.run(&[&words[..], more].concat())
    };
    let one = ["--rate", "1k", "--require"];
    let with = |requirement| measure(&[&one[..], &[requirement]].concat());
    with("prase.p99 < 1ms").is(2, &["\"prase.p99 < 1ms\", at character 1", "mean \"parse\"?"]);
    with("parse.p99 < 1").is(2, &["at character 13", "a number without a unit"]);
    with("loss = 1").is(2, &["only 0 can be required", "write \"loss = 0\""]);
    with("rate > 5").is(2, &["takes >=, not >"]);
    let elsewhere = ["--external", "--rate", "1k", "--require", "transit.p99 < 1ms"];
    measure(&elsewhere).is(2, &["\"transit.p99 < 1ms\" cannot be told"]);
    measure(&["--rate", "5k..1k"]).is(2, &["a ramp rises"]);
    measure(&["--rate", "1k", "--levels", "3"]).is(2, &["--levels is of a ramp"]);
    measure(&["--rate", "1k..2k", "--levels", "1"]).is(2, &["--levels"]);
    measure(&["--rate", "1G"]).is(2, &["a rate is records per second"]);
    measure(&["--rate", "2000M"]).is(2, &["too many to be told apart"]);
    measure(&["--rate", "1k", "--payload", "wether"]).is(2, &["choose names, orders, weather"]);
    folder.run(&["measure", "--rate", "1k"]).is(2, &["--for"]);
    folder.run(&["schema", "measure"]).is(0, &["\"received\"", "\"achieved\""]);
    folder.run(&["schema", "slow"]).is(0, &["\"verdict\"", "preempted", "\"left_out\""]);
    folder.run(&["schema", "try"]).is(0, &["\"passed_over\"", "table_miss", "\"value_base64\""]);
    folder.run(&["measure", "--help"]).is(0, &["The knee of a ramp", "95 % of it"]);
}

#[test]
fn a_run_from_or_until_what_is_no_point_is_refused_with_its_name() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    let run = |more: &[&str]| folder.run(&[&["run", "--group", "rerun"], more].concat());
    run(&["--from", "yesterday"]).is(2, &["--from", "\"yesterday\"", "topic:partition:offset"]);
    run(&["--until", "orders:0"]).is(2, &["--until", "\"orders:0\""]);
    run(&["--until", "other:0:5"]).is(2, &["--until", "\"other\" is not read"]);
    run(&["--until", "2999-01-01T00:00:00Z"]).is(2, &["2999-01-01T00:00:00Z lies ahead"]);
    let both = ["--from", "orders:0:1", "--from", "latest"];
    run(&both).is(2, &["\"latest\" is of every partition"]);
    folder.run(&["run", "--until", "latest"]).is(2, &["a group of its own", "-rerun"]);
}

#[test]
fn what_a_command_does_not_use_is_refused() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    for command in [&["init"][..], &["schema"], &["profiles"], &["completions", "bash"], &["man"]] {
        folder.run(command).is(0, &[]);
        for option in [["-c", "hotspur.toml"], ["-p", "laptop"], ["-s", "name=x"]] {
            let words = [&option[..], command].concat();
            folder.run(&words).is(2, &["reads no configuration"]);
        }
    }
    folder.run(&["-c", "hotspur.toml", "demo"]).is(2, &["a configuration of its own"]);
    folder.run(&["load", "--count", "1", "--for", "1s"]).is(2, &["--for", "--count"]);
}

#[test]
fn wrong_arguments_are_named_for_what_they_are() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    folder.run(&["rum"]).is(2, &["run"]);
    folder.run(&["load", "--count", "1.5"]).is(2, &["a number of records is whole"]);
    folder.run(&["load", "--rate", "x", "--for", "1s"]).is(2, &["a rate is records per second"]);
    folder.run(&["load", "--count", "1", "--zipf", "-1"]).is(2, &["a skew is a number"]);
    folder.run(&["load", "--count", "1", "--payload", "@none"]).is(2, &["none: cannot be read"]);
    folder.run(&["init", "order"]).is(2, &["orders-spliced"]);
    folder.run(&["profiles", "lowlatency"]).is(2, &["low-latency"]);
    folder.run(&["dead", "--class", "not_jsn"]).is(2, &["did you mean \"not_json\"?"]);
    folder.run(&["replay", "--since", "yesterday"]).is(2, &["RFC 3339", "an age, such as 2h"]);
    folder.run(&["replay", "--rate", "0"]).is(2, &["a rate is records per second"]);
    folder.run(&["try", "."]).is(2, &[".: cannot be read: it is a folder"]);
    folder.run(&["try", "none"]).is(2, &["none: cannot be read"]);
}

#[test]
fn without_a_configuration_the_way_out_is_said() {
    let folder = Folder::empty();
    let load = ["load", "--count", "1"];
    for command in [&["run"][..], &["check"], &["try"], &load, &["dead"], &["replay"]] {
        folder.run(command).is(2, &["`hotspur init orders > hotspur.toml`, or `hotspur demo`"]);
    }
    folder.run(&["-c", "none.toml", "run"]).is(2, &["none.toml", "No such file"]);
}

#[test]
fn check_names_the_file_and_counts_all_problems() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS).with("broken.toml", "[tables.users");
    folder.run(&["check"]).is(0, &["hotspur.toml: no problems"]);
    folder.run(&["-c", "broken.toml", "check"]).is(2, &["broken.toml: 1 error, 0 warnings"]);
    let answer = folder.run(&["-c", "broken.toml", "check", "--json"]).is(2, &[]);
    let json: serde_json::Value = serde_json::from_str(&answer.output).expect("JSON");
    assert_eq!((&json["file"], &json["errors"]), (&"broken.toml".into(), &1.into()));
}

#[test]
fn check_tells_of_an_absent_broker_once_and_does_not_wait_for_long() {
    let (kafka, redis) = (nobody(), nobody());
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    let sets = [
        format!("kafka.brokers={kafka}"),
        format!("tables.users.redis=redis://{redis}/0"),
        "engine.start_timeout=1s".to_owned(),
        // Far more than the test's patience: a table that does not begin is not waited for.
        "tables.users.load_timeout=10h".to_owned(),
    ];
    let sets = sets.iter().flat_map(|it| ["-s", it.as_str()]);
    let words: Vec<&str> = sets.chain(["check", "--connect", "--json"]).collect();
    let answer = folder.run(&words).is(3, &[]);
    let json: serde_json::Value = serde_json::from_str(&answer.output).expect("JSON");
    assert_eq!((&json["errors"], &json["warnings"]), (&2.into(), &0.into()), "{json:#}");
    let problems = json["connection"]["problems"].as_array().expect("problems");
    let keys: Vec<_> = problems.iter().map(|it| &it["key"]).collect();
    assert_eq!(keys, ["kafka.brokers", "tables.users.redis"]);
}

#[test]
fn the_group_of_a_run_can_be_chosen() {
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    let brokers = format!("kafka.brokers={}", nobody());
    let words = ["-s", &brokers, "-s", "engine.start_timeout=1s", "-s", "log.format=text"];
    let words = [&words[..], &["run", "--group", "another"]].concat();
    folder.run(&words).is(3, &["group=another"]);
}

#[test]
fn the_manual_holds_the_pages_that_it_names() {
    let page = Folder::empty().run(&["man"]).is(0, &[]).output;
    for command in
        ["run", "demo", "init", "check", "schema", "try", "load", "profiles", "dead", "replay"]
    {
        assert!(page.contains(&format!(".TH hotspur-{command} 1")), "{command}");
        assert!(page.contains(&format!("hotspur\\-{command}(1)")), "{command}");
    }
    assert!(page.contains("\\-\\-deny\\-warnings"), "options of commands");
}

#[test]
fn shells_and_help_know_the_commands() {
    let folder = Folder::empty();
    for words in [&["completions", "bash"][..], &["completions", "zsh"], &["--help"], &["help"]] {
        folder.run(words).is(0, &["completions", "check", "demo"]);
    }
    folder.run(&[]).is(2, &["hotspur init orders > hotspur.toml"]);
}

const WITH_TABLES: &str = "name = \"tables\"\n[source.kafka]\ntopics = [\"a\"]\n[sink.kafka]\n\
    topic = \"b\"\n[tables.users]\nfile = \"users.csv\"\n[tables.empty]\nfile = \"empty.jsonl\"\n\
    [[steps]]\nlookup = { table = \"users\", key = \"event.key\", into = \"user\" }\n";

#[test]
fn a_table_is_shown_and_so_is_one_of_its_values() {
    let folder = Folder::empty()
        .with("hotspur.toml", WITH_TABLES)
        .with("users.csv", "key,tier,country\nuser1,gold,AT\nuser2,silver,BE\n")
        .with("empty.jsonl", "");
    folder.run(&["table", "users"]).is(0, &["entries    2", "users.csv", "loaded in ", "age "]);
    folder.run(&["table", "empty"]).is(0, &["entries    0"]);
    let answer = folder.run(&["table", "users", "user1"]).is(0, &["kind       json"]);
    assert!(answer.output.ends_with("\n\n{\"tier\":\"gold\",\"country\":\"AT\"}\n"));
    folder.run(&["table", "users", "user3"]).is(1, &["table users has no key \"user3\""]);
    folder.run(&["table", "user"]).is(2, &["no table named \"user\"; did you mean \"users\"?"]);
    folder.run(&["table", "orders"]).is(2, &["no table named \"orders\"; there is empty, users"]);
    folder.run(&["table"]).is(2, &["<NAME>"]);
}

#[test]
fn a_table_that_cannot_be_loaded_says_why() {
    let folder = Folder::empty().with("hotspur.toml", WITH_TABLES).with("users.csv", "key\n");
    folder.run(&["table", "users"]).is(3, &["users.csv:1: the head must name a column of keys"]);
    folder.run(&["table", "empty"]).is(3, &["empty.jsonl could not be read: No such file"]);
}

#[test]
fn an_address_that_is_taken_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = Folder::empty().with("hotspur.toml", ORDERS);
    let listen = format!("observe.listen={address}");
    let words = [&address, "take another port, 0 for a free one, or \"off\""];
    folder.run(&["-s", &listen, "run"]).is(3, &words);
    folder.run(&["-s", "observe.listen=nowhere", "check"]).is(2, &["observe.listen: expected"]);
}

#[test]
fn nobody_to_pause_is_said_with_the_way_out() {
    let folder = Folder::empty();
    let address = nobody();
    let words = [&address, "nobody answers at", "--address names another place"];
    folder.run(&["pause", "--address", &address]).is(3, &words);
    folder.run(&["pause"]).is(2, &["there is no configuration"]);
    folder.run(&["resume", "--address", "nonsense"]).is(2, &["a host and a port are wanted"]);
    let folder = folder.with("hotspur.toml", ORDERS);
    let listen = format!("observe.listen={address}");
    folder.run(&["-s", &listen, "resume"]).is(3, &words);
    folder.run(&["-s", "observe.listen=off", "pause"]).is(2, &["observe.listen is \"off\""]);
    folder.run(&["-s", "observe.listen=127.0.0.1:0", "pause"]).is(2, &["--address", "free port"]);
}

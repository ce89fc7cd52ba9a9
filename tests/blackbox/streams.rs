//! Streams in and streams out, as any client of Redis sees it.

use std::collections::BTreeSet;

use crate::{
    stream_rig::{Client, DEAD, GROUP, IN, OUT, StreamPipeline, numbers},
    support::{await_true, http::get, names::RUN_STARTED, redis::Redis},
};

#[test]
fn entries_become_objects_and_results_and_are_acknowledged() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .with("[[steps]]\ntext.place = \"{record.topic} {record.partition} {record.id}\"\n")
        .with("[[steps]]\nset.same = \"record.id == record.offset\"\n");
    let ids = [
        client.add(IN, &[("station", b"a"), ("t", b"12.50"), ("t2", b"say \"x\"")]),
        client.add(IN, &[("station", &[0xff, 0]), ("ok", b"true")]),
    ];
    let hotspur = pipeline.run();
    client.await_len(OUT, 2);
    client.await_settled(IN);
    let results = client.entries(OUT);
    let expected = [
        r#"{"station":"a","t":"12.50","t2":"say \"x\"","place":"in 0 ID","same":true}"#,
        r#"{"station_base64":"/wA=","ok":"true","place":"in 0 ID","same":true}"#,
    ];
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result.text("payload"), expected[index].replace("ID", &ids[index]));
        assert_eq!(result.fields.len(), 1, "no key, and no headers: {result:?}");
    }
    let counts = hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted), (2, 2));
    assert!(client.consumers(IN).is_empty(), "it left the group");
}

#[test]
fn kinds_can_be_inferred() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.infer", "true")
        .with("[[steps]]\nset.double = \"event.t * 2.0\"\n");
    client.add(IN, &[("t", b"12.50"), ("ok", b"true"), ("name", b"1a")]);
    let hotspur = pipeline.run();
    client.await_len(OUT, 1);
    let expected = r#"{"t":12.50,"ok":true,"name":"1a","double":25.0}"#;
    assert_eq!(client.entries(OUT)[0].text("payload"), expected);
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn one_field_can_hold_the_record_and_what_cannot_be_processed_is_dead_lettered() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis).set("source.redis.field", "body");
    client.add(IN, &[("key", b"k"), ("body", b"{\"a\":1}"), ("trace", b"7")]);
    let bad = client.add(IN, &[("body", b"nonsense"), ("key", b"\xff"), ("trace", b"8")]);
    let without = client.add(IN, &[("other", b"1")]);
    let hotspur = pipeline.run();
    client.await_len(DEAD, 2);
    client.await_settled(IN);
    let results = client.entries(OUT);
    let [result] = &results[..] else { panic!("{results:?} {:?}", client.entries(DEAD)) };
    let field = |name| result.text(name);
    assert_eq!((field("key"), field("payload")), ("k".to_owned(), "{\"a\":1}".to_owned()));
    assert_eq!(field("trace"), "7", "the other fields are headers, which travel on");
    let letters = client.entries(DEAD);
    for (letter, id) in letters.iter().zip([bad, without]) {
        let of = |name| letter.text(&format!("hotspur.{name}"));
        assert_eq!((of("class"), of("step")), ("not_json".to_owned(), "parse".to_owned()));
        assert_eq!(
            (of("topic"), of("offset"), of("partition")),
            (IN.into(), id.clone(), "0".into())
        );
        assert_eq!(of("timestamp"), id.split('-').next().unwrap());
        assert_eq!(of("pipeline"), "streams");
    }
    assert_eq!(letters[0].text("payload"), "nonsense");
    assert_eq!(
        (&letters[0].fields["key"][..], letters[0].text("trace")),
        (&b"\xff"[..], "8".into())
    );
    assert!(!letters[1].fields.contains_key("payload"));
    let counts = hotspur.stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (1, 2));
}

#[test]
fn many_entries_of_several_streams_keep_their_order_and_old_results_are_trimmed() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.streams", "[\"in\", \"in:two\"]")
        .set("source.redis.delete_acked", "true")
        .with("[[steps]]\ntext.from = \"{record.topic}\"\n");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.add_numbers(IN, 0..20_000);
    client.add_numbers("in:two", 20_000..30_000);
    client.await_len(OUT, 30_000);
    for stream in [IN, "in:two"] {
        client.await_settled(stream);
        assert_eq!(client.len(stream), 0, "deleted when acknowledged");
    }
    let all = numbers(&client.entries(OUT));
    let of =
        |from, to| all.iter().copied().filter(|it| (from..to).contains(it)).collect::<Vec<_>>();
    assert_eq!(of(0, 20_000), (0..20_000).collect::<Vec<_>>());
    assert_eq!(of(20_000, 30_000), (20_000..30_000).collect::<Vec<_>>());
    assert_eq!(hotspur.stop().counts().emitted, 30_000);

    let trimmed = StreamPipeline::new(&redis).set("sink.redis.maxlen", "1000");
    let hotspur = trimmed.run();
    hotspur.await_event(RUN_STARTED);
    client.add_numbers(IN, 0..5_000);
    client.await_settled(IN);
    let len = client.len(OUT);
    assert!((1_000..1_500).contains(&len), "{len}");
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn a_group_begins_where_it_is_told() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    for (index, id) in ["1000-0", "2000-0", "2000-1", "3000-0"].iter().enumerate() {
        client.run(&["XADD", IN, id, "n", &index.to_string()]).expect("an entry");
    }
    for (start, expected) in [
        ("\"earliest\"", &[0, 1, 2, 3][..]),
        ("\"2000-1\"", &[2, 3]),
        ("\"1970-01-01T00:00:02Z\"", &[1, 2, 3]),
        ("\"1h\"", &[]),
        ("\"latest\"", &[]),
    ] {
        client.run(&["DEL", OUT]).expect("no results");
        let pipeline = StreamPipeline::new(&redis).set("source.redis.start", start);
        let hotspur = pipeline.run();
        hotspur.await_event(RUN_STARTED);
        client.add(IN, &[("n", b"9")]);
        client.await_settled(IN);
        hotspur.stop().counts().assert_balanced();
        let found = numbers(&client.entries(OUT));
        let expected: Vec<u64> = expected.iter().copied().chain([9]).collect();
        assert_eq!(found, expected, "{start}");
        client.run(&["XGROUP", "DESTROY", IN, GROUP]).expect("a group");
        let last = client.entries(IN).pop().expect("the ninth").id;
        client.run(&["XDEL", IN, &last]).expect("it goes");
    }
}

#[test]
fn metrics_say_how_far_behind_it_is_and_who_has_what() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    client.add_numbers(IN, 0..10);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0"]).expect("a group");
    let read = ["XREADGROUP", "GROUP", GROUP, "other", "COUNT", "4", "STREAMS", IN, ">"];
    client.run(&read).expect("entries");
    let pipeline = StreamPipeline::new(&redis).set("observe.listen", "127.0.0.1:0");
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    client.await_len(OUT, 6);
    let expected = [
        "hotspur_source_lag_records{topic=\"in\",partition=\"0\"} 0\n",
        "hotspur_source_pending_entries{stream=\"in\",consumer=\"other\"} 4\n",
        "hotspur_source_pending_entries{stream=\"in\",consumer=\"0\"} 0\n",
        "hotspur_connected{peer=\"source\"} 1\n",
        "hotspur_polled_records_total 6\n",
    ];
    await_true("the figures", || {
        let (status, text) = get(&address, "/metrics");
        status == 200 && expected.iter().all(|it| text.contains(it))
    });
    // Nobody asks for what the other has, so that it grows old.
    let age = || {
        let (_, text) = get(&address, "/metrics");
        let line = text
            .lines()
            .find_map(|it| it.strip_prefix("hotspur_source_pending_seconds{stream=\"in\"} "));
        line.and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0)
    };
    await_true("an age", || age() > 0.1);
    let before = age();
    await_true("a greater age", || age() > before + 0.5);
    assert!(age() < 60.0, "{}", age());
    assert_eq!(get(&address, "/readyz").0, 200);
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn lag_is_what_was_not_delivered_yet() {
    let (redis, other) = (Redis::start(), Redis::start());
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("sink.redis.url", &other.url())
        .set("limits.in_flight", "256")
        .set("observe.listen", "127.0.0.1:0");
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    client.await_group(IN);
    other.freeze();
    client.add_numbers(IN, 0..10_000);
    let lag = || {
        let (_, text) = get(&address, "/metrics");
        let name = "hotspur_source_lag_records{topic=\"in\",partition=\"0\"} ";
        let line = text.lines().find_map(|it| it.strip_prefix(name));
        line.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
    };
    await_true("most of them to be behind", || (5_000..10_000).contains(&lag()));
    other.thaw();
    client.await_settled(IN);
    await_true("nothing behind", || lag() == 0);
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn exactly_once_over_two_servers_is_refused_by_check() {
    let (redis, other) = (Redis::start(), Redis::start());
    let pipeline = StreamPipeline::new(&redis).set("delivery.guarantee", "exactly-once");
    for (url, status) in [(redis.url(), Some(0)), (other.url(), Some(2))] {
        let check = pipeline.start_with(&["check"], &[&format!("sink.redis.url={url}")]).wait();
        assert_eq!(check.status, status, "{}{}", check.output, check.log);
        let told = format!("{}{}", check.output, check.log);
        let says_why = told.contains("delivery.guarantee") && told.contains("not the same Redis");
        assert_eq!(says_why, status == Some(2), "{told}");
    }
}

#[test]
fn check_says_what_is_there_and_what_a_run_will_make() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    client.add(IN, &[("n", b"1")]);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0"]).expect("a group");
    let pipeline = StreamPipeline::new(&redis);
    let check = pipeline.start_with(&["check", "--connect"], &[]).wait();
    assert_eq!(check.status, Some(0), "{}", check.log);
    for line in [
        "source: stream in found, entries 1",
        "source: group workers of in is 1 entries behind, 0 are pending, consumers 0",
        "sink: stream out is not there, a run will make it",
        "dead_letters: stream in.dead is not there, a run will make it",
    ] {
        assert!(check.output.contains(line), "{line} in:\n{}", check.output);
    }
    client.run(&["SET", OUT, "text"]).expect("a key");
    let check = pipeline.start_with(&["check", "--connect"], &[]).wait();
    assert_eq!(check.status, Some(3), "{}", check.output);
    assert!(check.output.contains("that key holds something else"), "{}", check.output);
    let dead = pipeline.start_with(&["dead"], &[]).wait();
    assert_eq!(dead.status, Some(0), "{}", dead.log);
    assert_eq!(dead.output, format!("there are no dead letters in {DEAD}\n"));
}

#[test]
fn records_name_their_stream_among_those_that_begin_with_a_prefix() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.infer", "true")
        .set("engine.start_timeout", "\"1s\"")
        .with("[[steps]]\nroute = { topic = \"'to:' + event.to\", prefix = \"to:\" }\n");
    redis.set("to:text", "none");
    client.add("tot", &[("n", b"9")]);
    let check = pipeline.start_with(&["check", "--connect"], &[]).wait();
    assert_eq!(check.status, Some(3), "{}", check.output);
    assert!(check.output.contains("no stream begins with \"to:\""), "{}", check.output);
    let ended = pipeline.run().wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("XGROUP CREATE"), "{}", ended.log);

    for stream in ["to:a", "to:b"] {
        client.run(&["XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM"]).expect("a stream");
    }
    let check = pipeline.start_with(&["check", "--connect"], &[]).wait();
    assert!(check.output.contains("sink: streams to:… found, 2"), "{}", check.output);
    for guarantee in ["at-least-once", "exactly-once"] {
        for (number, to) in ["a", "b", "a", "text", "c"].iter().enumerate() {
            client.add(IN, &[("n", number.to_string().as_bytes()), ("to", to.as_bytes())]);
        }
        let guarantee = format!("delivery.guarantee={guarantee}");
        let hotspur = pipeline.start_with(&["run"], &[&guarantee]);
        hotspur.await_event(RUN_STARTED);
        client.await_settled(IN);
        assert_eq!(numbers(&client.entries("to:a")), [0, 2], "{guarantee}");
        assert_eq!(numbers(&client.entries("to:b")), [1], "{guarantee}");
        let letters = client.entries(DEAD);
        let classes: Vec<_> = letters.iter().map(|it| it.text("hotspur.class")).collect();
        assert_eq!(classes, ["no_route", "no_route"], "{guarantee}");
        let counts = hotspur.stop().counts();
        assert_eq!((counts.emitted, counts.rejected), (3, 2));
        ["to:a", "to:b", DEAD].iter().for_each(|it| {
            client.run(&["XTRIM", it, "MAXLEN", "0"]).expect("an empty stream");
        });
    }
}

#[test]
fn observations_of_weather_stations_are_loaded_and_each_has_its_result() {
    const OBSERVATIONS: u64 = 20_000;
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::shipped("weather", &redis).set("engine.idle", "spin");
    let count = OBSERVATIONS.to_string();
    let load = ["load", "--count", &count, "--payload", "weather", "--keys", "500"];
    let loaded = pipeline.start_with(&load, &[]).wait();
    assert_eq!(loaded.status, Some(0), "{}", loaded.log);
    assert_eq!(client.len("observations"), OBSERVATIONS);
    client.add("observations", &[("payload", br#"{"station":"s","at":1,"celsius":99}"#)]);
    let hotspur = pipeline.run();
    client.await_len("weather", OBSERVATIONS);
    client.await_len("observations.dead", 1);
    client.await_settled("observations");
    let inputs = client.entries("observations");
    let results = client.entries("weather");
    assert_eq!(results.len() as u64, OBSERVATIONS);
    let mut stations = BTreeSet::new();
    for (input, result) in inputs.iter().zip(&results) {
        let [given, made] = [input, result].map(|it| {
            serde_json::from_str::<serde_json::Value>(&it.text("payload")).expect("JSON")
        });
        let celsius = given["celsius"].as_f64().expect("a number");
        let fahrenheit = made["fahrenheit"].as_f64().expect("a number");
        assert!((fahrenheit - (celsius * 1.8 + 32.0)).abs() < 0.06, "{given} {made}");
        assert_eq!(made["class"] == "frost", celsius <= 0.0, "{made}");
        assert!(made["dew_point"].as_f64().expect("a number") <= celsius + 0.1, "{made}");
        assert_eq!(result.text("key"), given["station"].as_str().expect("text"));
        stations.insert(result.text("key"));
    }
    assert_eq!(stations.len(), 500);
    let ended = hotspur.stop();
    let counts = ended.counts();
    assert_eq!((counts.emitted, counts.rejected), (OBSERVATIONS, 1));
    // The hot thread never slept, though it reads and writes the sockets itself.
    for (name, most) in [("switches_voluntary", 20), ("major_faults", 20), ("minor_faults", 200)] {
        let text = ended.log.rsplit(&format!("\"hot_thread_{name}\":")).next();
        let digits = text.and_then(|it| it.split(|c: char| !c.is_ascii_digit()).next());
        let number: u64 = digits.and_then(|it| it.parse().ok()).expect("a number of the run");
        assert!(number <= most, "{name}: {number}, while {OBSERVATIONS} were processed");
    }
}

#[test]
fn load_writes_what_the_source_reads() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let load = ["load", "--count", "500", "--payload", "orders", "--keys", "10"];
    for (field, expected) in [(None, "0"), (Some("source.redis.field=body"), "1")] {
        let pipeline = StreamPipeline::new(&redis)
            .with("[[steps]]\ntext.what = \"{event.key} {event.value}\"\n");
        let sets: Vec<&str> = field.into_iter().collect();
        client.run(&["DEL", OUT]).expect("no results");
        let loaded = pipeline.start_with(&load, &sets).wait();
        assert_eq!(loaded.status, Some(0), "{}", loaded.log);
        let hotspur = pipeline.start_with(&["run"], &sets);
        client.await_len(OUT, 500);
        client.await_settled(IN);
        assert_eq!(hotspur.stop().counts().emitted, 500);
        let keys = client.entries(OUT).iter().filter(|it| it.fields.contains_key("key")).count();
        assert_eq!(keys, 500 * expected.parse::<usize>().unwrap());
    }
}

#[test]
fn tables_in_redis_serve_entries_of_streams_whole_or_on_demand() {
    for load in ["all", "on-demand"] {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        redis.set_all((0..100).map(|it| (format!("user:{it}"), format!("tier{it}"))));
        let pipeline = StreamPipeline::new(&redis)
            .with(&format!(
                "[tables.users]\nredis = \"{}\"\nprefix = \"user:\"\nload = \"{load}\"\n\
                 [[steps]]\nlookup = {{ table = \"users\", key = \"event.n\", into = \"tier\", \
                 on_miss = \"skip\" }}\n",
                redis.url()
            ))
            .set("source.redis.infer", "false");
        client.add_numbers(IN, 0..200);
        let hotspur = pipeline.run();
        client.await_group(IN);
        client.await_settled(IN);
        let results = client.entries(OUT);
        let mut all = numbers(&results);
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>(), "{load}");
        for result in &results {
            let event: serde_json::Value =
                serde_json::from_str(&result.text("payload")).expect("JSON");
            let number = event["n"].as_str().expect("text");
            assert_eq!(event["tier"], format!("tier{number}"), "{load}");
        }
        let counts = hotspur.stop().counts();
        assert_eq!((counts.emitted, counts.skipped), (100, 100), "{load}");
    }
}

//! Streams that are read without a group: how far stands in a file, whatever becomes of a process.

use std::{collections::BTreeSet, fs};

use crate::{
    stream_rig::{Client, DEAD, IN, OUT, POSITIONS, StreamPipeline, numbers},
    support::{await_true, hotspur::Hotspur, http::get, names::RUN_STARTED, redis::Redis},
};

/// Waits until the file says that all of a stream was read.
#[track_caller]
fn await_read(pipeline: &StreamPipeline, client: &mut Client, stream: &str) {
    let last = client.entries(stream).pop().expect("an entry").id;
    await_true(format_args!("{stream} to be read up to {last}"), || {
        pipeline.position(stream).as_deref() == Some(last.as_str())
    });
}

/// Runs it until all of the stream is read, and stops it.
#[track_caller]
fn read_all(pipeline: &StreamPipeline, client: &mut Client) -> Hotspur {
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    await_read(pipeline, client, IN);
    hotspur
}

#[test]
fn a_run_goes_on_where_the_last_one_was_and_leaves_nothing_on_the_server() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis)
        .set("source.redis.streams", "[\"in\", \"in:two\"]")
        .with("[[steps]]\nset.m = \"int(event.n)\"\n");
    client.add_numbers(IN, 0..2_000);
    client.add_numbers("in:two", 2_000..3_000);
    client.add(IN, &[("n", b"too long")]);
    let hotspur = read_all(&pipeline, &mut client);
    await_read(&pipeline, &mut client, "in:two");
    assert_eq!((client.len(OUT), client.len(DEAD)), (3_000, 1));
    let counts = hotspur.stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (3_000, 1));
    client.add_numbers(IN, 3_000..3_100);
    let hotspur = read_all(&pipeline, &mut client);
    hotspur.await_event("positions.found");
    client.add_numbers("in:two", 3_100..3_200);
    await_read(&pipeline, &mut client, "in:two");
    assert_eq!(hotspur.stop().counts().polled, 200);
    let mut all = numbers(&client.entries(OUT));
    all.sort_unstable();
    assert_eq!(all, (0..3_200).collect::<Vec<_>>());
    for stream in [IN, "in:two"] {
        assert!(!client.has_group(stream), "no group was made");
    }
}

#[test]
fn killed_in_the_middle_again_and_again_nothing_is_lost() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis)
        .set("limits.in_flight", "256")
        .set("limits.batch", "64")
        .set("delivery.commit_interval", "20ms");
    let (kills, total) = (8, 24_000);
    let mut hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    for kill in 0..kills {
        client.add_numbers(IN, kill * total / kills..(kill + 1) * total / kills);
        let before = client.len(OUT);
        client.await_len(OUT, before + 1);
        hotspur.kill();
        hotspur = pipeline.run();
    }
    hotspur.await_event(RUN_STARTED);
    await_read(&pipeline, &mut client, IN);
    hotspur.stop().counts().assert_balanced();
    let all = numbers(&client.entries(OUT));
    let seen: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(seen, (0..total).collect(), "lost some");
    assert!(all.len() < 2 * total as usize, "at least once does not mean always twice");
}

#[test]
fn what_came_while_it_was_down_is_read_though_it_began_at_the_latest() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis).set("source.redis.start", "latest");
    client.add_numbers(IN, 0..10);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    // Before it was lent anything.
    hotspur.kill();
    client.add_numbers(IN, 10..20);
    read_all(&pipeline, &mut client).stop().counts().assert_balanced();
    assert_eq!(numbers(&client.entries(OUT)), (10..20).collect::<Vec<_>>());
}

#[test]
fn at_most_once_nothing_is_doubled() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis).set("delivery.guarantee", "\"at-most-once\"");
    let mut hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    for kill in 0..4 {
        client.add_numbers(IN, kill * 2_000..(kill + 1) * 2_000);
        let before = client.len(OUT);
        client.await_len(OUT, before + 1);
        hotspur.kill();
        hotspur = pipeline.run();
    }
    hotspur.await_event(RUN_STARTED);
    await_read(&pipeline, &mut client, IN);
    hotspur.stop().counts().assert_balanced();
    let all = numbers(&client.entries(OUT));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn cut_connections_and_a_server_that_comes_back_lose_and_double_nothing() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis).set("limits.batch", "16");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    for round in 0..20 {
        client.add_numbers(IN, round * 500..(round + 1) * 500);
        client.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("some died");
    }
    await_read(&pipeline, &mut client, IN);
    let seen: BTreeSet<u64> = numbers(&client.entries(OUT)).into_iter().collect();
    assert_eq!(seen, (0..10_000).collect());
    assert_eq!(hotspur.stop().counts().polled, 10_000, "each entry was lent once");
}

#[test]
fn a_server_that_lost_the_stream_is_read_from_its_new_beginning() {
    let mut redis = Redis::start();
    let pipeline = StreamPipeline::plain(&redis);
    let mut client = Client::of(&redis);
    client.add_numbers(IN, 0..10);
    let hotspur = read_all(&pipeline, &mut client);
    redis.kill();
    redis.restart();
    hotspur.await_event("stream.set_back");
    let mut client = Client::of(&redis);
    // What waits at the server still asks for what lies behind the old place.
    client.run(&["XADD", IN, "1-1", "n", "10"]).expect("an entry with a small id");
    client.add_numbers(IN, 11..20);
    await_read(&pipeline, &mut client, IN);
    assert_eq!(numbers(&client.entries(OUT)), (10..20).collect::<Vec<_>>());
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn entries_that_were_trimmed_before_they_were_read_are_counted_as_a_gap() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis).set("observe.listen", "127.0.0.1:0");
    client.add_numbers(IN, 0..10);
    read_all(&pipeline, &mut client).stop();
    client.add_numbers(IN, 10..30);
    client.run(&["XTRIM", IN, "MAXLEN", "5"]).expect("a shorter stream");
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    let gap = hotspur.await_event("source.gap").text("message").to_owned();
    assert!(gap.contains("in: 15 entries that had not been read are gone"), "{gap}");
    await_read(&pipeline, &mut client, IN);
    // While it runs and cannot keep up, too.
    hotspur.signal("STOP");
    client.add_numbers(IN, 30..50);
    client.run(&["XTRIM", IN, "MAXLEN", "0"]).expect("an empty stream");
    client.add_numbers(IN, 50..60);
    hotspur.signal("CONT");
    await_read(&pipeline, &mut client, IN);
    // One may have been on its way to it.
    let all = numbers(&client.entries(OUT));
    let expected: Vec<u64> = (0..10).chain(25..30).chain(50..60).collect();
    let besides: Vec<u64> = all.iter().copied().filter(|it| !expected.contains(it)).collect();
    assert!(besides.is_empty() || besides == [30], "{all:?}");
    let gone = format!("hotspur_source_gap_records_total {}\n", 60 - all.len());
    await_true(&gone, || get(&address, "/metrics").1.contains(&gone));
    let log = hotspur.stop().log;
    assert_eq!(log.matches("source.gap").count(), 2, "{log}");
    // Nothing of it is told again.
    let hotspur = read_all(&pipeline, &mut client);
    client.add_numbers(IN, 60..61);
    await_read(&pipeline, &mut client, IN);
    let log = hotspur.stop().log;
    assert!(!log.contains("source.gap"), "{log}");
}

#[test]
fn metrics_say_how_far_behind_it_is() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis)
        .set("observe.listen", "127.0.0.1:0")
        .set("source.redis.streams", "[\"in\", \"in:none\"]");
    client.add_numbers(IN, 0..30);
    let hotspur = read_all(&pipeline, &mut client);
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    let await_lag = |lag: u64| {
        let lag = format!("hotspur_source_lag_records{{topic=\"in\",partition=\"0\"}} {lag}\n");
        await_true(&lag, || get(&address, "/metrics").1.contains(&lag));
    };
    await_lag(0);
    let text = get(&address, "/metrics").1;
    let none = "hotspur_source_lag_records{topic=\"in:none\",partition=\"0\"} 0\n";
    assert!(text.contains(none) && !text.contains("hotspur_source_pending_entries{"), "{text}");
    // What is behind a place in the middle is known by how many entries were passed.
    hotspur.limit_files(Some(0));
    client.add_numbers(IN, 30..50);
    await_lag(20);
    hotspur.limit_files(None);
    await_lag(0);
    assert_eq!(hotspur.stop().counts().emitted, 50);
}

#[test]
fn a_file_that_cannot_be_used_ends_the_start_and_is_named() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis);
    client.add_numbers(IN, 0..10);
    read_all(&pipeline, &mut client).stop();
    let path = pipeline.folder().join(POSITIONS);
    let whole = fs::read_to_string(&path).expect("positions");
    let other = whole.replace("\"in\"", "\"other\"");
    let cut = &whole[..whole.len() / 2];
    for (text, why) in [(cut, "mend it, or take it away"), (&other, "a position of \"other\"")] {
        fs::write(&path, text).expect("a file can be written");
        let check = pipeline.start_with(&["check", "--connect"], &[]).wait();
        assert_eq!(check.status, Some(3), "{}{}", check.output, check.log);
        let ended = pipeline.run().wait();
        assert_eq!(ended.status, Some(2), "{}", ended.log);
        for told in [&check.output, &ended.log] {
            assert!(told.contains(why) && told.contains("source.redis.positions"), "{told}");
            assert!(told.contains(POSITIONS), "{told}");
        }
        assert_eq!(fs::read_to_string(&path).expect("positions"), text, "it is left as it is");
    }
    fs::write(&path, &whole).expect("a file can be written");
    let elsewhere = ["source.redis.positions=missing/positions.json"];
    let ended = pipeline.start_with(&["run"], &elsewhere).wait();
    assert_eq!(ended.status, Some(2), "{}", ended.log);
    assert!(ended.log.contains("missing/positions.json"), "{}", ended.log);
    let streams = ["source.redis.streams=[\"in\", \"new\"]"];
    let check = pipeline.start_with(&["check", "--connect"], &streams).wait();
    assert_eq!(check.status, Some(0), "{}", check.output);
    for line in ["source: stream new is not there, it is read once it is", "says nothing of new"] {
        assert!(check.output.contains(line), "{line} in {}", check.output);
    }
    assert!(check.output.contains("source: in was read up to"), "{}", check.output);
}

#[test]
fn a_second_process_with_the_same_file_is_turned_away() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis);
    client.add_numbers(IN, 0..10);
    let first = read_all(&pipeline, &mut client);
    let second = pipeline.run().wait();
    assert_eq!(second.status, Some(3), "{}", second.log);
    assert!(second.log.contains("is held by process"), "{}", second.log);
    client.add_numbers(IN, 10..20);
    await_read(&pipeline, &mut client, IN);
    assert_eq!(first.stop().counts().emitted, 20);
}

#[test]
fn a_file_that_cannot_be_written_for_a_while_is_told_and_written_later() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis).set("source.redis.positions", "at/positions.json");
    let [at, away] = ["at", "away"].map(|it| pipeline.folder().join(it));
    fs::create_dir(&at).expect("a folder");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    fs::rename(&at, &away).expect("a folder goes");
    client.add_numbers(IN, 0..10);
    await_true("the trouble", || hotspur.log.text().contains("positions cannot be written"));
    fs::rename(&away, &at).expect("a folder comes back");
    let last = client.entries(IN).pop().expect("an entry").id;
    await_true("the position", || {
        fs::read_to_string(at.join(POSITIONS)).is_ok_and(|it| it.contains(&last))
    });
    assert_eq!(hotspur.stop().counts().emitted, 10);
}

#[test]
fn rights_that_are_missing_are_named_and_only_gaps_need_that_to_ask() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::plain(&redis);
    client.add_numbers(IN, 0..10);
    read_all(&pipeline, &mut client).stop();
    client.add_numbers(IN, 10..20);
    let url = redis.url().replace("redis://", "redis://worker:secret@");
    let url = format!("source.redis.url={url}");
    let mut allow = |rights: &[&str]| {
        let words = ["ACL", "SETUSER", "worker", "reset", "on", ">secret", "~*", "+@all"];
        client.run(&[&words[..], rights].concat()).expect("a user");
    };
    allow(&["-xread"]);
    let ended = pipeline.start_with(&["run"], &[&url]).wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("XREAD: NOPERM") && !ended.log.contains("secret"), "{}", ended.log);
    allow(&["-xinfo"]);
    let hotspur = pipeline.start_with(&["run"], &[&url]);
    hotspur.await_event("gaps.unseen");
    await_read(&pipeline, &mut client, IN);
    assert_eq!(hotspur.stop().counts().emitted, 10);
}

#[test]
fn a_group_named_on_the_command_line_is_refused() {
    let redis = Redis::start();
    let pipeline = StreamPipeline::plain(&redis);
    let ended = pipeline.start_with(&["run", "--group", "g"], &[]).wait();
    assert_eq!(ended.status, Some(2), "{}", ended.log);
    assert!(ended.log.contains("--group g: with source.redis.positions"), "{}", ended.log);
}

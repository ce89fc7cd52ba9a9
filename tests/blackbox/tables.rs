//! The table while it changes, and while Redis is away.

use std::time::{Duration, Instant};

use crate::{
    payload::order,
    support::{
        PATIENCE, await_true,
        clients::{Reader, Writer},
        hotspur::Hotspur,
        kafka::Kafka,
        message::Message,
        names::TABLE_LOADED,
        now_ms,
        pipeline::Pipeline,
        redis::Redis,
    },
};

/// A pipeline that runs, and a reader of what it emits.
struct Running<'a> {
    kafka: &'a Kafka,
    pipeline: Pipeline,
    hotspur: Hotspur,
    writer: Writer,
    reader: Reader,
    sent: u64,
}

impl Running<'_> {
    fn start<'a>(kafka: &'a Kafka, redis: &Redis) -> Running<'a> {
        let pipeline = Pipeline::orders(kafka, redis);
        pipeline.create_topics(kafka, 1);
        let hotspur = pipeline.run();
        hotspur.await_event(TABLE_LOADED);
        hotspur.await_assigned();
        let reader = kafka.reader(&pipeline.output);
        Running { kafka, pipeline, hotspur, writer: kafka.writer(), reader, sent: 0 }
    }

    fn send(&mut self, key: &str) {
        self.sent += 1;
        let text = order(self.sent, key, self.sent);
        self.writer.send(&self.pipeline.input, &Message::new(text).timestamp(now_ms()));
    }

    /// Waits until all that was sent is settled; how many results there are then.
    #[track_caller]
    fn results(&self) -> i64 {
        let Pipeline { group, input, output, .. } = &self.pipeline;
        await_true(format_args!("{} records in {input}", self.sent), || {
            self.kafka.end_offsets(input).iter().sum::<i64>() == self.sent as i64
        });
        self.kafka.await_committed_to_end(group, input);
        self.kafka.end_offsets(output).iter().sum()
    }

    /// Sends orders of that key until a result ends so; returns when that order was sent.
    #[track_caller]
    fn send_until(&mut self, key: &str, ending: &str) -> i64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "waited for a result that ends in {ending}");
            self.send(key);
            let results = self.reader.read_more();
            if let Some(result) = results.iter().find(|it| it.text().ends_with(ending)) {
                return result.timestamp_ms.expect("the order's time");
            }
        }
    }
}

#[test]
fn a_changed_key_is_in_the_output_within_a_second() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let mut running = Running::start(kafka, &redis);
    running.send_until("user1", "_gold");
    for (key, value) in [("user1", "platinum"), ("user2", "new")] {
        redis.set(&format!("user:{key}"), value);
        let changed = now_ms();
        let seen = running.send_until(key, &format!("_{value}"));
        // An order from before the change that had waited for its turn has seen it at once.
        let took = Duration::from_millis(u64::try_from(seen - changed).unwrap_or(0));
        assert!(took < Duration::from_secs(1), "{key} was old for {took:?}");
    }
    running.hotspur.stop().counts().assert_balanced();
}

#[test]
fn a_deleted_key_is_skipped_from_then_on() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    redis.set("user:user2", "silver");
    let mut running = Running::start(kafka, &redis);
    running.send_until("user1", "_gold");
    running.results();
    redis.delete("user:user1");
    redis.set("user:user2", "after the deletion");
    // Changes arrive in their order: when this one has, the deletion has too.
    running.send_until("user2", "_after the deletion");
    for _ in 0..10 {
        running.send("user1");
    }
    running.send("user2");
    let sent = running.sent;
    assert_eq!(running.results(), sent as i64 - 10);
    let counts = running.hotspur.stop().counts();
    assert_eq!((counts.polled, counts.skipped), (sent, 10));
    counts.assert_balanced();
}

#[test]
fn a_file_is_read_again_when_asked_for() {
    let kafka = Kafka::shared();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, "{\"key\":\"a\",\"value\":1}\n").expect("a file that can be written");
    let path = file.path().to_str().expect("a path in UTF-8");
    let pipeline = Pipeline::names(kafka).set("tables.users.file", path);
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    hotspur.await_events(TABLE_LOADED, 1);
    hotspur.signal("HUP");
    hotspur.await_events(TABLE_LOADED, 2);
    hotspur.stop();
}

#[test]
fn the_table_serves_while_redis_is_away_and_catches_up_when_it_is_back() {
    let (kafka, mut redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    redis.set("user:leaves", "soon");
    let mut running = Running::start(kafka, &redis);
    running.send_until("user1", "_gold");
    redis.kill();
    for _ in 0..20 {
        running.send_until("user1", "_gold");
    }
    running.results();
    redis.restart();
    redis.set("user:user1", "platinum");
    running.send_until("user1", "_platinum");
    await_true("the end of what the new snapshot does not have", || {
        let before = running.results();
        running.send("leaves");
        running.results() == before
    });
    running.hotspur.stop().counts().assert_balanced();
}

//! A table that grew too old to be believed: its records are dead-lettered, wait, or are tried
//! again.

use crate::{
    payload::order,
    support::{
        await_true,
        hotspur::Hotspur,
        kafka::Kafka,
        message::Message,
        names::{TABLE_LOADED, TABLE_LOST},
        now_ms,
        pipeline::Pipeline,
        redis::Redis,
    },
};

struct Running<'a> {
    kafka: &'a Kafka,
    redis: Redis,
    pipeline: Pipeline,
    hotspur: Hotspur,
    sent: u64,
}

impl Running<'_> {
    fn start(on_stale: &str) -> Running<'static> {
        Running::start_with(on_stale, |pipeline| pipeline)
    }

    /// With records tried again that often.
    fn start_retrying(attempts: i64) -> Running<'static> {
        Running::start_with("reject", |pipeline| {
            pipeline
                .set("delivery.retry.attempts", attempts)
                .set("delivery.retry.backoff", "20ms")
                .set("delivery.retry.max_backoff", "100ms")
        })
    }

    fn start_with(on_stale: &str, more: impl Fn(Pipeline) -> Pipeline) -> Running<'static> {
        let (kafka, redis) = (Kafka::shared(), Redis::start());
        redis.set("user:user1", "gold");
        let pipeline = Pipeline::orders(kafka, &redis)
            .set("tables.users.max_staleness", "500ms")
            .set("tables.users.on_stale", on_stale);
        let pipeline = more(pipeline);
        pipeline.create_topics(kafka, 1);
        let hotspur = pipeline.run();
        hotspur.await_event(TABLE_LOADED);
        hotspur.await_assigned();
        Running { kafka, redis, pipeline, hotspur, sent: 0 }
    }

    fn send(&mut self, count: u64) {
        let orders = (1..=count).map(|more| {
            Message::new(order(self.sent + more, "user1", self.sent + more)).timestamp(now_ms())
        });
        self.kafka.produce(&self.pipeline.input, &orders.collect::<Vec<_>>());
        self.sent += count;
    }

    fn await_all_settled(&self) {
        self.kafka.await_committed_to_end(&self.pipeline.group, &self.pipeline.input);
    }

    fn count(&self, topic: &str) -> u64 {
        self.kafka.end_offsets(topic).iter().sum::<i64>().unsigned_abs()
    }

    fn results(&self) -> u64 {
        self.count(&self.pipeline.output)
    }

    fn letters(&self) -> u64 {
        self.count(&self.pipeline.dead)
    }
}

#[test]
fn records_are_dead_lettered_while_the_table_is_too_old_and_no_longer_than_that() {
    let mut running = Running::start("reject");
    running.send(10);
    running.await_all_settled();
    assert_eq!((running.results(), running.letters()), (10, 0));

    running.redis.freeze();
    await_true("a dead letter", || {
        running.send(1);
        running.await_all_settled();
        running.letters() > 0
    });
    let (emitted, rejected) = (running.results(), running.letters());
    running.send(10);
    running.await_all_settled();
    assert_eq!((running.results(), running.letters()), (emitted, rejected + 10));

    running.redis.thaw();
    await_true("a result", || {
        running.send(1);
        running.await_all_settled();
        running.results() > emitted
    });
    let rejected = running.letters();
    running.send(10);
    running.await_all_settled();
    assert_eq!(running.letters(), rejected);
    for letter in running.kafka.read(&running.pipeline.dead) {
        assert_eq!(letter.header_text("hotspur.class"), "stale_table");
        let reason = letter.header_text("hotspur.reason");
        assert!(reason.contains("users"), "{reason}");
        assert!(letter.text().contains("\"key\":\"user1\""), "{}", letter.text());
    }
    let (sent, counts) = (running.sent, running.hotspur.stop().counts());
    assert_eq!((counts.polled, counts.rejected), (sent, rejected));
    counts.assert_balanced();
}

#[test]
fn records_wait_for_a_table_that_is_too_old_and_all_of_them_come() {
    let mut running = Running::start("pause");
    running.send(10);
    running.await_all_settled();
    running.redis.freeze();
    // Told after a silence of a second, which is more than the table may be old.
    running.hotspur.await_event(TABLE_LOST);
    let before = running.results();
    assert_eq!(before, 10);
    running.send(500);
    let Pipeline { group, input, .. } = &running.pipeline;
    // What came before the table grew old is settled; of these none is, however often one looks.
    for _ in 0..20 {
        assert!(!running.kafka.is_committed_to_end(group, input));
        assert_eq!((running.results(), running.letters()), (before, 0));
    }

    running.redis.thaw();
    running.redis.set("user:user1", "platinum");
    running.await_all_settled();
    let results = running.kafka.read(&running.pipeline.output);
    let texts: Vec<_> = results.iter().map(Message::text).collect();
    assert_eq!(texts.len() as u64, running.sent);
    for (number, text) in (1..).zip(&texts) {
        let [old, new] =
            ["gold", "platinum"].map(|value| format!("processed_user1_{number}_{value}"));
        let is_known = *text == new || *text == old;
        assert!(is_known, "{text} is not the result of order {number}");
    }
    let counts = running.hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted), (running.sent, running.sent));
    counts.assert_balanced();
}

#[test]
fn a_paused_run_ends_when_it_is_told_to_and_loses_nothing() {
    let mut running = Running::start("pause");
    running.redis.freeze();
    running.hotspur.await_event(TABLE_LOST);
    running.send(50);
    let ended = running.hotspur.stop();
    ended.counts().assert_balanced();
    assert_eq!(ended.counts().emitted, 0);

    running.redis.thaw();
    let counts = running.pipeline.run_to_end(running.kafka).stop().counts();
    assert_eq!((counts.polled, counts.emitted), (50, 50));
}

#[test]
fn what_is_tried_again_comes_through_when_the_table_is_fresh_and_is_no_dead_letter() {
    let mut running = Running::start_retrying(1000);
    running.redis.freeze();
    running.hotspur.await_event(TABLE_LOST);
    running.send(200);
    let Pipeline { group, input, .. } = &running.pipeline;
    for _ in 0..20 {
        assert!(!running.kafka.is_committed_to_end(group, input));
        assert_eq!((running.results(), running.letters()), (0, 0));
    }
    running.redis.thaw();
    running.await_all_settled();
    assert_eq!((running.results(), running.letters()), (200, 0));
    let results = running.kafka.read(&running.pipeline.output);
    for (number, result) in (1..).zip(&results) {
        assert_eq!(result.text(), format!("processed_user1_{number}_gold"), "out of order");
    }
    let counts = running.hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted), (200, 200));
    counts.assert_balanced();
}

#[test]
fn what_does_not_heal_within_its_attempts_is_dead_lettered_after_them() {
    let mut running = Running::start_retrying(2);
    running.redis.freeze();
    running.hotspur.await_event(TABLE_LOST);
    running.send(20);
    running.await_all_settled();
    assert_eq!((running.results(), running.letters()), (0, 20));
    for letter in running.kafka.read(&running.pipeline.dead) {
        assert_eq!(letter.header_text("hotspur.class"), "stale_table");
        let reason = letter.header_text("hotspur.reason");
        assert!(reason.starts_with("tried 3 times: ") && reason.contains("users"), "{reason}");
    }
    let counts = running.hotspur.stop().counts();
    assert_eq!((counts.polled, counts.rejected), (20, 20));
    counts.assert_balanced();
}

#[test]
fn what_waits_to_be_tried_again_at_the_end_of_the_run_comes_again() {
    let mut running = Running::start_with("reject", |pipeline| {
        pipeline
            .set("delivery.retry.attempts", 1000)
            .set("delivery.retry.max_backoff", "1s")
            .set("engine.drain_timeout", "1s")
    });
    running.redis.freeze();
    running.hotspur.await_event(TABLE_LOST);
    running.send(5);
    // It passes those that wait: when its letter is there, they do.
    running.kafka.produce(&running.pipeline.input, &[Message::new("nonsense").key("another")]);
    running.kafka.reader(&running.pipeline.dead).await_count(1);
    running.hotspur.signal("TERM");
    let ended = running.hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    running.redis.thaw();
    let counts = running.pipeline.run_to_end(running.kafka).stop().counts();
    assert_eq!((counts.polled, counts.emitted, counts.rejected), (6, 5, 1));
}

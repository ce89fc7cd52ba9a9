//! What tests and benches both need of a Kafka: which one is named, and topics in it.

use std::{
    env,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

/// Names a Kafka to use instead of one of our own: `host:port`, and that of a SASL listener after
/// a comma.
pub(crate) const KAFKA_VARIABLE: &str = "HOTSPUR_TEST_KAFKA";

/// The addresses that the environment names.
pub(crate) fn named() -> Option<Vec<String>> {
    let addresses = env::var(KAFKA_VARIABLE).ok()?;
    Some(addresses.split(',').map(str::to_owned).collect())
}

/// A client's configuration with nothing but the address.
pub(crate) fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

/// Makes a topic with these settings; when its partitions have leaders is for the caller to see.
#[track_caller]
pub(crate) fn make_topic(
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
    patience: Duration,
) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    let options = AdminOptions::new().operation_timeout(Some(patience));
    let made = block_on(admin.create_topics([&topic], &options));
    for result in made.expect("Kafka answers") {
        result.unwrap_or_else(|(name, code)| panic!("topic {name} was not made: {code}"));
    }
}

/// Waits for the answer of the admin client, whose own thread wakes this one.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

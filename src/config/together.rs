//! Settings that fit alone but not together.

use super::{
    build::Builder,
    settings::{Guarantee, KafkaClient, Settings},
    units::{show_duration, show_size},
};

/// Properties of which the first may not exceed the second: names and defaults.
const ORDERED: [(&str, u64, &str, u64); 3] = [
    ("session.timeout.ms", 45_000, "max.poll.interval.ms", 300_000),
    ("heartbeat.interval.ms", 3_000, "session.timeout.ms", 45_000),
    ("reconnect.backoff.ms", 100, "reconnect.backoff.max.ms", 10_000),
];

impl Builder<'_> {
    pub(crate) fn check_together(&mut self, settings: &Settings) {
        self.check_limits(settings);
        self.check_topics(settings);
        self.check_state(settings);
        self.check_retry(settings);
        self.check_cores(settings);
        self.check_breaker(settings);
        for key in ["kafka", "source.kafka", "sink.kafka", "dead_letters"] {
            self.check_brokers(&format!("{key}.brokers"));
        }
        self.check_streams(settings);
        self.check_client("source.kafka", &settings.source.client);
        self.check_client("sink.kafka", &settings.sink.client);
        self.check_client("dead_letters", &settings.dead_letters.client);
        self.check_producer(settings);
        if settings.delivery.guarantee == Guarantee::ExactlyOnce && !settings.uses_streams() {
            self.check_transactions(settings);
        }
    }

    fn check_transactions(&mut self, settings: &Settings) {
        let (sink, dead, delivery) =
            (&settings.sink.client, &settings.dead_letters.client, &settings.delivery);
        if sink.brokers != settings.source.client.brokers {
            let message = "exactly-once commits results and positions in one transaction, which \
                           the brokers of the source must be able to see";
            self.error("delivery.guarantee", message, "sink and source on the same brokers");
        } else if sink != dead {
            let message = "exactly-once writes dead letters in the transaction of the results";
            let hint = "the same brokers and properties for [dead_letters] and [sink.kafka]";
            self.error("delivery.guarantee", message, hint);
        }
        let [interval, timeout] = [delivery.commit_interval, delivery.transaction_timeout];
        // Out of range is told of by itself.
        if interval * 2 > timeout && !timeout.is_zero() {
            let message = format!(
                "a transaction of {} would run into its timeout of {}",
                show_duration(interval),
                show_duration(timeout)
            );
            let hint = "at most half of delivery.transaction_timeout";
            self.error("delivery.commit_interval", message, hint);
        }
        if !self.stands("instance") {
            let message = "exactly-once wants an instance that stays over a restart; without one \
                           readers wait out transaction_timeout after a crash";
            self.warning("delivery.guarantee", message, "instance = \"0\", one for each process");
        }
    }

    fn check_limits(&mut self, settings: &Settings) {
        let limits = settings.limits;
        if limits.batch > limits.in_flight {
            let message = format!(
                "a turn takes up to {} records, but only {} may be in flight",
                limits.batch, limits.in_flight
            );
            self.error("limits.batch", message, "limits.batch ≤ limits.in_flight");
        }
        let least = limits.record.saturating_mul(4);
        if limits.in_flight_bytes < least {
            let [has, least] = [limits.in_flight_bytes, least].map(|it| show_size(it as u64));
            let message = format!("{has} is less than four records of limits.record, {least}");
            self.error("limits.in_flight_bytes", message, "raise it, or lower limits.record");
        }
    }

    fn check_topics(&mut self, settings: &Settings) {
        let (source, sink) = (&settings.source, &settings.sink);
        let dead = &settings.dead_letters;
        let reads = |client: &KafkaClient, topic: &String| {
            client.brokers == source.client.brokers && source.topics.contains(topic)
        };
        if reads(&sink.client, &sink.topic) {
            let message = format!("\"{}\" is read as well: results would come again", sink.topic);
            let key = &settings.result_topics()[0].0;
            self.error(key, message, "write to another topic");
        }
        for (key, topic) in settings.result_topics().iter().skip(1) {
            if reads(&sink.client, topic) {
                let message = format!("\"{topic}\" is read as well: results would come again");
                self.error(key, message, "write to another topic");
            }
        }
        if reads(&dead.client, &dead.topic) {
            let message = format!("\"{}\" is read as well: dead letters never end", dead.topic);
            self.error("dead_letters.topic", message, "write them to another topic");
        }
        if dead.topic == sink.topic && dead.client.brokers == sink.client.brokers {
            let message = format!("\"{}\" is also the sink: readers get both", dead.topic);
            self.warning("dead_letters.topic", message, "write them to another topic");
        }
    }

    fn check_breaker(&mut self, settings: &Settings) {
        if settings.delivery.breaker.is_some_and(|it| it.rejected >= 1.0)
            && self.stands("delivery.breaker.rejected")
        {
            let message = "no share is more than 1: it never opens";
            let hint = "0.99, or breaker = false";
            self.warning("delivery.breaker.rejected", message, hint);
        }
    }

    fn check_brokers(&mut self, key: &str) {
        let Some(brokers) = self.text_at(key) else { return };
        for broker in brokers.split(',').map(str::trim) {
            let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "9092"));
            if host.is_empty() || port.parse::<u16>().is_err() || broker.contains([' ', '/']) {
                let message = format!("\"{broker}\" is no address of a broker");
                return self.error(key, message, "host:port, several with commas between them");
            }
        }
    }

    /// The key of a property where it was written: the client's own, else that of `[kafka]`.
    fn property_key(&self, section: &str, name: &str) -> Option<String> {
        let own = format!("{section}.properties.\"{name}\"");
        let shared = format!("kafka.properties.\"{name}\"");
        [own, shared].into_iter().find(|key| self.stands(key))
    }

    fn check_client(&mut self, section: &str, client: &KafkaClient) {
        let number = |name: &str, default: u64| {
            client.properties.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        for (smaller, small, larger, large) in ORDERED {
            let (small, large) = (number(smaller, small), number(larger, large));
            let key = self.property_key(section, smaller);
            let key = key.or_else(|| self.property_key(section, larger));
            if let Some(key) = key.filter(|_| small > large) {
                let message = format!("{smaller} is {small} and {larger} is {large}");
                self.error(&key, message, &format!("{smaller} may not exceed {larger}"));
            }
        }
        let protocol = client.properties.get("security.protocol");
        let is_sasl = protocol.is_some_and(|it| it.to_lowercase().starts_with("sasl"));
        let has_mechanism = client.properties.keys().any(|it| it.starts_with("sasl.mechanism"));
        let protocol = self.property_key(section, "security.protocol");
        if let Some(key) = protocol.filter(|_| is_sasl && !has_mechanism) {
            let message = "nothing says how to log in; Kerberos, the default, is not built in";
            self.error(&key, message, "\"sasl.mechanisms\" = \"SCRAM-SHA-512\"");
        }
        let password = self.property_key(section, "sasl.password");
        if let Some(key) = password.filter(|_| !is_sasl) {
            let message = "without security.protocol sasl_ssl or sasl_plaintext nobody logs in";
            self.warning(&key, message, "\"security.protocol\" = \"sasl_ssl\"");
        }
    }

    fn check_producer(&mut self, settings: &Settings) {
        let properties = &settings.sink.client.properties;
        let number = |name: &str| properties.get(name).and_then(|it| it.parse::<usize>().ok());
        let in_flight = settings.limits.in_flight;
        let room = number("queue.buffering.max.messages").filter(|&it| it > 0 && it < in_flight);
        let key = self.property_key("sink.kafka", "queue.buffering.max.messages");
        if let (Some(room), Some(key)) = (room, key) {
            let message = format!("{room} is less than limits.in_flight, {in_flight}");
            self.warning(&key, message, "the smaller of the two bounds what is in flight");
        }
        let largest = number("message.max.bytes").filter(|&it| it < settings.limits.record);
        let key = self.property_key("sink.kafka", "message.max.bytes");
        if let (Some(largest), Some(key)) = (largest, key) {
            let message = format!("results beyond {largest} bytes become dead letters");
            self.warning(&key, message, "message.max.bytes ≥ limits.record");
        }
    }
}

//! The properties that the bundled librdkafka (2.12) knows: name, whom they concern, what they
//! take.
//!
//! Names and ranges are facts of its CONFIGURATION.md; they stand here so that a misspelt property
//! or a value out of range is told with its line, before any client is made. Callbacks and
//! pointers, which no text can set, are left out. Which of these a user may set is `properties`' to
//! say.

use Scope::{Both, Consumer, Producer};
use Takes::{Boolean, Integer, Text, Words};

/// Which kind of client a property concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Any client.
    Both,
    /// Only one that reads.
    Consumer,
    /// Only one that writes.
    Producer,
}

/// The values a property takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `true` or `false`.
    Boolean,
    /// A whole number from … to.
    Integer(i64, i64),
    /// One of these.
    Words(&'static [&'static str]),
    /// Anything.
    Text,
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) takes: Takes,
}

const fn property(name: &'static str, scope: Scope, takes: Takes) -> Property {
    Property { name, scope, takes }
}

/// The property of that name.
pub(crate) fn find(name: &str) -> Option<&'static Property> {
    PROPERTIES.binary_search_by(|property| property.name.cmp(name)).ok().map(|at| &PROPERTIES[at])
}

/// One name for properties that have two, so that a later layer replaces an earlier one.
pub(crate) fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical)
}

const ALIASES: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
];

/// How to log in, as far as it is built in: neither Kerberos nor the fetching of tokens is.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// All of them, in order of their names.
pub(crate) const PROPERTIES: &[Property] = &[
    property("acks", Producer, Text),
    property("allow.auto.create.topics", Both, Boolean),
    property("api.version.fallback.ms", Both, Integer(0, 604_800_000)),
    property("api.version.request", Both, Boolean),
    property("api.version.request.timeout.ms", Both, Integer(1, 300_000)),
    property("auto.commit.enable", Consumer, Boolean),
    property("auto.commit.interval.ms", Consumer, Integer(0, 86_400_000)),
    property(
        "auto.offset.reset",
        Consumer,
        Words(&["smallest", "earliest", "beginning", "largest", "latest", "end", "error"]),
    ),
    property("batch.num.messages", Producer, Integer(1, 1_000_000)),
    property("batch.size", Producer, Integer(1, 2_147_483_647)),
    property("bootstrap.servers", Both, Text),
    property("broker.address.family", Both, Words(&["any", "v4", "v6"])),
    property("broker.address.ttl", Both, Integer(0, 86_400_000)),
    property("broker.version.fallback", Both, Text),
    property("builtin.features", Both, Text),
    property("check.crcs", Consumer, Boolean),
    property(
        "client.dns.lookup",
        Both,
        Words(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]),
    ),
    property("client.id", Both, Text),
    property("client.rack", Both, Text),
    property("compression.codec", Producer, Words(&["none", "gzip", "snappy", "lz4", "zstd"])),
    property("compression.level", Producer, Integer(-1, 12)),
    property("compression.type", Producer, Words(&["none", "gzip", "snappy", "lz4", "zstd"])),
    property("connections.max.idle.ms", Both, Integer(0, 2_147_483_647)),
    property("consume.callback.max.messages", Consumer, Integer(0, 1_000_000)),
    property("coordinator.query.interval.ms", Consumer, Integer(1, 3_600_000)),
    property("debug", Both, Text),
    property("delivery.report.only.error", Producer, Boolean),
    property("delivery.timeout.ms", Producer, Integer(0, 2_147_483_647)),
    property("enable.auto.commit", Consumer, Boolean),
    property("enable.auto.offset.store", Consumer, Boolean),
    property("enable.gapless.guarantee", Producer, Boolean),
    property("enable.idempotence", Producer, Boolean),
    property("enable.metrics.push", Both, Boolean),
    property("enable.partition.eof", Consumer, Boolean),
    property("enable.random.seed", Both, Boolean),
    property("enable.sasl.oauthbearer.unsecure.jwt", Both, Boolean),
    property("enable.ssl.certificate.verification", Both, Boolean),
    property("enabled_events", Both, Integer(0, 2_147_483_647)),
    property("fetch.error.backoff.ms", Consumer, Integer(0, 300_000)),
    property("fetch.max.bytes", Consumer, Integer(0, 2_147_483_135)),
    property("fetch.message.max.bytes", Consumer, Integer(1, 1_000_000_000)),
    property("fetch.min.bytes", Consumer, Integer(1, 100_000_000)),
    property("fetch.queue.backoff.ms", Consumer, Integer(0, 300_000)),
    property("fetch.wait.max.ms", Consumer, Integer(0, 300_000)),
    property("group.id", Consumer, Text),
    property("group.instance.id", Consumer, Text),
    property("group.protocol", Consumer, Words(&["classic", "consumer"])),
    property("group.protocol.type", Consumer, Text),
    property("group.remote.assignor", Consumer, Text),
    property("heartbeat.interval.ms", Consumer, Integer(1, 3_600_000)),
    property("https.ca.location", Both, Text),
    property("https.ca.pem", Both, Text),
    property("internal.termination.signal", Both, Integer(0, 128)),
    property("isolation.level", Consumer, Words(&["read_uncommitted", "read_committed"])),
    property("linger.ms", Producer, Text),
    property("log.connection.close", Both, Boolean),
    property("log.queue", Both, Boolean),
    property("log.thread.name", Both, Boolean),
    property("log_level", Both, Integer(0, 7)),
    property("max.in.flight", Both, Integer(1, 1_000_000)),
    property("max.in.flight.requests.per.connection", Both, Integer(1, 1_000_000)),
    property("max.partition.fetch.bytes", Consumer, Integer(1, 1_000_000_000)),
    property("max.poll.interval.ms", Consumer, Integer(1, 86_400_000)),
    property("message.copy.max.bytes", Both, Integer(0, 1_000_000_000)),
    property("message.max.bytes", Both, Integer(1_000, 1_000_000_000)),
    property("message.send.max.retries", Producer, Integer(0, 2_147_483_647)),
    property("message.timeout.ms", Producer, Integer(0, 2_147_483_647)),
    property("metadata.broker.list", Both, Text),
    property("metadata.max.age.ms", Both, Integer(1, 86_400_000)),
    property("metadata.recovery.rebootstrap.trigger.ms", Both, Integer(0, 2_147_483_647)),
    property("metadata.recovery.strategy", Both, Words(&["none", "rebootstrap"])),
    property("offset.store.method", Consumer, Words(&["none", "file", "broker"])),
    property("offset.store.path", Consumer, Text),
    property("offset.store.sync.interval.ms", Consumer, Integer(-1, 86_400_000)),
    property("partition.assignment.strategy", Consumer, Text),
    property("partitioner", Producer, Text),
    property("plugin.library.paths", Both, Text),
    property("produce.offset.report", Producer, Boolean),
    property("queue.buffering.backpressure.threshold", Producer, Integer(1, 1_000_000)),
    property("queue.buffering.max.kbytes", Producer, Integer(1, 2_147_483_647)),
    property("queue.buffering.max.messages", Producer, Integer(0, 2_147_483_647)),
    property("queue.buffering.max.ms", Producer, Text),
    property("queued.max.messages.kbytes", Consumer, Integer(1, 2_097_151)),
    property("queued.min.messages", Consumer, Integer(1, 10_000_000)),
    property("queuing.strategy", Producer, Words(&["fifo", "lifo"])),
    property("receive.message.max.bytes", Both, Integer(1_000, 2_147_483_647)),
    property("reconnect.backoff.jitter.ms", Both, Integer(0, 3_600_000)),
    property("reconnect.backoff.max.ms", Both, Integer(0, 3_600_000)),
    property("reconnect.backoff.ms", Both, Integer(0, 3_600_000)),
    property("request.required.acks", Producer, Text),
    property("request.timeout.ms", Producer, Integer(1, 900_000)),
    property("retries", Producer, Integer(0, 2_147_483_647)),
    property("retry.backoff.max.ms", Both, Integer(1, 300_000)),
    property("retry.backoff.ms", Both, Integer(1, 300_000)),
    property("sasl.kerberos.keytab", Both, Text),
    property("sasl.kerberos.kinit.cmd", Both, Text),
    property("sasl.kerberos.min.time.before.relogin", Both, Integer(0, 86_400_000)),
    property("sasl.kerberos.principal", Both, Text),
    property("sasl.kerberos.service.name", Both, Text),
    property("sasl.mechanism", Both, Words(MECHANISMS)),
    property("sasl.mechanisms", Both, Words(MECHANISMS)),
    property("sasl.oauthbearer.assertion.algorithm", Both, Words(&["RS256", "ES256"])),
    property("sasl.oauthbearer.assertion.claim.aud", Both, Text),
    property("sasl.oauthbearer.assertion.claim.exp.seconds", Both, Integer(1, 2_147_483_647)),
    property("sasl.oauthbearer.assertion.claim.iss", Both, Text),
    property("sasl.oauthbearer.assertion.claim.jti.include", Both, Boolean),
    property("sasl.oauthbearer.assertion.claim.nbf.seconds", Both, Integer(0, 2_147_483_647)),
    property("sasl.oauthbearer.assertion.claim.sub", Both, Text),
    property("sasl.oauthbearer.assertion.file", Both, Text),
    property("sasl.oauthbearer.assertion.jwt.template.file", Both, Text),
    property("sasl.oauthbearer.assertion.private.key.file", Both, Text),
    property("sasl.oauthbearer.assertion.private.key.passphrase", Both, Text),
    property("sasl.oauthbearer.assertion.private.key.pem", Both, Text),
    property("sasl.oauthbearer.client.credentials.client.id", Both, Text),
    property("sasl.oauthbearer.client.credentials.client.secret", Both, Text),
    property("sasl.oauthbearer.client.id", Both, Text),
    property("sasl.oauthbearer.client.secret", Both, Text),
    property("sasl.oauthbearer.config", Both, Text),
    property("sasl.oauthbearer.extensions", Both, Text),
    property(
        "sasl.oauthbearer.grant.type",
        Both,
        Words(&["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"]),
    ),
    property("sasl.oauthbearer.metadata.authentication.type", Both, Words(&["none", "azure_imds"])),
    property("sasl.oauthbearer.method", Both, Words(&["default", "oidc"])),
    property("sasl.oauthbearer.scope", Both, Text),
    property("sasl.oauthbearer.token.endpoint.url", Both, Text),
    property("sasl.password", Both, Text),
    property("sasl.username", Both, Text),
    property("security.protocol", Both, Words(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"])),
    property("session.timeout.ms", Consumer, Integer(1, 3_600_000)),
    property("socket.blocking.max.ms", Both, Integer(1, 60_000)),
    property("socket.connection.setup.timeout.ms", Both, Integer(1_000, 2_147_483_647)),
    property("socket.keepalive.enable", Both, Boolean),
    property("socket.max.fails", Both, Integer(0, 1_000_000)),
    property("socket.nagle.disable", Both, Boolean),
    property("socket.receive.buffer.bytes", Both, Integer(0, 100_000_000)),
    property("socket.send.buffer.bytes", Both, Integer(0, 100_000_000)),
    property("socket.timeout.ms", Both, Integer(10, 300_000)),
    property("ssl.ca.certificate.stores", Both, Text),
    property("ssl.ca.location", Both, Text),
    property("ssl.ca.pem", Both, Text),
    property("ssl.certificate.location", Both, Text),
    property("ssl.certificate.pem", Both, Text),
    property("ssl.cipher.suites", Both, Text),
    property("ssl.crl.location", Both, Text),
    property("ssl.curves.list", Both, Text),
    property("ssl.endpoint.identification.algorithm", Both, Words(&["none", "https"])),
    property("ssl.engine.id", Both, Text),
    property("ssl.engine.location", Both, Text),
    property("ssl.key.location", Both, Text),
    property("ssl.key.password", Both, Text),
    property("ssl.key.pem", Both, Text),
    property("ssl.keystore.location", Both, Text),
    property("ssl.keystore.password", Both, Text),
    property("ssl.providers", Both, Text),
    property("ssl.sigalgs.list", Both, Text),
    property("statistics.interval.ms", Both, Integer(0, 86_400_000)),
    property("sticky.partitioning.linger.ms", Producer, Integer(0, 900_000)),
    property("topic.blacklist", Both, Text),
    property("topic.metadata.propagation.max.ms", Both, Integer(0, 3_600_000)),
    property("topic.metadata.refresh.fast.cnt", Both, Integer(0, 1_000)),
    property("topic.metadata.refresh.fast.interval.ms", Both, Integer(1, 60_000)),
    property("topic.metadata.refresh.interval.ms", Both, Integer(-1, 3_600_000)),
    property("topic.metadata.refresh.sparse", Both, Boolean),
    property("transaction.timeout.ms", Producer, Integer(1_000, 2_147_483_647)),
    property("transactional.id", Producer, Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_order_and_aliases_lead_to_known_names() {
        assert!(PROPERTIES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for (alias, canonical) in ALIASES {
            assert!(find(alias).is_some() && find(canonical).is_some(), "{alias}");
        }
    }
}

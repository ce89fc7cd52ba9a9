//! A Kafka that asks who you are and what you may: TLS, certificates, passwords, rights.
//!
//! Tests look at it through its plain listener, as at any other; the program under test is given
//! one of the others. It is started for the first test that wants it.

use std::{fs, sync::OnceLock};

use super::{
    certificates::Certificates,
    free_port,
    kafka::Kafka,
    pipeline::Pipeline,
    rights::{self, Effect, Names, Operation, Resource, Right},
};

/// Who may do with topics and groups of these tests whatever a pipeline does.
pub(crate) const ALLOWED: &str = "allowed";

/// Who may not be a member of a group.
pub(crate) const NO_GROUP: &str = "no-group";

/// Who may not read from topics, only write to them.
pub(crate) const NO_READ: &str = "no-read";

/// Who may not write to topics, only read from them.
pub(crate) const NO_WRITE: &str = "no-write";

/// Who may do nothing.
pub(crate) const NOBODY: &str = "nobody";

/// Everybody's password.
pub(crate) const PASSWORD: &str = "open-sesame-4711";

/// What the names of topics and groups begin with for which there are rights.
const PREFIX: &str = "names-";

/// What the transactional ids begin with for which there are.
const TRANSACTIONAL: &str = "names-group";

/// It serves a few records.
const HEAP: &str = "256m";

/// A Kafka with listeners for each way to come in.
#[derive(Debug)]
pub(crate) struct SecureKafka {
    kafka: Kafka,
    certificates: Certificates,
    tls: String,
    mutual: String,
}

impl SecureKafka {
    /// The one that all tests share.
    pub(crate) fn shared() -> &'static SecureKafka {
        static SHARED: OnceLock<SecureKafka> = OnceLock::new();
        SHARED.get_or_init(SecureKafka::start)
    }

    fn start() -> SecureKafka {
        let certificates = Certificates::make();
        let [tls, mutual] = [free_port(), free_port()];
        let settings = format!("{}/scripts/kafka.d/secure.properties", env!("CARGO_MANIFEST_DIR"));
        let settings = fs::read_to_string(settings).expect("the settings of the secure Kafka");
        let folder = certificates.folder().to_str().expect("a folder in UTF-8");
        let settings = settings
            .replace("@CERTIFICATES@", folder)
            .replace("@TLS_PORT@", &tls.to_string())
            .replace("@MUTUAL_PORT@", &mutual.to_string())
            .replace("@USER@", ALLOWED)
            .replace("@PASSWORD@", PASSWORD);
        let users = [ALLOWED, NO_GROUP, NO_READ, NO_WRITE, NOBODY].map(|user| {
            ["SCRAM-SHA-256", "SCRAM-SHA-512"]
                .map(|mechanism| format!("{mechanism}=[name={user},password={PASSWORD}]"))
        });
        let kafka = Kafka::start_with(&settings, users.as_flattened(), HEAP);
        rights::add(kafka.brokers(), &rights_of_all());
        let [tls, mutual] = [tls, mutual].map(|port| format!("127.0.0.1:{port}"));
        SecureKafka { kafka, certificates, tls, mutual }
    }

    /// The same node by its plain listener, where everything is allowed.
    pub(crate) fn plainly(&self) -> &Kafka {
        &self.kafka
    }

    /// What `openssl` made for it.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The address that speaks TLS and asks nothing.
    pub(crate) fn tls(&self) -> &str {
        &self.tls
    }

    /// The address that wants a certificate.
    pub(crate) fn mutual(&self) -> &str {
        &self.mutual
    }

    /// The address that speaks TLS and wants a user and a password.
    pub(crate) fn sasl(&self) -> &str {
        self.kafka.brokers_with_sasl()
    }

    /// Takes from `ALLOWED` what is allowed with the one topic or group.
    pub(crate) fn deny(&self, operation: Operation, resource: Resource, name: &str) {
        let (effect, names) = (Effect::Deny, Names::Exactly(name));
        let right = Right { effect, user: ALLOWED, operation, resource, names };
        rights::add(self.kafka.brokers(), &[right]);
    }

    /// The pipeline names, by TLS, on the authority's word.
    pub(crate) fn names_by_tls(&self, address: &str) -> Pipeline {
        Pipeline::names(&self.kafka)
            .set("kafka.brokers", address)
            .property("security.protocol", "SSL")
            .property("ssl.ca.location", &self.certificates.pem("authority"))
    }

    /// The pipeline names as that user, whose password is in a file.
    pub(crate) fn names_as(&self, user: &str) -> Pipeline {
        self.names_by_tls(self.sasl())
            .property("security.protocol", "SASL_SSL")
            .property("sasl.mechanisms", "SCRAM-SHA-512")
            .property("sasl.username", user)
            .property("sasl.password", "${file:password}")
            .file("password", &format!("{PASSWORD}\n"))
    }
}

/// Each user but the first lacks one right, the last all.
fn rights_of_all() -> Vec<Right<'static>> {
    use {Operation::*, Resource::*};
    let certificate = "CN=client";
    let grants = [
        (Group, Read, [ALLOWED, certificate, NO_READ, NO_WRITE]),
        (Topic, Read, [ALLOWED, certificate, NO_GROUP, NO_WRITE]),
        (Topic, Write, [ALLOWED, certificate, NO_GROUP, NO_READ]),
    ];
    let rights = grants.iter().flat_map(|&(resource, operation, users)| {
        let (effect, names) = (Effect::Allow, Names::From(PREFIX));
        users.map(|user| Right { effect, user, operation, resource, names })
    });
    let transactions = [ALLOWED, certificate].map(|user| {
        let (effect, names) = (Effect::Allow, Names::From(TRANSACTIONAL));
        Right { effect, user, operation: Write, resource: TransactionalId, names }
    });
    rights.chain(transactions).collect()
}

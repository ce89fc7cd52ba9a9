//! The embedded broker: librdkafka's mock cluster, for the demo and for tests that inject faults.
//!
//! It listens on loopback, and other processes can connect. It keeps 5 MiB or 100,000 batches a
//! partition, answers a waiting fetch only when its wait ends (so its consumers want
//! `fetch.wait.max.ms` 0), and models neither the isolation of transactions nor offsets committed
//! in one: nothing about exactly once is to be believed of it.

use std::{ffi::CString, ptr::NonNull, sync::Arc, time::Duration};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    client::{Client, Plan, Role},
    faults,
    native::{OK, c_name, millis, text_at},
};
use crate::{config::settings::KafkaClient, transport::Trouble};

/// Who is in trouble when the embedded broker is.
const PEER: &str = "embedded";

/// A request that the embedded broker can be told to answer with an error: Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Request {
    /// Records to be written.
    Produce = 0,
    /// Records to be read.
    Fetch = 1,
    /// First and last offsets.
    ListOffsets = 2,
    /// Topics and who leads them.
    Metadata = 3,
    /// A group's positions.
    OffsetCommit = 8,
    /// Which broker keeps a group's books.
    FindCoordinator = 10,
    /// A member's wish to belong to a group.
    JoinGroup = 11,
    /// A member's sign of life.
    Heartbeat = 12,
    /// A producer's wish for a number, and for what its name left behind to be ended.
    InitProducerId = 22,
    /// Partitions that a transaction writes to.
    AddPartitionsToTransaction = 24,
    /// A group whose positions are in a transaction.
    AddOffsetsToTransaction = 25,
    /// A transaction is committed, or aborted.
    EndTransaction = 26,
    /// A group's positions, in a transaction.
    TransactionOffsetCommit = 28,
}

/// An error that it can be told to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The connection is closed.
    Disconnect,
    /// The record is larger than the broker allows.
    MessageTooLarge,
    /// The record does not please the broker.
    InvalidRecord,
    /// Another broker leads by now.
    NotLeader,
    /// The group does not know the member any more.
    UnknownMember,
    /// This user may not.
    TopicAuthorization,
    /// There is no such topic (any more).
    UnknownTopic,
    /// The log does not reach there.
    OffsetOutOfRange,
    /// Its disk is full, or gone.
    Storage,
    /// Too few replicas follow.
    NotEnoughReplicas,
}

impl RequestError {
    fn code(self) -> Code {
        match self {
            RequestError::Disconnect => Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            RequestError::MessageTooLarge => Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            RequestError::InvalidRecord => Code::RD_KAFKA_RESP_ERR_INVALID_RECORD,
            RequestError::NotLeader => Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RequestError::UnknownMember => Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            RequestError::TopicAuthorization => Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            RequestError::OffsetOutOfRange => Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
            RequestError::Storage => Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            RequestError::NotEnoughReplicas => Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RequestError::UnknownTopic => Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        }
    }
}

/// A cluster in this process; it ends when dropped. Its brokers are numbered from 1.
pub struct EmbeddedKafka {
    cluster: NonNull<rd::rd_kafka_mock_cluster_t>,
    client: Arc<Client>,
    brokers: i32,
}

// SAFETY: the mock cluster locks itself, or hands over to its own thread.
unsafe impl Send for EmbeddedKafka {}
// SAFETY: as above.
unsafe impl Sync for EmbeddedKafka {}

impl EmbeddedKafka {
    /// Starts that many brokers. A group starts at once, without waiting for more members.
    pub fn new(brokers: u8) -> Result<EmbeddedKafka, Trouble> {
        let plan = Plan {
            peer: PEER,
            label: PEER,
            role: Role::Producer,
            defaults: &[],
            owned: &[],
            events: 0,
            watcher: None,
        };
        let client = Client::start(&KafkaClient::default(), &plan)?;
        let brokers = i32::from(brokers.max(1));
        // SAFETY: the client is live, and outlives the cluster.
        let cluster = unsafe { rd::rd_kafka_mock_cluster_new(client.handle(), brokers) };
        let Some(cluster) = NonNull::new(cluster) else {
            let text = "the embedded broker could not listen on loopback";
            return Err(client.trouble(Code::RD_KAFKA_RESP_ERR__FAIL, text));
        };
        // SAFETY: the cluster is live.
        unsafe { rd::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.as_ptr(), 0) };
        Ok(EmbeddedKafka { cluster, client, brokers })
    }

    /// Addresses to connect to, as `brokers` wants them.
    pub fn bootstrap_servers(&self) -> &str {
        // SAFETY: the text belongs to the cluster.
        unsafe { text_at(rd::rd_kafka_mock_cluster_bootstraps(self.cluster.as_ptr())) }
    }

    /// Makes a topic, with one replica of each partition.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<(), Trouble> {
        let name = c_name(name);
        // SAFETY: the cluster is live; the name is copied.
        self.check(unsafe {
            let partitions = partitions as i32;
            rd::rd_kafka_mock_topic_create(self.cluster.as_ptr(), name.as_ptr(), partitions, 1)
        })
    }

    /// Makes every broker answer that much later; rounded to milliseconds.
    pub fn set_round_trip(&self, time: Duration) -> Result<(), Trouble> {
        self.for_each_broker(|cluster, broker| {
            // SAFETY: the cluster is live.
            unsafe { rd::rd_kafka_mock_broker_set_rtt(cluster, broker, millis(time)) }
        })
    }

    /// Closes every connection and takes no new one.
    pub fn set_down(&self) -> Result<(), Trouble> {
        self.for_each_broker(|cluster, broker| {
            // SAFETY: the cluster is live.
            unsafe { rd::rd_kafka_mock_broker_set_down(cluster, broker) }
        })
    }

    /// Undoes `set_down`.
    pub fn set_up(&self) -> Result<(), Trouble> {
        self.for_each_broker(|cluster, broker| {
            // SAFETY: the cluster is live.
            unsafe { rd::rd_kafka_mock_broker_set_up(cluster, broker) }
        })
    }

    /// Makes the next requests of that kind fail, one error after the other.
    pub fn push_request_errors(&self, request: Request, errors: &[RequestError]) {
        let numbers: Vec<_> = errors.iter().map(|it| it.code() as i32).collect();
        self.push(request, &numbers);
    }

    /// The same for any error of Kafka's protocol, by its number, that many times; each answer
    /// takes that long.
    pub fn push_error_number(&self, request: Request, number: i16, times: usize, rtt: Duration) {
        if rtt.is_zero() {
            return self.push(request, &vec![i32::from(number); times]);
        }
        for broker in 1..=self.brokers {
            for _ in 0..times {
                // SAFETY: the cluster is live; one pair of an error, as a C integer, and of
                // milliseconds follows the count.
                unsafe {
                    rd::rd_kafka_mock_broker_push_request_error_rtts(
                        self.cluster.as_ptr(),
                        broker,
                        request as i16,
                        1,
                        i32::from(number),
                        millis(rtt),
                    );
                }
            }
        }
    }

    /// Forgets the errors that no request has met yet.
    pub fn clear_request_errors(&self, request: Request) {
        // SAFETY: the cluster is live.
        unsafe { rd::rd_kafka_mock_clear_request_errors(self.cluster.as_ptr(), request as i16) }
    }

    /// All errors of Kafka's protocol that librdkafka has a name for.
    pub fn error_numbers() -> impl Iterator<Item = (i16, &'static str)> {
        let all = (-1..=255).filter(|it| *it != 0);
        let named = all.map(|number| (number, faults::name_of_number(i32::from(number))));
        named.filter(|(number, name)| *number == -1 || *name != "UNKNOWN")
    }

    fn push(&self, request: Request, numbers: &[i32]) {
        // SAFETY: the cluster is live; the codes, which are C integers, are copied.
        unsafe {
            rd::rd_kafka_mock_push_request_errors_array(
                self.cluster.as_ptr(),
                request as i16,
                numbers.len(),
                numbers.as_ptr().cast(),
            );
        }
    }

    /// Makes the topic answer every request with an error, or with none again.
    pub fn set_topic_error(&self, topic: &str, error: Option<RequestError>) {
        let (topic, code): (CString, _) = (c_name(topic), error.map_or(OK, RequestError::code));
        // SAFETY: the cluster is live; the name is copied.
        unsafe {
            rd::rd_kafka_mock_topic_set_error(self.cluster.as_ptr(), topic.as_ptr(), code);
        }
    }

    /// Makes that broker the leader of a partition.
    pub fn set_leader(&self, topic: &str, partition: i32, broker: i32) -> Result<(), Trouble> {
        let (cluster, topic) = (self.cluster.as_ptr(), c_name(topic));
        // SAFETY: the cluster is live; the name is copied.
        self.check(unsafe {
            rd::rd_kafka_mock_partition_set_leader(cluster, topic.as_ptr(), partition, broker)
        })
    }

    /// Makes that broker the one that keeps a group's books.
    pub fn set_coordinator(&self, group: &str, broker: i32) -> Result<(), Trouble> {
        let (cluster, group) = (self.cluster.as_ptr(), c_name(group));
        // SAFETY: the cluster is live; both texts are copied.
        self.check(unsafe {
            rd::rd_kafka_mock_coordinator_set(cluster, c"group".as_ptr(), group.as_ptr(), broker)
        })
    }

    fn for_each_broker(
        &self,
        act: impl Fn(*mut rd::rd_kafka_mock_cluster_t, i32) -> Code,
    ) -> Result<(), Trouble> {
        (1..=self.brokers).try_for_each(|broker| self.check(act(self.cluster.as_ptr(), broker)))
    }

    fn check(&self, code: Code) -> Result<(), Trouble> {
        if code == OK { Ok(()) } else { Err(faults::trouble(self.client.peer(), code, "")) }
    }
}

impl Drop for EmbeddedKafka {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once, and before the client that runs it.
        unsafe { rd::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) }
    }
}

impl std::fmt::Debug for EmbeddedKafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedKafka")
            .field("brokers", &self.bootstrap_servers())
            .finish_non_exhaustive()
    }
}

//! The program against a real Kafka and a real Redis, seen only from outside.
//!
//! One test program, so that all of it shares one Kafka, which takes seconds to start. What is
//! compared is what a plain client reads: keys, values, headers and times, byte for byte.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/histogram_logs.rs"]
mod histogram_logs;

mod payload;

mod batches;
mod bounded;
mod breaker;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux pins threads"))]
mod cores;
mod dead;
mod dead_letters;
mod demo;
mod doctor;
mod endpoint;
mod exactly_once;
mod faults;
mod files;
mod fleet;
mod gaps;
mod groups;
mod harness;
mod kills;
mod letters;
mod live;
mod load;
mod logins;
mod measure;
mod names;
mod on_demand;
mod orders;
mod pausing;
mod replay;
mod replay_kills;
mod replay_trouble;
mod report;
mod rolling;
mod routes;
mod security;
mod slow;
mod state;
mod state_changes;
mod stops;
mod stream_letters;
mod stream_relay;
mod stream_rig;
mod streams;
mod streams_bounded;
mod streams_dead;
mod streams_failover;
mod streams_kafka;
mod streams_kills;
mod streams_measure;
mod streams_positions;
mod streams_replay;
mod streams_replay_kills;
mod streams_trouble;
mod table_files;
mod table_kinds;
mod table_staleness;
mod tables;
mod topics;
mod trouble;
mod trouble_topics;

//! Whether a client's brokers are out of reach: the client says when, its connections say until.
//!
//! The client says it through a queue, which a hot thread with other work looks into late: by then
//! it may have connected again, and an idle client waits for no other answer. So what ends an
//! outage is no event but a state: some connection is up. Each broker's own thread tells of its
//! own. A client with nothing to send does not connect by itself either: see `metadata::knock`.

use std::{
    cell::Cell,
    ffi::{CStr, c_char, c_int, c_void},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::native::OK;
use crate::measure::OwnLine;

/// What librdkafka calls a connection over which a broker has answered, and one that is gone.
const UP: &CStr = c"UP";
const DOWN: &CStr = c"DOWN";

thread_local! {
    /// The connection of the broker whose thread this is.
    static IS_UP: Cell<bool> = const { Cell::new(false) };
}

/// A client's connections; written on librdkafka's threads, once for each that comes or goes.
#[derive(Debug, Default)]
pub(super) struct Connections(OwnLine<Counts>);

#[derive(Debug, Default)]
struct Counts {
    up: AtomicUsize,
    /// Those that went down, so far.
    losses: AtomicU64,
}

impl Connections {
    fn any(&self) -> bool {
        self.0.up.load(Ordering::Acquire) > 0
    }

    fn losses(&self) -> u64 {
        self.0.losses.load(Ordering::Acquire)
    }

    /// The connection of the thread that calls this has another state.
    fn hear(&self, state: &CStr) {
        if state == UP && !IS_UP.replace(true) {
            self.0.up.fetch_add(1, Ordering::Release);
        } else if state == DOWN {
            if IS_UP.replace(false) {
                self.0.up.fetch_sub(1, Ordering::Release);
            }
            self.0.losses.fetch_add(1, Ordering::Release);
        }
    }

    /// Has a client that is being made tell of its connections.
    ///
    /// # Safety
    ///
    /// The client is live, and `self` outlives it at this address.
    pub(super) unsafe fn add(&self, client: *mut rd::rd_kafka_t, name: *const c_char) {
        let state = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the caller's.
        unsafe {
            rd::rd_kafka_interceptor_add_on_broker_state_change(
                client,
                name,
                Some(on_broker_state),
                state,
            );
        }
    }
}

unsafe extern "C" fn on_broker_state(
    _client: *mut rd::rd_kafka_t,
    _broker_id: i32,
    _protocol: *const c_char,
    host: *const c_char,
    _port: c_int,
    broker_state: *const c_char,
    state: *mut c_void,
) -> Code {
    // SAFETY: both texts live during the call; `state` is the `Connections` of `add`.
    let (host, broker_state, connections) = unsafe {
        let texts = (CStr::from_ptr(host), CStr::from_ptr(broker_state));
        (texts.0, texts.1, &*state.cast::<Connections>())
    };
    // One without a host is librdkafka's stand-in for a broker that is not known yet.
    if !host.is_empty() {
        connections.hear(broker_state);
    }
    OK
}

/// An outage, while there is one.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Losses that were known of when it was heard of, while there is one.
    losses_then: Option<u64>,
    /// Losses when all was well, as last looked at.
    losses_seen: u64,
}

impl Outage {
    /// Takes in an error of the client.
    pub(super) fn hear(&mut self, code: Code, connections: &Connections) {
        if code == Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && self.losses_then.is_none() {
            self.losses_then = Some(self.losses_seen);
            self.losses_seen = connections.losses();
        }
    }

    /// True while there is one.
    pub(super) fn is_on(&self) -> bool {
        self.losses_then.is_some()
    }

    /// True once after an outage, when a broker is connected again.
    #[inline]
    pub(super) fn is_over(&mut self, connections: &Connections) -> bool {
        let Some(losses_then) = self.losses_then else {
            self.losses_seen = connections.losses();
            return false;
        };
        // The client says that all are gone right before the last one's thread says so itself: till
        // then that one still counts as up.
        let is_noted = connections.losses() != losses_then;
        let is_over = is_noted && connections.any();
        if is_over {
            self.losses_then = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_DOWN: Code = Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;

    #[test]
    fn an_outage_lasts_until_a_connection_and_its_end_is_told_once() {
        let (connections, mut outage) = (Connections::default(), Outage::default());
        connections.hear(UP);
        assert!(!outage.is_over(&connections), "there was none");
        outage.hear(Code::RD_KAFKA_RESP_ERR__TRANSPORT, &connections);
        assert!(!outage.is_over(&connections), "one connection of several");
        connections.hear(DOWN);
        outage.hear(ALL_DOWN, &connections);
        assert!(!outage.is_over(&connections));
        for state in [c"INIT", c"TRY_CONNECT", c"CONNECT", c"APIVERSION_QUERY", DOWN] {
            connections.hear(state);
            outage.hear(ALL_DOWN, &connections);
            assert!(!outage.is_over(&connections), "{state:?}");
        }
        connections.hear(UP);
        assert!(outage.is_over(&connections));
        assert!(!outage.is_over(&connections));
    }

    #[test]
    fn an_outage_that_is_heard_of_late_is_over_by_the_connection_since() {
        let (connections, mut outage) = (Connections::default(), Outage::default());
        connections.hear(UP);
        assert!(!outage.is_over(&connections));
        connections.hear(DOWN);
        connections.hear(UP);
        outage.hear(ALL_DOWN, &connections);
        assert!(outage.is_over(&connections), "nothing else will happen");
        assert!(!outage.is_over(&connections));
    }

    #[test]
    fn an_outage_that_is_heard_of_before_its_loss_is_noted_lasts() {
        let (connections, mut outage) = (Connections::default(), Outage::default());
        connections.hear(UP);
        assert!(!outage.is_over(&connections));
        outage.hear(ALL_DOWN, &connections);
        assert!(!outage.is_over(&connections), "the loss is being noted");
        connections.hear(DOWN);
        assert!(!outage.is_over(&connections));
        connections.hear(UP);
        assert!(outage.is_over(&connections));
    }

    #[test]
    fn each_thread_tells_of_its_own_connection() {
        let connections = Connections::default();
        connections.hear(UP);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                connections.hear(DOWN);
                connections.hear(UP);
                connections.hear(UP);
                connections.hear(DOWN);
            });
        });
        assert!(connections.any(), "the other one is up");
        connections.hear(DOWN);
        assert!(!connections.any());
        assert_eq!(connections.losses(), 3);
    }
}

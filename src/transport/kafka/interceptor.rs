//! What watches a client from librdkafka's own threads: one way to be put into it.
//!
//! librdkafka takes interceptors in two steps: one into the configuration, which is called when
//! the client is made, and that one adds those that the client then calls.

use std::{
    any::Any,
    ffi::{CStr, c_char, c_void},
    ptr::{self, NonNull},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::spinning::Spinning;

/// An interceptor's name: all of ours have one.
const NAME: &CStr = c"hotspur";

/// Something that a client's interceptors write to.
pub(super) trait Watch: Any + Send + Sync {
    /// Adds the interceptor to a client that is being made.
    ///
    /// # Safety
    ///
    /// The client is live, and `state` points to a `Self` that outlives it.
    unsafe fn add(client: *mut rd::rd_kafka_t, name: *const c_char, state: *mut c_void) -> Code;

    /// Puts more into a configuration that is live. The caller keeps `self` alive for longer than
    /// the client.
    fn configure(&self, _configuration: NonNull<rd::rd_kafka_conf_t>) {}

    /// What makes the client's threads spin, if they are to.
    fn spinning(&self) -> Option<&Spinning>;
}

/// The same for whoever need not know which it is.
pub(super) trait Watcher: Any + Send + Sync {
    /// Puts it into a configuration. The caller keeps `self` alive for longer than the client.
    fn install(&self, configuration: NonNull<rd::rd_kafka_conf_t>);
}

impl<W: Watch> Watcher for W {
    fn install(&self, configuration: NonNull<rd::rd_kafka_conf_t>) {
        self.configure(configuration);
        let state = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the configuration is live; the caller keeps `self` for longer than the client,
        // whose threads and callers are the only ones that use `state`.
        unsafe {
            rd::rd_kafka_conf_interceptor_add_on_new(
                configuration.as_ptr(),
                NAME.as_ptr(),
                Some(on_new::<W>),
                state,
            );
        }
    }
}

unsafe extern "C" fn on_new<W: Watch>(
    client: *mut rd::rd_kafka_t,
    _configuration: *const rd::rd_kafka_conf_t,
    state: *mut c_void,
    _text: *mut c_char,
    _text_bytes: usize,
) -> Code {
    // SAFETY: called by librdkafka with the client under construction and the state of `install`,
    // which outlives it, and with it what it holds.
    unsafe {
        if let Some(spinning) = (*state.cast::<W>()).spinning() {
            spinning.add(client, NAME.as_ptr());
        }
        W::add(client, NAME.as_ptr(), state)
    }
}

//! The long way of producing: field by field, with headers that are ours until the message has
//! them.

use std::{ffi::c_void, ptr};

use rdkafka::bindings::{
    self as rd, rd_kafka_resp_err_t as Code, rd_kafka_vtype_t as Kind,
    rd_kafka_vu_s__bindgen_ty_1 as Field, rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 as Bytes,
    rd_kafka_vu_t as Named,
};

use super::{client::Client, native::outcome};
use crate::{record::Headers, transport::Token};

/// One message beside its headers.
pub(super) struct Fields<'a> {
    pub(super) topic: *mut rd::rd_kafka_topic_t,
    pub(super) partition: i32,
    pub(super) value: Option<&'a [u8]>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) token: Token,
    /// 0 is the client's own clock.
    pub(super) timestamp_ms: i64,
}

impl Fields<'_> {
    /// Produces a copy of it.
    ///
    /// # Safety
    ///
    /// The topic is live, and of this client.
    pub(super) unsafe fn produce(
        &self,
        client: &Client,
        headers: &mut OwnHeaders,
    ) -> Result<(), Code> {
        let mut fields = [
            Named { vtype: Kind::RD_KAFKA_VTYPE_RKT, u: Field { rkt: self.topic } },
            Named { vtype: Kind::RD_KAFKA_VTYPE_PARTITION, u: Field { i32_: self.partition } },
            Named { vtype: Kind::RD_KAFKA_VTYPE_MSGFLAGS, u: Field { i: rd::RD_KAFKA_MSG_F_COPY } },
            memory(Kind::RD_KAFKA_VTYPE_VALUE, self.value),
            memory(Kind::RD_KAFKA_VTYPE_KEY, self.key),
            Named {
                vtype: Kind::RD_KAFKA_VTYPE_OPAQUE,
                u: Field { ptr: self.token.0 as *mut c_void },
            },
            Named { vtype: Kind::RD_KAFKA_VTYPE_TIMESTAMP, u: Field { i64_: self.timestamp_ms } },
            Named { vtype: Kind::RD_KAFKA_VTYPE_HEADERS, u: Field { headers: headers.0 } },
        ];
        let len = fields.len() - usize::from(headers.0.is_null());
        // SAFETY: the fields are initialised and live during the call; with F_COPY the bytes are
        // read before it returns; the error is ours. Headers become the message's on success and
        // stay ours otherwise.
        unsafe {
            outcome(rd::rd_kafka_produceva(client.handle(), fields.as_mut_ptr(), len))
                .map_err(|(code, _)| code)?;
        }
        headers.0 = ptr::null_mut();
        Ok(())
    }
}

/// Start and length; null is absent, and an empty slice's start is not null.
pub(super) fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |it| (it.as_ptr().cast_mut().cast(), it.len()))
}

fn memory(vtype: Kind, bytes: Option<&[u8]>) -> Named {
    let (ptr, size) = parts(bytes);
    Named { vtype, u: Field { mem: Bytes { ptr, size } } }
}

/// librdkafka's headers of no message; null if there are none.
#[derive(Debug)]
pub(super) struct OwnHeaders(*mut rd::rd_kafka_headers_t);

// SAFETY: a plain object without ties to a thread.
unsafe impl Send for OwnHeaders {}

impl OwnHeaders {
    /// librdkafka's own copy. Its other way wants names that end in NUL.
    pub(super) fn copy(headers: Headers<'_>) -> OwnHeaders {
        if headers.is_empty() {
            return OwnHeaders(ptr::null_mut());
        }
        // SAFETY: the list is new; names and values are copied with their lengths.
        unsafe {
            let list = rd::rd_kafka_headers_new(8);
            for (name, value) in headers {
                let (value, value_len) = parts(value);
                let name_len = name.len() as isize;
                let name = name.as_ptr().cast();
                rd::rd_kafka_header_add(list, name, name_len, value, value_len as isize);
            }
            OwnHeaders(list)
        }
    }

    /// Those of a message, which has none then.
    ///
    /// # Safety
    ///
    /// The message is live and used by nobody else.
    pub(super) unsafe fn detach(message: *mut rd::rd_kafka_message_t) -> OwnHeaders {
        let mut headers = ptr::null_mut();
        // SAFETY: the caller's. Without headers the place stays null.
        unsafe { rd::rd_kafka_message_detach_headers(message, &mut headers) };
        OwnHeaders(headers)
    }
}

impl Drop for OwnHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: ours, and of no message.
            unsafe { rd::rd_kafka_headers_destroy(self.0) }
        }
    }
}

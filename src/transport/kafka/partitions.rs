//! Lists of partitions with offsets and texts, as librdkafka takes and gives them: owners, too.

use std::{
    ffi::CStr,
    ptr::{self, NonNull},
    slice,
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::native::opaque_debug;

/// One partition in a list: the C structure, read through methods.
#[repr(transparent)]
pub(super) struct PartitionEntry(rd::rd_kafka_topic_partition_t);

impl PartitionEntry {
    pub(super) fn topic(&self) -> &CStr {
        // SAFETY: every entry has a name, which lives as long as the entry.
        unsafe { CStr::from_ptr(self.0.topic) }
    }

    pub(super) fn partition(&self) -> i32 {
        self.0.partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(super) fn code(&self) -> Code {
        self.0.err
    }

    pub(super) fn metadata(&self) -> &[u8] {
        if self.0.metadata.is_null() {
            return &[];
        }
        // SAFETY: the pointer and its length belong together and live as long as the entry.
        unsafe { slice::from_raw_parts(self.0.metadata.cast(), self.0.metadata_size) }
    }
}

/// # Safety
///
/// `list` is null or live for `'a` and not changed meanwhile.
pub(super) unsafe fn entries<'a>(
    list: *const rd::rd_kafka_topic_partition_list_t,
) -> &'a [PartitionEntry] {
    // SAFETY: the caller's; `PartitionEntry` is transparent, and the list holds `cnt` elements.
    unsafe {
        match list.as_ref() {
            Some(it) if it.cnt > 0 => slice::from_raw_parts(it.elems.cast(), it.cnt as usize),
            _ => &[],
        }
    }
}

/// # Safety
///
/// `entry` is live for `'a` and not changed meanwhile.
pub(super) unsafe fn entry_at<'a>(
    entry: *const rd::rd_kafka_topic_partition_t,
) -> &'a PartitionEntry {
    // SAFETY: the caller's; `PartitionEntry` is transparent.
    unsafe { &*entry.cast() }
}

/// A list of partitions of our own.
pub(super) struct PartitionList {
    handle: NonNull<rd::rd_kafka_topic_partition_list_t>,
}

// SAFETY: a plain object without ties to a thread.
unsafe impl Send for PartitionList {}

impl PartitionList {
    pub(super) fn new() -> PartitionList {
        // SAFETY: no preconditions.
        let handle = unsafe { rd::rd_kafka_topic_partition_list_new(8) };
        PartitionList { handle: NonNull::new(handle).expect("librdkafka aborts without memory") }
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_topic_partition_list_t {
        self.handle.as_ptr()
    }

    pub(super) fn entries(&self) -> &[PartitionEntry] {
        // SAFETY: the list is ours and borrowed for as long as the slice.
        unsafe { entries(self.handle()) }
    }

    /// Another list of the same entries, with their texts.
    pub(super) fn copy(&self) -> PartitionList {
        // SAFETY: the list is ours.
        let handle = unsafe { rd::rd_kafka_topic_partition_list_copy(self.handle()) };
        PartitionList { handle: NonNull::new(handle).expect("librdkafka aborts without memory") }
    }

    /// Appends a partition; returns its index.
    pub(super) fn add(&mut self, topic: &CStr, partition: i32, offset: i64) -> usize {
        // SAFETY: the list is ours; the name is copied; the new element is live.
        unsafe {
            let added =
                rd::rd_kafka_topic_partition_list_add(self.handle(), topic.as_ptr(), partition);
            (*added).offset = offset;
        }
        self.entries().len() - 1
    }

    pub(super) fn set_offset(&mut self, index: usize, offset: i64) {
        assert!(index < self.entries().len(), "no entry {index} in the list");
        // SAFETY: the index was just checked, and the list is ours.
        unsafe { (*(*self.handle()).elems.add(index)).offset = offset }
    }

    /// Replaces the text that a commit of this entry carries.
    pub(super) fn set_metadata(&mut self, index: usize, text: &[u8]) {
        assert!(index < self.entries().len(), "no entry {index} in the list");
        // SAFETY: the index was checked. librdkafka frees the text with the list, so it is
        // allocated by librdkafka, and the text that it replaces is freed likewise.
        unsafe {
            let entry = &mut *(*self.handle()).elems.add(index);
            if !entry.metadata.is_null() {
                rd::rd_kafka_mem_free(ptr::null_mut(), entry.metadata);
            }
            entry.metadata = rd::rd_kafka_mem_malloc(ptr::null_mut(), text.len().max(1));
            ptr::copy_nonoverlapping(text.as_ptr(), entry.metadata.cast(), text.len());
            entry.metadata_size = text.len();
        }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: owned and destroyed once.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.handle()) }
    }
}

opaque_debug! { PartitionEntry PartitionList }

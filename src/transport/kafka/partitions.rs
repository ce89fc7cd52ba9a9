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
    /// Bytes that each text has room for that is set here, at least.
    text_room: usize,
}

// SAFETY: a plain object without ties to a thread.
unsafe impl Send for PartitionList {}

impl PartitionList {
    pub(super) fn new() -> PartitionList {
        PartitionList::with_text_room(0)
    }

    /// One whose texts of that many bytes at most replace each other without new memory.
    pub(super) fn with_text_room(text_room: usize) -> PartitionList {
        // SAFETY: no preconditions.
        let handle = unsafe { rd::rd_kafka_topic_partition_list_new(8) };
        let handle = NonNull::new(handle).expect("librdkafka aborts without memory");
        PartitionList { handle, text_room }
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
        let handle = NonNull::new(handle).expect("librdkafka aborts without memory");
        PartitionList { handle, text_room: 0 }
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

    /// Shows one of the entries as a list, to a call that changes numbers of it and nothing else.
    pub(super) fn with_one(
        &self,
        index: usize,
        call: impl FnOnce(*mut rd::rd_kafka_topic_partition_list_t),
    ) {
        assert!(index < self.entries().len(), "no entry {index} in the list");
        // SAFETY: the index was checked; nobody holds a reference into the list meanwhile.
        let elems = unsafe { (*self.handle()).elems.add(index) };
        call(&mut rd::rd_kafka_topic_partition_list_t { cnt: 1, size: 1, elems });
    }

    /// Replaces the text that a commit of this entry carries.
    pub(super) fn set_metadata(&mut self, index: usize, text: &[u8]) {
        assert!(index < self.entries().len(), "no entry {index} in the list");
        // SAFETY: the index was checked. librdkafka frees the text with the list, so it is
        // allocated by librdkafka, and the text that it replaces is freed likewise. One that is
        // there was set here, if there is room in it: entries are added without texts, and a copy
        // of a list has no room.
        unsafe {
            let entry = &mut *(*self.handle()).elems.add(index);
            if entry.metadata.is_null() || text.len() > self.text_room {
                if !entry.metadata.is_null() {
                    rd::rd_kafka_mem_free(ptr::null_mut(), entry.metadata);
                }
                let len = text.len().max(self.text_room).max(1);
                entry.metadata = rd::rd_kafka_mem_malloc(ptr::null_mut(), len);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_replaces_another_in_its_place() {
        let mut list = PartitionList::with_text_room(8);
        let index = list.add(c"in", 3, 17);
        list.set_metadata(index, b"one");
        let place = list.entries()[index].metadata().as_ptr();
        for text in [&b"12345678"[..], b"", b"four"] {
            list.set_metadata(index, text);
            let metadata = list.entries()[index].metadata();
            assert_eq!((metadata, metadata.as_ptr()), (text, place));
        }
        list.set_metadata(index, b"longer than that");
        assert_eq!(list.entries()[index].metadata(), b"longer than that");
        let mut copy = list.copy();
        copy.set_metadata(index, b"of the copy, and longer than the list's");
        assert_eq!(copy.entries()[index].metadata(), b"of the copy, and longer than the list's");
        assert_eq!(list.entries()[index].metadata(), b"longer than that");
    }

    #[test]
    fn one_entry_is_shown_as_a_list() {
        let mut list = PartitionList::new();
        list.add(c"in", 3, 17);
        let index = list.add(c"in", 4, 18);
        list.with_one(index, |one| {
            // SAFETY: the list is live during the call.
            let shown = unsafe { entries(one) };
            assert_eq!((shown.len(), shown[0].partition(), shown[0].offset()), (1, 4, 18));
            // SAFETY: as above; nobody holds a reference any more.
            unsafe { (*(*one).elems).offset = 20 };
        });
        assert_eq!(list.entries()[index].offset(), 20);
        assert_eq!(list.entries()[0].offset(), 17);
    }
}

//! Editing a stretch of bytes within others: what aggregates of no fixed length live in.
//!
//! A part is a length of four bytes and as many bytes behind it. Parts stand one after another at
//! the end of a window; the window tells its own length. Whoever edits a part works on a copy of
//! the whole entry, so that an entry that becomes too long is dropped and nothing has happened.

pub(in crate::state) const LENGTH_BYTES: usize = 4;

/// The number of bytes behind the length at that position.
pub(in crate::state) fn length_at(bytes: &[u8], at: usize) -> usize {
    let length: [u8; LENGTH_BYTES] =
        bytes[at..at + LENGTH_BYTES].try_into().expect("a length of four bytes");
    u32::from_le_bytes(length) as usize
}

pub(in crate::state) fn set_length(bytes: &mut [u8], at: usize, length: usize) {
    let length = u32::try_from(length).expect("an entry is shorter than 4 GiB");
    bytes[at..at + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Makes room for `more` bytes at `at`; they are zero.
pub(in crate::state) fn open(bytes: &mut Vec<u8>, at: usize, more: usize) {
    let end = bytes.len();
    bytes.resize(end + more, 0);
    bytes.copy_within(at..end, at + more);
    bytes[at..at + more].fill(0);
}

/// Takes `fewer` bytes out at `at`.
pub(in crate::state) fn close(bytes: &mut Vec<u8>, at: usize, fewer: usize) {
    bytes.copy_within(at + fewer.., at);
    bytes.truncate(bytes.len() - fewer);
}

/// One part of a window, in a copy of its entry.
pub(super) struct Part<'a> {
    entry: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Part<'a> {
    pub(super) fn new(entry: &'a mut Vec<u8>, at: usize) -> Part<'a> {
        Part { entry, at }
    }

    fn start(&self) -> usize {
        self.at + LENGTH_BYTES
    }

    pub(super) fn len(&self) -> usize {
        length_at(self.entry, self.at)
    }

    pub(super) fn get(&self) -> &[u8] {
        &self.entry[self.start()..self.start() + self.len()]
    }

    pub(super) fn get_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.start(), self.len());
        &mut self.entry[start..start + len]
    }

    /// Zero bytes at that position of the part.
    pub(super) fn open(&mut self, at: usize, more: usize) {
        let (start, len) = (self.start(), self.len());
        open(self.entry, start + at, more);
        set_length(self.entry, self.at, len + more);
    }

    pub(super) fn close(&mut self, at: usize, fewer: usize) {
        let (start, len) = (self.start(), self.len());
        close(self.entry, start + at, fewer);
        set_length(self.entry, self.at, len - fewer);
    }

    pub(super) fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.open(at, bytes.len());
        self.get_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.close(0, self.len());
        self.insert(0, bytes);
    }
}

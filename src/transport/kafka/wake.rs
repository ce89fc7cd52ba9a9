//! Ends a parked thread's wait when one of librdkafka's queues gets something.
//!
//! librdkafka writes to a descriptor when a queue stops being empty. Until a thread parks for the
//! first time nothing is switched on, so that an engine that spins costs nobody a system call.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// A descriptor that becomes readable when `signal` is called, by us or by librdkafka.
#[derive(Debug)]
pub(super) struct Wake {
    reader: File,
    writer: File,
}

impl Wake {
    pub(super) fn new() -> io::Result<Wake> {
        let (reader, writer) = pair()?;
        Ok(Wake { reader: File::from(reader), writer: File::from(writer) })
    }

    /// What to wait on.
    pub(super) fn readable(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// What to write eight bytes to.
    pub(super) fn writable(&self) -> RawFd {
        self.writer.as_raw_fd()
    }

    /// Ends the wait, also one that begins later.
    pub(super) fn signal(&self) {
        // Full means that it is readable already.
        let _ = (&self.writer).write(&1u64.to_ne_bytes());
    }

    /// Makes it unreadable again. Never blocks.
    pub(super) fn drain(&self) {
        let mut bytes = [0; 64];
        // An error is "nothing to read"; a rest ends one wait early, no more.
        let _ = (&self.reader).read(&mut bytes);
    }
}

#[cfg(target_os = "linux")]
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use std::os::fd::FromRawFd;
    // SAFETY: no preconditions.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by nobody else.
    let reader = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let writer = reader.try_clone()?;
    Ok((reader, writer))
}

#[cfg(not(target_os = "linux"))]
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((reader.into(), writer.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::WaitSet;

    #[test]
    fn a_signal_ends_one_wait_until_drained() {
        let wake = Wake::new().unwrap();
        let waits = |wake: &Wake| {
            let mut set = WaitSet::new();
            set.add(wake.readable());
            set.wait(Duration::ZERO)
        };
        assert!(!waits(&wake));
        wake.signal();
        wake.signal();
        assert!(waits(&wake));
        wake.drain();
        assert!(!waits(&wake));
        wake.drain();
    }
}

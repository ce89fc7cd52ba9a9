//! Which cores the calling thread may run on: asked, narrowed for a while, or pinned to one.
//!
//! Threads inherit the mask of the thread that makes them. So client libraries are created inside
//! a `Housekeeping` guard, and the hot thread pins itself afterwards.

use std::{io, marker::PhantomData};

use crate::host::{CpuList, HostError};

/// Moves the calling thread to one core, which may lie outside its mask but not outside its cpuset.
/// Elsewhere than on Linux it reports that this cannot be done.
pub fn pin_current(core: usize) -> Result<(), HostError> {
    let cores: CpuList = [core].into_iter().collect();
    if core >= super::cpu_list::CORES_MAX {
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(HostError::Affinity { cores, source });
    }
    // `core_affinity` does not keep the error, but nothing comes between it and the system call.
    let moved = core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let source = io::Error::last_os_error();
    match current() {
        _ if !moved => Err(HostError::Affinity { cores, source }),
        Some(now) if now == cores => Ok(()),
        _ => Err(HostError::Affinity { cores, source: unsupported() }),
    }
}

/// While it lives, the thread that made it, and threads which that one makes, stay on certain
/// cores; afterwards the thread has its old mask back, and the others keep theirs.
#[derive(Debug)]
pub struct Housekeeping {
    before: CpuList,
    /// The mask belongs to one thread, so the guard must not leave it.
    bound: PhantomData<*const ()>,
}

impl Housekeeping {
    /// Narrows the calling thread to `cores`.
    pub fn enter(cores: &CpuList) -> Result<Housekeeping, HostError> {
        let failed = |source| HostError::Affinity { cores: cores.clone(), source };
        let before = current().ok_or_else(|| failed(unsupported()))?;
        set_current(cores).map_err(failed)?;
        Ok(Housekeeping { before, bound: PhantomData })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        if let Err(error) = set_current(&self.before) {
            tracing::warn!(event = "host.affinity", cores = %self.before, "{error}");
        }
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, super::NO_AFFINITY)
}

/// The calling thread's mask; `None` where the system has none.
#[cfg(target_os = "linux")]
pub fn current() -> Option<CpuList> {
    // SAFETY: the set is plain bits, for which all zeroes is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the size are those of one set that lives through the call.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    // SAFETY: the bound is the size of the set in bits.
    let contains = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    (failed == 0).then(|| (0..super::cpu_list::CORES_MAX).filter(contains).collect())
}

#[cfg(target_os = "linux")]
fn set_current(cores: &CpuList) -> io::Result<()> {
    // SAFETY: the set is plain bits, for which all zeroes is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores.iter().filter(|core| *core < super::cpu_list::CORES_MAX) {
        // SAFETY: the core lies within the set, as just checked.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the pointer and the size are those of one set that lives through the call.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The calling thread's mask; `None` where the system has none.
#[cfg(not(target_os = "linux"))]
pub fn current() -> Option<CpuList> {
    None
}

#[cfg(not(target_os = "linux"))]
fn set_current(_: &CpuList) -> io::Result<()> {
    Err(unsupported())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn threads_made_inside_the_guard_stay_and_the_maker_goes_back() {
        thread::spawn(|| {
            let before = current().unwrap();
            let first: CpuList = before.iter().take(1).collect();
            let guard = Housekeeping::enter(&first).unwrap();
            assert_eq!(current().unwrap(), first);
            let inherited = thread::spawn(current).join().unwrap().unwrap();
            assert_eq!(inherited, first);
            drop(guard);
            assert_eq!(current().unwrap(), before);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_pinned_thread_is_on_that_core_alone() {
        thread::spawn(|| {
            let last = current().unwrap().iter().next_back().unwrap();
            pin_current(last).unwrap();
            assert_eq!(current().unwrap().iter().collect::<Vec<_>>(), [last]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_core_that_is_not_there_is_an_error_that_names_it() {
        for core in [1_023, 1_024, usize::MAX] {
            let error = pin_current(core).unwrap_err().to_string();
            let start = format!("a thread cannot be moved to cores {core}: ");
            assert!(error.starts_with(&start), "{error}");
        }
        assert!(Housekeeping::enter(&CpuList::default()).is_err());
    }
}

//! One hot thread a core: a lock file a core, held as long as the process lives. What else only one
//! process may have is locked in the same way.
//!
//! The lock is the system's own (`flock`), so that it ends with the process however that ends; the
//! file only says who holds it, and stays. It keeps Hotspurs apart that share the folder, and
//! nobody else: other programs do not know of it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

/// A core, or what else is locked, that is ours among Hotspurs; given back when dropped.
#[derive(Debug)]
pub struct CoreLock {
    file: File,
}

/// What came of trying to lock a core.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Locked(CoreLock),
    /// Another process holds it: who, in words.
    Held(String),
    /// It cannot be told: why, in words.
    Unknown(String),
}

/// Where lock files are: the user's runtime folder, else the one for temporary files.
pub fn folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.filter(|it| it.is_dir()).unwrap_or_else(std::env::temp_dir)
}

/// Tries to lock a core, without waiting.
pub fn attempt(folder: &Path, core: usize) -> Attempt {
    let path = folder.join(format!("hotspur-core-{core}.lock"));
    attempt_file(&path, &format!("core {core}"))
}

/// Tries to lock that file, which is made if it is not there, without waiting. `what` is what the
/// lock is for, in words.
pub fn attempt_file(path: &Path, what: &str) -> Attempt {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) => return Attempt::Unknown(format!("{}: {error}", path.display())),
    };
    match lock(&file) {
        Ok(()) => {
            // Only told to people: who cannot write it holds the lock all the same.
            let pid = format!("{}\n", std::process::id());
            let _ = file.set_len(0).and_then(|()| file.write_all(pid.as_bytes()));
            Attempt::Locked(CoreLock { file })
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Attempt::Held(holder_in_words(&mut file, path, what))
        }
        Err(error) => Attempt::Unknown(format!("{}: {error}", path.display())),
    }
}

/// A file that another user made can be opened for reading, which is enough for a lock.
fn open(path: &Path) -> io::Result<File> {
    let ours = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match ours {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

/// Who holds a core, without trying for it: an attempt, however short, could turn away a process
/// that starts at that moment. Reads the system's list of locks; none where that does not tell.
pub fn holder(root: &Path, folder: &Path, core: usize) -> Option<u32> {
    let path = folder.join(format!("hotspur-core-{core}.lock"));
    let inode = inode(&path)?;
    let said = std::fs::read_to_string(&path).ok();
    let said = said.and_then(|text| text.trim().parse::<u32>().ok());
    let locks = std::fs::read_to_string(root.join("proc/locks")).ok()?;
    let holders = locks.lines().filter_map(|line| flock(line, inode));
    // Numbers of files are told apart by what the file says, where it says something.
    holders.into_iter().find(|pid| said.is_none_or(|said| said == *pid))
}

#[cfg(unix)]
fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(path.metadata().ok()?.ino())
}

#[cfg(not(unix))]
fn inode(_: &Path) -> Option<u64> {
    None
}

/// The process of a line such as `1: FLOCK  ADVISORY  WRITE 709 08:01:1234 0 EOF`, if the lock is
/// held and of that file.
fn flock(line: &str, inode: u64) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else { return None };
    let number = file.rsplit(':').next()?.parse::<u64>().ok()?;
    if number == inode { pid.parse().ok() } else { None }
}

fn holder_in_words(file: &mut File, path: &Path, what: &str) -> String {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) if read.is_ok() => {
            format!("{what} is held by process {pid} ({})", path.display())
        }
        _ => format!("{what} is held by another process ({})", path.display()),
    }
}

fn lock(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, because `file` is borrowed.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for CoreLock {
    fn drop(&mut self) {
        // A child process may have inherited the descriptor: closing ours would not free the core.
        // SAFETY: the descriptor is open until the field is dropped, after this.
        unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_UN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_had_once_and_again_after_it_was_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let Attempt::Locked(lock) = attempt(folder.path(), 3) else { panic!("3 must be free") };
        let Attempt::Held(words) = attempt(folder.path(), 3) else { panic!("3 must be held") };
        let start = format!("core 3 is held by process {} (", std::process::id());
        assert!(words.starts_with(&start), "{words}");
        assert!(matches!(attempt(folder.path(), 4), Attempt::Locked(_)));
        drop(lock);
        assert!(matches!(attempt(folder.path(), 3), Attempt::Locked(_)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_holds_a_core_is_told_without_trying_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new("/");
        assert_eq!(holder(root, folder.path(), 3), None);
        let lock = attempt(folder.path(), 3);
        assert_eq!(holder(root, folder.path(), 3), Some(std::process::id()));
        drop(lock);
        assert_eq!(holder(root, folder.path(), 3), None, "only the file is left");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let Attempt::Unknown(words) = attempt(&missing, 0) else { panic!("cannot be locked") };
        assert!(words.contains("hotspur-core-0.lock"), "{words}");
    }
}

//! The file that says how far streams were read without a group: read, and locked for this process.

use std::{ffi::OsString, path::PathBuf};

use super::StartError;
use crate::{
    config::Settings,
    host::{
        CoreLock,
        core_lock::{self, Attempt},
    },
    transport::redis::PositionFile,
};

/// The file, if the run has one, and its lock. The lock is a file beside it: it is itself replaced
/// again and again.
///
/// # Errors
///
/// If another process has it, or it is damaged, of other streams, or its folder cannot be written.
pub(super) fn open(settings: &Settings) -> Result<Option<(PositionFile, CoreLock)>, StartError> {
    let source = settings.read_plainly().filter(|_| !settings.source.range.is_given());
    let Some(path) = source.and_then(|it| it.positions.as_ref()) else { return Ok(None) };
    let problem = |what: String| format!("source.redis.positions: {what}");
    let mut lock = OsString::from(path);
    lock.push(".lock");
    let lock = match core_lock::attempt_file(&PathBuf::from(lock), &path.display().to_string()) {
        Attempt::Locked(lock) => lock,
        Attempt::Held(holder) => return Err(StartError::Taken(problem(holder))),
        Attempt::Unknown(why) => return Err(StartError::Refused(problem(why))),
    };
    let file = PositionFile::open(path, &settings.source.topics);
    Ok(Some((file.map_err(|it| StartError::Refused(problem(it)))?, lock)))
}

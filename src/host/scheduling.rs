//! How the kernel treats the threads of this process: before whom they run, how exact timers are.

use std::{io, thread, time::Duration};

/// The lowest real-time priority: it is before every thread that is not real-time, and behind
/// the kernel's own, which have 50 and more.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 1;

/// Makes the calling thread a real-time one (`SCHED_FIFO`); threads that it makes are not.
///
/// # Errors
///
/// If it has not the right to.
pub fn run_first() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        let parameters = libc::sched_param { sched_priority: PRIORITY };
        // SAFETY: the pointer is to one structure that lives through the call.
        match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Whether a thread of this process may become a real-time one: one tries, and ends.
///
/// # Errors
///
/// A sentence that says which right is missing.
pub fn may_run_first() -> Result<(), String> {
    let tried = thread::spawn(run_first).join().unwrap_or_else(|_| Err(io::Error::other("panic")));
    tried.map_err(|error| {
        format!(
            "the hot thread is not SCHED_FIFO: {error}; LimitRTPRIO=1, `ulimit -r 1` or the \
             capability CAP_SYS_NICE allow it"
        )
    })
}

/// How late timers of the calling thread, and of threads that it makes, may fire. A right that
/// everybody has; where the system knows no such thing nothing happens.
pub fn set_timer_slack(slack: Duration) {
    #[cfg(target_os = "linux")]
    {
        let nanos = libc::c_ulong::try_from(slack.as_nanos()).unwrap_or(libc::c_ulong::MAX);
        // SAFETY: no memory is passed.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanos.max(1), 0, 0, 0) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = slack;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn slack() -> i32 {
        // SAFETY: no memory is passed.
        unsafe { libc::prctl(libc::PR_GET_TIMERSLACK, 0, 0, 0, 0) }
    }

    #[test]
    fn slack_is_handed_down_to_threads() {
        let body = || {
            set_timer_slack(Duration::from_micros(7));
            (slack(), thread::spawn(slack).join().unwrap())
        };
        assert_eq!(thread::spawn(body).join().unwrap(), (7_000, 7_000));
    }

    #[test]
    fn a_real_time_thread_makes_ordinary_ones() {
        // SAFETY: no memory is passed.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let body = move || run_first().map(|()| (policy(), thread::spawn(policy).join().unwrap()));
        match thread::spawn(body).join().unwrap() {
            Ok((own, made)) => {
                assert_eq!(own & !libc::SCHED_RESET_ON_FORK, libc::SCHED_FIFO);
                assert_eq!(made, libc::SCHED_OTHER);
                assert_eq!(may_run_first(), Ok(()));
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                assert!(may_run_first().unwrap_err().contains("CAP_SYS_NICE"));
            }
        }
    }
}

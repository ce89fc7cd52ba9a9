//! How the kernel treats the threads of this process: before whom they run, how exact timers are.

use std::{fs, io, path::Path, thread, time::Duration};

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
            "{error}; LimitRTPRIO=1, `ulimit -r 1` or the \
             capability CAP_SYS_NICE allow it"
        )
    })
}

/// Why the kernel would stop a real-time thread that never sleeps on such a core, if it would.
///
/// Up to Linux 6.11 all real-time threads of a core get `kernel.sched_rt_runtime_us` of each
/// `sched_rt_period_us`, whether anybody else wants the rest or not; later ones give 50 ms of each
/// second to threads that are not real-time, if there are any.
pub fn stops_spinners(root: &Path, is_isolated: bool) -> Option<String> {
    if !is_isolated {
        return Some(
            "its core is not isolated, and the kernel gives others 50 ms of each second at once \
             when a real-time thread there never sleeps"
                .to_owned(),
        );
    }
    let read = |name: &str| {
        fs::read_to_string(root.join("proc/sys/kernel").join(name)).unwrap_or_default()
    };
    let number = |name: &str| read(name).trim().parse::<i64>().ok();
    let (runtime, period) = (number("sched_rt_runtime_us")?, number("sched_rt_period_us")?);
    let stops = runtime >= 0 && runtime < period && version(&read("osrelease")) < (6, 12);
    stops.then(|| {
        format!(
            "kernel.sched_rt_runtime_us = {runtime} stops one that never sleeps for {} ms of each \
             {} ms; `sysctl -w kernel.sched_rt_runtime_us=-1` does not",
            (period - runtime) / 1000,
            period / 1000
        )
    })
}

/// The first two numbers of a kernel's release; zero for what is none.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map(|it| it.trim().parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
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
    use crate::host::cores::tests::tree;

    #[test]
    fn a_spinner_is_stopped_where_the_kernel_says_so() {
        let kernel = |release: &str, runtime: &str| {
            tree(&[
                ("proc/sys/kernel/osrelease", release),
                ("proc/sys/kernel/sched_rt_runtime_us", runtime),
                ("proc/sys/kernel/sched_rt_period_us", "1000000\n"),
            ])
        };
        let old = kernel("6.1.0-28-amd64\n", "950000\n");
        let told = stops_spinners(old.path(), true).unwrap();
        assert!(told.contains("= 950000") && told.contains("50 ms of each 1000 ms"), "{told}");
        assert!(stops_spinners(old.path(), false).unwrap().contains("not isolated"));
        for fits in [kernel("6.1.0\n", "-1\n"), kernel("6.12-rc1\n", "950000\n"), tree(&[])] {
            assert_eq!(stops_spinners(fits.path(), true), None);
        }
    }

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

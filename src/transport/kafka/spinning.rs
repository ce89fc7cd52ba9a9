//! Threads of librdkafka that spin instead of sleeping, each on a core of its own.
//!
//! A thread of the library that talks to a broker sleeps in `poll` until its socket or the pipe by
//! which it is woken has something. Waking it costs the hot thread a system call with a wake-up in
//! it, and the record tens of microseconds. The library has no setting for that, so this program
//! brings a `poll` of its own, which the library, linked into it, calls: for a thread that was
//! adopted here it asks the kernel again and again without waiting, for all others it is the
//! kernel's. A fortified build of the library calls `__poll_chk`, which is here, too.
//!
//! Only threads that talk to a broker with a number are given a core: neither those that ask an
//! address for the first time nor the one that talks to the group's coordinator. What is not given
//! one, because none is left, sleeps as ever. Whether the library calls us at all depends on how it
//! was linked: each thread's calls are counted, and `verify` wants one of any of them, since those
//! that talk to numbered brokers may have no connection yet when a run starts.
//!
//! What this does not do: choose which broker is worth a core; who comes first has it.

use std::{
    cell::{Cell, RefCell},
    ffi::{c_char, c_void},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::native::{OK, text_at};

/// Cores for threads that spin, and the threads that there were.
pub struct Spinning {
    /// Moves the calling thread to a core; false if that cannot be.
    pin: fn(usize) -> bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: Vec<usize>,
    threads: Vec<Arc<Adopted>>,
    /// Calls of threads that were let go.
    former_calls: u64,
    is_lack_told: bool,
}

/// A thread that was adopted.
#[derive(Debug)]
struct Adopted {
    name: String,
    /// Where it spins; without one it sleeps as ever, and is only counted.
    core: Option<usize>,
    calls: AtomicU64,
}

thread_local! {
    /// What the calling thread is adopted as; `Spinning` keeps it until the thread is let go.
    static ADOPTED: Cell<*const Adopted> = const { Cell::new(ptr::null()) };
    /// What clients that this thread makes are given.
    static CURRENT: RefCell<Option<Arc<Spinning>>> = const { RefCell::new(None) };
}

/// While it lives, clients that the thread makes which made it have threads that spin.
#[derive(Debug)]
pub struct SpinningGuard(());

impl Drop for SpinningGuard {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

impl Spinning {
    /// Threads are given these cores, in this order, by `pin`, which moves the thread that calls.
    pub fn new(cores: impl IntoIterator<Item = usize>, pin: fn(usize) -> bool) -> Arc<Spinning> {
        let mut free: Vec<usize> = cores.into_iter().collect();
        free.reverse();
        Arc::new(Spinning { pin, state: Mutex::new(State { free, ..State::default() }) })
    }

    /// Until the guard is dropped, sources and sinks that this thread opens use these cores.
    pub fn enter(self: &Arc<Spinning>) -> SpinningGuard {
        CURRENT.set(Some(Arc::clone(self)));
        SpinningGuard(())
    }

    /// What was entered on the calling thread.
    pub(super) fn current() -> Option<Arc<Spinning>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Makes the calling thread spin in `poll` if its name is that of one that talks to a broker
    /// with a number and a core is left for it; counts its calls in either case.
    pub fn adopt(&self, name: &str) {
        let mut state = self.lock();
        let adopted = state.adopt(name, self.pin);
        let is_first = adopted.lacks_core() && !std::mem::replace(&mut state.is_lack_told, true);
        drop(state);
        let lack = "no core of engine.client_cores is left for it";
        match adopted.core {
            Some(core) => tracing::info!(event = "client.spins", thread = name, core),
            None if is_first => tracing::warn!(event = "client.sleeps", thread = name, "{lack}"),
            None if adopted.lacks_core() => {
                tracing::debug!(event = "client.sleeps", thread = name, "{lack}");
            }
            None => {}
        }
        ADOPTED.set(Arc::as_ptr(&adopted));
    }

    /// Gives the calling thread's core back; from now on it sleeps.
    pub fn let_go(&self) {
        let adopted = ADOPTED.replace(ptr::null());
        let mut state = self.lock();
        let place = state.threads.iter().position(|it| Arc::as_ptr(it) == adopted);
        let Some(former) = place.map(|place| state.threads.swap_remove(place)) else { return };
        state.free.extend(former.core);
        state.former_calls += former.calls.load(Ordering::Relaxed);
    }

    /// How often adopted threads have called our `poll`.
    pub fn calls(&self) -> u64 {
        let state = self.lock();
        let calls = state.threads.iter().map(|it| it.calls.load(Ordering::Relaxed));
        state.former_calls + calls.sum::<u64>()
    }

    /// Whether threads of the library call our `poll`.
    ///
    /// # Errors
    ///
    /// A sentence, if none of them ever did though clients are connected.
    pub fn verify(&self) -> Result<(), String> {
        if self.calls() > 0 {
            return Ok(());
        }
        let threads = self.lock().threads.len();
        Err(format!(
            "engine.spin_clients: {threads} threads of librdkafka run and none of them calls the \
             poll of this program, because it was linked in a way that is not known here; set \
             engine.spin_clients = false, or take another profile"
        ))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts this into a client that is being made.
    ///
    /// # Safety
    ///
    /// The client is live, and this outlives it.
    pub(super) unsafe fn add(&self, client: *mut rd::rd_kafka_t, name: *const c_char) -> Code {
        let state = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the caller's.
        unsafe {
            rd::rd_kafka_interceptor_add_on_thread_exit(client, name, Some(on_exit), state);
            rd::rd_kafka_interceptor_add_on_thread_start(client, name, Some(on_start), state)
        }
    }
}

impl Adopted {
    /// Whether it is meant to spin and cannot.
    fn lacks_core(&self) -> bool {
        self.core.is_none() && is_of_numbered_broker(&self.name)
    }
}

impl State {
    fn adopt(&mut self, name: &str, pin: fn(usize) -> bool) -> Arc<Adopted> {
        let core = if is_of_numbered_broker(name) { self.free.pop() } else { None };
        // One that may not go there would spin on somebody else's.
        let core = core.filter(|core| pin(*core));
        let adopted = Arc::new(Adopted { name: name.to_owned(), core, calls: AtomicU64::new(0) });
        self.threads.push(Arc::clone(&adopted));
        adopted
    }
}

/// Threads are named `host:port/N` by the broker's number, else `host:port/bootstrap` or
/// `GroupCoordinator`.
fn is_of_numbered_broker(name: &str) -> bool {
    let number = name.rsplit_once('/').map(|(_, number)| number).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

unsafe extern "C" fn on_start(
    _client: *mut rd::rd_kafka_t,
    kind: rd::rd_kafka_thread_type_t,
    name: *const c_char,
    state: *mut c_void,
) -> Code {
    if kind == rd::rd_kafka_thread_type_t::RD_KAFKA_THREAD_BROKER {
        // SAFETY: `state` is the `Spinning` of `add`, which outlives the client; the name lives
        // during the call.
        unsafe { (*state.cast::<Spinning>()).adopt(text_at(name)) };
    }
    OK
}

unsafe extern "C" fn on_exit(
    _client: *mut rd::rd_kafka_t,
    _kind: rd::rd_kafka_thread_type_t,
    _name: *const c_char,
    state: *mut c_void,
) -> Code {
    // SAFETY: as for `on_start`.
    unsafe { (*state.cast::<Spinning>()).let_go() };
    OK
}

impl std::fmt::Debug for Spinning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Spinning")
            .field("free", &state.free)
            .field("threads", &state.threads.iter().map(|it| &it.name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
mod interposed {
    //! The two functions that take the place of the system's.

    use std::{
        ffi::c_int,
        hint, ptr,
        sync::atomic::Ordering,
        time::{Duration, Instant},
    };

    use super::ADOPTED;

    /// `poll(2)`, for this whole program.
    ///
    /// # Safety
    ///
    /// As for `poll(2)`: `fds` points to `count` entries.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn poll(
        fds: *mut libc::pollfd,
        count: libc::nfds_t,
        timeout_ms: c_int,
    ) -> c_int {
        // SAFETY: not null only on a thread that was adopted and not yet let go, and until then
        // `Spinning` keeps what it points to.
        let adopted = unsafe { ADOPTED.get().as_ref() };
        let spins = adopted.is_some_and(|adopted| {
            adopted.calls.fetch_add(1, Ordering::Relaxed);
            adopted.core.is_some()
        });
        match spins && timeout_ms != 0 {
            // SAFETY: the caller's.
            true => unsafe { spin(fds, count, timeout_ms) },
            // SAFETY: the caller's.
            false => unsafe { wait(fds, count, timeout_ms) },
        }
    }

    /// What `poll` becomes where a C compiler checks sizes (`_FORTIFY_SOURCE`).
    ///
    /// # Safety
    ///
    /// As for `poll`; `bytes` is the size of what `fds` points to.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn __poll_chk(
        fds: *mut libc::pollfd,
        count: libc::nfds_t,
        timeout_ms: c_int,
        bytes: libc::size_t,
    ) -> c_int {
        let fits = usize::try_from(count).is_ok_and(|it| it <= bytes / size_of::<libc::pollfd>());
        if !fits {
            // What the system's does: the caller's memory is not what it says.
            std::process::abort();
        }
        // SAFETY: the caller's.
        unsafe { poll(fds, count, timeout_ms) }
    }

    /// Asks until there is something, or an error, or the time is over.
    unsafe fn spin(fds: *mut libc::pollfd, count: libc::nfds_t, timeout_ms: c_int) -> c_int {
        let end = u64::try_from(timeout_ms)
            .ok()
            .map(|timeout_ms| Instant::now() + Duration::from_millis(timeout_ms));
        loop {
            // SAFETY: the caller's.
            let ready = unsafe { wait(fds, count, 0) };
            if ready != 0 || end.is_some_and(|end| Instant::now() >= end) {
                return ready;
            }
            hint::spin_loop();
        }
    }

    /// The kernel's. Every Linux has `ppoll`; some processors have no `poll` of their own.
    unsafe fn wait(fds: *mut libc::pollfd, count: libc::nfds_t, timeout_ms: c_int) -> c_int {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::from(timeout_ms / 1000),
            tv_nsec: libc::c_long::from(timeout_ms % 1000) * 1_000_000,
        };
        let timeout = if timeout_ms < 0 { ptr::null() } else { &raw const timeout };
        // SAFETY: the caller's; the time lives through the call.
        unsafe { libc::ppoll(fds, count, timeout, ptr::null()) }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        io::{Read, Write},
        os::{
            fd::{AsRawFd, RawFd},
            unix::net::UnixStream,
        },
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn pollfd(fd: RawFd) -> libc::pollfd {
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    }

    /// What `poll` says of one descriptor, and how often the thread gave up its core meanwhile.
    fn poll(fd: RawFd, timeout_ms: i32) -> (i32, i16, i64) {
        let switches = || {
            // SAFETY: the structure is plain numbers, for which all zeroes is a valid value, and
            // lives through the call.
            unsafe {
                let mut usage: libc::rusage = std::mem::zeroed();
                libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
                usage.ru_nvcsw
            }
        };
        let (mut entry, before) = (pollfd(fd), switches());
        // SAFETY: one entry, which lives through the call.
        let ready = unsafe { libc::poll(&raw mut entry, 1, timeout_ms) };
        (ready, entry.revents, switches() - before)
    }

    fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| scope.spawn(body).join().expect("no fault"))
    }

    #[test]
    fn a_core_goes_to_who_talks_to_a_numbered_broker_and_comes_back() {
        let spinning = Spinning::new([4, 5], |core| core != 5);
        let core_of = |name: &str| {
            on_a_thread(|| {
                spinning.adopt(name);
                let core = spinning.lock().threads.last().expect("adopted").core;
                spinning.let_go();
                core
            })
        };
        assert_eq!(core_of("localhost:9092/bootstrap"), None);
        assert_eq!(core_of("GroupCoordinator"), None);
        assert_eq!(core_of("localhost:9092/1"), Some(4));
        assert_eq!(core_of("localhost:9092/12"), Some(4), "given back");
        on_a_thread(|| {
            spinning.adopt("a:1/1");
            // The next core cannot be had; and then none is left.
            assert_eq!((core_of("a:1/2"), core_of("a:1/3")), (None, None));
            spinning.let_go();
            assert_eq!((core_of("a:1/2"), spinning.lock().threads.len()), (Some(4), 0));
        });
    }

    #[test]
    fn an_adopted_thread_waits_without_sleeping_and_others_sleep() {
        let (mut here, there) = UnixStream::pair().expect("sockets");
        let spinning = Spinning::new([0], |_| true);
        let fd = there.as_raw_fd();
        let (nothing, none) = on_a_thread(|| (poll(fd, 30), spinning.calls()));
        assert!(nothing.0 == 0 && nothing.2 > 0, "it sleeps: {nothing:?}");
        assert_eq!(none, 0, "nobody is counted who was not adopted");
        assert!(spinning.verify().unwrap_err().contains("engine.spin_clients: 0 threads"));
        on_a_thread(|| {
            spinning.adopt("localhost:9092/1");
            let begin = Instant::now();
            let (ready, _, sleeps) = poll(fd, 30);
            assert!(begin.elapsed() >= Duration::from_millis(30));
            assert_eq!((ready, sleeps), (0, 0), "it never gives its core up");
            here.write_all(b"x").expect("written");
            assert_eq!(poll(fd, -1), (1, libc::POLLIN, 0));
            (&there).read_exact(&mut [0]).expect("read");
            assert_eq!(poll(fd, 0), (0, 0, 0));
            spinning.let_go();
            assert!(poll(fd, 30).2 > 0, "it sleeps again");
        });
        assert_eq!(spinning.calls(), 3);
        assert_eq!(spinning.verify(), Ok(()));
    }

    #[test]
    fn a_library_that_does_not_call_us_is_found_out() {
        let spinning = Spinning::new([0], |_| true);
        on_a_thread(|| {
            spinning.adopt("localhost:9092/1");
            let told = spinning.verify().unwrap_err();
            assert!(told.contains("1 threads of librdkafka run and none of them calls"), "{told}");
            poll(-1, 0);
            assert_eq!(spinning.verify(), Ok(()));
            spinning.let_go();
        });
        assert_eq!(spinning.verify(), Ok(()), "calls of threads that have ended count");
    }

    #[test]
    fn the_checked_form_is_the_same() {
        unsafe extern "C" {
            fn __poll_chk(
                fds: *mut libc::pollfd,
                count: libc::nfds_t,
                timeout_ms: i32,
                bytes: libc::size_t,
            ) -> i32;
        }
        let (mut here, there) = UnixStream::pair().expect("sockets");
        here.write_all(b"x").expect("written");
        let spinning = Spinning::new([0], |_| true);
        on_a_thread(|| {
            spinning.adopt("localhost:9092/1");
            let mut entry = pollfd(there.as_raw_fd());
            // SAFETY: one entry, of which the size is told, and which lives through the call.
            let ready = unsafe { __poll_chk(&raw mut entry, 1, -1, size_of::<libc::pollfd>()) };
            assert_eq!((ready, entry.revents), (1, libc::POLLIN));
        });
        assert_eq!(spinning.calls(), 1);
    }
}

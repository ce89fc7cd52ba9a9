//! Signals of a run: the first request to end is obeyed, the second one at once.
//!
//! A thread of its own waits for them, so that neither the start nor the hot thread ever has to.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
    iterator::Signals,
    low_level,
};

/// A file that has reached its limit; unheard, it ends the process.
const SIGXFSZ: i32 = libc::SIGXFSZ;

/// What a process exits with when it is told a second time: 128 and the signal's number.
const SIGNALLED: i32 = 128;

type Action = Box<dyn Fn() + Send>;

/// What signals lead to; parts of a run put their actions here as they come into being.
#[derive(Clone)]
pub struct SignalActions {
    stop: Arc<AtomicBool>,
    on_stop: Arc<Mutex<Option<Action>>>,
    on_write: Arc<Mutex<Option<Action>>>,
    on_reread: Arc<Mutex<Option<Action>>>,
}

impl SignalActions {
    /// Starts listening.
    ///
    /// # Errors
    ///
    /// If the system refuses a handler or the thread.
    pub fn listen() -> io::Result<SignalActions> {
        let actions = SignalActions {
            stop: Arc::new(AtomicBool::new(false)),
            on_stop: Arc::default(),
            on_write: Arc::default(),
            on_reread: Arc::default(),
        };
        // A file that may not grow (`ulimit -f`) is then a failed write, which is told, and no end.
        flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP])?;
        let heard = actions.clone();
        thread::Builder::new().name("hotspur-signals".into()).spawn(move || {
            for signal in signals.forever() {
                heard.hear(signal);
            }
        })?;
        Ok(actions)
    }

    /// True once somebody asked for the end; for parts that look now and then.
    pub fn stop_flag(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// What else happens at the first request to end; at once, if that was before.
    pub fn on_stop(&self, action: impl Fn() + Send + 'static) {
        let mut slot = lock(&self.on_stop);
        if self.stop.load(Ordering::Acquire) {
            action();
        }
        *slot = Some(Box::new(action));
    }

    /// What SIGUSR1 does.
    pub fn on_write(&self, action: impl Fn() + Send + 'static) {
        *lock(&self.on_write) = Some(Box::new(action));
    }

    /// What SIGHUP does.
    pub fn on_reread(&self, action: impl Fn() + Send + 'static) {
        *lock(&self.on_reread) = Some(Box::new(action));
    }

    fn hear(&self, signal: i32) {
        match signal {
            SIGUSR1 => {
                tracing::info!(event = "files.requested", "writing the histogram files");
                call(&self.on_write);
            }
            SIGHUP => {
                tracing::info!(
                    event = "reread.requested",
                    "file tables and ${{file:}} secrets of tables are read again; the \
                     configuration is not, nor are the secrets of Kafka"
                );
                call(&self.on_reread);
            }
            _ if self.stop.swap(true, Ordering::AcqRel) => {
                tracing::warn!(event = "run.abandoned", "told to end a second time");
                low_level::exit(SIGNALLED + signal);
            }
            _ => {
                tracing::info!(
                    event = "run.stopping",
                    signal = low_level::signal_name(signal).unwrap_or("?"),
                    "finishing what is in flight; a second signal ends at once"
                );
                call(&self.on_stop);
            }
        }
    }
}

impl std::fmt::Debug for SignalActions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalActions").field("stop", &self.stop).finish_non_exhaustive()
    }
}

fn call(action: &Mutex<Option<Action>>) {
    if let Some(action) = lock(action).as_ref() {
        action();
    }
}

fn lock(action: &Mutex<Option<Action>>) -> std::sync::MutexGuard<'_, Option<Action>> {
    // An action that panicked has ended the process's listening, not damaged the slot.
    action.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

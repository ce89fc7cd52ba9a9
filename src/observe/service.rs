//! Tells systemd that a run has started, how it is, and that its hot thread still turns.
//!
//! A service of type `notify` is started once it says so, which is when its tables are loaded and
//! its hot thread has begun; a service with a watchdog is killed and started again when it falls
//! silent. It does so here when the hot thread does not turn, the same that `/healthz` tells. A
//! thread of its own says it, and only if systemd listens, by `NOTIFY_SOCKET`. Being paused, stale
//! or without a broker is no reason to start again: it is in the status that systemd shows.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use sd_notify::NotifyState;

use crate::observe::Exposed;

const THREAD_NAME: &str = "hotspur-service";

/// Between two looks; a watchdog that wants to hear more often has it so.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What speaks to systemd; it says that the run stops, and ends, when this is dropped.
#[derive(Debug)]
pub struct Service {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Begins to speak, if somebody listens.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub fn start(exposed: Arc<Exposed>) -> io::Result<Option<Service>> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(None);
        }
        let watchdog = sd_notify::watchdog_enabled();
        let pause = watchdog.map_or(LOOK_EVERY, |limit| LOOK_EVERY.min(limit / 3));
        let (stop, stopped) = mpsc::channel();
        let speak = move || {
            let mut said = Said::default();
            loop {
                say(&said.news(&Look::at(&exposed)));
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            say(said.end().as_slice());
        };
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(speak)?;
        Ok(Some(Service { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(event = "service.failed", reason = "its thread panicked");
        }
    }
}

/// How the run is at a moment.
struct Look {
    is_started: bool,
    is_healthy: bool,
    is_ending: bool,
    reasons: Vec<String>,
}

impl Look {
    fn at(exposed: &Exposed) -> Look {
        Look {
            is_started: exposed.is_started(),
            is_healthy: exposed.is_healthy(),
            is_ending: exposed.is_ending(),
            reasons: exposed.unready(),
        }
    }
}

/// One thing to say.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Ready,
    Status(String),
    Alive,
    Stopping,
}

/// What was said already.
#[derive(Debug, Default)]
struct Said {
    is_ready: bool,
    is_stopping: bool,
    status: String,
}

impl Said {
    fn news(&mut self, look: &Look) -> Vec<News> {
        let mut news = Vec::new();
        if look.is_started && !self.is_ready {
            self.is_ready = true;
            news.push(News::Ready);
        }
        let status = match (look.is_healthy, look.reasons.is_empty()) {
            (false, _) => "the hot thread does not turn".to_owned(),
            (true, true) => "ready".to_owned(),
            // A status is one line.
            (true, false) => look.reasons.join("; ").replace('\n', " "),
        };
        if status != self.status {
            self.status.clone_from(&status);
            news.push(News::Status(status));
        }
        if look.is_healthy {
            news.push(News::Alive);
        }
        if look.is_ending {
            news.extend(self.end());
        }
        news
    }

    /// The end, if it was not told yet.
    fn end(&mut self) -> Option<News> {
        (!std::mem::replace(&mut self.is_stopping, true)).then_some(News::Stopping)
    }
}

fn say(news: &[News]) {
    if news.is_empty() {
        return;
    }
    let states = news.iter().map(|it| match it {
        News::Ready => NotifyState::Ready,
        News::Status(text) => NotifyState::Status(text),
        News::Alive => NotifyState::Watchdog,
        News::Stopping => NotifyState::Stopping,
    });
    if let Err(error) = sd_notify::notify(&states.collect::<Vec<_>>()) {
        tracing::debug!(event = "service.unheard", reason = %error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(is_started: bool, is_healthy: bool, reasons: &[&str]) -> Look {
        let reasons = reasons.iter().map(|it| (*it).to_owned()).collect();
        Look { is_started, is_healthy, is_ending: false, reasons }
    }

    fn status(text: &str) -> News {
        News::Status(text.to_owned())
    }

    #[test]
    fn ready_is_said_once_and_a_status_when_it_changes() {
        let mut said = Said::default();
        let loading = look(false, true, &["starting: the tables are being loaded"]);
        let first = [status("starting: the tables are being loaded"), News::Alive];
        assert_eq!(said.news(&loading), first);
        assert_eq!(said.news(&loading), [News::Alive]);
        let waiting = look(true, true, &["no\nbroker", "table users is stale"]);
        let second = [News::Ready, status("no broker; table users is stale"), News::Alive];
        assert_eq!(said.news(&waiting), second);
        assert_eq!(said.news(&look(true, true, &[])), [status("ready"), News::Alive]);
        assert_eq!(said.news(&look(true, true, &[])), [News::Alive]);
    }

    #[test]
    fn a_hot_thread_that_does_not_turn_lets_the_watchdog_bite() {
        let mut said = Said::default();
        said.news(&look(true, true, &[]));
        let stuck = look(true, false, &[]);
        assert_eq!(said.news(&stuck), [status("the hot thread does not turn")]);
        assert_eq!(said.news(&stuck), [], "silence");
        assert_eq!(said.news(&look(true, true, &[])), [status("ready"), News::Alive]);
    }

    #[test]
    fn the_end_is_said_once_when_it_begins() {
        let mut said = Said::default();
        said.news(&look(true, true, &[]));
        let draining = Look { is_ending: true, ..look(true, true, &["draining"]) };
        assert_eq!(said.news(&draining), [status("draining"), News::Alive, News::Stopping]);
        assert_eq!(said.news(&draining), [News::Alive]);
        assert_eq!(said.end(), None);
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        // As tests are run.
        assert!(std::env::var_os("NOTIFY_SOCKET").is_none());
        let exposed = Exposed::new(crate::observe::Facts::default());
        assert!(Service::start(Arc::new(exposed)).expect("nothing to start").is_none());
    }
}

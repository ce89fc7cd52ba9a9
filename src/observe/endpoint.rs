//! The HTTP endpoint: metrics, health and readiness, on a side thread of its own.
//!
//! Everything it says is read from `Exposed`, so that a scrape costs the hot thread nothing. What
//! changes a run stands in `requests`, the live page in `live`.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::sync::oneshot;

use crate::observe::{Exposed, exposition::Format, guard::Guard, live, requests};

const THREAD_NAME: &str = "hotspur-http";

/// A running endpoint; it ends when this is dropped.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens; the port is the one that it got.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Binds at once, so that a port that is taken is known to the caller; then serves. The token
    /// is what those must know who want to change the run from beyond loopback.
    ///
    /// # Errors
    ///
    /// If the address cannot be had, or the thread.
    pub fn start(
        listen: SocketAddr,
        exposed: Arc<Exposed>,
        token: Option<String>,
    ) -> io::Result<Endpoint> {
        let guard = Guard::new(listen, token);
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                // Whoever still reads an answer is not waited for.
                tokio::select! {
                    served = axum::serve(listener, routes(exposed, guard)) => served,
                    _ = stopped => Ok(()),
                }
            });
            if let Err(error) = served {
                tracing::error!(event = "endpoint.failed", reason = %error);
            }
        };
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(serve)?;
        Ok(Endpoint { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // It may have ended by itself, which it has told.
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(event = "endpoint.failed", reason = "its thread panicked");
        }
    }
}

fn routes(exposed: Arc<Exposed>, guard: Guard) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(unknown)
        .with_state(exposed.clone())
        .merge(live::routes(exposed.clone(), guard.clone()))
        .merge(requests::routes(exposed, guard))
}

async fn metrics(State(exposed): State<Arc<Exposed>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    ([(header::CONTENT_TYPE, format.content_type())], exposed.metrics(format))
}

async fn healthz(State(exposed): State<Arc<Exposed>>) -> (StatusCode, &'static str) {
    match exposed.is_healthy() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the hot thread does not turn\n"),
    }
}

async fn readyz(State(exposed): State<Arc<Exposed>>) -> (StatusCode, String) {
    let reasons = exposed.unready();
    match reasons.is_empty() {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))),
    }
}

async fn unknown() -> (StatusCode, &'static str) {
    let there_is = "there is the page at /, /metrics, /healthz, /readyz, /live/events and \
                    /live/moment, and POST /pause and /resume\n";
    (StatusCode::NOT_FOUND, there_is)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use super::*;
    use crate::observe::{Facts, Notice, PauseCause, RunState};

    fn ask(address: SocketAddr, path: &str, accept: &str) -> String {
        ask_by("GET", address, path, accept)
    }

    fn ask_by(method: &str, address: SocketAddr, path: &str, accept: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let host = "Host: localhost\r\nConnection: close";
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}\r\nAccept: {accept}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_answers_until_it_is_dropped() {
        let exposed = Arc::new(Exposed::new(Facts::default()));
        let listen = "127.0.0.1:0".parse().unwrap();
        let endpoint = Endpoint::start(listen, exposed.clone(), None).unwrap();
        let address = endpoint.address;
        assert!(ask(address, "/healthz", "*/*").starts_with("HTTP/1.1 200"));
        let starting = ask(address, "/readyz", "*/*");
        assert!(starting.starts_with("HTTP/1.1 503") && starting.contains("starting: "));
        exposed.started(Vec::new());
        exposed.hear(&Notice::Assigned { partitions: 0, owned: 0 });
        assert!(ask(address, "/readyz", "*/*").starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/metrics", "*/*").contains("text/plain; version=0.0.4"));
        let open = ask(address, "/metrics", "application/openmetrics-text; version=1.0.0");
        assert!(open.contains("application/openmetrics-text") && open.ends_with("# EOF\n"));
        assert!(ask(address, "/elsewhere", "*/*").starts_with("HTTP/1.1 404"));
        let taken = Endpoint::start(address, exposed, None).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(endpoint);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_pause_is_answered_with_the_state_that_the_hot_thread_is_in() {
        let exposed = Arc::new(Exposed::new(Facts::default()));
        let listen = "127.0.0.1:0".parse().unwrap();
        let endpoint = Endpoint::start(listen, exposed.clone(), None).unwrap();
        let post = |path| ask_by("POST", endpoint.address, path, "*/*");
        assert!(ask(endpoint.address, "/pause", "*/*").starts_with("HTTP/1.1 405"));
        assert!(post("/pause").ends_with("starting; it will be paused from the first record on\n"));
        assert!(post("/resume").ends_with("starting\n"));
        exposed.started(Vec::new());
        // The hot thread, which is woken to hear.
        let hot = exposed.clone();
        exposed.switch().wake_with(move || {
            let asked = hot.switch().asked();
            let causes = asked.is_paused().then_some(PauseCause::Asked);
            hot.switch().hear(asked, causes.into_iter().chain([PauseCause::Breaker]));
        });
        let paused = post("/pause");
        assert!(paused.starts_with("HTTP/1.1 200"), "{paused}");
        assert!(paused.contains("paused: told to pause; `hotspur resume` goes on; the breaker"));
        assert!(post("/resume").contains("\r\n\r\npaused: the breaker is open"));
        exposed.hear(&Notice::State(RunState::Draining));
        assert!(post("/pause").starts_with("HTTP/1.1 409"));
    }
}

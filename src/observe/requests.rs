//! What may change a run over HTTP: pause and resume, and who may ask for them.
//!
//! Where the endpoint listens on loopback, whoever is on this machine may ask; beyond it every
//! request needs the token. A browser may not ask anywhere without one: any page that is open on
//! this machine could send such a request. A token that is wrong is refused, needed or not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};

use crate::observe::{Exposed, PauseCause, Switch, switch::Asked};

/// How long the hot thread is waited for. A turn is short; a machine may be slow.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// How often is looked whether it has heard.
const LOOK_EVERY: Duration = Duration::from_millis(1);

const BEARER: &str = "Bearer ";

type Answer = (StatusCode, String);

/// Who may ask.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    is_loopback: bool,
    token: Option<String>,
}

impl Guard {
    pub(super) fn new(listen: SocketAddr, token: Option<String>) -> Guard {
        // An IPv4 address may be written as an IPv6 one.
        Guard { is_loopback: listen.ip().to_canonical().is_loopback(), token }
    }

    /// Whether a request with these headers may change the run; if not, why not.
    fn check(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let refuse = |status, text: &str| Err((status, format!("{text}\n")));
        let given = headers.get(header::AUTHORIZATION);
        let Some(token) = &self.token else {
            return match self.is_loopback {
                true if headers.contains_key(header::ORIGIN) => refuse(
                    StatusCode::FORBIDDEN,
                    "a page in a browser may not do this without observe.token",
                ),
                true => Ok(()),
                false => refuse(
                    StatusCode::FORBIDDEN,
                    "beyond loopback this needs a token: set observe.token, or listen on 127.0.0.1",
                ),
            };
        };
        let is_needed = !self.is_loopback || headers.contains_key(header::ORIGIN);
        match given.map(|it| it.as_bytes().strip_prefix(BEARER.as_bytes())) {
            Some(Some(bearer)) if is_same(bearer, token.as_bytes()) => Ok(()),
            None if !is_needed => Ok(()),
            None => refuse(StatusCode::UNAUTHORIZED, "observe.token is needed, as a bearer"),
            Some(_) => refuse(StatusCode::UNAUTHORIZED, "that is not observe.token"),
        }
    }
}

/// Takes as long for each guess of one length.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b));
    one.len() == other.len() && differing == 0
}

/// The routes.
pub(super) fn routes(exposed: Arc<Exposed>, guard: Guard) -> Router {
    Router::new()
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .with_state((exposed, guard))
}

type Shared = State<(Arc<Exposed>, Guard)>;

async fn pause(State((exposed, guard)): Shared, headers: HeaderMap) -> Answer {
    ask(&exposed, guard.check(&headers), Switch::pause).await
}

async fn resume(State((exposed, guard)): Shared, headers: HeaderMap) -> Answer {
    ask(&exposed, guard.check(&headers), Switch::resume).await
}

/// Nobody changes a run that is ending.
async fn ask(
    exposed: &Exposed,
    checked: Result<(), Answer>,
    change: impl Fn(&Switch) -> Asked,
) -> Answer {
    match checked {
        Err(refusal) => refusal,
        Ok(()) if exposed.is_ending() => ending(),
        Ok(()) => answer(exposed, change(exposed.switch())).await,
    }
}

fn ending() -> Answer {
    (StatusCode::CONFLICT, "the run is ending\n".to_owned())
}

/// The state that the run is in, once the hot thread has acted.
async fn answer(exposed: &Exposed, asked: Asked) -> Answer {
    let state = |text: &str| (StatusCode::OK, format!("{text}\n"));
    if !exposed.is_started() {
        return state(match asked.is_paused() {
            true => "starting; it will be paused from the first record on",
            false => "starting",
        });
    }
    let heard = async {
        while !exposed.switch().has_heard(asked) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(HEARD_WITHIN, heard).await.is_err() {
        let text = "the hot thread has been told, and has not answered yet\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    }
    if exposed.is_ending() {
        return ending();
    }
    let causes: Vec<_> = exposed.switch().causes().map(PauseCause::text).collect();
    match causes.is_empty() {
        true => state("running"),
        false => state(&format!("paused: {}", causes.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status for a request with that authorization, and with an origin if it has one.
    fn status(listen: &str, token: Option<&str>, given: Option<&str>, origin: bool) -> u16 {
        let guard = Guard::new(listen.parse().unwrap(), token.map(str::to_owned));
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(header::AUTHORIZATION, given.parse().unwrap());
        }
        if origin {
            headers.insert(header::ORIGIN, "http://elsewhere".parse().unwrap());
        }
        guard.check(&headers).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn loopback_may_ask_and_beyond_it_only_who_knows_the_token() {
        for listen in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(status(listen, None, None, false), 200);
            assert_eq!(status(listen, None, None, true), 403, "any page could ask");
            assert_eq!(status(listen, Some("t"), None, false), 200);
            assert_eq!(status(listen, Some("t"), None, true), 401);
            assert_eq!(status(listen, Some("t"), Some("Bearer t"), true), 200);
            assert_eq!(status(listen, Some("t"), Some("Bearer u"), false), 401);
        }
        for listen in ["0.0.0.0:1", "192.168.0.1:1", "[::]:1"] {
            assert_eq!(status(listen, None, None, false), 403);
            assert_eq!(status(listen, None, Some("Bearer t"), false), 403);
            for given in [None, Some("t"), Some("Basic t"), Some("Bearer "), Some("Bearer tt")] {
                assert_eq!(status(listen, Some("t"), given, false), 401, "{given:?}");
            }
            assert_eq!(status(listen, Some("t"), Some("Bearer t"), false), 200);
        }
    }
}

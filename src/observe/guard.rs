//! Who may look at a run over HTTP, and who may change it.
//!
//! Where the endpoint listens on loopback, whoever is on this machine may do both; beyond it both
//! need the token. A browser may change nothing without one: any page that is open on this machine
//! could send such a request. Nor may it look where it was led under another name. A token that is
//! wrong is refused for a change, needed or not. Metrics, health and readiness are everybody's.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
use sha2::{Digest, Sha256};

const BEARER: &str = "Bearer ";

/// What a browser has in the token's place, which no page's script can read.
const COOKIE: &str = "hotspur-token";

const NEEDS_TOKEN: &str =
    "beyond loopback this needs a token: set observe.token, or listen on 127.0.0.1";

/// A status and a sentence.
pub(super) type Answer = (StatusCode, String);

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

    /// Whether a request with these headers may see what records and places are called.
    pub(super) fn check_look(&self, headers: &HeaderMap) -> Result<(), Answer> {
        if self.token.as_deref().is_some_and(|token| is_known(token, headers)) {
            return Ok(());
        }
        let refuse = |status, text: &str| Err((status, format!("{text}\n")));
        match (self.is_loopback, &self.token) {
            (true, _) if is_called_local(headers) => Ok(()),
            (true, _) => refuse(
                StatusCode::FORBIDDEN,
                "this listens on loopback: ask for 127.0.0.1 or localhost",
            ),
            (false, None) => refuse(StatusCode::FORBIDDEN, NEEDS_TOKEN),
            (false, Some(_)) => refuse(
                StatusCode::UNAUTHORIZED,
                "observe.token is needed: as a bearer, or in a browser once as /?token=…",
            ),
        }
    }

    /// The cookie that says instead of the token that it was known.
    pub(super) fn cookie_for(&self, given: &str) -> Option<String> {
        let token = self.token.as_deref()?;
        let is_right = is_same(given.as_bytes(), token.as_bytes());
        let cookie =
            || format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", fingerprint(token));
        is_right.then(cookie)
    }

    /// Whether a request with these headers may change the run; if not, why not.
    pub(super) fn check_change(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let refuse = |status, text: &str| Err((status, format!("{text}\n")));
        let given = headers.get(header::AUTHORIZATION);
        let Some(token) = &self.token else {
            return match self.is_loopback {
                true if headers.contains_key(header::ORIGIN) => refuse(
                    StatusCode::FORBIDDEN,
                    "a page in a browser may not do this without observe.token",
                ),
                true => Ok(()),
                false => refuse(StatusCode::FORBIDDEN, NEEDS_TOKEN),
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

/// The token itself, or the cookie that stands for it.
fn is_known(token: &str, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(|it| it.as_bytes());
    let bearer = given.and_then(|it| it.strip_prefix(BEARER.as_bytes()));
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut cookies = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.split_once('='));
    let fingerprint = fingerprint(token);
    bearer.is_some_and(|it| is_same(it, token.as_bytes()))
        || cookies.any(|(name, value)| {
            name.trim() == COOKIE && is_same(value.trim().as_bytes(), fingerprint.as_bytes())
        })
}

fn fingerprint(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True if the request was made to a name of this machine for itself.
fn is_called_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    let Some(authority) = host.and_then(|it| it.parse::<Authority>().ok()) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback())
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
        guard.check_change(&headers).map_or_else(|(status, _)| status.as_u16(), |()| 200)
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

    #[test]
    fn whoever_looks_is_here_or_has_shown_the_token() {
        let look = |listen: &str, token: Option<&str>, headers: &[(&str, &str)]| {
            let guard = Guard::new(listen.parse().unwrap(), token.map(str::to_owned));
            let headers = headers.iter().map(|(name, value)| {
                let name: header::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            });
            let checked = guard.check_look(&headers.collect());
            checked.map_or_else(|(status, _)| status.as_u16(), |()| 200)
        };
        for host in ["127.0.0.1:9464", "localhost:9464", "LocalHost", "[::1]:9464", "127.1.2.3"] {
            assert_eq!(look("127.0.0.1:1", None, &[("host", host)]), 200, "{host}");
        }
        for host in ["elsewhere.org", "127.0.0.1.elsewhere.org:9464", "192.168.0.1", ""] {
            assert_eq!(look("127.0.0.1:1", None, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(look("127.0.0.1:1", Some("t"), &[("host", "localhost")]), 200);
        let open = "0.0.0.0:1";
        assert_eq!(look(open, None, &[("host", "localhost")]), 403);
        assert_eq!(look(open, Some("t"), &[("host", "localhost")]), 401);
        assert_eq!(look(open, Some("t"), &[("authorization", "Bearer t")]), 200);
        assert_eq!(look(open, Some("t"), &[("authorization", "Bearer u")]), 401);
        let guard = Guard::new(open.parse().unwrap(), Some("t; x".to_owned()));
        assert_eq!(guard.cookie_for("t"), None);
        let cookie = guard.cookie_for("t; x").unwrap();
        let cookie = format!("other=1; {}", cookie.split(';').next().unwrap());
        assert_eq!(look(open, Some("t; x"), &[("cookie", &cookie)]), 200);
        assert_eq!(look(open, Some("t"), &[("cookie", &cookie)]), 401);
        assert_eq!(look(open, Some("t"), &[("cookie", "hotspur-token=t")]), 401);
    }
}

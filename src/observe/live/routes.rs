//! The live page at `/`, and what it and `hotspur top` read: moments as server-sent events, or one
//! at a time. All of it is behind the guard.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::observe::{
    Exposed, Facts,
    guard::Guard,
    web::{
        self,
        markup::{escaped, fill},
    },
};

/// Nothing is fetched but from here, and nobody sets the page into one of theirs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Who looks at the same time at most.
const WATCHERS_MAX: usize = 64;

type Shared = State<(Arc<Exposed>, Guard)>;

pub(in crate::observe) fn routes(exposed: Arc<Exposed>, guard: Guard) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/live/events", get(events))
        .route("/live/moment", get(moment))
        .with_state((exposed, guard))
}

/// A browser shows the token once, and has a cookie from then on.
async fn page(
    State((exposed, guard)): Shared,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(cookie) = query.get("token").and_then(|it| guard.cookie_for(it)) {
        let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, "/".to_owned())];
        return (StatusCode::SEE_OTHER, headers).into_response();
    }
    match guard.check_look(&headers) {
        Ok(()) => html(&exposed).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn html(exposed: &Exposed) -> impl IntoResponse {
    let Facts { name, instance, profile, core, guarantee, .. } = exposed.facts();
    let about = format!("{instance} · profile {profile} · core {core} · {guarantee}");
    let parts = [
        ("title", escaped(name)),
        ("about", escaped(&about)),
        ("style", web::STYLE.to_owned()),
        ("uplot-style", web::UPLOT_STYLE.to_owned()),
        ("uplot", web::UPLOT.to_owned()),
        ("charts", web::CHARTS.to_owned()),
        ("script", web::LIVE_SCRIPT.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let parts: Vec<_> = parts.iter().map(|(name, part)| (*name, part.as_str())).collect();
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (headers, Html(fill(web::LIVE, &parts)))
}

/// First what was, as `history`, then each second as it passes, as `moment`.
async fn events(State((exposed, guard)): Shared, headers: HeaderMap) -> Response {
    if let Err(refusal) = guard.check_look(&headers) {
        return refusal.into_response();
    }
    if exposed.live().watchers() >= WATCHERS_MAX {
        let text = format!("{WATCHERS_MAX} look already; close one, or read /live/moment\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let seen = exposed.live().watch();
    let history = Event::default().event("history").data(exposed.live().history());
    Sse::new(stream_of(history, seen)).keep_alive(KeepAlive::default()).into_response()
}

fn stream_of(
    history: Event,
    seen: watch::Receiver<Arc<str>>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let moments = stream::unfold(seen, |mut seen| async move {
        seen.changed().await.ok()?;
        let moment = seen.borrow_and_update().clone();
        Some((Event::default().event("moment").data(&*moment), seen))
    });
    stream::once(async { history }).chain(moments).map(Ok)
}

/// The next one, which is there within a second or so.
async fn moment(State((exposed, guard)): Shared, headers: HeaderMap) -> Response {
    if let Err(refusal) = guard.check_look(&headers) {
        return refusal.into_response();
    }
    let mut seen = exposed.live().watch();
    if !exposed.is_started() || seen.changed().await.is_err() {
        let text = "there is no moment to show before the hot thread begins\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let moment = seen.borrow_and_update().to_string();
    ([(header::CONTENT_TYPE, "application/json")], moment).into_response()
}

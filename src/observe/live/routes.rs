//! The live page at `/`, and what it and `hotspur top` read: moments as server-sent events, or one
//! at a time.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{
        Html, IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::{Stream, StreamExt, stream};

use crate::observe::{
    Exposed, Facts,
    web::{
        self,
        markup::{escaped, fill},
    },
};

/// Nothing is fetched but from here, and nobody sets the page into one of theirs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(in crate::observe) fn routes(exposed: Arc<Exposed>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/live/events", get(events))
        .route("/live/moment", get(moment))
        .with_state(exposed)
}

async fn page(State(exposed): State<Arc<Exposed>>) -> impl IntoResponse {
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
async fn events(
    State(exposed): State<Arc<Exposed>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = exposed.live().watch();
    let history = Event::default().event("history").data(exposed.live().history());
    let moments = stream::unfold(seen, |mut seen| async move {
        seen.changed().await.ok()?;
        let moment = seen.borrow_and_update().clone();
        Some((Event::default().event("moment").data(&*moment), seen))
    });
    let events = stream::once(async { history }).chain(moments).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// The next one, which is there within a second or so.
async fn moment(State(exposed): State<Arc<Exposed>>) -> impl IntoResponse {
    let mut seen = exposed.live().watch();
    if !exposed.is_started() || seen.changed().await.is_err() {
        let text = "there is no moment to show before the hot thread begins\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let moment = seen.borrow_and_update().to_string();
    ([(header::CONTENT_TYPE, "application/json")], moment).into_response()
}

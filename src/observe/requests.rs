//! What may change a run over HTTP: pause and resume.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};

use crate::observe::{
    Exposed, PauseCause, Switch,
    guard::{Answer, Guard},
    switch::Asked,
};

/// How long the hot thread is waited for. A turn is short; a machine may be slow.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// How often is looked whether it has heard.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The routes.
pub(super) fn routes(exposed: Arc<Exposed>, guard: Guard) -> Router {
    Router::new()
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .with_state((exposed, guard))
}

type Shared = State<(Arc<Exposed>, Guard)>;

async fn pause(State((exposed, guard)): Shared, headers: HeaderMap) -> Answer {
    ask(&exposed, guard.check_change(&headers), Switch::pause).await
}

async fn resume(State((exposed, guard)): Shared, headers: HeaderMap) -> Answer {
    ask(&exposed, guard.check_change(&headers), Switch::resume).await
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

//! The API: turns a request into its answer.

mod answer;
mod reply;
mod write;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, extract::Query};
use bytes::Bytes;
use hyper::{HeaderMap, Request, Response, Uri, header};
use rand::RngExt;

pub(crate) use reply::{Reply, error_reply};

use crate::{
    Endpoint, LoggedRequest,
    fault::{FaultKind, Spoilt, answer_instead, spoil},
    rate::RateVerdict,
    shared::Shared,
};

/// A parsed API request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) endpoint: Endpoint,
    /// The id in the path.
    pub(crate) id: Option<String>,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) integration: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) number: u64,
    pub(crate) cursor_generation: u64,
}

/// Returns the endpoint and the id in the path.
fn route(method: &str, path: &str) -> (Endpoint, Option<String>) {
    let segments: Vec<&str> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
    let (endpoint, id) = match (method, segments.as_slice()) {
        ("GET", ["check-api-key"]) => (Endpoint::CheckApiKey, None),
        ("GET", ["lms", "users"]) => (Endpoint::LmsUsers, None),
        ("GET", ["lms", "courses"]) => (Endpoint::LmsCourses, None),
        ("GET", ["lms", "course-progressions"]) => (Endpoint::LmsCourseProgressions, None),
        ("GET", ["lms", "skills"]) => (Endpoint::LmsSkills, None),
        ("GET", ["integrations", id]) => (Endpoint::Integration, Some(*id)),
        ("DELETE", ["integrations", id]) => (Endpoint::DeleteIntegration, Some(*id)),
        ("POST", ["force-sync"]) => (Endpoint::ForceSync, None),
        ("POST", ["lms", "course-progressions"]) => (Endpoint::CreateCourseProgression, None),
        ("POST", ["lms", "course-progressions", id, "complete"]) => (Endpoint::CompleteCourseProgression, Some(*id)),
        ("POST", ["lms", "courses", "bulk"]) => (Endpoint::UpsertCourses, None),
        ("GET", ["lms", "courses", "bulk", id]) => (Endpoint::CourseTask, Some(*id)),
        ("POST", ["lms", "courses", id, "deactivate"]) => (Endpoint::DeactivateCourse, Some(*id)),
        ("GET", [category, list]) => {
            let list = format!("{category}/{list}").parse().map(Endpoint::Of);
            (list.unwrap_or(Endpoint::Unknown), None)
        }
        _ => (Endpoint::Unknown, None),
    };
    match id {
        Some("") => (Endpoint::Unknown, None),
        id => (endpoint, id.map(|it| it.replace("%3A", ":").replace("%3a", ":"))),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|it| it.to_str().ok()).map(str::to_owned)
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::<Vec<(String, String)>>::try_from_uri(uri).map(|it| it.0).unwrap_or_default()
}

/// Answers one request. An `Err` closes the connection without an answer.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request<Bytes>) -> Result<Response<Body>, Dropped> {
    shared.commit_due();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let (endpoint, id) = route(parts.method.as_str(), &path);
    let mut asked = Asked {
        endpoint,
        id,
        query: pairs(&parts.uri),
        body,
        content_type: text(&parts.headers, header::CONTENT_TYPE.as_str()),
        integration: text(&parts.headers, "x-integration-id"),
        key: text(&parts.headers, header::AUTHORIZATION.as_str())
            .and_then(|it| it.strip_prefix("Bearer ").map(str::to_owned)),
        path,
        number: 0,
        cursor_generation: 0,
    };
    let at = shared.clock.now();
    let (fault, verdict, pause) = admit(&shared, &mut asked);
    if pause > Duration::ZERO {
        tokio::time::sleep(pause).await;
    }
    let reply = match fault.as_ref().and_then(answer_instead) {
        Some(reply) => reply,
        None => answer::answer(&shared, &asked, verdict),
    };
    let own_cursor = match fault {
        Some(FaultKind::RepeatedCursor) => answer::own_cursor(&asked),
        Some(FaultKind::EndlessPages { .. }) => answer::another_cursor(&asked),
        _ => String::new(),
    };
    let spoilt = spoil(fault.as_ref(), reply, &own_cursor).await;
    let status = match &spoilt {
        Spoilt::Response(response) => Some(response.status().as_u16()),
        Spoilt::Dropped => None,
    };
    shared.traffic().log.add(LoggedRequest {
        number: asked.number,
        at,
        endpoint: asked.endpoint,
        method: parts.method.to_string(),
        path: asked.path,
        query: asked.query,
        body: String::from_utf8_lossy(&asked.body).into_owned(),
        integration: asked.integration,
        status,
    });
    match spoilt {
        Spoilt::Response(response) => Ok(with_headers(response, &shared, verdict)),
        Spoilt::Dropped => Err(Dropped),
    }
}

/// Counts the request and decides on faults, rate limit and latency.
fn admit(shared: &Shared, asked: &mut Asked) -> (Option<FaultKind>, RateVerdict, Duration) {
    let state = shared.read();
    let (latency, limit) = (state.latency, state.rate_limit);
    let known = asked.key.as_deref() == Some(state.api_key.as_str());
    drop(state);
    let mut guard = shared.traffic();
    let traffic = &mut *guard;
    traffic.served += 1;
    asked.number = traffic.served;
    asked.cursor_generation = traffic.cursor_generation;
    let fault = traffic.faults.strike(asked.endpoint, asked.integration.as_deref(), &asked.query, &mut traffic.rng);
    let verdict = traffic.window.see(limit, shared.clock.now(), known);
    let jitter = traffic.rng.random_range(0..=latency.jitter_ms);
    drop(guard);
    (fault, verdict, Duration::from_millis(latency.fixed_ms.saturating_add(jitter)))
}

fn with_headers(mut response: Response<Body>, shared: &Shared, verdict: RateVerdict) -> Response<Body> {
    let headers = response.headers_mut();
    if let Ok(date) = shared.clock.now().http_date().parse() {
        headers.insert(header::DATE, date);
    }
    headers.insert("ratelimit-limit", verdict.limit.into());
    headers.insert("ratelimit-remaining", verdict.remaining.into());
    headers.insert("ratelimit-reset", verdict.reset_seconds.into());
    response
}

/// The connection is closed because a fault says so.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped as ordered")]
pub(crate) struct Dropped;

//! Answers requests without faults.

use std::sync::Arc;

use bytes::Bytes;
use kombo_model::Category;
use serde_json::json;

use super::{Asked, Reply, error_reply, write};
use crate::{
    Endpoint, Integration, Refusal,
    cursor::{Cursor, Position},
    listing::Listing,
    query::{self, ListQuery},
    rate::RateVerdict,
    shared::{CachedPage, Shared, State},
};

/// The environment id is the same for every key of this sandbox.
const ENVIRONMENT_ID: &str = "2Uev1YUTqLFdvMPD3Jtrg2FX";

fn refuse(refusal: &Refusal) -> Reply {
    error_reply(refusal.status, refusal.code.as_deref(), &refusal.message)
}

pub(super) fn invalid(message: &str) -> Reply {
    error_reply(400, Some("PLATFORM.INPUT_INVALID"), message)
}

pub(super) fn no_integration(id: &str) -> Reply {
    error_reply(404, Some("PLATFORM.INTEGRATION_NOT_FOUND"), &format!("There is no integration {id:?}."))
}

/// Returns the answer without any fault.
pub(super) fn answer(shared: &Arc<Shared>, asked: &Asked, verdict: RateVerdict) -> Reply {
    let state = shared.read();
    if asked.key.as_deref() != Some(state.api_key.as_str()) {
        return error_reply(401, Some("PLATFORM.AUTHENTICATION_INVALID"), "The API key is missing or wrong.");
    }
    if !verdict.allowed {
        let mut reply = error_reply(429, Some("PLATFORM.RATE_LIMIT_EXCEEDED"), "Too many requests.");
        reply.retry_after = state.rate_limit.retry_after.then(|| verdict.reset_seconds.to_string());
        return reply;
    }
    match asked.endpoint {
        Endpoint::Unknown => error_reply(404, None, &format!("No such endpoint: {}", asked.path)),
        Endpoint::CheckApiKey => {
            Reply::success(&json!({ "environment_id": ENVIRONMENT_ID, "customer_id": ENVIRONMENT_ID }))
        }
        Endpoint::Integration => {
            let id = asked.id.as_deref().unwrap_or_default();
            state.integrations.get(id).map_or_else(|| no_integration(id), |it| Reply::success(&it.render()))
        }
        Endpoint::DeleteIntegration
        | Endpoint::ForceSync
        | Endpoint::CreateCourseProgression
        | Endpoint::CompleteCourseProgression
        | Endpoint::UpsertCourses
        | Endpoint::CourseTask
        | Endpoint::DeactivateCourse => {
            drop(state);
            write::answer(shared, asked).unwrap_or_else(|refusal| refusal)
        }
        Endpoint::LmsUsers
        | Endpoint::LmsCourses
        | Endpoint::LmsCourseProgressions
        | Endpoint::LmsSkills
        | Endpoint::Of(_) => list(shared, &state, asked).unwrap_or_else(|refusal| refusal),
    }
}

/// Returns the integration that the request names, or its refusal.
pub(super) fn integration<'a>(state: &'a State, asked: &Asked) -> Result<&'a Integration, Reply> {
    let id = asked.integration.as_deref().ok_or_else(|| invalid("headers.x-integration-id: required"))?;
    let integration = state.integrations.get(id).ok_or_else(|| no_integration(id))?;
    match integration.refuses(asked.endpoint) {
        Some(refusal) => Err(refuse(refusal)),
        None => Ok(integration),
    }
}

fn list(shared: &Shared, state: &State, asked: &Asked) -> Result<Reply, Reply> {
    let integration = integration(state, asked)?;
    let category = asked.endpoint.of_catalogue().map_or(Category::Lms, kombo_model::Endpoint::category);
    if category != integration.category {
        return Err(refuse(&Refusal::model_not_available()));
    }
    let id = integration.id.as_str();
    let query = query::parse(asked.endpoint, &asked.query).map_err(|it| invalid(&it))?;
    let filters = query.filters.fingerprint(asked.endpoint, id);
    let from = position(state, asked, &query, filters)?;
    Ok(Reply::json_bytes(200, page(shared, state, integration, asked, &query, filters, from)))
}

/// Returns the start of the page, if the cursor is valid.
fn position(state: &State, asked: &Asked, query: &ListQuery, filters: u64) -> Result<Position, Reply> {
    let Some(text) = &query.cursor else {
        return Ok(Position::default());
    };
    let cursor = Cursor::decode(text).ok_or_else(|| invalid("query.cursor: not a cursor"))?;
    if cursor.filters != filters {
        return Err(invalid("query.cursor: the other parameters must be the same on every page"));
    }
    let lives = state.behaviour.cursor_expires_after;
    let too_old = lives.is_some_and(|it| asked.number > cursor.issued.saturating_add(it));
    if too_old || cursor.generation != asked.cursor_generation {
        return Err(invalid("query.cursor: cursor expired"));
    }
    Ok(cursor.position)
}

/// Returns the body of a page, from the cache if allowed.
fn page(
    shared: &Shared,
    state: &State,
    integration: &Integration,
    asked: &Asked,
    query: &ListQuery,
    filters: u64,
    from: Position,
) -> Bytes {
    // A body that depends on the number of the request cannot be cached.
    let keeps = shared.prerender
        && query.filters.is_plain()
        && state.behaviour.cursor_expires_after.is_none()
        && asked.cursor_generation == 0;
    let key = (integration.id.clone(), filters, from, query.page_size);
    if keeps
        && let Some(kept) = shared.pages().get(&key)
        && kept.version == integration.version
    {
        return kept.body.clone();
    }
    let now = shared.clock.now();
    let listing = Listing { integration, behaviour: &state.behaviour, now, endpoint: asked.endpoint, query, from };
    let page = listing.page();
    let next = page.next.map(|position| cursor(asked, filters, position).encode());
    let mut body = Vec::with_capacity(page.rows.len() + 256);
    body.extend_from_slice(br#"{"status":"success","data":{"next":"#);
    body.extend_from_slice(json!(next).to_string().as_bytes());
    body.extend_from_slice(br#","results":["#);
    body.extend_from_slice(&page.rows);
    body.extend_from_slice(b"]}}");
    let body = Bytes::from(body);
    if keeps {
        shared.pages().insert(key, CachedPage { version: integration.version, body: body.clone() });
    }
    body
}

fn cursor(asked: &Asked, filters: u64, position: Position) -> Cursor {
    Cursor { position, filters, generation: asked.cursor_generation, issued: asked.number }
}

/// Returns a new cursor each time that leads to the same page.
pub(super) fn another_cursor(asked: &Asked) -> String {
    let own = own_cursor(asked);
    Cursor::decode(&own).map_or(own, |cursor| Cursor { issued: asked.number, ..cursor }.encode())
}

/// Returns the cursor of the current page, for the fault that repeats it.
pub(super) fn own_cursor(asked: &Asked) -> String {
    let Ok(query) = query::parse(asked.endpoint, &asked.query) else {
        return String::new();
    };
    query.cursor.unwrap_or_else(|| {
        let id = asked.integration.as_deref().unwrap_or_default();
        let filters = query.filters.fingerprint(asked.endpoint, id);
        cursor(asked, filters, Position::default()).encode()
    })
}

//! The status page: the state of everything, and the actions that a person may take. It is rendered here, so that it
//! works without scripts. A few lines of script reload it regularly.

mod access;
mod actions;
mod chart;
mod show;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, FromRequest as _, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::{Clock as _, Store as _, StoreError, Tx, TxResult};
use tokio::sync::Semaphore;

use super::Shared;
use crate::clock::SystemClock;
use crate::output;

pub(crate) use access::Access;
use access::Visitor;
use actions::{Action, Outcome};
use view::{Frame, Integration, Message, OneRun, Record, Runs, SignIn, Status};

/// Maximum size of a form, in bytes.
const MOST_BYTES: usize = 16 * 1024;
/// Time limit for receiving a form, and for reading a page from the store.
const WITHIN: Duration = Duration::from_secs(10);
/// Number of pages read at a time, because workers have priority in the store.
const AT_A_TIME: usize = 4;

/// Allows only resources of this server, and nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// State that the pages need.
pub(super) struct Page {
    shared: OnceLock<Arc<Shared>>,
    access: Arc<Access>,
    places: Semaphore,
}

impl Page {
    pub(super) fn new(access: Arc<Access>) -> Self {
        Self { shared: OnceLock::new(), access, places: Semaphore::new(AT_A_TIME) }
    }

    /// Makes the pages available once the tables are ready.
    pub(super) fn ready(&self, shared: Arc<Shared>) {
        // Set only once, at the end of the start.
        drop(self.shared.set(shared));
    }
}

pub(super) fn routes(page: Arc<Page>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/integration", get(integration))
        .route("/runs", get(runs))
        .route("/run", get(run))
        .route("/record", get(record))
        .route("/sign-in", get(async || Redirect::to("/")).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/act", post(act))
        .route("/page/style.css", get(async || file("text/css; charset=utf-8", include_str!("page/style.css"))))
        .route("/page/script.js", get(async || file("text/javascript; charset=utf-8", include_str!("page/script.js"))))
        .route("/page/icon.svg", get(async || file("image/svg+xml", include_str!("page/icon.svg"))))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(middleware::map_response(guarded))
        .with_state(page)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Adds headers that restrict browsers.
async fn guarded(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Query parameters of a page.
type Asked = Query<BTreeMap<String, String>>;

fn text<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.get(name).map(String::as_str).unwrap_or_default()
}

/// The `before` parameter: the page shows numbers below it.
fn before(asked: &Asked) -> i64 {
    text(asked, "before").parse().unwrap_or(i64::MAX)
}

async fn status(State(page): State<Arc<Page>>, headers: HeaderMap, asked: Asked) -> Response {
    let after = asked.get("after").cloned();
    let key_accepted = page.shared.get().is_some_and(|shared| shared.runtime.gate().is_open());
    show(&page, &headers, &asked, move |tx, frame, now| {
        Status::read(tx, frame, after.as_deref(), key_accepted, now).map(Some)
    })
    .await
}

async fn integration(State(page): State<Arc<Page>>, headers: HeaderMap, asked: Asked) -> Response {
    let (id, before) = (IntegrationId::from(text(&asked, "id")), before(&asked));
    show(&page, &headers, &asked, move |tx, frame, now| Integration::read(tx, frame, &id, before, now)).await
}

async fn runs(State(page): State<Arc<Page>>, headers: HeaderMap, asked: Asked) -> Response {
    let id = Some(text(&asked, "integration")).filter(|id| !id.is_empty()).map(IntegrationId::from);
    let before = before(&asked);
    show(&page, &headers, &asked, move |tx, frame, now| Runs::read(tx, frame, id.as_ref(), before, now).map(Some)).await
}

async fn run(State(page): State<Arc<Page>>, headers: HeaderMap, asked: Asked) -> Response {
    let id = text(&asked, "id").parse().unwrap_or(0);
    show(&page, &headers, &asked, move |tx, frame, _| OneRun::read(tx, frame, id)).await
}

async fn record(State(page): State<Arc<Page>>, headers: HeaderMap, asked: Asked) -> Response {
    let (integration, id) = (IntegrationId::from(text(&asked, "integration")), text(&asked, "id").trim().to_owned());
    let before = before(&asked);
    show(&page, &headers, &asked, move |tx, frame, now| {
        Record::read(tx, frame, &integration, &id, before, now).map(Some)
    })
    .await
}

/// Reads a page from the store and renders it. The address is not found if there is no page.
async fn show<T: Template + Send + 'static>(
    page: &Page,
    headers: &HeaderMap,
    asked: &Asked,
    read: impl FnOnce(&mut dyn Tx, Frame, Timestamp) -> TxResult<Option<T>> + Send + 'static,
) -> Response {
    let now = SystemClock.now();
    let visitor = page.access.visitor(headers, now);
    if visitor == Visitor::Stranger {
        return stranger(false, now);
    }
    let mut frame = frame(page, &visitor, now);
    let plain = frame.clone();
    frame.said = Outcome::say(text(asked, "done")).unwrap_or_default();
    frame.lives = true;
    let Some(shared) = page.shared.get() else { return starting(plain) };
    let reading = async {
        let _place = page.places.acquire().await;
        shared.store.read(move |tx| read(tx, frame, now)).await
    };
    match tokio::time::timeout(WITHIN, reading).await {
        Ok(Ok(Some(page))) => html(StatusCode::OK, &page),
        Ok(Ok(None)) => message(plain, StatusCode::NOT_FOUND, "Not found", "There is nothing of this name or number."),
        Ok(Err(error)) => away(plain, &error),
        Err(_) => message(plain, StatusCode::SERVICE_UNAVAILABLE, "No answer", "The database does not answer in time."),
    }
}

fn frame(page: &Page, visitor: &Visitor, now: Timestamp) -> Frame {
    let may_act = matches!(visitor, Visitor::Person(_));
    Frame {
        version: env!("CARGO_PKG_VERSION"),
        now: now.to_string(),
        form_key: page.access.form_key(visitor),
        may_act,
        may_see_records: may_act || *visitor == Visitor::Program,
        lives: false,
        said: String::new(),
    }
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn message(frame: Frame, status: StatusCode, title: &'static str, text: &'static str) -> Response {
    html(status, &Message { frame, title, text })
}

fn starting(frame: Frame) -> Response {
    message(frame, StatusCode::SERVICE_UNAVAILABLE, "Starting", "The database is not available yet.")
}

fn away(frame: Frame, error: &StoreError) -> Response {
    tracing::warn!(error = output::chain(error), "the data of a page could not be read");
    message(
        frame,
        StatusCode::SERVICE_UNAVAILABLE,
        "No answer",
        "The database does not answer. The log has the reason.",
    )
}

fn stranger(wrong: bool, now: Timestamp) -> Response {
    let frame = Frame { version: env!("CARGO_PKG_VERSION"), now: now.to_string(), ..Frame::default() };
    let mut response = html(StatusCode::UNAUTHORIZED, &SignIn { frame, wrong });
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Reads the fields of a form; `None` if it arrives too late, is too large, or is not a form.
async fn form(request: Request) -> Option<BTreeMap<String, String>> {
    let form = tokio::time::timeout(WITHIN, Form::from_request(request, &())).await.ok()?.ok()?;
    Some(form.0)
}

fn field<'a>(form: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    form.get(name).map(String::as_str).unwrap_or_default()
}

fn unreadable() -> Response {
    (StatusCode::BAD_REQUEST, "not a form of this page\n").into_response()
}

async fn sign_in(State(page): State<Arc<Page>>, request: Request) -> Response {
    let now = SystemClock.now();
    let Some(form) = form(request).await else { return unreadable() };
    if !page.access.opens(field(&form, "token").trim()) {
        tracing::warn!("a sign-in with a wrong token was rejected");
        return stranger(true, now);
    }
    match page.access.sign_in(now) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        None => stranger(true, now),
    }
}

async fn sign_out(State(page): State<Arc<Page>>, request: Request) -> Response {
    let visitor = page.access.visitor(request.headers(), SystemClock.now());
    let Some(form) = form(request).await else { return unreadable() };
    if !page.access.accepts_form(&visitor, field(&form, "key")) {
        return forbidden(&visitor);
    }
    ([(header::SET_COOKIE, Access::sign_out())], Redirect::to("/")).into_response()
}

async fn act(State(page): State<Arc<Page>>, request: Request) -> Response {
    let now = SystemClock.now();
    let visitor = page.access.visitor(request.headers(), now);
    let elsewhere = request.headers().get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let Some(form) = form(request).await else { return unreadable() };
    if elsewhere || !page.access.accepts_form(&visitor, field(&form, "key")) {
        return forbidden(&visitor);
    }
    let Ok(action) = field(&form, "action").parse::<Action>() else { return unreadable() };
    let frame = frame(&page, &visitor, now);
    let Some(shared) = page.shared.get() else { return starting(frame) };
    let id = IntegrationId::from(field(&form, "integration"));
    match actions::perform(shared, action, id.clone(), now).await {
        Ok(Outcome::Unknown) => message(
            frame,
            StatusCode::NOT_FOUND,
            "Not found",
            "There is no such integration, or it was deleted at Kombo.",
        ),
        Ok(outcome) => {
            let query = [("id", id.as_str()), ("done", &outcome.word())];
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            Redirect::to(&format!("/integration?{query}")).into_response()
        }
        Err(error) => away(frame, &error),
    }
}

fn forbidden(visitor: &Visitor) -> Response {
    let (status, text) = match visitor {
        Visitor::Anybody => (StatusCode::FORBIDDEN, "actions are off: set server.operations_token\n"),
        Visitor::Stranger => (StatusCode::UNAUTHORIZED, "sign in first\n"),
        Visitor::Program | Visitor::Person(_) => {
            (StatusCode::FORBIDDEN, "the form is not from this page: reload the page\n")
        }
    };
    (status, text).into_response()
}

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http_body_util::LengthLimitError;
use kombo_client::webhook::{SIGNATURE_HEADER, SignatureError};
use kombo_model::{IntegrationId, Webhook};
use store_diesel::DieselStore;
use sync_core::webhooks::{self, WebhookPolicy};
use sync_runtime::inbox::{self, InboxHandle};
use tokio::sync::{Semaphore, watch};

use super::{Shared, measure};
use crate::clock::SystemClock;
use crate::notices::Notices;
use crate::wiring::LOOK_AT_PAUSED_EVERY;

/// Size limit of a usual webhook. Kombo's have a few hundred bytes.
const USUAL_BYTES: usize = 1024 * 1024;
/// Size limit of a large webhook. Only a few are read at a time.
const MOST_BYTES: usize = 16 * USUAL_BYTES;
const MOST_LARGE_AT_A_TIME: usize = 2;
/// Time limit for receiving the body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for storing. After that the sender has to retry.
const STORED_WITHIN: Duration = Duration::from_secs(10);
/// Maximum bytes of webhooks that are being received and stored. More are rejected, and the sender retries. As many
/// usual webhooks as there may be connections take a fraction of it.
const MOST_BYTES_AT_A_TIME: usize = 64 * USUAL_BYTES;

pub(super) struct WebhookEndpoint {
    shared: Arc<Shared>,
    /// One permit for each byte.
    room: Semaphore,
    large: Semaphore,
    inbox: InboxHandle,
}

/// `POST /webhooks/kombo`, served from the start. A webhook that arrives before the database is ready waits as long as
/// any other.
pub(super) fn routes(endpoint: watch::Receiver<Option<Arc<WebhookEndpoint>>>) -> Router {
    Router::new().route("/webhooks/kombo", post(receive)).with_state(endpoint)
}

/// Returns the endpoint that receives webhooks, and the task that stores them. The task must run; it ends when the
/// endpoint is dropped.
pub(super) fn open(
    shared: Arc<Shared>,
    store: Arc<DieselStore>,
) -> (Arc<WebhookEndpoint>, impl Future<Output = ()> + Send + 'static) {
    let policy = WebhookPolicy {
        plan: shared.config.plan_policy(),
        accept_unknown: shared.config.sync.accept_unknown,
        look_at_paused_every: LOOK_AT_PAUSED_EVERY,
    };
    let wakers = Arc::clone(shared.runtime.wakers());
    let (handle, inbox) = inbox::open(store, Arc::clone(&shared.store), SystemClock, Notices, policy, wakers);
    let (room, large) = (Semaphore::new(MOST_BYTES_AT_A_TIME), Semaphore::new(MOST_LARGE_AT_A_TIME));
    (Arc::new(WebhookEndpoint { shared, room, large, inbox: handle }), inbox.work())
}

async fn receive(
    State(mut endpoint): State<watch::Receiver<Option<Arc<WebhookEndpoint>>>>,
    request: Request<Body>,
) -> Response {
    let began = Instant::now();
    let opened = tokio::time::timeout(STORED_WITHIN, endpoint.wait_for(Option::is_some)).await;
    let opened = opened.ok().and_then(Result::ok).and_then(|endpoint| endpoint.clone());
    let answer = match opened {
        Some(endpoint) => endpoint.receive(request).await,
        None => Answer::NoDatabase,
    };
    measure::webhook(answer.result(), began.elapsed());
    answer.into_response()
}

/// Response to a webhook.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Stored,
    Repeated,
    BadSignature,
    TooSlow,
    TooLarge,
    Unreadable,
    Busy,
    NoDatabase,
}

impl Answer {
    fn result(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Repeated => "repeated",
            Self::BadSignature => "bad_signature",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Busy => "busy",
            Self::NoDatabase => "no_database",
        }
    }

    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Stored => (StatusCode::OK, "stored\n"),
            Self::Repeated => (StatusCode::OK, "stored before\n"),
            Self::BadSignature => (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 16 MiB\n"),
            Self::Unreadable => (StatusCode::BAD_REQUEST, "the body could not be read\n"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy: try again\n"),
            Self::NoDatabase => (StatusCode::SERVICE_UNAVAILABLE, "cannot store: try again\n"),
        };
        let mut response = (status, text).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if status != StatusCode::OK {
            // The rest of the body is not read.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl WebhookEndpoint {
    async fn receive(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > MOST_BYTES) {
            return Answer::TooLarge;
        }
        // Rejects before the client sends the body.
        let signature = match signature(&head.headers) {
            Ok(signature) => signature,
            Err(error) => return refused(error),
        };
        let reserved = u32::try_from(announced.unwrap_or(USUAL_BYTES).min(USUAL_BYTES)).unwrap_or(u32::MAX);
        let Ok(_room) = self.room.try_acquire_many(reserved) else { return Answer::Busy };
        // A request without a length may be large.
        let is_small = announced.is_some_and(|length| length <= USUAL_BYTES);
        let large = if is_small { None } else { self.large.try_acquire().ok() };
        let most = if large.is_some() { MOST_BYTES } else { USUAL_BYTES };
        if announced.is_some_and(|length| length > most) {
            return Answer::Busy;
        }
        // The limit error distinguishes a body that is too long from one that broke off.
        let bytes = match tokio::time::timeout(BODY_WITHIN, to_bytes(body, most)).await {
            Err(_) => return Answer::TooSlow,
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if is_length_limit(&error) => {
                return if large.is_some() { Answer::TooLarge } else { Answer::Busy };
            }
            Ok(Err(_)) => return Answer::Unreadable,
        };
        let secrets = self.shared.secrets.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = secrets.verify(&bytes, Some(signature)) {
            return refused(error);
        }
        self.store(webhooks::read(&bytes)).await
    }

    /// Records that a webhook was not stored, so that its changes are fetched even if the sender does not retry.
    fn note_missed(&self, integration: Option<IntegrationId>) {
        if let Some(id) = integration {
            self.shared.runtime.note_missed(id);
        }
    }

    async fn store(&self, webhook: Webhook) -> Answer {
        let (event, kind) = (webhook.id.to_string(), webhook.event.kind().to_owned());
        let concerned = webhooks::integration_of(&webhook);
        let Ok(stored) = tokio::time::timeout(STORED_WITHIN, self.inbox.receive(webhook)).await else {
            tracing::error!(webhook.id = event, "a webhook was not stored in time");
            self.note_missed(concerned);
            return Answer::NoDatabase;
        };
        match stored {
            Ok(true) => {
                tracing::info!(webhook.id = event, webhook.kind = kind, "webhook");
                Answer::Stored
            }
            Ok(false) => Answer::Repeated,
            Err(error) => {
                self.note_missed(concerned);
                let said = crate::output::chain(&*error);
                tracing::error!(webhook.id = event, error = said, "a webhook was not stored");
                Answer::NoDatabase
            }
        }
    }
}

/// Returns the signature header. If there are several, none counts: a proxy may have relied on another one.
fn signature(headers: &HeaderMap) -> Result<&[u8], SignatureError> {
    let mut signatures = headers.get_all(SIGNATURE_HEADER).iter();
    match (signatures.next(), signatures.next()) {
        (Some(signature), None) => Ok(signature.as_bytes()),
        (None, _) => Err(SignatureError::Missing),
        (Some(_), Some(_)) => Err(SignatureError::Malformed),
    }
}

fn refused(error: SignatureError) -> Answer {
    tracing::warn!(error = error.to_string(), "a webhook was refused");
    Answer::BadSignature
}

/// Whether a body is longer than the limit, at any depth of the error's chain.
fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

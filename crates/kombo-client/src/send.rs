//! Sends requests and retries them. The only place that does.

mod attempt;
mod body;
mod fault;

use std::sync::Arc;
use std::time::Duration;

use kombo_model::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::decode::Undecodable;
use crate::observe::{OnResponse, Outcome, Pacer, ResponseEvent, UnderWay};
use crate::request::Request;
use crate::retry::{Failed, RetryClass, RetryDecision};
use crate::{Error, Operation, RateLimit, ResponseMeta, RetryPolicy, TransportFault, Tried, headers};

#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: Url,
    /// Host and port, for errors.
    pub(crate) host: String,
    /// Host and port of the proxy that leads to Kombo, if there is one.
    pub(crate) proxy: Option<Box<str>>,
    /// Used only to cut it out of error texts; the header already contains it.
    pub(crate) api_key: SecretString,
    pub(crate) timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) max_body_bytes: usize,
    pub(crate) clock: Clock,
    pub(crate) on_response: Option<OnResponse>,
    pub(crate) pacer: Option<Arc<dyn Pacer>>,
}

/// The delay before a different request replaces one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Immediately.
    None,
    /// After the pause before a retry of the failed one.
    AsUsual,
}

/// A response with a success status, read to its end.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: String,
    /// The encoding of the text, if it is not UTF-8.
    charset: Option<&'static str>,
}

/// The result of an attempt and its time.
struct Attempt {
    requested_at: Timestamp,
    elapsed: Duration,
    result: Result<Received, Failure>,
}

/// A failed attempt, with the rate limit from its headers.
struct Failure {
    error: Error,
    rate_limit: RateLimit,
}

impl Sender {
    /// Sends a request with retries, and decodes the body of its answer.
    pub(crate) async fn send<T>(
        &self,
        request: Request,
        decode: impl Fn(&str) -> Result<T, Undecodable>,
    ) -> Result<(T, ResponseMeta), Error> {
        self.send_adapting(request, |_, body| decode(body), |_| None).await
    }

    /// Like [`send`](Self::send), but after a failure, `instead` may return another request and how soon to send it.
    pub(crate) async fn send_adapting<T>(
        &self,
        mut request: Request,
        decode: impl Fn(&Request, &str) -> Result<T, Undecodable>,
        mut instead: impl FnMut(&Error) -> Option<(Request, Pause)>,
    ) -> Result<(T, ResponseMeta), Error> {
        let mut spent = Duration::ZERO;
        let mut few_used = 0_u32;
        let mut attempts = 0_u32;
        loop {
            if let Some(pacer) = &self.pacer {
                pacer.acquire().await;
            }
            attempts = attempts.saturating_add(1);
            let began = Instant::now();
            let under_way = UnderWay::new(self.pacer.as_deref());
            let attempt = self.attempt(&request, began).await;
            under_way.ended();
            let seen = self.on_response.as_ref().map(|_| seen(&request, attempts, &attempt));
            let error = match attempt.result {
                Ok(received) => match decode(&request, &received.body) {
                    Ok(data) => {
                        self.observe(seen, None);
                        let meta = ResponseMeta {
                            requested_at: attempt.requested_at,
                            elapsed: attempt.elapsed,
                            server_date: headers::server_date(&received.headers),
                            rate_limit: headers::rate_limit(&received.headers),
                            attempts,
                        };
                        return Ok((data, meta));
                    }
                    Err(fault) => self.undecodable(request.operation, &received, fault),
                },
                Err(failure) => failure.error,
            };
            spent = spent.saturating_add(began.elapsed());
            let class = error.retry_class();
            if let Some((other, pause)) = instead(&error) {
                request = other;
                if pause == Pause::None && spent < self.retry.budget {
                    self.observe(seen, None);
                    continue;
                }
            }
            let failed = Failed { class, retry_after: error.retry_after(), attempts, spent, few_used };
            match self.retry.decide(&failed, fastrand::f64()) {
                RetryDecision::GiveUp => {
                    self.observe(seen, None);
                    return Err(error.with_attempts(attempts));
                }
                RetryDecision::After(delay) => {
                    self.observe(seen, Some(delay));
                    tokio::time::sleep(delay).await;
                    spent = spent.saturating_add(delay);
                    few_used = few_used.saturating_add(u32::from(matches!(class, RetryClass::Few(_))));
                }
            }
        }
    }

    fn undecodable(&self, operation: Operation, received: &Received, fault: Undecodable) -> Error {
        let (status, tried) = (received.status, Tried::ONCE);
        let in_records = matches!(fault, Undecodable::Garbled { .. });
        let encoding = headers::foreign_encoding(&received.headers);
        let encoding = encoding.map(|name| format!("its Content-Encoding is {name}, and only gzip is supported"));
        let charset = received.charset.map(|name| format!("it is encoded as {name}, and only UTF-8 is supported"));
        if let Some(reason) = encoding.or(charset) {
            let reason = reason.into();
            let content_type = headers::content_type(&received.headers);
            return Error::NotJson { operation, status, reason, content_type, in_records, tried };
        }
        match fault {
            Undecodable::Incomplete => self.transport(operation, TransportFault::Incomplete, None),
            Undecodable::NotJson { reason } | Undecodable::Garbled { reason } => {
                let content_type = headers::content_type(&received.headers);
                Error::NotJson { operation, status, reason: reason.into(), content_type, in_records, tried }
            }
            Undecodable::TooManyRecords { limit } => Error::TooManyRecords { operation, status, limit, tried },
            // Some gateways wrap an error in a success status.
            Undecodable::Unexpected { path, reason } => match self.kombo_error(&received.body) {
                Some(error) => Error::Api { operation, status, error: Box::new(error), retry_after: None, tried },
                None => Error::Decode {
                    operation,
                    status,
                    path: path.into(),
                    reason: reason.into(),
                    content_type: headers::content_type(&received.headers),
                    tried,
                },
            },
        }
    }

    fn observe(&self, seen: Option<ResponseEvent>, pause: Option<Duration>) {
        if let (Some(on_response), Some(seen)) = (&self.on_response, seen) {
            on_response(&ResponseEvent { pause, ..seen });
        }
    }
}

/// Describes an attempt for an observer.
fn seen(request: &Request, number: u32, attempt: &Attempt) -> ResponseEvent {
    let (outcome, code, rate_limit, retry_after) = match &attempt.result {
        Ok(received) => (Outcome::Status(received.status), None, headers::rate_limit(&received.headers), None),
        Err(failure) => {
            let error = &failure.error;
            let outcome = match error {
                Error::Transport { fault, .. } => Outcome::Fault(*fault),
                Error::Api { .. }
                | Error::Foreign { .. }
                | Error::Redirect { .. }
                | Error::Decode { .. }
                | Error::NotJson { .. }
                | Error::BodyTooLarge { .. }
                | Error::TooManyRecords { .. }
                | Error::RepeatedCursor { .. }
                | Error::InvalidRequest { .. } => {
                    error.status().map_or(Outcome::Fault(TransportFault::Other), Outcome::Status)
                }
            };
            (outcome, error.code().cloned(), failure.rate_limit, error.retry_after())
        }
    };
    let elapsed = attempt.elapsed;
    ResponseEvent {
        operation: request.operation,
        integration: request.integration.clone(),
        attempt: number,
        outcome,
        code,
        elapsed,
        rate_limit,
        retry_after,
        pause: None,
    }
}

use std::error::Error as StdError;
use std::time::Duration;

use kombo_model::ApiError;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::body::Unread;
use super::{Attempt, Failure, Received, Sender, body, fault};
use crate::request::Request;
use crate::{Error, Operation, RateLimit, TransportFault, Tried, answer, headers};

/// Number of bytes read of an error body: Kombo's are small, and of others only the status counts.
const ERROR_BODY_BYTES: usize = 256 * 1024;

impl Sender {
    /// Makes one attempt, from connecting to the last byte of the body.
    pub(super) async fn attempt(&self, request: &Request, began: Instant) -> Attempt {
        let requested_at = (self.clock)();
        let result =
            match tokio::time::timeout_at(began + self.timeout_of(request.operation), self.exchange(request)).await {
                Ok(result) => result,
                Err(_) => Err(self.transport(request.operation, TransportFault::Timeout, None).into()),
            };
        Attempt { requested_at, elapsed: began.elapsed(), result }
    }

    async fn exchange(&self, request: &Request) -> Result<Received, Failure> {
        let operation = request.operation;
        let method = match operation.method() {
            "POST" => Method::POST,
            "DELETE" => Method::DELETE,
            _ => Method::GET,
        };
        let mut http = self.http.request(method, request.url(&self.base_url));
        if let Some(body) = &request.body {
            http = http.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(integration) = &request.integration {
            http = http.header("x-integration-id", integration.as_str());
        }
        let response = http.send().await.map_err(|error| self.broken(operation, error))?;
        let rate_limit = headers::rate_limit(response.headers());
        self.receive(operation, response).await.map_err(|error| Failure { error, rate_limit })
    }

    async fn receive(&self, operation: Operation, mut response: Response) -> Result<Received, Error> {
        let status = response.status();
        if !status.is_success() {
            return Err(self.refused(operation, response).await);
        }
        let body = body::read(&mut response, self.max_body_bytes).await.map_err(|unread| match unread {
            Unread::TooLarge => Error::BodyTooLarge {
                operation,
                status: status.as_u16(),
                limit: self.max_body_bytes,
                tried: Tried::ONCE,
            },
            Unread::Broken(source) => self.transport(operation, TransportFault::Incomplete, Some(source)),
        })?;
        let headers = response.headers().clone();
        let charset = body::foreign_charset(&body);
        let body = body::text(body, &headers);
        Ok(Received { status: status.as_u16(), headers, body, charset })
    }

    /// Returns the error for a status other than success.
    async fn refused(&self, operation: Operation, mut response: Response) -> Error {
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let host = headers::redirect_host(response.headers(), response.url());
            return Error::Redirect { operation, status: status.as_u16(), host, tried: Tried::ONCE };
        }
        // The status counts even if the body cannot be read.
        let body = body::read(&mut response, ERROR_BODY_BYTES).await.unwrap_or_default();
        let error = self.kombo_error(&body::text(body, response.headers()));
        let code = error.as_ref().and_then(|error| error.code.as_ref());
        let headers = response.headers();
        let retry_after = headers::retry_after(headers, status, code, (self.clock)());
        let (status, tried) = (status.as_u16(), Tried::ONCE);
        if let Some(error) = error {
            return Error::Api { operation, status, error: Box::new(error), retry_after, tried };
        }
        let content_type = headers::content_type(headers);
        Error::Foreign { operation, status, content_type, retry_after, tried }
    }

    pub(super) fn kombo_error(&self, body: &str) -> Option<ApiError> {
        answer::kombo_error(body, self.api_key.expose_secret())
    }

    pub(super) fn transport(
        &self,
        operation: Operation,
        fault: TransportFault,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        Error::Transport {
            operation,
            host: match (&self.proxy, fault) {
                (None, _) => self.host.as_str().into(),
                (Some(proxy), TransportFault::Proxy) => proxy.clone(),
                (Some(proxy), _) => format!("{} behind the proxy {proxy}", self.host).into(),
            },
            fault,
            timeout: self.timeout_of(operation),
            tried: Tried::ONCE,
            source,
        }
    }

    fn timeout_of(&self, operation: Operation) -> Duration {
        if operation.writes_to_tool() { self.write_timeout } else { self.timeout }
    }

    /// Returns the error of a request without a response.
    fn broken(&self, operation: Operation, error: reqwest::Error) -> Error {
        let fault = fault::classify(&error);
        // With a proxy, these errors concern the connection to it or the tunnel.
        let at_proxy = matches!(fault, TransportFault::Dns | TransportFault::Connect) && self.proxy.is_some();
        let fault = if at_proxy { TransportFault::Proxy } else { fault };
        // The URL contains the cursor and the filters, which may be mail addresses.
        self.transport(operation, fault, Some(error.without_url().into()))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, rate_limit: RateLimit::default() }
    }
}

//! The receiver of changes, called over HTTP.

mod body;

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use chrono::DateTime;
use kombo_client::webhook::sign;
use kombo_model::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Url};
use secrecy::SecretString;
use sync_core::outbox::{Failure, Sending};
use sync_core::ports::Clock as _;
use sync_runtime::DeliveryPolicy;

use crate::clock::SystemClock;
use crate::config;
use crate::output;

/// The header with the signature, which has the same form as Kombo's.
const SIGNATURE: &str = "x-syncd-signature";
/// Maximum bytes read of a response. Its content is not used, but reading it lets the connection be reused.
const MOST_OF_AN_ANSWER: usize = 64 * 1024;

/// The configured receiver.
pub(crate) struct Receiver {
    settings: config::Receiver,
    secret: RwLock<SecretString>,
    http: Client,
}

impl Receiver {
    pub(super) fn new(settings: config::Receiver) -> anyhow::Result<Self> {
        let (http, secret) = (client(&settings)?, RwLock::new(settings.secret.clone()));
        Ok(Self { settings, secret, http })
    }

    /// Returns the address without possible secrets.
    pub(super) fn shown(&self) -> String {
        self.settings.shown()
    }

    /// Signs deliveries with this secret from now on.
    pub(super) fn replace_secret(&self, secret: SecretString) {
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = secret;
    }
}

impl sync_runtime::Receiver for Receiver {
    fn policy(&self) -> DeliveryPolicy {
        let config::Receiver { batch, timeout, give_up_after, .. } = self.settings;
        DeliveryPolicy { batch_entries: batch, timeout, give_up_after }
    }

    fn body(&self, sending: &Sending) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(body::body(sending)?)
    }

    async fn send(&self, body: &str) -> Result<(), Failure> {
        let secret = self.secret.read().unwrap_or_else(PoisonError::into_inner).clone();
        post(&self.http, &self.settings.url, &secret, self.settings.timeout, body.to_owned()).await
    }
}

/// Creates a client for a receiver.
fn client(receiver: &config::Receiver) -> anyhow::Result<Client> {
    // An error means that the process has already chosen a provider, which is equally good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut http = Client::builder()
        .user_agent(concat!("syncd/", env!("CARGO_PKG_VERSION")))
        .timeout(receiver.timeout)
        // Deliveries are meant only for the configured address.
        .redirect(reqwest::redirect::Policy::none());
    if receiver.url.scheme() == "http" {
        // A plain address does not need the machine's certificates, which a small container may lack.
        http = http.tls_certs_only(std::iter::empty());
    }
    if is_loopback(&receiver.url) {
        http = http.no_proxy();
    }
    http.build().map_err(reqwest::Error::without_url).context("delivery.url: no client can be made")
}

/// Sends a body. Any status other than success is a failure.
async fn post(http: &Client, url: &Url, secret: &SecretString, timeout: Duration, body: String) -> Result<(), Failure> {
    let request = http
        .post(url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(SIGNATURE, sign(secret, body.as_bytes()))
        .body(body);
    let mut answer = request.send().await.map_err(|error| failed(error, timeout))?;
    if answer.status().is_success() {
        let mut read = 0;
        // The receiver has accepted the delivery, even if the rest of the answer does not arrive.
        while let Ok(Some(part)) = answer.chunk().await {
            read += part.len();
            if read > MOST_OF_AN_ANSWER {
                break;
            }
        }
        return Ok(());
    }
    let error = format!("HTTP {}", answer.status().as_u16());
    Err(Failure { error, retry_after: retry_after(answer.headers(), SystemClock.now()) })
}

fn failed(error: reqwest::Error, timeout: Duration) -> Failure {
    let error = if error.is_timeout() {
        format!("no answer within {}", humantime::format_duration(timeout))
    } else {
        // The address may contain a secret.
        output::one_line(&output::chain(&error.without_url()))
    };
    Failure { error, retry_after: None }
}

/// Returns the wait that an answer requests: in seconds, or until a date, compared with `now`.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let there = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or(now);
    http_date(text).map(|until| until.since(there))
}

fn http_date(text: &str) -> Option<Timestamp> {
    Timestamp::from_unix_millis(DateTime::parse_from_rfc2822(text).ok()?.timestamp_millis())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_how_long_to_wait_in_seconds_or_by_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let asked = |retry_after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            super::retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(asked("120", None), Some(120));
        assert_eq!(asked("Thu, 01 Jan 2026 00:01:00 GMT", None), Some(60));
        let fast = Some("Thu, 01 Jan 2026 00:00:50 GMT");
        assert_eq!(asked("Thu, 01 Jan 2026 00:01:00 GMT", fast), Some(10));
        assert_eq!(asked("Wed, 31 Dec 2025 00:00:00 GMT", None), Some(0), "a time that is over");
        assert_eq!(asked("soon", None), None);
        assert_eq!(super::retry_after(&HeaderMap::new(), now), None);
    }
}

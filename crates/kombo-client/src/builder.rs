use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::client::{Client, Inner};
use crate::clock::{Clock, system_clock};
use crate::observe::{OnResponse, Pacer, ResponseEvent};
use crate::send::Sender;
use crate::{PageSize, RetryPolicy, base_url};

/// The region that stores the account's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Region {
    /// European Union, `https://api.kombo.dev/v1`
    #[default]
    Eu,
    /// United States, `https://api.us.kombo.dev/v1`
    Us,
}

impl Region {
    /// Returns the base URL of Kombo's API in the region.
    pub fn base_url(self) -> &'static str {
        match self {
            Self::Eu => "https://api.kombo.dev/v1",
            Self::Us => "https://api.us.kombo.dev/v1",
        }
    }
}

/// An error that prevents building a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The base URL is not the address of an API.
    #[error("the base URL is wrong: {0}")]
    BaseUrl(String),
    /// Kombo does not accept this page size.
    #[error("a page size of {0} is not between 1 and 250")]
    PageSize(u16),
    /// The API key is not a valid header value.
    #[error("the API key is empty or has characters that no key has, such as a line break")]
    ApiKey,
    /// The user agent is not a valid header value.
    #[error("the user agent has characters that a header cannot hold")]
    UserAgent,
    /// The time-out is zero, so every request would fail.
    #[error("the time-out is zero")]
    Timeout,
    /// The HTTP client could not start, usually because the machine's certificates could not be read.
    #[error("the HTTP client could not start")]
    Http(#[source] reqwest::Error),
}

/// Settings of a [`Client`]; see [`Client::builder`].
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use kombo_client::{Client, Region, ResponseEvent, RetryPolicy};
///
/// let client = Client::builder("an-api-key")
///     .region(Region::Us)
///     .timeout(Duration::from_secs(20))
///     .retry(RetryPolicy { budget: Duration::from_secs(60), ..RetryPolicy::default() })
///     .on_response(Arc::new(|event: &ResponseEvent| println!("{}: {:?}", event.operation, event.outcome)))
///     .build();
/// # // A machine without certificates cannot speak TLS.
/// # drop(client);
/// ```
pub struct ClientBuilder {
    api_key: SecretString,
    base_url: String,
    page_size: u16,
    timeout: Duration,
    write_timeout: Duration,
    user_agent: String,
    retry: RetryPolicy,
    max_body_bytes: usize,
    clock: Clock,
    on_response: Option<OnResponse>,
    pacer: Option<Arc<dyn Pacer>>,
}

impl ClientBuilder {
    pub(crate) fn new(api_key: SecretString) -> Self {
        Self {
            api_key,
            base_url: Region::default().base_url().to_owned(),
            page_size: PageSize::MAX.get(),
            timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(120),
            user_agent: concat!("kombo-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            max_body_bytes: 32 * 1024 * 1024,
            clock: system_clock(),
            on_response: None,
            pacer: None,
        }
    }

    /// Uses Kombo in this region; [`Region::Eu`] by default. Replaces an earlier base URL.
    #[must_use]
    pub fn region(self, region: Region) -> Self {
        self.base_url(region.base_url())
    }

    /// Uses the server at this address, such as `http://127.0.0.1:9000/v1`. Its path is kept. A loopback address is
    /// reached directly, others through the proxy set in the environment, if any (`HTTPS_PROXY` and similar).
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// Sets the number of records per page, 1 to 250; 250 by default.
    #[must_use]
    pub fn page_size(mut self, records: u16) -> Self {
        self.page_size = records;
        self
    }

    /// Sets the time-out of one attempt, from connecting to the last byte of the body; 30 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time-out of one attempt to write to the connected tool; two minutes by default. Tools can be slow, and
    /// a write that timed out may still be carried out: see [`Error::outcome_unknown`].
    ///
    /// [`Error::outcome_unknown`]: crate::Error::outcome_unknown
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Sets the `User-Agent` header.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sets the policy for retries.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the largest accepted body, in bytes both as sent and after decompression; 32 MiB by default, which is 128
    /// KiB for each record of a full page. A larger page is requested again with fewer records.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Sets the wall clock for [`ResponseMeta::requested_at`](crate::ResponseMeta::requested_at); the system clock by
    /// default.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }

    /// Sets a function that is called after each attempt, including failed ones, to count requests and follow the rate
    /// limit. It runs on the task of the request and must not block.
    #[must_use]
    pub fn on_response(mut self, observer: Arc<dyn Fn(&ResponseEvent) + Send + Sync>) -> Self {
        self.on_response = Some(observer);
        self
    }

    /// Sets the gate that each attempt waits for.
    #[must_use]
    pub fn pacer(mut self, pacer: Arc<dyn Pacer>) -> Self {
        self.pacer = Some(pacer);
        self
    }

    /// Builds the client without sending anything.
    pub fn build(self) -> Result<Client, BuildError> {
        let base_url = base_url::parse(&self.base_url).map_err(BuildError::BaseUrl)?;
        let page_size = PageSize::new(self.page_size).ok_or(BuildError::PageSize(self.page_size))?;
        if self.timeout.is_zero() || self.write_timeout.is_zero() {
            return Err(BuildError::Timeout);
        }
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|_| BuildError::UserAgent)?;
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("authorization"), authorization(&self.api_key)?);
        headers.insert(HeaderName::from_static("accept"), HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("accept-encoding"), HeaderValue::from_static("gzip"));

        // An error means that the process has already chosen a provider, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(user_agent)
            // A redirect would send the key elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if base_url.scheme() == "http" {
            // Plain HTTP needs no certificates, and a small container may have none.
            http = http.tls_certs_only(std::iter::empty());
        }
        if base_url::is_loopback(&base_url) {
            http = http.no_proxy();
        }
        let sender = Sender {
            http: http.build().map_err(BuildError::Http)?,
            host: base_url::host(&base_url),
            proxy: base_url::proxy(&base_url),
            base_url,
            api_key: self.api_key,
            timeout: self.timeout,
            write_timeout: self.write_timeout,
            retry: self.retry,
            max_body_bytes: self.max_body_bytes,
            clock: self.clock,
            on_response: self.on_response,
            pacer: self.pacer,
        };
        Ok(Client { inner: Arc::new(Inner { sender, page_size, sizes: Arc::default() }) })
    }
}

/// Marks the header as sensitive, so that neither `Debug` nor HTTP/2's compression tables show it.
fn authorization(api_key: &SecretString) -> Result<HeaderValue, BuildError> {
    let key = api_key.expose_secret();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BuildError::ApiKey);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| BuildError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for ClientBuilder {
    /// Shows the base URL only if it is valid: an invalid one may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("base_url", &base_url::parse(&self.base_url).as_ref().map(reqwest::Url::as_str))
            .field("page_size", &self.page_size)
            .field("timeout", &self.timeout)
            .field("write_timeout", &self.write_timeout)
            .field("user_agent", &self.user_agent)
            .field("retry", &self.retry)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}

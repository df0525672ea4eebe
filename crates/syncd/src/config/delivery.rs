//! Configuration of the delivery of changes.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sync_core::outbox::Undelivered;
use url::Url;

use super::{Config, ConfigError, duration, exact};
use crate::secret::{Secret, read_file};

/// Receivers may reject the body of a larger batch.
const MOST_ENTRIES: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    /// A secret, because it may contain a password, or a token in its query.
    pub(super) url: Option<Secret>,
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "duration::read")]
    timeout: Duration,
    #[serde(deserialize_with = "exact::number")]
    batch: usize,
    #[serde(deserialize_with = "duration::read")]
    give_up_after: Duration,
}

/// A receiver of changes.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: Url,
    pub(crate) secret: SecretString,
    pub(crate) timeout: Duration,
    /// Maximum number of entries in a delivery.
    pub(crate) batch: usize,
    pub(crate) give_up_after: Duration,
}

impl Receiver {
    /// Returns the address without possible secrets: many webhook addresses have a token in their path.
    pub(crate) fn shown(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", self.url.scheme())
    }
}

impl Config {
    /// Whether changes are delivered.
    pub(crate) fn delivers(&self) -> bool {
        self.delivery.url.is_some()
    }

    /// Returns the treatment of old entries that are not delivered yet.
    pub(crate) fn undelivered(&self) -> Undelivered {
        if self.delivers() { Undelivered::Keep } else { Undelivered::Remove }
    }

    /// Returns the receiver of changes; `None` if changes are not delivered.
    pub(crate) fn receiver(&self) -> Result<Option<Receiver>, ConfigError> {
        let delivery = &self.delivery;
        let Some(url) = &delivery.url else { return Ok(None) };
        // The address is not shown: an invalid value could be a misplaced secret.
        let wrong =
            || ConfigError("delivery.url: an address such as \"https://example.org/changes\" is needed".to_owned());
        let url: Url = url.reveal().expose_secret().parse().map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(Some(Receiver {
            url,
            secret: self.delivery_secret()?,
            timeout: delivery.timeout,
            batch: delivery.batch,
            give_up_after: delivery.give_up_after,
        }))
    }

    fn delivery_secret(&self) -> Result<SecretString, ConfigError> {
        let missing = "delivery.secret is not set, and delivery.url is: put what deliveries are to be signed with into \
                       syncd.toml, into the file named by delivery.secret_file, or into the environment as \
                       SYNCD__DELIVERY__SECRET";
        match (&self.delivery.secret, &self.delivery.secret_file) {
            (Some(_), Some(_)) => {
                Err(ConfigError("delivery.secret and delivery.secret_file are both set: keep one".to_owned()))
            }
            (Some(secret), None) if !secret.is_blank() => Ok(secret.reveal()),
            (None, Some(path)) => match read_file("delivery.secret_file", path).map_err(ConfigError)?.as_slice() {
                [secret] => Ok(secret.reveal()),
                _ => Err(ConfigError(format!("delivery.secret_file: {} has more than one line", path.display()))),
            },
            (Some(_) | None, None) => Err(ConfigError(missing.to_owned())),
        }
    }

    /// Checks rules that types cannot express.
    pub(super) fn check_delivery(&self) -> Result<(), ConfigError> {
        let (delivery, keep_for) = (&self.delivery, self.changes.keep_for);
        let wrong = |text: &str| Err(ConfigError(text.to_owned()));
        if delivery.timeout.is_zero() || delivery.timeout > Duration::from_secs(300) {
            return wrong("delivery.timeout: longer than nothing and at most \"5m\", such as \"10s\"");
        }
        if !(1..=MOST_ENTRIES).contains(&delivery.batch) {
            return Err(ConfigError(format!("delivery.batch: 1 to {MOST_ENTRIES}")));
        }
        if delivery.give_up_after < Duration::from_secs(1) {
            return wrong("delivery.give_up_after: at least \"1s\"; \"1d\" outlasts most outages");
        }
        if delivery.url.is_some() && !keep_for.is_zero() && delivery.give_up_after >= keep_for {
            return wrong(
                "delivery.give_up_after: must be shorter than changes.keep_for, so that the change log still has what is \
                 being tried: shorten the one or lengthen the other",
            );
        }
        Ok(())
    }
}

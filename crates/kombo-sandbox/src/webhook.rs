//! Webhooks: what is sent, where to, and what became of it.

mod deliver;
mod payload;

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

pub(crate) use deliver::deliver;
pub(crate) use payload::payload;

use crate::{Model, Stamp};

/// When `data-changed` is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum WebhookMode {
    /// Never, and nothing is noted for later.
    Off,
    /// When it is asked for; changes are noted until then.
    #[default]
    Manual,
    /// By itself, so long after the first change that was not yet told.
    Auto {
        /// Milliseconds.
        debounce_ms: u64,
    },
}

/// Where webhooks go and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// `http://` URLs; each gets every webhook.
    pub targets: Vec<String>,
    /// The secret they are signed with.
    pub secret: String,
    /// When `data-changed` is sent.
    pub data_changed: WebhookMode,
    /// Each webhook is sent so many times more than once.
    pub duplicates: u32,
    /// Milliseconds that each delivery waits.
    pub delay_ms: u64,
    /// So many of the next webhooks are lost on the way.
    pub lose_next: u32,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            secret: "sandbox-secret".to_owned(),
            data_changed: WebhookMode::default(),
            duplicates: 0,
            delay_ms: 0,
            lose_next: 0,
        }
    }
}

/// A webhook to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Webhook {
    /// Models changed.
    DataChanged {
        /// Which.
        changed_models: BTreeSet<Model>,
    },
    /// A sync ended.
    SyncFinished {
        /// `SUCCEEDED`, `PARTIALLY_FAILED`, `FAILED`, …
        sync_state: String,
    },
    /// The integration was connected.
    IntegrationCreated,
    /// The integration was removed.
    IntegrationDeleted,
    /// The integration's state changed.
    IntegrationStateChanged,
    /// Somebody did not manage to connect.
    ConnectionFlowFailed,
}

impl Webhook {
    /// The value of `type`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::DataChanged { .. } => "data-changed",
            Self::SyncFinished { .. } => "sync-finished",
            Self::IntegrationCreated => "integration-created",
            Self::IntegrationDeleted => "integration-deleted",
            Self::IntegrationStateChanged => "integration-state-changed",
            Self::ConnectionFlowFailed => "connection-flow-failed",
        }
    }
}

/// What became of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// When it was sent off, by the sandbox's clock.
    pub at: Stamp,
    /// The value of `type`.
    pub webhook: &'static str,
    /// The integration it is about.
    pub integration: String,
    /// The URL; `None` where there is no target.
    pub target: Option<String>,
    /// The body as sent.
    pub body: String,
    /// The value of `X-Kombo-Signature`.
    pub signature: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<String>,
}

/// The value of `X-Kombo-Signature`: base64url without padding of HMAC-SHA256 over the raw body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so that there is no failure to speak of.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(body);
            BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_openssl_does() {
        // printf '{"id":"1"}' | openssl dgst -sha256 -hmac 'sandbox-secret' -binary | basenc --base64url | tr -d =
        assert_eq!(sign("sandbox-secret", br#"{"id":"1"}"#), "iExrKwgMEIQduu43BxNFzCx8fR0sGwxNNdRSngVET-k");
        // RFC 4231, test case 2.
        assert_eq!(sign("Jefe", b"what do ya want for nothing?"), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }
}

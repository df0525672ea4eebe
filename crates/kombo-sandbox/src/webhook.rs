//! Webhooks: payloads, targets and results.

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
    /// Never. Changes are not recorded.
    Off,
    /// On request. Changes are recorded until then.
    #[default]
    Manual,
    /// Automatically, this long after the first unreported change.
    Auto {
        /// The delay in milliseconds.
        debounce_ms: u64,
    },
}

/// The targets and settings of webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// `http://` URLs; each gets every webhook.
    pub targets: Vec<String>,
    /// The secret that signs them.
    pub secret: String,
    /// When `data-changed` is sent.
    pub data_changed: WebhookMode,
    /// Number of additional copies of each webhook.
    pub duplicates: u32,
    /// Delay of each delivery in milliseconds.
    pub delay_ms: u64,
    /// Number of next webhooks that are lost.
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

/// A webhook to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Webhook {
    /// Models changed.
    DataChanged {
        /// The changed models.
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
    /// A customer failed to connect a tool.
    ConnectionFlowFailed,
}

impl Webhook {
    /// Returns the value of `type`.
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

/// The result of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// When it was sent, by the sandbox's clock.
    pub at: Stamp,
    /// The value of `type`.
    pub webhook: &'static str,
    /// The integration it is about.
    pub integration: String,
    /// The URL; `None` if there is no target.
    pub target: Option<String>,
    /// The body as sent.
    pub body: String,
    /// The value of `X-Kombo-Signature`.
    pub signature: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The reason if there is no answer.
    pub error: Option<String>,
}

/// Returns the value of `X-Kombo-Signature`: base64url without padding of HMAC-SHA256 over the raw body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC accepts keys of any length, so this cannot fail.
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

//! The signature of Kombo's webhooks: base64url without padding of the HMAC-SHA256 of the raw body, in the header
//! [`SIGNATURE_HEADER`].
//!
//! Verify the bytes as received, before parsing. The signature covers no time, so a recorded webhook verifies forever:
//! treat a webhook as a hint to fetch, never as data.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-kombo-signature";

/// Length of a signature in characters: 32 bytes in base64url without padding.
const SIGNATURE_CHARS: usize = 43;

/// Returns Kombo's signature of a body: 43 characters.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    // An HMAC accepts a key of any length; the error exists for other kinds of MAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return String::new() };
    mac.update(body);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// The valid secrets of webhooks: one, or several during a change of the secret.
///
/// ```
/// use kombo_client::SecretString;
/// use kombo_client::webhook::{SignatureError, WebhookSecrets, sign};
///
/// let secret = SecretString::from("the-secret");
/// let secrets = WebhookSecrets::new([secret.clone(), "the-next-one".into()])?;
///
/// let body = br#"{"id":"1","type":"sync-finished","data":{}}"#;
/// let header = sign(&secret, body);
/// assert_eq!(secrets.verify(body, Some(header.as_bytes())), Ok(()));
/// assert_eq!(secrets.verify(b"{}", Some(header.as_bytes())), Err(SignatureError::Mismatch));
/// assert_eq!(secrets.verify(body, None), Err(SignatureError::Missing));
/// # Ok::<(), kombo_client::webhook::BlankSecret>(())
/// ```
#[derive(Clone)]
pub struct WebhookSecrets(Vec<SecretString>);

/// There is no secret, or one of them is blank, so that anybody could sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is missing or blank")]
pub struct BlankSecret;

/// The reason why a webhook could not be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("the signature header is missing")]
    Missing,
    /// The signature is malformed.
    #[error("the signature is not 43 characters of base64url")]
    Malformed,
    /// No secret produces this signature for this body.
    #[error("the signature belongs to another body or another secret")]
    Mismatch,
}

impl WebhookSecrets {
    /// Accepts one or more secrets, none of them blank.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Result<Self, BlankSecret> {
        let secrets: Vec<_> = secrets.into_iter().collect();
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose_secret().trim().is_empty()) {
            return Err(BlankSecret);
        }
        Ok(Self(secrets))
    }

    /// Checks that one of the secrets made the signature in `header` for `body`. Every secret is tried in full, so that
    /// the time taken reveals nothing.
    pub fn verify(&self, body: &[u8], header: Option<&[u8]>) -> Result<(), SignatureError> {
        let signature = header.ok_or(SignatureError::Missing)?;
        let base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if signature.len() != SIGNATURE_CHARS || !signature.iter().all(base64url) {
            return Err(SignatureError::Malformed);
        }
        let matches = self.0.iter().map(|secret| sign(secret, body).as_bytes().ct_eq(signature));
        if matches.fold(Choice::from(0), |any, this| any | this).into() {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests;

//! The signature of Kombo's webhooks: base64url without padding of the HMAC-SHA256 of the raw body, in the header
//! [`SIGNATURE_HEADER`].
//!
//! Verify the bytes as they came, before reading them. The signature covers no time, so a delivery that somebody
//! recorded verifies for ever: treat a webhook as a hint to go and look, never as data.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-kombo-signature";

/// Characters of a signature: 32 bytes in base64url without padding.
const SIGNATURE_CHARS: usize = 43;

/// The signature that Kombo puts on a body: 43 characters.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    // An HMAC takes a key of any length; the error is that of other kinds of MAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return String::new() };
    mac.update(body);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// The secrets that a webhook may be signed with: one, or several while the secret is being changed.
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

/// There is no secret, or one of them is blank: anybody could sign with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is missing or blank")]
pub struct BlankSecret;

/// Why a body is not taken for Kombo's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("the signature header is missing")]
    Missing,
    /// The signature does not have the form of one.
    #[error("the signature is not 43 characters of base64url")]
    Malformed,
    /// None of the secrets made this signature for this body.
    #[error("the signature belongs to another body or another secret")]
    Mismatch,
}

impl WebhookSecrets {
    /// Takes one or several secrets, none of them blank.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Result<Self, BlankSecret> {
        let secrets: Vec<_> = secrets.into_iter().collect();
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose_secret().trim().is_empty()) {
            return Err(BlankSecret);
        }
        Ok(Self(secrets))
    }

    /// Whether one of the secrets made the signature in `header` for `body`. Every secret is tried to the end, so the
    /// time taken tells nothing of them.
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

//! Access to the status page and its actions.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use kombo_client::webhook::{WebhookSecrets, sign};
use kombo_model::Timestamp;
use secrecy::SecretString;

/// Duration of a sign-in.
const SESSION: Duration = Duration::from_secs(12 * 3_600);
const COOKIE: &str = "syncd_session";

/// Access control: without a token everyone can read the page, and no one can act on it.
#[derive(Default)]
pub(crate) struct Access {
    token: RwLock<Option<SecretString>>,
}

/// Sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visitor {
    /// Anyone: no token is configured.
    Anybody,
    /// A visitor without the token.
    Stranger,
    /// A program that sends the token with every request. Browsers never do so on their own.
    Program,
    /// A signed-in person, by their cookie.
    Person(String),
}

impl Access {
    pub(crate) fn new(token: Option<SecretString>) -> Self {
        Self { token: RwLock::new(token) }
    }

    /// Replaces the token, which invalidates sign-ins with the previous one.
    pub(crate) fn replace(&self, token: Option<SecretString>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn token(&self) -> Option<SecretString> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Identifies the sender from the headers.
    pub(super) fn visitor(&self, headers: &HeaderMap, now: Timestamp) -> Visitor {
        if self.token().is_none() {
            return Visitor::Anybody;
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some((scheme, shown)) = authorization.and_then(|value| value.split_once(' '))
            && scheme.eq_ignore_ascii_case("bearer")
        {
            return if self.opens(shown.trim()) { Visitor::Program } else { Visitor::Stranger };
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let session = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(name, session)| *name == COOKIE && self.is_session(session, now));
        session.map_or(Visitor::Stranger, |(_, session)| Visitor::Person(session.to_owned()))
    }

    /// Whether `shown` is the token. Compares authentication codes, so that the duration reveals nothing.
    pub(super) fn opens(&self, shown: &str) -> bool {
        let code = sign(&SecretString::from(shown), b"token");
        self.signed("token", &code)
    }

    /// Returns the cookie of a visitor with the token: its expiry, and a code that only the token can produce.
    pub(super) fn sign_in(&self, now: Timestamp) -> Option<String> {
        let ends = now.saturating_add(SESSION).unix_millis();
        let code = sign(&self.token()?, format!("session {ends}").as_bytes());
        Some(format!("{COOKIE}={ends}.{code}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict", SESSION.as_secs()))
    }

    /// Returns a cookie that removes the previous one.
    pub(super) fn sign_out() -> String {
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    /// Returns the token for the forms of a page. Another site can neither read nor guess it.
    pub(super) fn form_key(&self, visitor: &Visitor) -> String {
        match (visitor, self.token()) {
            (Visitor::Person(session), Some(token)) => sign(&token, format!("form {session}").as_bytes()),
            _ => String::new(),
        }
    }

    /// Whether a form with this key comes from a page that this visitor received.
    pub(super) fn accepts_form(&self, visitor: &Visitor, key: &str) -> bool {
        match visitor {
            Visitor::Program => true,
            Visitor::Person(session) => self.signed(&format!("form {session}"), key),
            Visitor::Anybody | Visitor::Stranger => false,
        }
    }

    fn is_session(&self, session: &str, now: Timestamp) -> bool {
        let Some((ends, code)) = session.split_once('.') else { return false };
        let in_time = ends.parse().is_ok_and(|ends: i64| ends > now.unix_millis());
        self.signed(&format!("session {ends}"), code) && in_time
    }

    fn signed(&self, text: &str, code: &str) -> bool {
        let secrets = self.token().and_then(|token| WebhookSecrets::new([token]).ok());
        secrets.is_some_and(|secrets| secrets.verify(text.as_bytes(), Some(code.as_bytes())).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "a token of these tests";

    fn access() -> Access {
        Access::new(Some(TOKEN.into()))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap()
    }

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn cookie(access: &Access) -> HeaderMap {
        let cookie = access.sign_in(at(0)).unwrap();
        with(header::COOKIE, &format!("other=1; {}", cookie.split(';').next().unwrap()))
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let access = access();
        let bearer = |token: &str| access.visitor(&with(header::AUTHORIZATION, &format!("Bearer {token}")), at(0));
        assert_eq!(bearer(TOKEN), Visitor::Program);
        for wrong in ["", "a token of these test", "a token of these testS", "another"] {
            assert_eq!(bearer(wrong), Visitor::Stranger, "{wrong}");
            assert!(!access.opens(wrong));
        }
        assert_eq!(access.visitor(&HeaderMap::new(), at(0)), Visitor::Stranger);
        assert_eq!(Access::default().visitor(&HeaderMap::new(), at(0)), Visitor::Anybody);
        assert!(!Access::default().opens(""));
    }

    #[test]
    fn a_session_ends_with_its_time_or_its_token() {
        let access = access();
        let headers = cookie(&access);
        let visitor = access.visitor(&headers, at(12 * 3_600 - 1));
        assert!(matches!(visitor, Visitor::Person(_)));
        assert_eq!(access.visitor(&headers, at(12 * 3_600)), Visitor::Stranger);
        let longer = with(header::COOKIE, "syncd_session=9999999999999.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(access.visitor(&longer, at(0)), Visitor::Stranger);
        access.replace(Some("another token".into()));
        assert_eq!(access.visitor(&headers, at(0)), Visitor::Stranger);
    }

    #[test]
    fn a_form_is_of_its_session() {
        let access = access();
        let visitor = access.visitor(&cookie(&access), at(0));
        let key = access.form_key(&visitor);
        assert!(access.accepts_form(&visitor, &key));
        assert!(!access.accepts_form(&visitor, ""));
        assert!(!access.accepts_form(&Visitor::Person("0.else".to_owned()), &key));
        assert!(!access.accepts_form(&Visitor::Stranger, &key) && !access.accepts_form(&Visitor::Anybody, ""));
    }
}

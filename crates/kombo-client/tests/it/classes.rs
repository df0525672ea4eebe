//! The meaning of each kind of answer: a table of status, body, kind, and number of requests.

use kombo_client::{Error, ErrorKind, RetryPolicy, UsersQuery};

use crate::server::{Reply, Server};
use crate::{QUICK, builder, error_body, integration};

/// The body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Kombo's error with this code, as JSON.
    Kombo(&'static str),
    /// An HTML page.
    Html,
    /// An empty body.
    Empty,
    /// JSON of another service.
    Json,
}

use Body::{Empty, Html, Json, Kombo};

const NULL: Body = Kombo("null");
const UNKNOWN: Body = Kombo(r#""PLATFORM.ADDED_LATER""#);

fn reply(status: u16, body: Body) -> Reply {
    match body {
        Kombo(code) => Reply::json(status, error_body(code)),
        Html => Reply::new(status, &[("content-type", "text/html")], "<html>gateway</html>"),
        Empty => Reply::new(status, &[], ""),
        Json => Reply::json(status, r#"{"message":"Internal server error"}"#),
    }
}

async fn ask(retry: RetryPolicy, replies: Vec<Reply>) -> Error {
    let server = Server::start(replies).await;
    let client = builder(&server).retry(retry).build().unwrap();
    client.users(&integration(), UsersQuery::default()).next_page().await.unwrap_err()
}

#[tokio::test]
async fn each_answer_has_a_kind() {
    use ErrorKind::{
        AccessDenied, Decode, InputInvalid, IntegrationNotFound, IntegrationUnavailable, KeyRejected, ModelUnavailable,
        RateLimited, Refused, SetupPending, Transport, Unavailable, Unexpected,
    };
    for (status, body, kind) in [
        // Kombo's codes decide, with any status.
        (401, Kombo(r#""PLATFORM.AUTHENTICATION_INVALID""#), KeyRejected),
        (500, Kombo(r#""PLATFORM.AUTHENTICATION_INVALID""#), KeyRejected),
        (403, Kombo(r#""PLATFORM.IP_NOT_WHITELISTED""#), KeyRejected),
        (404, Kombo(r#""PLATFORM.INTEGRATION_NOT_FOUND""#), IntegrationNotFound),
        (403, Kombo(r#""INTEGRATION.PERMISSION_MISSING""#), IntegrationUnavailable),
        (401, Kombo(r#""INTEGRATION.AUTHENTICATION_INVALID""#), IntegrationUnavailable),
        (403, Kombo(r#""INTEGRATION.INACTIVE""#), IntegrationUnavailable),
        (409, Kombo(r#""INTEGRATION.SETUP_SYNC_PENDING""#), SetupPending),
        (503, Kombo(r#""INTEGRATION.SETUP_INCOMPLETE""#), SetupPending),
        (404, Kombo(r#""INTEGRATION.MODEL_NOT_AVAILABLE""#), ModelUnavailable),
        (400, Kombo(r#""PLATFORM.INPUT_INVALID""#), InputInvalid),
        (409, Kombo(r#""PLATFORM.INPUT_INVALID""#), InputInvalid),
        (200, Kombo(r#""PLATFORM.INPUT_INVALID""#), InputInvalid),
        (400, Kombo(r#""REMOTE.SERVICE_UNAVAILABLE""#), Unavailable),
        (400, Kombo(r#""REMOTE.RATE_LIMIT_EXCEEDED""#), RateLimited),
        // For codes that do not show whether the problem lasts, and unknown ones, the status decides.
        (500, Kombo(r#""PLATFORM.UNKNOWN_ERROR""#), Unavailable),
        (500, Kombo(r#""PLATFORM.TASK_TIMED_OUT""#), Unavailable),
        (502, Kombo(r#""REMOTE.UNKNOWN_HTTP_ERROR""#), Unavailable),
        (400, Kombo(r#""REMOTE.UNKNOWN_HTTP_ERROR""#), InputInvalid),
        (500, UNKNOWN, Unavailable),
        (400, UNKNOWN, InputInvalid),
        (403, UNKNOWN, AccessDenied),
        (404, UNKNOWN, Refused),
        (409, UNKNOWN, Refused),
        (429, UNKNOWN, RateLimited),
        // Without a code, the status decides.
        (200, NULL, Unavailable),
        (200, Html, Decode),
        (200, Json, Decode),
        (200, Empty, Transport),
        (204, Empty, Transport),
        (300, Empty, Unexpected),
        (302, Html, Unexpected),
        (304, Empty, Unexpected),
        (400, NULL, InputInvalid),
        (400, Html, InputInvalid),
        (401, NULL, AccessDenied),
        (401, Html, AccessDenied),
        (402, NULL, Refused),
        (403, NULL, AccessDenied),
        (403, Empty, AccessDenied),
        (404, NULL, Refused),
        (404, Html, Unexpected),
        (405, NULL, Refused),
        (406, NULL, Refused),
        (407, Html, Unexpected),
        (408, NULL, Unavailable),
        (408, Html, Unavailable),
        (409, NULL, Refused),
        (409, Empty, Unexpected),
        (410, NULL, Refused),
        (410, Html, Unexpected),
        (411, Html, Unexpected),
        (412, NULL, Refused),
        (413, Html, InputInvalid),
        (414, Empty, InputInvalid),
        (415, NULL, Refused),
        (416, NULL, Refused),
        (417, Html, Unexpected),
        (418, Empty, Unexpected),
        (421, Html, Unexpected),
        (422, NULL, InputInvalid),
        (423, NULL, Refused),
        (424, NULL, Refused),
        (425, Html, Unavailable),
        (426, Html, Unexpected),
        (428, NULL, Refused),
        (429, NULL, RateLimited),
        (429, Empty, RateLimited),
        (431, Html, InputInvalid),
        (451, Html, Unexpected),
        (451, NULL, Refused),
        (499, Html, Unavailable),
        (500, NULL, Unavailable),
        (500, Json, Unavailable),
        (501, NULL, Unavailable),
        (502, Html, Unavailable),
        (503, Empty, Unavailable),
        (504, Empty, Unavailable),
        (505, Html, Unavailable),
        (507, Json, Unavailable),
        (511, Html, Unavailable),
        (520, Html, Unavailable),
        (521, Html, Unavailable),
        (525, Html, Unavailable),
        (530, Html, Unavailable),
        (599, Empty, Unavailable),
        (999, Html, Unavailable),
    ] {
        let error = ask(RetryPolicy::NEVER, vec![reply(status, body)]).await;
        assert_eq!(error.kind(), kind, "{status} {body:?}: {error}");
    }
}

/// A rejected request would be rejected again.
#[tokio::test]
async fn what_is_refused_is_asked_for_once() {
    for (status, body) in [
        (302, Html),
        (400, NULL),
        (401, NULL),
        (403, Html),
        (404, Html),
        (404, NULL),
        (409, NULL),
        (410, Html),
        (414, Empty),
        (418, Empty),
        (422, UNKNOWN),
    ] {
        let error = ask(QUICK, vec![reply(status, body)]).await;
        assert_eq!((error.attempts(), error.is_retryable()), (1, false), "{status} {body:?}: {error}");
    }
}

#[tokio::test]
async fn what_is_asked_of_the_key_and_of_an_integration_is_answered_by_the_status() {
    for (status, body) in [(401, NULL), (403, Html), (401, Empty)] {
        let server = Server::start([reply(status, body)]).await;
        let client = builder(&server).build().unwrap();
        assert_eq!(client.check_api_key().await.unwrap_err().kind(), ErrorKind::KeyRejected, "{status} {body:?}");
    }
    for (body, kind) in [(NULL, ErrorKind::IntegrationNotFound), (Html, ErrorKind::Unexpected)] {
        let server = Server::start([reply(404, body)]).await;
        let client = builder(&server).build().unwrap();
        assert_eq!(client.integration(&integration()).await.unwrap_err().kind(), kind, "{body:?}");
    }
}

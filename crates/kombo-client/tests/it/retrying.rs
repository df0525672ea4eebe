use std::time::{Duration, Instant};

use kombo_client::{Error, ErrorKind, Page, RetryPolicy, UsersQuery};
use kombo_model::User;

use crate::server::{Reply, Server};
use crate::{QUICK, builder, error_body, gzip, integration, page};

async fn ask(server: &Server, retry: RetryPolicy) -> Result<Page<User>, Error> {
    let client = builder(server).retry(retry).build().unwrap();
    client.users(&integration(), UsersQuery::default()).next_page().await.map(Option::unwrap)
}

fn good() -> Reply {
    Reply::ok(page("null", r#"[{"id":"a"}]"#))
}

#[tokio::test]
async fn passing_faults_are_tried_again() {
    let html = |status| Reply::new(status, &[("content-type", "text/html")], "<html>gateway</html>");
    let faults = [
        ("rate limit", Reply::json(429, error_body(r#""PLATFORM.RATE_LIMIT_EXCEEDED""#))),
        ("concurrency", Reply::json(429, error_body(r#""PLATFORM.CONCURRENCY_LIMIT_EXCEEDED""#))),
        ("remote rate limit", Reply::json(429, error_body(r#""REMOTE.RATE_LIMIT_EXCEEDED""#))),
        ("429 without code", Reply::json(429, error_body("null"))),
        ("429 of a gateway", Reply::new(429, &[], "slow down")),
        ("remote down", Reply::json(503, error_body(r#""REMOTE.SERVICE_UNAVAILABLE""#))),
        ("remote down, odd status", Reply::json(400, error_body(r#""REMOTE.SERVICE_UNAVAILABLE""#))),
        ("500", Reply::json(500, error_body("null"))),
        ("502", Reply::json(502, error_body("null"))),
        ("503", Reply::json(503, error_body("null"))),
        ("504", Reply::json(504, error_body("null"))),
        ("500 HTML", html(500)),
        ("502 HTML", html(502)),
        ("503 empty", Reply::new(503, &[], "")),
        ("504 XML", Reply::new(504, &[("content-type", "application/xml")], "<Error/>")),
        ("502 foreign JSON", Reply::json(502, r#"{"message":"Internal server error"}"#)),
        ("522 of a gateway", html(522)),
        ("503 broken off", Reply::raw(503, &[("content-length", "500")], "{")),
        ("dropped", Reply::Drop),
        ("empty", Reply::ok("")),
        ("blank", Reply::ok(" \n")),
        ("broken off", Reply::raw(200, &[("content-length", "500")], r#"{"status":"success","#)),
        ("broken off chunk", Reply::raw(200, &[("transfer-encoding", "chunked")], "ff\r\n{\"status\"")),
        ("broken off without length", Reply::raw(200, &[], r#"{"status":"success","data":{"next":null"#)),
        ("broken gzip", Reply::new(200, &[("content-encoding", "gzip")], b"\x1f\x8bnot gzip")),
        ("gzip that breaks off", Reply::new(200, &[("content-encoding", "gzip")], &gzip("{}")[..15])),
        ("too slow", Reply::json(408, error_body("null"))),
        ("too slow, of a gateway", Reply::new(408, &[], "")),
        ("too early", Reply::new(425, &[], "")),
        ("client closed", html(499)),
        ("unknown code", Reply::json(503, error_body(r#""PLATFORM.ADDED_LATER""#))),
        ("unknown error", Reply::json(500, error_body(r#""PLATFORM.UNKNOWN_ERROR""#))),
        ("501", Reply::json(501, error_body("null"))),
        ("an error with a status of success", Reply::json(200, error_body("null"))),
        ("not HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())),
    ];
    for (name, fault) in faults {
        let server = Server::start([fault, good()]).await;
        let page = ask(&server, QUICK).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(page.meta.attempts, 2, "{name}");
        let targets = server.targets();
        assert_eq!(targets[0], targets[1], "{name}");
    }
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_tried_again() {
    let dribble = Reply::Dribble(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec());
    let server = Server::start([Reply::Hang, dribble, good()]).await;
    // Long enough for a good answer on a busy machine.
    let client = builder(&server).timeout(Duration::from_secs(3)).build().unwrap();
    let page = client.users(&integration(), UsersQuery::default()).next_page().await.unwrap().unwrap();
    assert_eq!(page.meta.attempts, 3);
}

#[tokio::test]
async fn what_cannot_succeed_is_asked_once() {
    for (status, code, kind) in [
        (401, "PLATFORM.AUTHENTICATION_INVALID", ErrorKind::KeyRejected),
        (403, "PLATFORM.IP_NOT_WHITELISTED", ErrorKind::KeyRejected),
        (404, "PLATFORM.INTEGRATION_NOT_FOUND", ErrorKind::IntegrationNotFound),
        (400, "PLATFORM.INPUT_INVALID", ErrorKind::InputInvalid),
        (409, "INTEGRATION.SETUP_SYNC_PENDING", ErrorKind::SetupPending),
        (503, "INTEGRATION.SETUP_SYNC_PENDING", ErrorKind::SetupPending),
        (409, "INTEGRATION.SETUP_INCOMPLETE", ErrorKind::SetupPending),
        (503, "INTEGRATION.QA_FAILED", ErrorKind::SetupPending),
        (403, "INTEGRATION.INACTIVE", ErrorKind::IntegrationUnavailable),
        (401, "INTEGRATION.AUTHENTICATION_INVALID", ErrorKind::IntegrationUnavailable),
        (403, "INTEGRATION.PERMISSION_MISSING", ErrorKind::IntegrationUnavailable),
        (404, "INTEGRATION.MODEL_NOT_AVAILABLE", ErrorKind::ModelUnavailable),
        (400, "INTEGRATION.MODEL_DISABLED", ErrorKind::ModelUnavailable),
        (400, "PLATFORM.UNKNOWN_ERROR", ErrorKind::InputInvalid),
        (404, "PLATFORM.ADDED_LATER", ErrorKind::Refused),
        (200, "PLATFORM.INPUT_INVALID", ErrorKind::InputInvalid),
    ] {
        let server = Server::start([Reply::json(status, error_body(&format!("\"{code}\"")))]).await;
        let error = ask(&server, QUICK).await.unwrap_err();
        assert_eq!((error.kind(), error.status(), error.attempts()), (kind, Some(status), 1), "{code}");
        assert_eq!(error.code().map(kombo_model::ErrorCode::as_str), Some(code));
        assert!(!error.is_retryable(), "{code}");
    }
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_asked_for_once_more() {
    for body in [r#"{"hello":"world"}"#, "[]", r#"{"status":"success","data":{"results":[]}}"#] {
        let server = Server::start([Reply::ok(body), good()]).await;
        assert_eq!(ask(&server, QUICK).await.unwrap().meta.attempts, 2, "{body}");

        let server = Server::start([Reply::ok(body), Reply::Drop, Reply::ok(body), good()]).await;
        let error = ask(&server, QUICK).await.unwrap_err();
        assert_eq!((error.kind(), error.status(), error.attempts()), (ErrorKind::Decode, Some(200), 3), "{body}");
        assert!(!error.is_retryable());
    }
}

/// A maintenance page with a success status stays for some seconds.
#[tokio::test]
async fn a_page_that_is_no_json_is_asked_for_a_few_times() {
    let html = || Reply::new(200, &[("content-type", "text/html")], "<html>back in a minute</html>");
    let server = Server::start((0..5).map(|_| html()).chain([good()])).await;
    assert_eq!(ask(&server, QUICK).await.unwrap().meta.attempts, 6);

    let server = Server::start((0..6).map(|_| html()).chain([good()])).await;
    let error = ask(&server, QUICK).await.unwrap_err();
    assert!(matches!(error, Error::NotJson { status: 200, .. }), "{error}");
    assert_eq!(error.attempts(), 6);
    assert_eq!(error.kind(), ErrorKind::Decode);
}

#[tokio::test]
async fn the_budget_ends_the_retries() {
    let server = Server::start(vec![Reply::new(503, &[], ""); 10_000]).await;
    let budget = Duration::from_secs(2);
    let error = ask(&server, RetryPolicy { budget, ..QUICK }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    assert!((3..10_000).contains(&error.attempts()), "{} attempts", error.attempts());
    assert_eq!(u32::try_from(server.seen().len()).unwrap(), error.attempts());

    let server = Server::start([Reply::Drop]).await;
    let error = ask(&server, RetryPolicy::NEVER).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1));
}

#[tokio::test]
async fn a_named_wait_is_obeyed() {
    let limited = error_body(r#""PLATFORM.RATE_LIMIT_EXCEEDED""#);
    for headers in [&[("retry-after", "1")][..], &[("ratelimit-remaining", "0"), ("ratelimit-reset", "1")]] {
        let server = Server::start([Reply::new(429, headers, &limited), good()]).await;
        let began = Instant::now();
        assert_eq!(ask(&server, QUICK).await.unwrap().meta.attempts, 2);
        assert!(began.elapsed() >= Duration::from_secs(1), "{headers:?}");
    }
}

#[tokio::test]
async fn a_wait_beyond_the_budget_is_handed_to_the_caller() {
    for (status, headers, wait) in [
        (429, &[("retry-after", "3600")][..], 3_600),
        (503, &[("retry-after", "Sun, 07 Aug 2022 15:01:29 GMT"), ("date", "Sun, 07 Aug 2022 14:01:29 GMT")], 3_600),
        (429, &[("ratelimit-reset", "60"), ("ratelimit-remaining", "0")], 60),
    ] {
        let server = Server::start([Reply::new(status, headers, error_body("null")), good()]).await;
        let error = ask(&server, QUICK).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)));
        assert_eq!(error.attempts(), 1);
        assert!(error.is_retryable());
    }
}

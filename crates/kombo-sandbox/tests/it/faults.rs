//! Each fault, as seen by a client.

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, Sandbox, SandboxConfig, Struck};
use serde_json::json;

use crate::client::{Answer, get, start, try_get};

const PATH: &str = "/lms/users?page_size=5";

async fn struck(fault: FaultKind) -> (Sandbox, Result<Answer, hyper::Error>) {
    let sandbox = start(SandboxConfig::default()).await;
    sandbox.inject(Fault::once(fault));
    let answer = try_get(&sandbox, PATH).await;
    assert_eq!(get(&sandbox, PATH).await.results().len(), 5, "once is once");
    (sandbox, answer)
}

async fn answered(fault: FaultKind) -> Answer {
    struck(fault).await.1.unwrap()
}

#[tokio::test]
async fn errors_with_and_without_codes() {
    let answer = answered(FaultKind::rate_limited(Some("7"))).await;
    assert_eq!(
        (answer.status, answer.code(), answer.header("retry-after")),
        (429, "PLATFORM.RATE_LIMIT_EXCEEDED".into(), "7")
    );
    let answer = answered(FaultKind::error_without_code(500)).await;
    assert_eq!((answer.status, answer.code()), (500, json!(null)));
    let answer = answered(FaultKind::error(403, "PLATFORM.IP_NOT_WHITELISTED")).await;
    assert_eq!((answer.status, answer.code()), (403, "PLATFORM.IP_NOT_WHITELISTED".into()));
}

#[tokio::test]
async fn answers_of_somebody_else() {
    let answer = answered(FaultKind::bad_gateway_html()).await;
    assert_eq!((answer.status, answer.header("content-type")), (502, "text/html"));
    assert!(answer.body.starts_with(b"<html>"));
    let answer = answered(FaultKind::unavailable_text()).await;
    assert_eq!((answer.status, answer.header("content-type")), (503, "text/plain"));
    let answer = answered(FaultKind::ForeignJson).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json().get("status").is_none());
    let answer = answered(FaultKind::EmptyBody).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[tokio::test]
async fn connections_and_bodies_that_break_off() {
    let (sandbox, answer) = struck(FaultKind::DropConnection).await;
    assert!(answer.is_err());
    assert_eq!(sandbox.requests()[0].status, None);
    assert!(struck(FaultKind::TruncatedBody).await.1.is_err());
    let answer = answered(FaultKind::CutJson).await;
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
}

#[tokio::test]
async fn slow_answers_are_right_answers() {
    for fault in [
        FaultKind::SlowBody { chunk: 700, pause_ms: 1 },
        FaultKind::HangingBody { pause_ms: 1 },
        FaultKind::Delay { pause_ms: 1 },
    ] {
        assert_eq!(answered(fault).await.results().len(), 5);
    }
}

#[tokio::test]
async fn pages_that_lie() {
    let (sandbox, first) = struck(FaultKind::RepeatedCursor).await;
    let first = first.unwrap();
    let again = get(&sandbox, &format!("{PATH}&cursor={}", first.next().unwrap())).await;
    assert_eq!(first.ids(), again.ids());
    let next = again.next().unwrap();
    sandbox.inject(Fault::once(FaultKind::RepeatedCursor));
    let second = get(&sandbox, &format!("{PATH}&cursor={next}")).await;
    assert_eq!(second.next(), Some(next));

    let answer = answered(FaultKind::DuplicateRecord).await;
    let ids = answer.ids();
    assert_eq!((ids.len(), &ids[0]), (6, &ids[5]));
    let malformed = FaultKind::MalformedRecord { index: 2, field: "changed_at".to_owned(), value: json!(42) };
    let rows = answered(malformed).await.results();
    assert_eq!(rows[2]["changed_at"], 42);
    assert!(rows[1]["changed_at"].is_string());
    let rows = answered(FaultKind::MissingField { field: "status".to_owned() }).await.results();
    assert!(rows.iter().all(|it| it.get("status").is_none()));
}

#[tokio::test]
async fn faults_choose_their_requests() {
    let sandbox = start(SandboxConfig::default()).await;
    let fault = || Fault::once(FaultKind::error_without_code(500));
    sandbox.inject(fault().at(Endpoint::LmsCourses).after(1).times(2));
    sandbox.inject(fault().of("sandbox:other"));
    sandbox.inject(Fault::always(FaultKind::error_without_code(500)).with_probability(0.0));
    assert_eq!(get(&sandbox, PATH).await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&sandbox, "/lms/courses").await.status);
    }
    assert_eq!(statuses, [200, 500, 500, 200]);
    assert_eq!(sandbox.faults().len(), 2);
    sandbox.clear_faults();
    assert!(sandbox.faults().is_empty());
    assert_eq!(sandbox.request_count(Endpoint::LmsCourses), 4);
    let log = sandbox.requests();
    assert_eq!(
        (log.len(), log[0].param("page_size"), log[0].integration.as_deref()),
        (5, Some("5"), Some(FIRST_INTEGRATION))
    );
    sandbox.clear_requests();
    assert_eq!((sandbox.request_count(Endpoint::LmsCourses), sandbox.requests().len()), (0, 0));
}

#[tokio::test]
async fn pages_without_end() {
    for empty in [false, true] {
        let sandbox = start(SandboxConfig::default()).await;
        sandbox.inject(Fault::always(FaultKind::EndlessPages { empty }));
        let first = get(&sandbox, PATH).await;
        let second = get(&sandbox, &format!("{PATH}&cursor={}", first.next().unwrap())).await;
        let third = get(&sandbox, &format!("{PATH}&cursor={}", second.next().unwrap())).await;
        assert_eq!(first.ids(), third.ids());
        assert_eq!(first.ids().is_empty(), empty);
        assert!(first.next() != second.next() && second.next() != third.next());
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_compressed() {
    let answer = answered(FaultKind::Padded { bytes: 10_000 }).await;
    assert!(answer.body.len() > 10_000 && answer.results().len() == 5);
    assert_eq!(answered(FaultKind::ManyRecords { records: 1_000 }).await.results().len(), 1_000);
    let answer = answered(FaultKind::Encoded { coding: "x-gzip".to_owned(), members: 2 }).await;
    assert_eq!((answer.header("content-encoding"), &answer.body[..2]), ("x-gzip", &[0x1f, 0x8b][..]));
}

#[tokio::test]
async fn faults_that_strike_what_is_asked_for() {
    let sandbox = start(SandboxConfig::default()).await;
    let order = |only| sandbox.inject(Fault::once(FaultKind::error_without_code(409)).only(only));
    let status = async |path: &str| get(&sandbox, path).await.status;
    order(Struck::PageLargerThan(5));
    assert_eq!((status(PATH).await, status("/lms/users?page_size=6").await), (200, 409));
    order(Struck::MoreIdsThan(1));
    assert_eq!((status("/lms/users?ids=a").await, status("/lms/users?ids=a,b").await), (200, 409));
    order(Struck::WithCursor);
    let next = get(&sandbox, PATH).await.next().unwrap();
    assert_eq!(status(&format!("{PATH}&cursor={next}")).await, 409);
}

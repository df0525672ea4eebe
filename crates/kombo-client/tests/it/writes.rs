//! Writes: their requests, answers and retries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kombo_client::{Error, ErrorKind, Operation, TransportFault, Written};
use kombo_model::{
    CompleteCourseProgression, CourseProgression, ErrorCode, ExternalCourse, ForceSync, NewCourseProgression,
    ProgressionStatus, Score, SyncType, TaskStatus, UpsertCourse, UpsertCourses,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::server::{Reply, Server, read_request};
use crate::{builder, client, error_body, integration};

fn written(data: &str) -> Reply {
    Reply::ok(format!(r#"{{"status":"success","data":{data},"warnings":[{{"message":"Mind the gap."}}]}}"#))
}

fn enrolment() -> NewCourseProgression {
    NewCourseProgression { user_id: "u".into(), course_revision_id: "remote:7".into() }
}

async fn enrol(server: &Server) -> Result<Written<CourseProgression>, Error> {
    client(server).create_course_progression(&integration(), &enrolment()).await
}

#[tokio::test]
async fn everything_is_sent_as_the_contract_says() {
    let server = Server::start([
        Reply::ok(r#"{"status":"success","data":{"sync_id":"s","already_queued":true,"type":"DELTA"}}"#),
        Reply::ok(r#"{"status":"success","data":{}}"#),
        written(r#"{"id":"p","status":"ENROLLED"}"#),
        written(r#"{"id":"p","status":"COMPLETED"}"#),
        written(r#"{"task_id":"t"}"#),
        Reply::ok(
            r#"{"status":"success","data":{"task_id":"t","status":"PENDING","created_at":"x","completed_at":null}}"#,
        ),
        written(r#"{"id":"c"}"#),
    ])
    .await;
    let (client, integration) = (client(&server), integration());

    let delta = ForceSync { sync_type: Some(SyncType::Delta) };
    assert_eq!(client.force_sync(&integration, &delta).await.unwrap().data.already_queued, Some(true));
    client.delete_integration(&integration).await.unwrap();
    let progression = client.create_course_progression(&integration, &enrolment()).await.unwrap();
    assert_eq!(progression.data.status, Some(ProgressionStatus::Enrolled));
    assert_eq!(progression.warnings[0].message, "Mind the gap.");
    let done = CompleteCourseProgression { score: Some(Score::new(93).unwrap()), completed_at: None };
    client.complete_course_progression(&integration, &"odd/id".into(), &done).await.unwrap();
    let course = ExternalCourse::new("Welding", "https://example.com");
    let items = vec![UpsertCourse { origin_id: "o".to_owned(), course: course.into() }];
    let task = client.upsert_courses(&integration, &UpsertCourses { items }).await.unwrap().data.task_id;
    assert_eq!(client.course_task(&integration, &task).await.unwrap().data.status, TaskStatus::Pending);
    assert_eq!(client.deactivate_course(&integration, &"remote:7".into()).await.unwrap().data.id.as_str(), "c");

    let seen = server.seen();
    let sent: Vec<_> = seen.iter().map(|it| format!("{} {} {}", it.method, it.target, it.body)).collect();
    assert_eq!(
        sent,
        [
            r#"POST /v1/force-sync {"type":"DELTA"}"#,
            "DELETE /v1/integrations/sandbox:7C9M5sXAQx2cNMpVHLojrFpL {}",
            r#"POST /v1/lms/course-progressions {"user_id":"u","course_revision_id":"remote:7"}"#,
            r#"POST /v1/lms/course-progressions/odd%2Fid/complete {"score":93}"#,
            r#"POST /v1/lms/courses/bulk {"items":[{"origin_id":"o","course":{"type":"EXTERNAL","title":"Welding","course_url":"https://example.com"}}]}"#,
            "GET /v1/lms/courses/bulk/t ",
            "POST /v1/lms/courses/remote:7/deactivate {}",
        ]
    );
    for request in &seen {
        let named = (!request.target.contains("/integrations/")).then_some("sandbox:7C9M5sXAQx2cNMpVHLojrFpL");
        assert_eq!(request.header("x-integration-id"), named, "{}", request.target);
        let json = (request.method != "GET").then_some("application/json");
        assert_eq!(request.header("content-type"), json, "{}", request.target);
    }
}

#[tokio::test]
async fn a_write_that_was_refused_is_sent_again() {
    let limits = [
        ("rate limit", Reply::json(429, error_body(r#""PLATFORM.RATE_LIMIT_EXCEEDED""#))),
        ("concurrency", Reply::json(429, error_body(r#""PLATFORM.CONCURRENCY_LIMIT_EXCEEDED""#))),
        ("429 without code", Reply::json(429, error_body("null"))),
        ("429 of a gateway", Reply::new(429, &[], "slow down")),
    ];
    for (name, limit) in limits {
        let server = Server::start([limit, written(r#"{"id":"p"}"#)]).await;
        let progression = enrol(&server).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(progression.meta.attempts, 2, "{name}");
        let seen = server.seen();
        assert_eq!((&seen[0].method, &seen[0].body), (&seen[1].method, &seen[1].body), "{name}");
    }
}

#[tokio::test]
async fn a_write_that_found_no_server_may_be_sent_again() {
    // A port without a listener.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let nobody = Server::start([]).await;
    let client = builder(&nobody).base_url(format!("http://{address}/v1")).retry(kombo_client::RetryPolicy::NEVER);
    let error = client.build().unwrap().create_course_progression(&integration(), &enrolment()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { fault: TransportFault::Connect, .. }), "{error}");
    assert!(!error.outcome_unknown() && error.is_retryable());
}

#[tokio::test]
async fn a_write_that_may_have_been_carried_out_is_sent_once() {
    let html = |status| Reply::new(status, &[("content-type", "text/html")], "<html>gateway</html>");
    let faults = [
        ("remote rate limit", Reply::json(429, error_body(r#""REMOTE.RATE_LIMIT_EXCEEDED""#))),
        ("remote down", Reply::json(503, error_body(r#""REMOTE.SERVICE_UNAVAILABLE""#))),
        ("remote error", Reply::json(400, error_body(r#""REMOTE.UNKNOWN_HTTP_ERROR""#))),
        ("too slow", Reply::json(408, error_body("null"))),
        ("gone away", Reply::json(499, error_body("null"))),
        ("500", Reply::json(500, error_body("null"))),
        ("504", Reply::json(504, error_body("null"))),
        ("502 HTML", html(502)),
        ("522 of a gateway", html(522)),
        ("dropped", Reply::Drop),
        ("empty", Reply::ok("")),
        ("broken off", Reply::raw(200, &[("content-length", "500")], r#"{"status":"success","#)),
        ("not HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())),
        ("a proxy's page", Reply::new(200, &[("content-type", "text/html")], "<html>")),
        ("not a progression", written("[]")),
        ("unknown", Reply::json(500, error_body(r#""PLATFORM.UNKNOWN_ERROR""#))),
    ];
    for (name, fault) in faults {
        let server = Server::start([fault, written(r#"{"id":"p"}"#)]).await;
        let error = enrol(&server).await.unwrap_err();
        assert!(error.outcome_unknown() && !error.is_retryable(), "{name}: {error}");
        assert_eq!((error.attempts(), server.seen().len()), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn a_write_on_a_connection_that_was_used_before_is_sent_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    // Keeps connections open, but closes them instead of answering a write.
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            number += 1;
            while let Some(request) = read_request(&mut stream).await {
                record.lock().unwrap().push(format!("{number}: {}", request.method));
                if request.method == "POST" {
                    break;
                }
                let body = r#"{"status":"success","data":{"environment_id":"e"}}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let nobody = Server::start([]).await;
    let client = builder(&nobody).base_url(format!("http://{address}/v1")).build().unwrap();
    client.check_api_key().await.unwrap();
    let error = client.create_course_progression(&integration(), &enrolment()).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert_eq!(*seen.lock().unwrap(), ["1: GET", "1: POST"]);
}

#[tokio::test]
async fn a_write_has_a_time_out_of_its_own_and_is_then_sent_once() {
    let server = Server::start([Reply::Hang, written(r#"{"id":"p"}"#)]).await;
    let client = builder(&server).write_timeout(Duration::from_millis(50)).build().unwrap();
    let error = client.create_course_progression(&integration(), &enrolment()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { fault: TransportFault::Timeout, .. }), "{error}");
    assert_eq!(error.attempts(), 1);
    assert!(error.outcome_unknown());
    assert!(error.to_string().contains("within 50ms"), "{error}");
}

#[tokio::test]
async fn a_write_that_cannot_be_done_says_why() {
    for (status, code, kind) in [
        (400, "PLATFORM.INPUT_INVALID", ErrorKind::InputInvalid),
        (403, "INTEGRATION.ACTION_DISABLED", ErrorKind::ActionUnavailable),
        (400, "INTEGRATION.ACTION_NOT_AVAILABLE", ErrorKind::ActionUnavailable),
        (400, "REMOTE.INPUT_INVALID", ErrorKind::ToolRefused),
        (400, "LMS.COURSE_UPDATE_NOT_SUPPORTED", ErrorKind::ToolRefused),
        (403, "INTEGRATION.PERMISSION_MISSING", ErrorKind::IntegrationUnavailable),
        (422, "ADDED.LATER", ErrorKind::InputInvalid),
    ] {
        let server = Server::start([Reply::json(status, error_body(&format!("\"{code}\"")))]).await;
        let error = enrol(&server).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (kind, 1), "{code}");
        assert_eq!(error.code().map(ErrorCode::as_str), Some(code));
        assert!(!error.outcome_unknown() && !error.is_retryable(), "{code}");
    }
}

#[tokio::test]
async fn what_reads_or_may_be_repeated_is_sent_again() {
    let sync = Reply::ok(r#"{"status":"success","data":{"sync_id":"s","already_queued":true,"type":"FULL"}}"#);
    let server = Server::start([Reply::Drop, sync]).await;
    let answer = client(&server).force_sync(&integration(), &ForceSync::default()).await.unwrap();
    assert_eq!(answer.meta.attempts, 2);

    let server = Server::start([Reply::Drop, Reply::ok(r#"{"status":"success","data":{}}"#)]).await;
    assert_eq!(client(&server).delete_integration(&integration()).await.unwrap().meta.attempts, 2);

    let task = Reply::ok(r#"{"status":"success","data":{"task_id":"t","status":"COMPLETED","data":[]}}"#);
    let server = Server::start([Reply::json(502, "<html>"), task]).await;
    assert!(client(&server).course_task(&integration(), &"t".into()).await.unwrap().data.has_ended());
}

#[tokio::test]
async fn something_unknown_within_an_integration_is_not_an_unknown_integration() {
    let server = Server::start(vec![Reply::json(404, error_body("null")); 5]).await;
    let (client, integration) = (client(&server), integration());
    let kinds = [
        client.course_task(&integration, &"t".into()).await.unwrap_err().kind(),
        client.deactivate_course(&integration, &"c".into()).await.unwrap_err().kind(),
        client
            .complete_course_progression(&integration, &"p".into(), &CompleteCourseProgression::default())
            .await
            .unwrap_err()
            .kind(),
        client.create_course_progression(&integration, &enrolment()).await.unwrap_err().kind(),
        client.force_sync(&integration, &ForceSync::default()).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds[..4], [ErrorKind::InputInvalid; 4]);
    assert_eq!(kinds[4], ErrorKind::IntegrationNotFound);
}

#[tokio::test]
async fn ids_that_lead_elsewhere_are_not_sent() {
    let server = Server::start([]).await;
    let client = client(&server);
    for id in ["", " ", ".", ".."] {
        let error = client.deactivate_course(&integration(), &id.into()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest { operation: Operation::DeactivateCourse, .. }), "{id:?}");
        assert!(!error.outcome_unknown());
        client.delete_integration(&id.into()).await.unwrap_err();
        client.course_task(&integration(), &id.into()).await.unwrap_err();
    }
    assert!(server.seen().is_empty());
}

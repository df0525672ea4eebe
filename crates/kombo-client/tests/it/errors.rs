use std::error::Error as _;
use std::time::Duration;

use kombo_client::{CoursesQuery, Error, RetryPolicy, UsersQuery};

use crate::server::{Reply, Server};
use crate::{builder, client, error_body, integration, page};

/// Returns the text of an error, without the server's port.
fn text(error: &Error, server: &Server) -> String {
    error.to_string().replace(&server.address().port().to_string(), "PORT")
}

async fn says(reply: Reply) -> String {
    says_within(Duration::from_secs(30), reply).await
}

async fn says_within(timeout: Duration, reply: Reply) -> String {
    let server = Server::start([reply]).await;
    let client = builder(&server).retry(RetryPolicy::NEVER).timeout(timeout).build().unwrap();
    let error = client.courses(&integration(), CoursesQuery::default()).next_page().await.unwrap_err();
    text(&error, &server)
}

#[tokio::test]
async fn an_error_of_kombo_says_all_that_kombo_said() {
    assert_eq!(
        says(Reply::json(400, error_body(r#""PLATFORM.INPUT_INVALID""#))).await,
        "GET /lms/courses: HTTP 400 PLATFORM.INPUT_INVALID: A title: What went wrong. (log: https://app.kombo.dev/logs/1)"
    );
    assert_eq!(
        says(Reply::new(
            429,
            &[("retry-after", "7")],
            r#"{"status":"error","error":{"code":null,"message":"Slower."}}"#
        ))
        .await,
        "GET /lms/courses: HTTP 429: Slower. (retry after 7s)"
    );
}

#[tokio::test]
async fn an_error_of_someone_else_says_what_it_is() {
    assert_eq!(
        says(Reply::new(502, &[("content-type", "text/html")], "<html>")).await,
        "GET /lms/courses: HTTP 502 without Kombo's error body (text/html; page size 250)"
    );
    assert_eq!(
        says(Reply::new(503, &[], "")).await,
        "GET /lms/courses: HTTP 503 without Kombo's error body (page size 250)"
    );
    assert_eq!(
        says(Reply::new(302, &[("location", "https://login.example/?next=secret")], "")).await,
        "GET /lms/courses: HTTP 302 redirects to login.example, which is not followed: check the base URL"
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_read_names_the_path() {
    assert_eq!(
        says(Reply::ok(r#"{"status":"success","data":{"next":["Ada"],"results":[]}}"#)).await,
        "GET /lms/courses: HTTP 200 with an unexpected body, at data.next: neither a text nor null \
         (application/json)"
    );
    assert_eq!(
        says(Reply::new(200, &[("content-type", "text/html; charset=utf-8")], "<html>")).await,
        "GET /lms/courses: HTTP 200 with a body that is no JSON: expected value at line 1 column 1 \
         (text/html; charset=utf-8)"
    );
    assert_eq!(
        says(Reply::new(200, &[], b"{\"status\":\"\xff\"}")).await,
        "GET /lms/courses: HTTP 200 with an unexpected body, at status: not \"success\""
    );
}

#[tokio::test]
async fn a_transport_fault_names_host_and_port() {
    assert_eq!(says(Reply::Drop).await, "GET /lms/courses: 127.0.0.1:PORT dropped the connection (page size 250)");
    assert_eq!(
        says_within(Duration::from_millis(50), Reply::Hang).await,
        "GET /lms/courses: no complete answer from 127.0.0.1:PORT within 50ms (page size 250)"
    );
    assert_eq!(says(Reply::ok("")).await, "GET /lms/courses: incomplete answer from 127.0.0.1:PORT (page size 250)");
}

#[tokio::test]
async fn attempts_are_counted() {
    let server = Server::start(vec![Reply::ok("[]"); 2]).await;
    let error = client(&server).check_api_key().await.unwrap_err();
    assert!(error.to_string().ends_with("(application/json; 2 attempts)"), "{error}");
    assert_eq!(error.attempts(), 2);
}

#[tokio::test]
async fn a_circle_and_an_impossible_request_say_so() {
    let server = Server::start(vec![Reply::ok(page(r#""a""#, "[]")); 2]).await;
    let mut pages = client(&server).users(&integration(), UsersQuery::default());
    pages.next_page().await.unwrap();
    assert_eq!(
        pages.next_page().await.unwrap_err().to_string(),
        "GET /lms/users: the page after 1 others leads back to one of them: the listing would never end"
    );
    assert_eq!(
        client(&server).integration(&"..".into()).await.unwrap_err().to_string(),
        "GET /integrations/{id}: nothing was sent: the integration id is blank, made of dots or holds control characters"
    );
}

#[tokio::test]
async fn the_source_is_not_repeated() {
    let server = Server::start([Reply::Drop]).await;
    let client = builder(&server).retry(RetryPolicy::NEVER).build().unwrap();
    let error = client.check_api_key().await.unwrap_err();
    let source = error.source().unwrap();
    assert!(!error.to_string().contains(&source.to_string()), "{error}: {source}");
}

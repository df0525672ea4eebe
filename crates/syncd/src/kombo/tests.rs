use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use kombo_client::RetryPolicy;
use kombo_model::{Endpoint, IntegrationId};

use sync_core::jobs::SyncKind;

use super::*;

/// Starts a server with a fixed answer to each request for users, and with a fixed result of the key check.
fn serve(answer: String, key_is_good: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut chunk) = (Vec::new(), [0; 4_096]);
            while !request.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..length]);
            }
            let about_key = request.starts_with(b"GET /v1/check-api-key ");
            let answer = match (about_key, key_is_good) {
                (false, _) => answer.clone(),
                (true, true) => of(200, r#"{"status":"success","data":{"environment_id":"e"}}"#),
                (true, false) => of(401, &kombo("null")),
            };
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    format!("http://{address}/v1")
}

fn of(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn kombo(code: &str) -> String {
    format!(r#"{{"status":"error","error":{{"code":{code},"message":"Why."}}}}"#)
}

async fn failure(answer: String, key_is_good: bool) -> SourceError {
    let base_url = serve(answer, key_is_good);
    let client = Client::builder("key").base_url(base_url).retry(RetryPolicy::NEVER).build().unwrap();
    let source = KomboSource::new(&client, None, "Kombo".to_owned());
    let fetch = Fetch::List { updated_after: None, from: None };
    let spec = FetchSpec {
        integration_id: IntegrationId::from("sandbox:a"),
        endpoint: Endpoint::LmsUsers,
        fetch,
        priority: SyncKind::Delta,
    };
    source.open(spec).next_page().await.unwrap_err()
}

/// Each answer has a failure class for the engine.
#[tokio::test]
async fn each_answer_has_a_class() {
    use FailureClass::{
        IntegrationNotFound, IntegrationUnavailable, KeyRejected, ModelUnavailable, RequestRefused, SetupPending,
        Transient, Unintelligible,
    };
    let code = |code: &str| kombo(&format!("\"{code}\""));
    let (null, unknown, html) = (kombo("null"), code("PLATFORM.ADDED_LATER"), "<html>gateway</html>".to_owned());
    for (status, body, class) in [
        // Only these are lasting states.
        (401, code("PLATFORM.AUTHENTICATION_INVALID"), KeyRejected),
        (403, code("PLATFORM.IP_NOT_WHITELISTED"), KeyRejected),
        (404, code("PLATFORM.INTEGRATION_NOT_FOUND"), IntegrationNotFound),
        (403, code("INTEGRATION.INACTIVE"), IntegrationUnavailable),
        (401, code("INTEGRATION.AUTHENTICATION_INVALID"), IntegrationUnavailable),
        (403, code("INTEGRATION.PERMISSION_MISSING"), IntegrationUnavailable),
        (409, code("INTEGRATION.SETUP_SYNC_PENDING"), SetupPending),
        (409, code("INTEGRATION.SETUP_INCOMPLETE"), SetupPending),
        (409, code("INTEGRATION.QA_FAILED"), SetupPending),
        (404, code("INTEGRATION.MODEL_NOT_AVAILABLE"), ModelUnavailable),
        (400, code("INTEGRATION.MODEL_DISABLED"), ModelUnavailable),
        // All others may be transient.
        (400, code("PLATFORM.INPUT_INVALID"), RequestRefused),
        (500, code("PLATFORM.UNKNOWN_ERROR"), Transient),
        (500, code("PLATFORM.TASK_TIMED_OUT"), Transient),
        (429, code("REMOTE.RATE_LIMIT_EXCEEDED"), Transient),
        (503, code("REMOTE.SERVICE_UNAVAILABLE"), Transient),
        (500, unknown.clone(), Transient),
        (409, unknown.clone(), RequestRefused),
        (200, null.clone(), Transient),
        (200, html.clone(), Unintelligible),
        (200, "[]".to_owned(), Unintelligible),
        (200, "{".to_owned(), Transient),
        (200, String::new(), Transient),
        (204, String::new(), Transient),
        (302, html.clone(), Unintelligible),
        (400, null.clone(), RequestRefused),
        (400, html.clone(), RequestRefused),
        (401, null.clone(), RequestRefused),
        (403, html.clone(), Unintelligible),
        (403, unknown.clone(), RequestRefused),
        (404, null.clone(), RequestRefused),
        (404, html.clone(), Unintelligible),
        (407, html.clone(), Unintelligible),
        (408, null.clone(), Transient),
        (409, null.clone(), RequestRefused),
        (409, html.clone(), Unintelligible),
        (410, null.clone(), RequestRefused),
        (413, html.clone(), RequestRefused),
        (414, html.clone(), RequestRefused),
        (421, html.clone(), Unintelligible),
        (422, null.clone(), RequestRefused),
        (425, html.clone(), Transient),
        (429, html.clone(), Transient),
        (431, html.clone(), RequestRefused),
        (451, html.clone(), Unintelligible),
        (499, html.clone(), Transient),
        (500, html.clone(), Transient),
        (501, null.clone(), Transient),
        (503, html.clone(), Transient),
        (522, html.clone(), Transient),
    ] {
        let error = failure(of(status, &body), true).await;
        assert_eq!(error.class, class, "{status} {body}: {error}");
    }
}

/// A rejection without a reason concerns the key only if Kombo's key check fails.
#[tokio::test]
async fn a_key_is_rejected_by_kombos_own_word() {
    let html = "<html>log in</html>";
    for answer in [of(401, &kombo("null")), of(403, html), of(401, ""), of(403, &kombo(r#""ADDED.LATER""#))] {
        let error = failure(answer.clone(), true).await;
        assert_ne!(error.class, FailureClass::KeyRejected, "{answer}");
        assert!(error.message.contains("does not reject the key"), "{error}");
        assert_eq!(failure(answer.clone(), false).await.class, FailureClass::KeyRejected, "{answer}");
    }
}

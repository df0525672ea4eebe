//! Rejected requests and their errors.

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig};
use serde_json::{Value, json};

use crate::client::{get, send, start};

#[tokio::test]
async fn malformed_parameters_are_refused_and_good_ones_are_not() {
    let sandbox = start(SandboxConfig::default()).await;
    let table = [
        ("users", "page_size=1", 200),
        ("users", "page_size=250", 200),
        ("users", "page_size=251", 400),
        ("users", "page_size=0", 400),
        ("users", "page_size=-1", 400),
        ("users", "page_size=%2B5", 400),
        ("users", "page_size=1.5", 400),
        ("users", "page_size=", 400),
        ("users", "page_size=many", 400),
        ("users", "page_size=5&page_size=5", 400),
        ("users", "include_deleted=true", 200),
        ("users", "include_deleted=false", 200),
        ("users", "include_deleted=1", 400),
        ("users", "include_deleted=True", 400),
        ("users", "include_deleted=", 400),
        ("users", "ignore_unsupported_filters=true", 200),
        ("users", "ignore_unsupported_filters=yes", 400),
        ("users", "updated_after=2024-01-01", 200),
        ("users", "updated_after=2024-01-01T00:00:00.123456Z", 200),
        ("users", "updated_after=2024-01-01T00:00:00", 200),
        ("users", "updated_after=2024-01-01T00:00:00%2B00:00", 400),
        ("users", "updated_after=2024-01-01T00:00:00+00:00", 400),
        ("users", "updated_after=2024-01-01T00:00Z", 400),
        ("users", "updated_after=2024-02-30", 400),
        ("users", "updated_after=yesterday", 400),
        ("users", "updated_after=", 400),
        ("users", "ids=a,b", 200),
        ("users", "ids=", 400),
        ("users", "ids=a,,b", 400),
        ("users", "remote_ids=1,2", 200),
        ("users", "work_emails=a%40example.com", 200),
        ("users", "user_ids=a", 400),
        ("users", "course_ids=a", 400),
        ("users", "limit=5", 400),
        ("users", "Page_size=5", 400),
        ("courses", "work_emails=a", 400),
        ("courses", "ids=a&remote_ids=b&include_deleted=true&page_size=3", 200),
        ("course-progressions", "user_ids=a,b&course_ids=c", 200),
        ("course-progressions", "work_emails=a", 400),
        ("skills", "user_ids=a", 400),
        ("skills", "updated_after=2024-01-01Z", 200),
    ];
    for (endpoint, query, status) in table {
        let answer = get(&sandbox, &format!("/lms/{endpoint}?{query}")).await;
        assert_eq!(answer.status, status, "{endpoint}?{query}: {:?}", answer.body);
        if status == 400 {
            let body = answer.json();
            assert_eq!(body["status"], "error");
            assert_eq!(body["error"]["code"], "PLATFORM.INPUT_INVALID", "{endpoint}?{query}");
            assert!(body["error"]["message"].is_string());
            assert_eq!(body["error"].as_object().unwrap().len(), 4);
        }
    }
}

#[tokio::test]
async fn keys_integrations_paths_and_methods_are_checked() {
    let sandbox = start(SandboxConfig::default()).await;
    let key = ("authorization", "Bearer sandbox-key");
    let id = ("x-integration-id", FIRST_INTEGRATION);
    let authentication: Value = "PLATFORM.AUTHENTICATION_INVALID".into();
    let not_found: Value = "PLATFORM.INTEGRATION_NOT_FOUND".into();
    let table = [
        ("GET", "/v1/lms/users", vec![id], 401, authentication.clone()),
        ("GET", "/v1/lms/users", vec![("authorization", "Bearer wrong"), id], 401, authentication.clone()),
        ("GET", "/v1/lms/users", vec![("authorization", "sandbox-key"), id], 401, authentication.clone()),
        ("GET", "/v1/check-api-key", vec![], 401, authentication),
        ("GET", "/v1/lms/users", vec![key], 400, "PLATFORM.INPUT_INVALID".into()),
        ("GET", "/v1/lms/users", vec![key, ("x-integration-id", "sandbox:none")], 404, not_found.clone()),
        ("GET", "/v1/integrations/sandbox:none", vec![key], 404, not_found),
        ("GET", "/v1/lms/nothing", vec![key, id], 404, Value::Null),
        ("POST", "/v1/lms/users", vec![key, id], 404, Value::Null),
        ("GET", "/", vec![key, id], 404, Value::Null),
    ];
    for (method, path, headers, status, code) in table {
        let answer = send(&sandbox, method, path, &headers, "").await.unwrap();
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {path}");
        assert!(answer.headers.contains_key("ratelimit-limit") && answer.headers.contains_key("date"));
    }
    for path in [
        format!("/integrations/{FIRST_INTEGRATION}"),
        format!("/integrations/{}", FIRST_INTEGRATION.replace(':', "%3A")),
    ] {
        let answer = get(&sandbox, &path).await;
        assert_eq!(answer.json()["data"]["id"], FIRST_INTEGRATION);
        assert_eq!(answer.json()["data"]["status"], "ACTIVE");
    }
    assert!(get(&sandbox, "/check-api-key").await.json()["data"]["environment_id"].is_string());
}

#[tokio::test]
async fn filters_narrow_down_and_add_up() {
    let sandbox = start(SandboxConfig::default()).await;
    let users = get(&sandbox, "/lms/users?include_deleted=true&page_size=250").await.results();
    let live: Vec<_> = users.iter().filter(|it| it["remote_deleted_at"].is_null()).collect();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let (a, b) = (live[0], live[1]);
    let with_mail = live.iter().find(|it| it["work_email"].is_string()).unwrap();
    let mail = text(with_mail, "work_email");
    for (query, expected) in [
        (format!("ids={},{}", text(a, "id"), text(b, "id")), vec![text(a, "id"), text(b, "id")]),
        (format!("ids={},nobody,way-too-long-to-be-an-id-of-any-row", text(b, "id")), vec![text(b, "id")]),
        (format!("remote_ids={}", text(b, "remote_id")), vec![text(b, "id")]),
        (format!("ids={}&remote_ids={}", text(a, "id"), text(b, "remote_id")), vec![]),
        (format!("work_emails={mail}"), vec![text(with_mail, "id")]),
    ] {
        assert_eq!(get(&sandbox, &format!("/lms/users?{query}")).await.ids(), expected, "{query}");
    }
    let progressions = get(&sandbox, "/lms/course-progressions?page_size=250").await.results();
    let one = &progressions[0];
    let (user, course) = (text(one, "user_id"), text(&one["course_revision"]["course"], "id"));
    for (query, pointer, wanted) in [
        (format!("user_ids={user}"), "/user/id", &user),
        (format!("course_ids={course}"), "/course_revision/course/id", &course),
    ] {
        let rows = get(&sandbox, &format!("/lms/course-progressions?page_size=250&{query}")).await.results();
        assert!(!rows.is_empty());
        assert!(rows.iter().all(|it| it.pointer(pointer) == Some(&json!(wanted))), "{query}");
    }
}

#[tokio::test]
async fn an_unsupported_filter_hides_everything_unless_it_is_ignored() {
    let sandbox = start(SandboxConfig::default()).await;
    sandbox.edit(|state| {
        let integration = state.integration_mut(FIRST_INTEGRATION).unwrap();
        integration.unsupported_filters.insert("remote_ids".to_owned());
    });
    assert!(get(&sandbox, "/lms/users?remote_ids=x").await.results().is_empty());
    let ignored = get(&sandbox, "/lms/users?remote_ids=x&ignore_unsupported_filters=true").await;
    assert!(ignored.results().len() > 50);
}

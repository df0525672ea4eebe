//! The control endpoint.

use kombo_sandbox::{FIRST_INTEGRATION, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::client::{Answer, get, send, start};

async fn post(sandbox: &Sandbox, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    send(sandbox, "POST", &format!("/control/{path}"), &headers, &body.to_string()).await.unwrap()
}

async fn look(sandbox: &Sandbox, method: &str, path: &str) -> Answer {
    send(sandbox, method, &format!("/control/{path}"), &[], "").await.unwrap()
}

#[tokio::test]
async fn data_is_changed_and_dumped() {
    let sandbox = start(SandboxConfig::default()).await;
    let user = get(&sandbox, "/lms/users").await.ids().remove(0);
    let mutations = json!([
        { "kind": "update", "model": "lms_users", "id": user, "set": { "first_name": "Ada" } },
        { "kind": "delete", "model": "lms_users", "id": user },
    ]);
    let answer = post(&sandbox, "mutate", &json!({ "integration": FIRST_INTEGRATION, "mutations": mutations })).await;
    assert_eq!(answer.json()["applied"].as_array().unwrap().len(), 2);
    let answer = post(&sandbox, "mutate", &json!({ "integration": FIRST_INTEGRATION, "count": 7, "seed": 1 })).await;
    assert_eq!(answer.json()["applied"].as_array().unwrap().len(), 7);
    let dump = look(&sandbox, "GET", &format!("records/{FIRST_INTEGRATION}/lms_users")).await;
    let dump = String::from_utf8(dump.body.to_vec()).unwrap();
    let rows: Vec<Value> = dump.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let row = rows.iter().find(|it| it["id"] == user.as_str()).unwrap();
    assert!(row["remote_deleted_at"].is_string());
    for (path, body, status) in [
        ("mutate", json!({ "integration": "none:1", "count": 1 }), 404),
        ("mutate", json!({ "integration": FIRST_INTEGRATION, "mutations": [{ "kind": "explode" }] }), 422),
        (
            "mutate",
            json!({ "integration": FIRST_INTEGRATION, "mutations": [{ "kind": "delete", "model": "lms_users", "id": "nobody" }] }),
            404,
        ),
        (
            "mutate",
            json!({ "integration": FIRST_INTEGRATION, "mutations": [{ "kind": "add", "model": "lms_users", "id": user }] }),
            409,
        ),
        ("clock", json!({ "sett": "2025-01-01" }), 422),
    ] {
        assert_eq!(post(&sandbox, path, &body).await.status, status, "{path} {body}");
    }
    assert_eq!(look(&sandbox, "GET", &format!("records/{FIRST_INTEGRATION}/hris_payslips")).await.status, 404);
}

#[tokio::test]
async fn settings_take_effect() {
    let sandbox = start(SandboxConfig::default()).await;
    post(&sandbox, "faults", &json!({ "fault": { "kind": "error", "status": 503 }, "endpoint": "users" })).await;
    post(&sandbox, "faults", &json!({ "fault": { "kind": "drop_connection" }, "times": null })).await;
    assert_eq!(look(&sandbox, "GET", "faults").await.json()["faults"].as_array().unwrap().len(), 2);
    assert_eq!(get(&sandbox, "/lms/users").await.status, 503);
    look(&sandbox, "DELETE", "faults").await;
    assert_eq!(get(&sandbox, "/lms/users").await.status, 200);

    post(&sandbox, "clock", &json!({ "set": "2025-07-01T00:00:00Z", "advance_ms": 1500 })).await;
    assert_eq!(get(&sandbox, "/check-api-key").await.header("date"), "Tue, 01 Jul 2025 00:00:01 GMT");
    post(&sandbox, "rate-limit", &json!({ "requests": 1 })).await;
    get(&sandbox, "/check-api-key").await;
    assert_eq!(get(&sandbox, "/check-api-key").await.status, 429);
    post(&sandbox, "rate-limit", &json!({})).await;
    post(&sandbox, "latency", &json!({ "fixed_ms": 1, "jitter_ms": 1 })).await;
    let behaviour =
        post(&sandbox, "behaviour", &json!({ "nested": "reference", "omit_nested": ["title"] })).await.json();
    assert_eq!((&behaviour["nested"], &behaviour["anonymise_after_days"]), (&json!("reference"), &json!(14)));

    let next = get(&sandbox, "/lms/users?page_size=1").await.next().unwrap();
    assert_eq!(look(&sandbox, "POST", "expire-cursors").await.status, 200);
    assert_eq!(get(&sandbox, &format!("/lms/users?page_size=1&cursor={next}")).await.status, 400);

    let requests = look(&sandbox, "GET", "requests").await.json();
    assert!(requests["counts"]["users"].as_u64().unwrap() >= 4);
    let since = look(&sandbox, "GET", "requests?since=2").await.json()["requests"].as_array().unwrap().len();
    assert_eq!(since + 2, requests["requests"].as_array().unwrap().len());
    look(&sandbox, "DELETE", "requests").await;
    assert_eq!(look(&sandbox, "GET", "requests").await.json()["requests"], json!([]));
}

#[tokio::test]
async fn integrations_and_webhooks() {
    let sandbox = start(SandboxConfig::default()).await;
    let generate = json!({ "id": "moodle:x", "generate": { "users": 3, "courses": 0, "progressions": 0 } });
    assert_eq!(post(&sandbox, "integrations", &generate).await.json()["counts"]["lms_users"], 3);
    let refusal = json!({ "id": FIRST_INTEGRATION, "refusal": { "status": 409, "code": "INTEGRATION.QA_FAILED" }, "status": "INACTIVE" });
    assert_eq!(post(&sandbox, "integrations", &refusal).await.status, 200);
    assert_eq!(get(&sandbox, "/lms/users").await.code(), "INTEGRATION.QA_FAILED");
    post(&sandbox, "integrations", &json!({ "id": FIRST_INTEGRATION, "clear_refusals": true })).await;
    assert_eq!(get(&sandbox, "/lms/users").await.status, 200);
    assert_eq!(look(&sandbox, "DELETE", "integrations/moodle:x").await.status, 200);
    let state = look(&sandbox, "GET", "state").await.json();
    assert_eq!(state["integrations"].as_object().unwrap().len(), 1);
    assert_eq!(state["integrations"][FIRST_INTEGRATION]["status"], "INACTIVE");

    post(&sandbox, "webhook/config", &json!({ "secret": "s", "lose_next": 1 })).await;
    let webhook =
        json!({ "integration": FIRST_INTEGRATION, "webhook": { "type": "sync-finished", "sync_state": "FAILED" } });
    assert_eq!(post(&sandbox, "webhook", &webhook).await.json()["sent"], true);
    assert_eq!(post(&sandbox, "webhook", &json!({ "integration": FIRST_INTEGRATION })).await.json()["sent"], false);
    let deliveries = look(&sandbox, "GET", "webhook").await.json();
    assert_eq!(deliveries["deliveries"][0]["webhook"], "sync-finished");
}

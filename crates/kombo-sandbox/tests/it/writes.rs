//! Writes: validation, answers and effects.

use kombo_sandbox::{
    Behaviour, ClockMode, Endpoint, FIRST_INTEGRATION, Fault, FaultKind, Model, Refusal, Sandbox, SandboxConfig, Stamp,
    WebhookConfig, WebhookMode,
};
use serde_json::{Value, json};

use crate::client::{Answer, all_ids, get, send, start};

const HEADERS: [(&str, &str); 3] = [
    ("authorization", "Bearer sandbox-key"),
    ("x-integration-id", FIRST_INTEGRATION),
    ("content-type", "application/json"),
];

async fn post(sandbox: &Sandbox, path: &str, body: &Value) -> Answer {
    send(sandbox, "POST", &format!("/v1{path}"), &HEADERS, &body.to_string()).await.unwrap()
}

/// Starts a sandbox with a stopped clock.
async fn still() -> Sandbox {
    let clock = ClockMode::Manual { now: Stamp::parse_request("2025-06-01").unwrap() };
    let webhooks = WebhookConfig { data_changed: WebhookMode::Manual, ..WebhookConfig::default() };
    start(SandboxConfig { clock, webhooks, ..SandboxConfig::default() }).await
}

/// Returns an existing user and revision.
fn pair(sandbox: &Sandbox) -> (String, String) {
    sandbox.read(|state| {
        let tables = &state.integration(FIRST_INTEGRATION).unwrap().tables;
        let user = tables.users.iter().find(|(_, it)| it.meta.remote_deleted_at.is_none()).unwrap().0;
        let revision = tables.revisions.iter().find(|(_, it)| it.meta.remote_deleted_at.is_none()).unwrap().0;
        (user.to_string(), revision.to_string())
    })
}

/// Sends `data-changed` and returns the models that it names.
fn announced(sandbox: &Sandbox) -> Value {
    if !sandbox.send_data_changed(FIRST_INTEGRATION).unwrap() {
        return Value::Null;
    }
    let body: Value = serde_json::from_str(&sandbox.deliveries().last().unwrap().body).unwrap();
    body["data"]["changed_models"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect()
}

#[tokio::test]
async fn an_enrolment_is_listed_told_and_completed() {
    let sandbox = still().await;
    let (user, revision) = pair(&sandbox);
    let before = all_ids(&sandbox, "/lms/course-progressions?include_deleted=true").await.len();
    let body = json!({ "user_id": user, "course_revision_id": revision });
    let answer = post(&sandbox, "/lms/course-progressions", &body).await.json();
    assert_eq!(answer["warnings"], json!([]));
    let progression = &answer["data"];
    assert_eq!(progression["status"], "ENROLLED");
    assert_eq!(progression["enrolled_at"], "2025-06-01T00:00:00.000Z");
    assert_eq!((&progression["user"]["id"], &progression["completed_at"]), (&json!(user), &Value::Null));
    assert_eq!(announced(&sandbox), json!(["lms_course_progressions"]));

    let id = progression["id"].as_str().unwrap();
    let listed = get(&sandbox, &format!("/lms/course-progressions?ids={id}")).await.results();
    assert_eq!(&listed[0], progression);

    let path = format!("/lms/course-progressions/{id}/complete");
    let done = post(&sandbox, &path, &json!({ "completed_at": "2024-04-15", "score": 93 })).await.json();
    assert_eq!(done["data"]["status"], "COMPLETED");
    assert_eq!(done["data"]["completed_at"], "2024-04-15T00:00:00.000Z");
    assert_eq!(done["data"]["remote_data"], json!({ "score": 93 }));
    let again = post(&sandbox, &path, &json!({})).await.json();
    assert_eq!(again["warnings"][0]["message"], "The course progression was completed already.");
    assert_eq!(again["data"]["completed_at"], "2025-06-01T00:00:00.000Z");

    // A repeated request is a second enrolment.
    assert_eq!(post(&sandbox, "/lms/course-progressions", &body).await.status, 200);
    assert_eq!(all_ids(&sandbox, "/lms/course-progressions?include_deleted=true").await.len(), before + 2);
}

#[tokio::test]
async fn ids_of_the_connected_tool_are_understood() {
    let sandbox = still().await;
    let (user, revision) = pair(&sandbox);
    let remote = sandbox.read(|state| {
        let users = &state.integration(FIRST_INTEGRATION).unwrap().tables.users;
        users[&user.parse().unwrap()].meta.remote_id.clone().unwrap()
    });
    let body = json!({ "user_id": format!("remote:{remote}"), "course_revision_id": revision });
    let answer = post(&sandbox, "/lms/course-progressions", &body).await.json();
    assert_eq!(answer["data"]["user_id"], json!(user));
}

#[tokio::test]
async fn a_course_is_taken_out_of_use() {
    let sandbox = still().await;
    let course = sandbox.read(|state| {
        let tables = &state.integration(FIRST_INTEGRATION).unwrap().tables;
        let active = |id| tables.revisions[id].status.as_deref() == Some("ACTIVE");
        let live = |it: &&kombo_sandbox::Id| tables.courses[*it].meta.remote_deleted_at.is_none();
        *tables.courses.keys().filter(live).find(|it| tables.courses[*it].revisions.iter().any(active)).unwrap()
    });
    let path = format!("/lms/courses/{course}/deactivate");
    let answer = post(&sandbox, &path, &json!({})).await.json();
    assert_eq!(answer["data"]["id"], json!(course));
    for revision in answer["data"]["revisions"].as_array().unwrap() {
        assert_eq!(revision["status"], "INACTIVE");
    }
    assert_eq!(announced(&sandbox), json!(["lms_course_revisions"]));
    let delta = get(&sandbox, "/lms/courses?updated_after=2025-05-31T23:59:59Z").await;
    assert_eq!(delta.ids(), [course.to_string()]);
    // A missing body counts as an empty one.
    let again = send(&sandbox, "POST", &format!("/v1{path}"), &HEADERS[..2], "").await.unwrap().json();
    assert_eq!(again["warnings"][0]["message"], "The course was not active.");
    assert_eq!(announced(&sandbox), Value::Null);
}

fn welding(title: &str) -> Value {
    let course = json!({ "type": "EXTERNAL", "title": title, "course_url": "https://example.com/1", "duration": 45,
                         "languages": ["en", "de-CH"] });
    json!({ "items": [{ "origin_id": "course-1", "course": course }] })
}

async fn task(sandbox: &Sandbox, started: &Answer) -> Value {
    let id = started.json()["data"]["task_id"].as_str().unwrap().to_owned();
    get(sandbox, &format!("/lms/courses/bulk/{id}")).await.json()["data"].clone()
}

#[tokio::test]
async fn a_task_is_pending_and_then_ends() {
    let sandbox = still().await;
    let courses = all_ids(&sandbox, "/lms/courses?page_size=250").await.len();
    let started = post(&sandbox, "/lms/courses/bulk", &welding("Welding")).await;
    let pending = task(&sandbox, &started).await;
    assert_eq!((&pending["status"], &pending["completed_at"]), (&json!("PENDING"), &Value::Null));
    assert_eq!(all_ids(&sandbox, "/lms/courses?page_size=250").await.len(), courses);
    assert_eq!(announced(&sandbox), Value::Null);

    sandbox.advance(chrono::TimeDelta::milliseconds(200));
    let ended = task(&sandbox, &started).await;
    assert_eq!((&ended["status"], &ended["completed_at"]), (&json!("COMPLETED"), &json!("2025-06-01T00:00:00.200Z")));
    assert_eq!(
        (&ended["data"][0]["origin_id"], &ended["data"][0]["status"]),
        (&json!("course-1"), &json!("SUCCEEDED"))
    );
    let id = ended["data"][0]["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(announced(&sandbox), json!(["lms_courses", "lms_course_revisions"]));
    let listed = get(&sandbox, &format!("/lms/courses?ids={id}")).await.results();
    assert_eq!(listed[0]["origin_id"], "course-1");
    assert_eq!(listed[0]["revisions"][0]["title"], "Welding");
    assert_eq!(listed[0]["revisions"][0]["remote_data"], json!({ "duration": 45, "languages": ["en", "de-CH"] }));

    // The same request again changes the existing course.
    let started = post(&sandbox, "/lms/courses/bulk", &welding("Welding, again")).await;
    sandbox.advance(chrono::TimeDelta::milliseconds(200));
    assert_eq!(task(&sandbox, &started).await["data"][0]["data"]["id"], json!(id));
    let listed = get(&sandbox, &format!("/lms/courses?ids={id}")).await.results();
    assert_eq!(listed[0]["revisions"][0]["title"], "Welding, again");
    assert_eq!(all_ids(&sandbox, "/lms/courses?page_size=250").await.len(), courses + 1);
    assert_eq!(announced(&sandbox), json!(["lms_course_revisions"]));

    // Some tools cannot change courses.
    sandbox.edit(|state| state.integration_mut(FIRST_INTEGRATION).unwrap().updates_courses = false);
    let started = post(&sandbox, "/lms/courses/bulk", &welding("Welding, at last")).await;
    sandbox.advance(chrono::TimeDelta::milliseconds(200));
    let refused = task(&sandbox, &started).await;
    assert_eq!(refused["status"], "COMPLETED");
    assert_eq!(refused["data"][0]["error"]["code"], "LMS.COURSE_UPDATE_NOT_SUPPORTED");

    // If the tool is disconnected meanwhile, the task fails as a whole.
    let started = post(&sandbox, "/lms/courses/bulk", &welding("Welding, at last")).await;
    sandbox.edit(|state| {
        let refusals = &mut state.integration_mut(FIRST_INTEGRATION).unwrap().endpoint_refusals;
        refusals.insert(Endpoint::UpsertCourses, Refusal::action_disabled());
    });
    sandbox.advance(chrono::TimeDelta::milliseconds(200));
    let failed = task(&sandbox, &started).await;
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("FAILED"), &json!("INTEGRATION.ACTION_DISABLED"))
    );
    assert_eq!(post(&sandbox, "/lms/courses/bulk", &welding("x")).await.code(), "INTEGRATION.ACTION_DISABLED");
}

#[tokio::test]
async fn a_task_ends_by_itself() {
    let webhooks = WebhookConfig { data_changed: WebhookMode::Auto { debounce_ms: 0 }, ..WebhookConfig::default() };
    let behaviour = Behaviour { task_takes_ms: 1, ..Behaviour::default() };
    let sandbox = start(SandboxConfig { webhooks, behaviour, ..SandboxConfig::default() }).await;
    let started = post(&sandbox, "/lms/courses/bulk", &welding("Welding")).await;
    // Requires no further request.
    while sandbox.deliveries().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(task(&sandbox, &started).await["status"], "COMPLETED");
}

#[tokio::test]
async fn a_forced_sync_is_found_again_and_tells_of_its_end() {
    let sandbox = still().await;
    let delta = post(&sandbox, "/force-sync", &json!({ "type": "DELTA" })).await.json()["data"].clone();
    assert_eq!((&delta["already_queued"], &delta["type"]), (&json!(false), &json!("DELTA")));
    let full = post(&sandbox, "/force-sync", &json!({})).await.json()["data"].clone();
    assert_eq!(full, json!({ "already_queued": true, "type": "DELTA", "sync_id": delta["sync_id"] }));
    assert!(sandbox.deliveries().is_empty());

    sandbox.advance(chrono::TimeDelta::milliseconds(200));
    let next = post(&sandbox, "/force-sync", &json!({})).await.json()["data"].clone();
    assert_eq!((&next["already_queued"], &next["type"]), (&json!(false), &json!("FULL")));
    let finished: Value = serde_json::from_str(&sandbox.deliveries()[0].body).unwrap();
    assert_eq!(finished["type"], "sync-finished");
    assert_eq!(finished["data"]["sync_id"], delta["sync_id"]);
    assert_eq!(finished["data"]["sync_ended_at"], "2025-06-01T00:00:00.200Z");
}

#[tokio::test]
async fn an_integration_that_is_deleted_is_gone_and_told() {
    let sandbox = still().await;
    let path = format!("/v1/integrations/{FIRST_INTEGRATION}");
    let delete = || send(&sandbox, "DELETE", &path, &HEADERS[..1], "");
    assert_eq!(delete().await.unwrap().json(), json!({ "status": "success", "data": {} }));
    assert_eq!(delete().await.unwrap().code(), "PLATFORM.INTEGRATION_NOT_FOUND");
    assert_eq!(get(&sandbox, "/lms/users").await.code(), "PLATFORM.INTEGRATION_NOT_FOUND");
    assert_eq!(sandbox.deliveries()[0].webhook, "integration-deleted");
}

#[tokio::test]
async fn bodies_are_held_against_the_contract() {
    let sandbox = still().await;
    let (user, revision) = pair(&sandbox);
    let course = |set: Value| {
        let mut course = json!({ "type": "EXTERNAL", "title": "t", "course_url": "u" });
        course.as_object_mut().unwrap().extend(set.as_object().unwrap().clone());
        json!({ "items": [{ "origin_id": "o", "course": course }] })
    };
    let enrol = "/lms/course-progressions";
    let bulk = "/lms/courses/bulk";
    let table = [
        (enrol, json!({ "user_id": user }), 400),
        (enrol, json!({ "user_id": user, "course_revision_id": null }), 400),
        (enrol, json!({ "user_id": 7, "course_revision_id": revision }), 400),
        (enrol, json!({ "user_id": user, "course_revision_id": revision, "status": "COMPLETED" }), 400),
        (enrol, json!({ "user_id": "nobody", "course_revision_id": revision }), 404),
        (enrol, json!({ "user_id": "remote:nobody", "course_revision_id": revision }), 404),
        (enrol, json!([]), 400),
        (bulk, json!({}), 400),
        (bulk, json!({ "items": {} }), 400),
        (bulk, json!({ "items": [] }), 200),
        (bulk, json!({ "items": [{ "origin_id": "o" }] }), 400),
        (bulk, course(json!({})), 200),
        (bulk, course(json!({ "description": null, "thumbnail_url": null, "duration": null, "languages": null })), 200),
        (bulk, course(json!({ "type": "SCORM" })), 400),
        (bulk, course(json!({ "title": null })), 400),
        (bulk, course(json!({ "duration": 0 })), 400),
        (bulk, course(json!({ "duration": 1.5 })), 400),
        (bulk, course(json!({ "languages": ["english"] })), 400),
        (bulk, course(json!({ "languages": ["en-us"] })), 400),
        (bulk, course(json!({ "languages": "en" })), 400),
        (bulk, course(json!({ "url": "u" })), 400),
        ("/force-sync", json!({ "type": "PARTIAL" }), 400),
        ("/force-sync", json!({ "type": null }), 400),
        ("/force-sync?type=FULL", json!({}), 400),
        ("/lms/course-progressions/nothing/complete", json!({}), 404),
        ("/lms/course-progressions/nothing/complete", json!({ "score": 101 }), 400),
        ("/lms/course-progressions/nothing/complete", json!({ "score": -1 }), 400),
        ("/lms/course-progressions/nothing/complete", json!({ "completed_at": "2024-04-15T00:00:00+00:00" }), 400),
        ("/lms/courses/nothing/deactivate", json!({}), 404),
        ("/lms/courses/nothing/deactivate", json!({ "reason": "old" }), 400),
        ("/lms/courses//deactivate", json!({}), 404),
    ];
    for (path, body, status) in table {
        assert_eq!(post(&sandbox, path, &body).await.status, status, "{path} {body}");
    }
    let text = [HEADERS[0], HEADERS[1], ("content-type", "text/plain")];
    assert_eq!(send(&sandbox, "POST", "/v1/force-sync", &text, "{}").await.unwrap().status, 400);
    assert_eq!(send(&sandbox, "POST", "/v1/force-sync", &HEADERS, "{").await.unwrap().status, 400);
    assert_eq!(get(&sandbox, "/lms/courses/bulk/nothing").await.status, 404);
}

#[tokio::test]
async fn an_answer_that_is_lost_undoes_nothing() {
    let sandbox = still().await;
    let (user, revision) = pair(&sandbox);
    let count = || sandbox.ids(FIRST_INTEGRATION, Model::CourseProgressions).unwrap().len();
    let before = count();
    let body = json!({ "user_id": user, "course_revision_id": revision }).to_string();
    for (fault, enrolled) in [(FaultKind::DropConnection, 1), (FaultKind::error(503, "REMOTE.SERVICE_UNAVAILABLE"), 1)]
    {
        sandbox.inject(Fault::once(fault).at(Endpoint::CreateCourseProgression));
        let _ = send(&sandbox, "POST", "/v1/lms/course-progressions", &HEADERS, &body).await;
        assert_eq!(count(), before + enrolled);
    }
    let logged = sandbox.requests().pop().unwrap();
    assert_eq!((logged.endpoint, logged.body), (Endpoint::CreateCourseProgression, body));
}

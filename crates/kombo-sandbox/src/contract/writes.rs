//! Requests and answers that change something.

use chrono::TimeDelta;
use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, GeneratorConfig, Refusal, Sandbox};
use serde_json::{Value, json};

use super::{
    cases::{Checked, ERROR, Outcome, schema},
    http::{Ask, ask},
};

/// Id of a second integration, which is deleted.
const SECOND: &str = "sandbox:second";

pub(super) async fn run(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    // Earlier checks may have deleted rows of the first integration; this one is new.
    sandbox.add_integration(SECOND, &GeneratorConfig { seed: 7, deleted_rate: 0.0, ..GeneratorConfig::default() })?;
    enrolments(checked, sandbox).await?;
    deactivation(checked, sandbox).await?;
    upserts(checked, sandbox).await?;
    general(checked, sandbox).await
}

fn of_second<'a>(method: &'a str, path: &'a str, body: &'a Value) -> Ask<'a> {
    Ask { integration: Some(SECOND), ..Ask::with_body(method, path, body) }
}

impl Checked {
    /// Sends a body and checks it and its answer against the document: a valid body must be accepted, an invalid one
    /// rejected. Returns the answer.
    async fn send(
        &mut self,
        sandbox: &Sandbox,
        asked: Ask<'_>,
        name: &str,
    ) -> Result<Value, Box<dyn std::error::Error>> {
        let empty = json!({});
        let sent = asked.body.unwrap_or(&empty);
        let is_allowed = self.document.validator(&schema(&format!("{name}RequestBody")))?.is_valid(sent);
        let what = format!("{} {} {sent}", asked.method, asked.path);
        let (status, body) = ask(sandbox, asked).await?;
        self.expect(&what, status, if is_allowed { 200 } else { 400 });
        let answer = if is_allowed { schema(&format!("{name}PositiveResponse")) } else { ERROR.to_owned() };
        let validator = self.document.validator(&answer)?;
        self.compare(&what, &validator, &body);
        Ok(body)
    }
}

async fn enrolments(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let (user, revision) = sandbox
        .read(|state| {
            let tables = state.integration(SECOND).map(|it| &it.tables).ok()?;
            tables.users.keys().next().zip(tables.revisions.keys().next()).map(|(user, it)| (*user, *it))
        })
        .ok_or("no user and revision to enrol")?;
    let path = "/lms/course-progressions";
    let good = json!({ "user_id": user, "course_revision_id": revision });
    let bad =
        [json!({}), json!({ "user_id": user }), json!({ "user_id": user, "course_revision_id": null }), json!([])];
    for body in &bad {
        checked.send(sandbox, of_second("POST", path, body), "PostLmsCourseProgressions").await?;
    }
    let enrolled = checked.send(sandbox, of_second("POST", path, &good), "PostLmsCourseProgressions").await?;
    let id = enrolled.pointer("/data/id").and_then(Value::as_str).unwrap_or_default();
    let path = format!("/lms/course-progressions/{id}/complete");
    for body in [
        json!({}),
        json!({ "completed_at": "2024-04-15", "score": 93 }),
        json!({ "completed_at": "2024-04-15T08:00:00.5Z", "score": null }),
        json!({ "completed_at": null, "score": 0 }),
        json!({ "score": 100 }),
        json!({ "score": 101 }),
        json!({ "score": -1 }),
        json!({ "score": 1.5 }),
        json!({ "score": "93" }),
        json!({ "completed_at": "2024-04-15T08:00:00+00:00" }),
        json!({ "completed_at": 5 }),
    ] {
        let name = "PostLmsCourseProgressionsCourseProgressionIdComplete";
        checked.send(sandbox, of_second("POST", &path, &body), name).await?;
    }
    let error = checked.document.validator(ERROR)?;
    let unknown = json!({ "user_id": "nobody", "course_revision_id": revision });
    checked.ask(sandbox, of_second("POST", "/lms/course-progressions", &unknown), 404, &error).await?;
    checked.ask(sandbox, of_second("POST", "/lms/course-progressions/nothing/complete", &json!({})), 404, &error).await
}

async fn deactivation(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let courses = sandbox.ids(SECOND, kombo_sandbox::Model::Courses)?;
    for id in &courses {
        let path = format!("/lms/courses/{id}/deactivate");
        let name = "PostLmsCoursesCourseIdDeactivate";
        // The repetition returns a warning.
        for body in [json!({}), json!({}), json!([])] {
            checked.send(sandbox, of_second("POST", &path, &body), name).await?;
        }
    }
    Ok(())
}

async fn upserts(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let path = "/lms/courses/bulk";
    let item = |origin: &str, set: Value| {
        let mut course = json!({ "type": "EXTERNAL", "title": "Welding", "course_url": "https://example.com/1" });
        if let (Some(course), Some(set)) = (course.as_object_mut(), set.as_object()) {
            course.extend(set.clone());
        }
        json!({ "origin_id": origin, "course": course })
    };
    for set in [
        json!({}),
        json!({ "description": "d", "thumbnail_url": "t", "duration": 45, "languages": ["en", "de-CH", "gsw"] }),
        json!({ "description": null, "thumbnail_url": null, "duration": null, "languages": null }),
        json!({ "languages": [] }),
        json!({ "duration": 0 }),
        json!({ "duration": -1 }),
        json!({ "duration": "45" }),
        json!({ "languages": ["english"] }),
        json!({ "languages": ["en-us"] }),
        json!({ "languages": ["EN"] }),
        json!({ "languages": ["en-"] }),
        json!({ "type": "SCORM" }),
        json!({ "type": null }),
        json!({ "title": null }),
        json!({ "course_url": 5 }),
    ] {
        let body = json!({ "items": [item("o", set)] });
        checked.send(sandbox, of_second("POST", path, &body), "PostLmsCoursesBulk").await?;
    }
    for body in
        [json!({}), json!({ "items": [] }), json!({ "items": null }), json!({ "items": [{ "origin_id": "o" }] })]
    {
        checked.send(sandbox, of_second("POST", path, &body), "PostLmsCoursesBulk").await?;
    }
    // All states of a task: pending, completed with each outcome, failed.
    for (updates, refusal) in [(true, None), (false, None), (true, Some(Refusal::action_disabled()))] {
        sandbox.advance(TimeDelta::seconds(1));
        let body = json!({ "items": [item("o", json!({})), item(&format!("{updates}{refusal:?}"), json!({}))] });
        let started = checked.send(sandbox, of_second("POST", path, &body), "PostLmsCoursesBulk").await?;
        let id = started.pointer("/data/task_id").and_then(Value::as_str).unwrap_or_default();
        let validator = checked.document.validator(&schema("GetLmsCoursesBulkTaskIdPositiveResponse"))?;
        let path = format!("{path}/{id}");
        let asked = Ask { integration: Some(SECOND), ..Ask::get(&path) };
        checked.ask(sandbox, asked, 200, &validator).await?;
        sandbox.edit(|state| {
            state.integration_mut(SECOND).map(|it| {
                it.updates_courses = updates;
                it.endpoint_refusals.extend(refusal.map(|it| (Endpoint::UpsertCourses, it)));
            })
        })?;
        sandbox.advance(TimeDelta::seconds(1));
        checked.ask(sandbox, asked, 200, &validator).await?;
    }
    let error = checked.document.validator(ERROR)?;
    checked.ask(sandbox, of_second("POST", path, &json!({ "items": [] })), 403, &error).await?;
    checked.ask(sandbox, Ask::get("/lms/courses/bulk/nothing"), 404, &error).await
}

async fn general(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    for body in
        [json!({}), json!({ "type": "DELTA" }), json!({ "type": "FULL" }), json!({ "type": "PARTIAL" }), json!([])]
    {
        checked.send(sandbox, of_second("POST", "/force-sync", &body), "PostForceSync").await?;
    }
    sandbox.advance(TimeDelta::seconds(1));
    sandbox.read(|_| ());
    let path = format!("/integrations/{SECOND}");
    checked.send(sandbox, of_second("DELETE", &path, &json!([])), "DeleteIntegrationsIntegrationId").await?;
    checked.send(sandbox, of_second("DELETE", &path, &json!({})), "DeleteIntegrationsIntegrationId").await?;
    let error = checked.document.validator(ERROR)?;
    checked.ask(sandbox, of_second("DELETE", &path, &json!({})), 404, &error).await?;
    for webhook in sandbox.deliveries().iter().filter(|it| it.integration == SECOND) {
        let name = match webhook.webhook {
            "sync-finished" => "SyncFinishedWebhookPayload",
            "integration-deleted" => "IntegrationDeletedWebhookPayload",
            _ => continue,
        };
        let validator = checked.document.validator(&schema(name))?;
        checked.compare(webhook.webhook, &validator, &serde_json::from_str(&webhook.body)?);
    }
    let refused = Ask { integration: Some(FIRST_INTEGRATION), ..of_second("POST", "/force-sync", &Value::Null) };
    checked.ask(sandbox, refused, 400, &error).await
}

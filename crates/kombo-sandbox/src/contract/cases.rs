//! The requests of the contract check, and the expected answers.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use jsonschema::Validator;
use kombo_sandbox::{
    ClockMode, FIRST_INTEGRATION, GeneratorConfig, IntegrationStatus, Model, Mutation, QaStatus, RateLimit, Refusal,
    Sandbox, SandboxConfig, SetupStatus, Stamp, Webhook,
};
use serde_json::Value;

use super::{
    categories,
    document::Document,
    http::{Ask, ask},
    writes,
};

pub(super) type Outcome = Result<(), Box<dyn std::error::Error>>;

const LISTS: &[(&str, &str)] = &[
    ("/lms/users", "GetLmsUsersPositiveResponse"),
    ("/lms/courses", "GetLmsCoursesPositiveResponse"),
    ("/lms/course-progressions", "GetLmsCourseProgressionsPositiveResponse"),
    ("/lms/skills", "GetLmsSkillsPositiveResponse"),
];

/// Models that webhooks may name and the document of May 2026 does not list.
const LATER: [&str; 3] = ["hris_skills", "hris_employee_skill_assignments", "hris_join_staffing_entities_skills"];

/// The place of the error schema in the document.
pub(super) const ERROR: &str = "#/components/responses/ErrorResponseGeneral/content/application~1json/schema";

/// The comparisons made and the mismatches.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) document: Document,
    pub(super) count: usize,
    pub(super) faults: Vec<String>,
}

pub(super) fn schema(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

impl Checked {
    pub(super) const fn new(document: Document) -> Self {
        Self { document, count: 0, faults: Vec::new() }
    }

    pub(super) fn compare(&mut self, what: &str, validator: &Validator, body: &Value) {
        self.count += 1;
        for error in validator.iter_errors(body) {
            self.faults.push(format!("{what}: at {}: {error}", error.instance_path()));
        }
    }

    pub(super) fn expect(&mut self, what: &str, status: u16, expected: u16) {
        if status != expected {
            self.faults.push(format!("{what}: status {status} instead of {expected}"));
        }
    }

    pub(super) async fn ask(
        &mut self,
        sandbox: &Sandbox,
        asked: Ask<'_>,
        expected: u16,
        validator: &Validator,
    ) -> Outcome {
        let (status, body) = ask(sandbox, asked).await?;
        self.expect(asked.path, status, expected);
        self.compare(asked.path, validator, &body);
        Ok(())
    }

    /// Requests every page of a listing.
    pub(super) async fn ask_all(&mut self, sandbox: &Sandbox, path: &str, validator: &Validator) -> Outcome {
        self.ask_all_but(sandbox, path, &[], validator).await
    }

    /// Requests every page of a listing, and does not check fields that are newer than the document.
    pub(super) async fn ask_all_but(
        &mut self,
        sandbox: &Sandbox,
        path: &str,
        newer: &[&str],
        validator: &Validator,
    ) -> Outcome {
        let mut next: Option<String> = None;
        loop {
            let page = next.as_ref().map_or_else(|| path.to_owned(), |it| format!("{path}&cursor={it}"));
            let (status, mut body) = ask(sandbox, Ask::get(&page)).await?;
            let records = body.pointer_mut("/data/results").and_then(Value::as_array_mut);
            for record in records.into_iter().flatten().filter_map(Value::as_object_mut) {
                record.retain(|key, _| !newer.contains(&key.as_str()));
            }
            self.expect(&page, status, 200);
            self.compare(&page, validator, &body);
            next = body.pointer("/data/next").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

/// Runs all checks.
pub(super) async fn run(checked: &mut Checked) -> Outcome {
    let now = Stamp::parse_request("2025-06-01").unwrap_or_default();
    let config = SandboxConfig {
        clock: ClockMode::Manual { now },
        generator: GeneratorConfig { deleted_rate: 0.1, extra_rate: 0.6, null_rate: 0.2, ..GeneratorConfig::default() },
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config).await?;
    lists(checked, &sandbox).await?;
    changed(checked, &sandbox).await?;
    parameters(checked, &sandbox).await?;
    general(checked, &sandbox).await?;
    writes::run(checked, &sandbox).await?;
    errors(checked, &sandbox).await?;
    webhooks(checked, &sandbox)?;
    sandbox.shutdown().await;
    categories::run(checked).await
}

/// Requests all listings with many combinations of parameters.
async fn lists(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    for (path, name) in LISTS {
        let validator = checked.document.validator(&schema(name))?;
        for deleted in ["true", "false"] {
            for rest in [
                "page_size=7",
                "page_size=250",
                "updated_after=1990-01-01",
                "updated_after=2025-01-01T00:00:00.000Z&page_size=250",
                "updated_after=2100-01-01T00:00:00Z",
                "ids=nobody",
                "remote_ids=nothing&ignore_unsupported_filters=true",
            ] {
                checked.ask_all(sandbox, &format!("{path}?include_deleted={deleted}&{rest}"), &validator).await?;
            }
        }
    }
    Ok(())
}

/// Requests all listings after many changes, and again after deleted rows were anonymised.
async fn changed(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    for seed in 0..400 {
        sandbox.mutate_random(FIRST_INTEGRATION, seed)?;
    }
    let revision = sandbox.read(|state| {
        let tables = state.integration(FIRST_INTEGRATION).map(|it| &it.tables).ok()?;
        tables.progressions.values().map(|it| it.course_revision_id).find(|it| tables.revisions.contains_key(it))
    });
    if let Some(id) = revision {
        // Progressions show a revision without a course.
        let alone = Mutation::update(Model::CourseRevisions, id, "course_id", Value::Null);
        sandbox.mutate(FIRST_INTEGRATION, alone)?;
    }
    for days in [0, 20] {
        sandbox.advance(TimeDelta::days(days));
        for (path, name) in LISTS {
            let validator = checked.document.validator(&schema(name))?;
            for deleted in ["true", "false"] {
                checked.ask_all(sandbox, &format!("{path}?include_deleted={deleted}&page_size=50"), &validator).await?;
            }
        }
    }
    Ok(())
}

fn sample(parameter: &str) -> &'static str {
    match parameter {
        "page_size" => "3",
        "updated_after" => "2024-01-01T00:00:00.000Z",
        "include_deleted" | "ignore_unsupported_filters" => "true",
        _ => "a,b",
    }
}

/// Checks that every documented parameter is accepted, and that one documented only for other endpoints is rejected.
async fn parameters(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let all: BTreeSet<String> = LISTS.iter().flat_map(|(path, _)| checked.document.query_parameters(path)).collect();
    let error = checked.document.validator(ERROR)?;
    for (path, name) in LISTS {
        let documented = checked.document.query_parameters(path);
        let success = checked.document.validator(&schema(name))?;
        for parameter in all.iter().filter(|it| *it != "cursor") {
            let asked = format!("{path}?{parameter}={}", sample(parameter));
            let known = documented.contains(parameter);
            let (expected, validator) = if known { (200, &success) } else { (400, &error) };
            checked.ask(sandbox, Ask::get(&asked), expected, validator).await?;
        }
    }
    Ok(())
}

/// Checks the endpoints outside of an integration's data.
async fn general(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let key = checked.document.validator(&schema("GetCheckApiKeyPositiveResponse"))?;
    checked.ask(sandbox, Ask::get("/check-api-key"), 200, &key).await?;
    let about = checked.document.validator(&schema("GetIntegrationsIntegrationIdPositiveResponse"))?;
    let path = format!("/integrations/{FIRST_INTEGRATION}");
    for (status, setup) in [
        (IntegrationStatus::Active, SetupStatus::Completed),
        (IntegrationStatus::Invalid, SetupStatus::FinalSyncPending),
        (IntegrationStatus::Inactive, SetupStatus::Incomplete),
    ] {
        sandbox.edit(|state| {
            let integration = state.integration_mut(FIRST_INTEGRATION)?;
            (integration.status, integration.setup_status) = (status, setup);
            let expired = status == IntegrationStatus::Inactive;
            integration.data_expired_at = expired.then_some(integration.created_at);
            integration.end_user.creator_email = integration.end_user.creator_email.take().filter(|_| !expired);
            integration.end_user.origin_id = expired.then(|| "customer-7".to_owned());
            Ok::<_, kombo_sandbox::SandboxError>(())
        })?;
        checked.ask(sandbox, Ask::get(&path), 200, &about).await?;
    }
    Ok(())
}

/// Checks one example of each error.
async fn errors(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let error = checked.document.validator(ERROR)?;
    let users = Ask::get("/lms/users");
    let table = [
        (Ask { key: "wrong", ..users }, 401),
        (Ask { integration: None, ..users }, 400),
        (Ask { integration: Some("sandbox:none"), ..users }, 404),
        (Ask::get("/lms/users?page_size=0"), 400),
        (Ask::get("/lms/users?updated_after=2024-01-01T00:00:00%2B00:00"), 400),
        (Ask::get("/lms/users?cursor=nonsense"), 400),
        (Ask::get("/integrations/sandbox:none"), 404),
        (Ask::get("/nothing"), 404),
    ];
    for (asked, expected) in table {
        checked.ask(sandbox, asked, expected, &error).await?;
    }
    for refusal in [
        Refusal::setup_sync_pending(),
        Refusal::setup_incomplete(),
        Refusal::qa_failed(),
        Refusal::inactive(),
        Refusal::authentication_invalid(),
        Refusal::permission_missing(),
        Refusal::model_disabled(),
        Refusal::model_not_available(),
    ] {
        let expected = refusal.status;
        sandbox.edit(|state| state.integration_mut(FIRST_INTEGRATION).map(|it| it.refusal = Some(refusal)))?;
        checked.ask(sandbox, users, expected, &error).await?;
    }
    sandbox.edit(|state| state.rate_limit = RateLimit { requests: 1, retry_after: true, ..RateLimit::default() });
    checked.ask(sandbox, users, 429, &error).await?;
    Ok(())
}

/// Checks the bodies of all six webhooks, as signed and sent.
fn webhooks(checked: &mut Checked, sandbox: &Sandbox) -> Outcome {
    let all_models = Webhook::DataChanged {
        changed_models: Model::all().filter(|model| !LATER.contains(&model.as_str())).collect(),
    };
    let table = [
        (all_models, "DataChangedWebhookPayload"),
        (Webhook::DataChanged { changed_models: BTreeSet::new() }, "DataChangedWebhookPayload"),
        (Webhook::SyncFinished { sync_state: "SUCCEEDED".to_owned() }, "SyncFinishedWebhookPayload"),
        (Webhook::IntegrationCreated, "IntegrationCreatedWebhookPayload"),
        (Webhook::IntegrationDeleted, "IntegrationDeletedWebhookPayload"),
        (Webhook::IntegrationStateChanged, "IntegrationStateChangedWebhookPayload"),
        (Webhook::ConnectionFlowFailed, "ConnectionFlowFailedWebhookPayload"),
    ];
    for (qa_status, email) in [(QaStatus::Passed, None), (QaStatus::Pending, Some("a@example.com"))] {
        sandbox.edit(|state| {
            state.integration_mut(FIRST_INTEGRATION).map(|it| {
                it.qa_status = qa_status;
                it.end_user.creator_email = email.map(str::to_owned);
            })
        })?;
        for (webhook, name) in &table {
            let body = serde_json::from_str(&sandbox.send_webhook(FIRST_INTEGRATION, webhook)?)?;
            let validator = checked.document.validator(&schema(name))?;
            checked.compare(webhook.type_name(), &validator, &body);
        }
    }
    Ok(())
}

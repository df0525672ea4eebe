//! Integrations that cannot be read, are added or are removed.

use kombo_sandbox::{
    Endpoint, FIRST_INTEGRATION, GeneratorConfig, IntegrationStatus, Refusal, SandboxConfig, SetupStatus,
};

use crate::client::{get, send, start};

#[tokio::test]
async fn refusals_are_kombos_codes() {
    let sandbox = start(SandboxConfig::default()).await;
    for (refusal, status, code) in [
        (Refusal::setup_sync_pending(), 409, "INTEGRATION.SETUP_SYNC_PENDING"),
        (Refusal::setup_incomplete(), 409, "INTEGRATION.SETUP_INCOMPLETE"),
        (Refusal::qa_failed(), 409, "INTEGRATION.QA_FAILED"),
        (Refusal::inactive(), 403, "INTEGRATION.INACTIVE"),
        (Refusal::authentication_invalid(), 403, "INTEGRATION.AUTHENTICATION_INVALID"),
        (Refusal::permission_missing(), 403, "INTEGRATION.PERMISSION_MISSING"),
        (Refusal::model_disabled(), 403, "INTEGRATION.MODEL_DISABLED"),
        (Refusal::model_not_available(), 400, "INTEGRATION.MODEL_NOT_AVAILABLE"),
    ] {
        sandbox.edit(|state| state.integration_mut(FIRST_INTEGRATION).unwrap().refusal = Some(refusal));
        let answer = get(&sandbox, "/lms/users").await;
        assert_eq!((answer.status, answer.code()), (status, code.into()));
    }
    sandbox.edit(|state| {
        let integration = state.integration_mut(FIRST_INTEGRATION).unwrap();
        integration.refusal = None;
        integration.status = IntegrationStatus::Invalid;
        integration.setup_status = SetupStatus::FinalSyncPending;
        integration.endpoint_refusals.insert(Endpoint::LmsCourses, Refusal::model_disabled());
    });
    assert_eq!(get(&sandbox, "/lms/courses").await.code(), "INTEGRATION.MODEL_DISABLED");
    assert_eq!(get(&sandbox, "/lms/users").await.status, 200);
    let about = get(&sandbox, &format!("/integrations/{FIRST_INTEGRATION}")).await.json();
    assert_eq!(about["data"]["status"], "INVALID");
    assert_eq!(about["data"]["setup_status"], "FINAL_SYNC_PENDING");
    assert_eq!(about["data"]["read_models"][1]["is_available"], false);
}

#[tokio::test]
async fn integrations_have_rows_of_their_own_and_can_go() {
    let sandbox = start(SandboxConfig { integrations: 2, ..SandboxConfig::default() }).await;
    sandbox.add_integration("moodle:x", &GeneratorConfig { seed: 99, users: 3, ..GeneratorConfig::empty() }).unwrap();
    assert!(sandbox.add_integration("moodle:x", &GeneratorConfig::empty()).is_err());
    let ids = sandbox.integrations();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&FIRST_INTEGRATION.to_owned()));
    let of = async |id: &str| {
        let headers = [("authorization", "Bearer sandbox-key"), ("x-integration-id", id)];
        send(&sandbox, "GET", "/v1/lms/users?include_deleted=true", &headers, "").await.unwrap()
    };
    let mut all = Vec::new();
    for id in &ids {
        all.extend(of(id).await.ids());
    }
    assert_eq!(all.len(), 203);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 203);
    sandbox.remove_integration("moodle:x").unwrap();
    assert_eq!(of("moodle:x").await.code(), "PLATFORM.INTEGRATION_NOT_FOUND");
}

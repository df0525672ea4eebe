use kombo_model::{IntegrationCategory, ModelName, QaStatus, SyncState, Webhook, WebhookEvent};
use serde_json::{Value, json};

use crate::{WEBHOOKS, round_trip, tree};

/// Returns the samples, one of each type.
fn samples() -> Vec<String> {
    tree(WEBHOOKS).as_array().unwrap().iter().map(Value::to_string).collect()
}

fn sample(kind: &str) -> String {
    samples().into_iter().find(|json| tree(json)["type"] == kind).unwrap()
}

fn data_with(kind: &str, key: &str, value: Option<Value>) -> String {
    let mut webhook = tree(&sample(kind));
    let data = webhook["data"].as_object_mut().unwrap();
    data.remove(key);
    data.extend(value.map(|value| (key.to_owned(), value)));
    webhook.to_string()
}

#[test]
fn all_six_are_known() {
    let webhooks: Vec<Webhook> = samples().iter().map(|json| round_trip(json)).collect();
    let kinds: Vec<&str> = webhooks.iter().map(|webhook| webhook.event.kind()).collect();
    assert_eq!(
        kinds,
        [
            "data-changed",
            "sync-finished",
            "integration-created",
            "integration-deleted",
            "integration-state-changed",
            "connection-flow-failed",
        ]
    );
    for webhook in &webhooks {
        assert!(!matches!(webhook.event, WebhookEvent::Other { .. }));
        assert_eq!(webhook.id.as_str(), "Cbfk5sHtDxrSrJBRjsDtbaN9");
        assert_eq!(webhook.event.category(), Some(&IntegrationCategory::Lms));
    }
    let (last, others) = webhooks.split_last().unwrap();
    for webhook in others {
        assert_eq!(webhook.event.integration_id().unwrap().as_str(), "personio:CBNMt7dSNCzBdnRTx87dev4E");
    }
    assert_eq!(last.event.integration_id(), None);
}

#[test]
fn changed_models_keep_unknown_names() {
    let WebhookEvent::DataChanged(data) = round_trip::<Webhook>(&sample("data-changed")).event else { panic!() };
    let names: Vec<_> = data.changed_models.into_iter().map(|model| model.name).collect();
    let hris = ModelName::Other("hris_employees".to_owned());
    assert_eq!(names, [ModelName::LmsCourses, ModelName::LmsJoinRevisionsSkills, hris]);
    round_trip::<Webhook>(&data_with("data-changed", "changed_models", Some(json!([]))));
    round_trip::<Webhook>(&data_with("data-changed", "changed_models", Some(json!([{"name": "lms_x", "n": 3}]))));
}

#[test]
fn values_and_keys_added_later_survive() {
    let json = data_with("sync-finished", "sync_state", Some(json!("TIMED_OUT")));
    let WebhookEvent::SyncFinished(data) = round_trip::<Webhook>(&json).event else { panic!() };
    assert_eq!(data.sync_state, SyncState::Other("TIMED_OUT".to_owned()));
    for json in samples() {
        let mut webhook = tree(&json);
        webhook["data"]["added_later"] = json!({"a": 1});
        round_trip::<Webhook>(&webhook.to_string());
    }
}

#[test]
fn a_set_up_status_may_be_absent() {
    let json = data_with("integration-state-changed", "setup_status", None);
    let WebhookEvent::IntegrationStateChanged(data) = round_trip::<Webhook>(&json).event else { panic!() };
    assert_eq!(data.setup_status, None);
    assert_eq!(data.qa_status, Some(QaStatus::Passed));
}

#[test]
fn a_type_added_later_is_kept_as_it_came() {
    let webhook: Webhook = round_trip(r#"{"id":"1","type":"course-exploded","data":[ 1.50 ]}"#);
    let WebhookEvent::Other { kind, data } = &webhook.event else { panic!() };
    assert_eq!((kind.as_str(), data.as_str()), ("course-exploded", "[ 1.50 ]"));
    assert_eq!(webhook.event.integration_id(), None);
    assert_eq!(webhook.event.category(), None);
}

#[test]
fn what_is_not_a_webhook_is_refused() {
    for json in [
        "{}",
        "[]",
        r#"{"id":"","type":"data-changed","data":{}}"#,
        r#"{"id":"1","data":{}}"#,
        r#"{"id":"1","type":"data-changed"}"#,
        r#"{"id":"1","type":"data-changed","data":{}}"#,
        r#"{"id":"1","type":"data-changed","data":null}"#,
        r#"{"id":1,"type":"data-changed","data":{}}"#,
    ] {
        serde_json::from_str::<Webhook>(json).unwrap_err();
    }
    let error = serde_json::from_str::<Webhook>(&data_with("data-changed", "integration_id", None)).unwrap_err();
    assert!(error.to_string().starts_with("data of data-changed: missing field `integration_id`"), "{error}");
}

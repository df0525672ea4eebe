//! Webhooks in another order than Kombo sent them, and with oddities that their hint does not depend on.

use std::time::Duration;

use kombo_model::{Endpoint, Timestamp, Webhook, WebhookEvent};
use serde_json::{Value, json};
use sync_core::jobs::dispatch;
use sync_core::jobs::{IntegrationRecord, IntegrationStatus, SyncKind};
use sync_core::ports::Clock as _;
use sync_core::webhooks::{self, Intake, read};

use crate::bench::{Bench, USUAL, id, target};
use crate::intake::policy;

struct Heard {
    bench: Bench,
    number: u32,
}

impl Heard {
    fn new() -> Self {
        let bench = Bench::new(&USUAL);
        let now = bench.clock.now();
        bench.store.edit(|tx| dispatch::register(tx, &[id()].into(), now)).unwrap();
        Self { bench, number: 0 }
    }

    /// So many seconds from now.
    fn time(&self, seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(self.bench.clock.now().unix_millis() + seconds * 1_000).unwrap()
    }

    fn hear(&mut self, kind: &str, mut data: Value) -> IntegrationStatus {
        self.number += 1;
        for key in ["integration_id", "id"] {
            data[key] = json!(id());
        }
        for key in ["integration_tool", "tool"] {
            data[key] = json!("sandbox");
        }
        for key in ["integration_category", "category"] {
            data[key] = json!("LMS");
        }
        let webhook = json!({ "id": self.number.to_string(), "type": kind, "data": data }).to_string();
        let (webhook, now) = (read(webhook.as_bytes()).unwrap(), self.bench.clock.now());
        let received = self.bench.store.edit(|tx| webhooks::receive(tx, &webhook, &policy(), now)).unwrap();
        assert_ne!(received, Intake::Repeated);
        self.known().status
    }

    fn state(&mut self, state: &str, seconds: i64) -> IntegrationStatus {
        let updated_at = self.time(seconds);
        self.hear("integration-state-changed", json!({ "state": state, "updated_at": updated_at }))
    }

    fn known(&self) -> IntegrationRecord {
        self.bench.store.look(|tx| tx.integration(&id())).unwrap().unwrap()
    }
}

#[test]
fn an_older_state_changes_nothing() {
    let mut heard = Heard::new();
    assert_eq!(heard.state("ACTIVE", 0), IntegrationStatus::Active);
    assert_eq!(heard.state("INVALID", -3_600), IntegrationStatus::Active);
    heard.bench.clock.advance(Duration::from_secs(60));
    assert_eq!(heard.state("INVALID", 0), IntegrationStatus::Paused);
    assert_eq!(heard.state("ACTIVE", -30), IntegrationStatus::Paused);
    // The same moment: whichever comes last.
    assert_eq!(heard.state("ACTIVE", 0), IntegrationStatus::Active);
    // Without a time there is no order.
    assert_eq!(heard.hear("integration-state-changed", json!({ "state": "INVALID" })), IntegrationStatus::Paused);
    assert_eq!(heard.state("ACTIVE", -30), IntegrationStatus::Paused);
}

#[test]
fn a_time_in_the_future_freezes_nothing() {
    let mut heard = Heard::new();
    assert_eq!(heard.state("INVALID", 40 * 86_400), IntegrationStatus::Paused);
    heard.bench.clock.advance(Duration::from_secs(1));
    assert_eq!(heard.state("ACTIVE", 0), IntegrationStatus::Active);
    // One that was stored with a clock that was ahead.
    let ahead = IntegrationRecord { state_updated_at: Some(heard.time(86_400)), ..heard.known() };
    heard.bench.store.edit(|tx| tx.put_integration(&ahead)).unwrap();
    assert_eq!(heard.state("INVALID", 0), IntegrationStatus::Paused);
    heard.bench.clock.advance(Duration::from_secs(1));
    assert_eq!(heard.state("ACTIVE", 0), IntegrationStatus::Active);
}

#[test]
fn a_late_creation_ends_no_pause() {
    let mut heard = Heard::new();
    assert_eq!(heard.state("INVALID", 0), IntegrationStatus::Paused);
    assert_eq!(heard.hear("integration-created", json!({})), IntegrationStatus::Paused);
}

#[test]
fn a_deletion_that_is_told_again_deletes_nothing_again() {
    let mut heard = Heard::new();
    let deleted_at = heard.time(0);
    let deletion = || json!({ "deleted_at": deleted_at });
    assert_eq!(heard.hear("integration-deleted", deletion()), IntegrationStatus::Deleted);
    assert_eq!(heard.hear("integration-created", json!({})), IntegrationStatus::Deleted, "that was before");
    // Somebody registers it again.
    let again = IntegrationRecord { status: IntegrationStatus::Active, ..heard.known() };
    heard.bench.store.edit(|tx| tx.put_integration(&again)).unwrap();
    heard.bench.clock.advance(Duration::from_secs(60));
    assert_eq!(heard.hear("integration-deleted", deletion()), IntegrationStatus::Active);
    let later = heard.time(0);
    assert_eq!(heard.hear("integration-deleted", json!({ "deleted_at": later })), IntegrationStatus::Deleted);
}

fn models(webhook: &Webhook) -> Vec<String> {
    let WebhookEvent::DataChanged(data) = &webhook.event else { panic!("{webhook:?}") };
    assert_eq!(data.integration_id, id());
    data.changed_models.iter().map(|model| model.name.to_string()).collect()
}

fn changed(head: &str, data: &str) -> String {
    format!(
        r#"{{{head}"data":{{"integration_id":"{}","integration_tool":"sandbox","integration_category":"LMS",{data}}}}}"#,
        id()
    )
}

#[test]
fn an_id_that_cannot_be_a_key_becomes_a_digest() {
    let long = "x".repeat(1_000_000);
    let users = r#""changed_models":[{"name":"lms_users"}]"#;
    let mut names = Vec::new();
    for head in ["7", "null", "true", "[]", "{}", r#""""#, r#""a\u0000""#, r#""\ud800""#, &format!("{long:?}")] {
        let body = changed(&format!(r#""id":{head},"type":"data-changed","#), users);
        let webhook = read(body.as_bytes()).unwrap();
        assert_eq!(models(&webhook), ["lms_users"], "{head:.40}");
        assert!(webhook.id.as_str().starts_with("sha256:") && webhook.id.as_str().len() == 71, "{:?}", webhook.id);
        assert_eq!(read(body.as_bytes()).unwrap().id, webhook.id, "the same when it is delivered again");
        names.push(webhook.id);
    }
    names.push(read(changed(r#""type":"data-changed","#, users).as_bytes()).unwrap().id);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 10);
    assert_eq!(read(changed(r#""id":"a","type":"data-changed","#, users).as_bytes()).unwrap().id.as_str(), "a");
}

#[test]
fn what_can_be_read_of_changes_is_read() {
    let all = ["lms_unreadable"];
    for (list, expected) in [
        (r#"[{"name":"lms_users","count":7},{"name":"lms_of_tomorrow"}]"#, &["lms_users", "lms_of_tomorrow"][..]),
        (r#"["lms_users",{"name":"lms_courses"}]"#, &["lms_users", "lms_courses"]),
        (r#"[{"name":"lms_users"},null]"#, &["lms_users", "lms_unreadable"]),
        (r#"[{"model":"lms_users"}]"#, &all),
        (r#"[{"name":"\ud800"}]"#, &all),
        (r#"[{"name":"a\u0000"}]"#, &all),
        (r#"{"lms_users":1}"#, &all),
        ("null", &all),
        ("[]", &[]),
    ] {
        let body = changed(r#""id":"a","type":"data-changed","#, &format!(r#""changed_models":{list}"#));
        assert_eq!(models(&read(body.as_bytes()).unwrap()), expected, "{list}");
    }
    // Whatever the type is called.
    for kind in ["7", "null", r#""data-changed-v2""#, r#""DATA_CHANGED""#] {
        let body = changed(&format!(r#""id":"a","type":{kind},"#), r#""changed_models":[{"name":"lms_users"}]"#);
        assert_eq!(models(&read(body.as_bytes()).unwrap()), ["lms_users"], "{kind}");
    }
    let number = r#"{"id":"a","type":"data-changed","data":{"integration_id":7,"changed_models":[]}}"#;
    assert_eq!(
        read(number.as_bytes()).unwrap().event.integration_id().map(kombo_model::IntegrationId::as_str),
        Some("7")
    );
    let state =
        changed(r#""id":"a","type":"integration-state-changed","#, r#""state":"INVALID","updated_at":"yesterday""#);
    assert!(matches!(read(state.as_bytes()).unwrap().event, WebhookEvent::IntegrationStateChanged(_)));
    for body in ["", "{}", "[]", "7", r#"["a","data-changed",{}]"#, r#"{"data":7}"#] {
        assert_eq!(read(body.as_bytes()), None, "{body}");
    }
}

/// It leads to the fetch that it asks for.
#[test]
fn a_webhook_without_an_id_is_planned() {
    let heard = Heard::new();
    let body = changed(r#""type":"data-changed","#, r#""changed_models":[{"name":"lms_users"}]"#);
    let (webhook, now) = (read(body.as_bytes()).unwrap(), heard.bench.clock.now());
    let receive = || heard.bench.store.edit(|tx| webhooks::receive(tx, &webhook, &policy(), now)).unwrap();
    assert_eq!(receive(), Intake::Stored(vec![target(Endpoint::Users, SyncKind::Full)]));
    assert_eq!(receive(), Intake::Repeated);
}

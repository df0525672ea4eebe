//! Tests of webhooks in another order than Kombo sent them, and of malformed ones.

use std::time::Duration;

use kombo_model::{Category, Endpoint, Timestamp, Webhook, WebhookEvent};
use serde_json::{Value, json};
use sync_core::jobs::dispatch;
use sync_core::jobs::{IntegrationRecord, IntegrationStatus, SyncKind};
use sync_core::ports::Clock as _;
use sync_core::webhooks::{self, Received, read};
use sync_testkit::lms;

use crate::bench::{Bench, USUAL, id, target};
use crate::finish;
use crate::webhooks::policy;

struct Heard {
    bench: Bench,
    number: u32,
}

impl Heard {
    fn new() -> Self {
        let bench = Bench::new(&USUAL);
        let now = bench.clock.now();
        bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
        Self { bench, number: 0 }
    }

    /// Returns the time `seconds` from now.
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
        let (webhook, now) = (read(webhook.as_bytes()), self.bench.clock.now());
        let received = finish(webhooks::receive(&self.bench.store, &webhook, &policy(), now)).unwrap();
        assert_ne!(received, Received::Repeated);
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
    // The times are equal, so the later webhook counts.
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
    // The stored time comes from a clock that was ahead.
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
fn a_deletion_that_is_reported_again_deletes_nothing_again() {
    let mut heard = Heard::new();
    let deleted_at = heard.time(0);
    let deletion = || json!({ "deleted_at": deleted_at });
    assert_eq!(heard.hear("integration-deleted", deletion()), IntegrationStatus::Deleted);
    assert_eq!(heard.hear("integration-created", json!({})), IntegrationStatus::Deleted, "that was before");
    // The integration is registered again.
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
        let webhook = read(body.as_bytes());
        assert_eq!(models(&webhook), ["lms_users"], "{head:.40}");
        assert!(webhook.id.as_str().starts_with("sha256:") && webhook.id.as_str().len() == 71, "{:?}", webhook.id);
        assert_eq!(read(body.as_bytes()).id, webhook.id, "the same when it is delivered again");
        names.push(webhook.id);
    }
    names.push(read(changed(r#""type":"data-changed","#, users).as_bytes()).id);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 10);
    assert_eq!(read(changed(r#""id":"a","type":"data-changed","#, users).as_bytes()).id.as_str(), "a");
}

#[test]
fn what_can_be_read_of_changes_is_read() {
    let all = ["unreadable"];
    for (list, expected) in [
        (r#"[{"name":"lms_users","count":7},{"name":"lms_of_tomorrow"}]"#, &["lms_users", "lms_of_tomorrow"][..]),
        (r#"["lms_users",{"name":"lms_courses"}]"#, &["lms_users", "lms_courses"]),
        (r#"[{"name":"lms_users"},null]"#, &["lms_users", "unreadable"]),
        (r#"[{"model":"lms_users"}]"#, &all),
        (r#"[{"name":"\ud800"}]"#, &all),
        (r#"[{"name":"a\u0000"}]"#, &all),
        (r#"[{"name":" LMS_USERS "},{"name":"Lms_Courses"}]"#, &["lms_users", "lms_courses"]),
        (r#"[{"name":"lms_users"},{"name":"LMS_Users"}]"#, &["lms_users"]),
        (r#"[{"name":""},{"name":" "}]"#, &all),
        (r#"[{"name":"lms_courses","name":"lms_users"}]"#, &["lms_users"]),
        (r#"{"lms_users":1}"#, &all),
        ("null", &all),
        ("[]", &[]),
    ] {
        let body = changed(r#""id":"a","type":"data-changed","#, &format!(r#""changed_models":{list}"#));
        assert_eq!(models(&read(body.as_bytes())), expected, "{list}");
    }
    // The type does not matter.
    for kind in ["7", "null", r#""data-changed-v2""#, r#""DATA_CHANGED""#] {
        let body = changed(&format!(r#""id":"a","type":{kind},"#), r#""changed_models":[{"name":"lms_users"}]"#);
        assert_eq!(models(&read(body.as_bytes())), ["lms_users"], "{kind}");
    }
    let number = r#"{"id":"a","type":"data-changed","data":{"integration_id":7,"changed_models":[]}}"#;
    assert_eq!(read(number.as_bytes()).event.integration_id().map(kombo_model::IntegrationId::as_str), Some("7"));
    let state =
        changed(r#""id":"a","type":"integration-state-changed","#, r#""state":"INVALID","updated_at":"yesterday""#);
    assert!(matches!(read(state.as_bytes()).event, WebhookEvent::IntegrationStateChanged(_)));
}

/// A signed webhook comes from Kombo. It is not discarded because it is malformed.
#[test]
fn no_body_is_refused() {
    let users = r#""changed_models":[{"name":"lms_users"}]"#;
    let good = changed(r#""id":"a","type":"data-changed","#, users);
    let with = |from: &str, to: &str| good.replace(from, to).into_bytes();
    for body in [
        [b"\xef\xbb\xbf", good.as_bytes()].concat(),
        format!("{good}\r\n").into_bytes(),
        format!("{good}\0").into_bytes(),
        format!("{good} {{}}").into_bytes(),
        format!("{good}{good}").into_bytes(),
        with(r#""id":"a""#, r#""id":"b","id":"a""#),
        with(r#""type":"#, r#""type":"new","type":"#),
        with(r#""integration_tool":"sandbox","#, ""),
        with(r#""integration_tool":"sandbox""#, r#""integration_tool":null"#),
        with(r#""integration_tool":"sandbox""#, r#""integration_tool":["a"]"#),
        with(r#""integration_tool""#, r#""\ud800":1,"n":1e400,"integration_tool""#),
        with(r#""integration_category":"LMS""#, r#""integration_category":" lms""#),
        with(r#""data-changed""#, r#"" Data-Changed""#),
        with(r#""name":"#, "\"note\":\"a\nb\",\"name\":"),
        [good.replace(r#""sandbox""#, r#""A"#).as_bytes(), b"\xff\""].concat(),
    ] {
        // The last one ends in bytes that are not UTF-8.
        let is_whole = !body.ends_with(b"\xff\"");
        let webhook = read(&body);
        let shown = String::from_utf8_lossy(&body).into_owned();
        if is_whole {
            assert_eq!((webhook.id.as_str(), models(&webhook)), ("a", vec!["lms_users".to_owned()]), "{shown}");
            assert_eq!(webhook.event.category(), Some(&kombo_model::IntegrationCategory::Lms), "{shown}");
        } else {
            assert_eq!(webhook.event.kind(), "unreadable", "{shown}");
        }
    }
    let silent = read(&with(r#""integration_category":"LMS""#, r#""integration_category":null"#));
    assert_eq!(models(&silent), ["lms_users"]);
    assert_eq!(silent.event.category(), Some(&kombo_model::IntegrationCategory::from(String::new())));
    for body in ["", "{}", "[]", "7", "hello", r#"["a","data-changed",{}]"#, r#"{"data":7}"#, r#"{"id":"a","#] {
        let webhook = read(body.as_bytes());
        assert_eq!(webhook.event.kind(), "unreadable", "{body}");
        assert!(webhook.id.as_str().starts_with("sha256:"), "{body}");
        let heard = Heard::new();
        let now = heard.bench.clock.now();
        let received = finish(webhooks::receive(&heard.bench.store, &webhook, &policy(), now)).unwrap();
        assert_eq!(received, Received::Stored(Vec::new()), "{body}");
    }
}

/// An unknown category or model calls everything, if the integration is registered.
#[test]
fn what_cannot_be_understood_calls_everything() {
    let heard = Heard::new();
    let everything: Vec<_> = policy().plan.endpoints.iter().map(|endpoint| target(*endpoint, SyncKind::Full)).collect();
    for (number, (category, name, integration, expected)) in [
        ("LMS", "of_tomorrow", id().to_string(), &everything[..]),
        ("LMS", "LMS_OF_TOMORROW", id().to_string(), &everything),
        ("LMS", "users", id().to_string(), &everything),
        ("", "users", id().to_string(), &everything),
        ("LXP", "users", id().to_string(), &everything),
        ("LXP", "LMS_USERS", "lxp:new".to_owned(), &[]),
        ("LXP", "users", "lxp:other".to_owned(), &[]),
        ("hris", "lms_users", id().to_string(), &[target(Endpoint::LmsUsers, SyncKind::Full)]),
        ("assessment", "lms_users", id().to_string(), &[]),
        ("LMS", "HRIS_employees", id().to_string(), &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "id": number.to_string(), "type": "data-changed", "data": {
            "integration_id": integration, "integration_tool": "sandbox", "integration_category": category,
            "changed_models": [{ "name": name }] } });
        let webhook = read(body.to_string().as_bytes());
        let now = heard.bench.clock.now();
        let received = finish(webhooks::receive(&heard.bench.store, &webhook, &policy(), now)).unwrap();
        let Received::Stored(targets) = received else { panic!("{body}") };
        if integration == "lxp:new" {
            assert_eq!(targets.len(), 1, "{body}: a model of the mirror is named");
        } else {
            assert_eq!(targets, expected, "{body}");
        }
    }
}

/// The same for an integration of another category: all its endpoints are fetched, and no others.
#[test]
fn what_cannot_be_understood_calls_everything_of_the_category() {
    for models in ["7", "null", r#"{"all":true}"#, r#"[{"name":"of_tomorrow"}]"#, r#"[{"name":"hris_of_tomorrow"}]"#] {
        let bench = Bench::new(&[]);
        let (now, category) = (bench.clock.now(), Some(Category::Hris));
        bench.store.edit(|tx| dispatch::register(tx, &[(id(), category)].into(), now)).unwrap();
        let mut policy = policy();
        policy.plan.endpoints.extend(Endpoint::HRIS);
        let body = format!(
            r#"{{"id":"a","type":"data-changed","data":{{"integration_id":"{}","integration_tool":"tool",
                "integration_category":"HRIS","changed_models":{models}}}}}"#,
            id()
        );
        let received = finish(webhooks::receive(&bench.store, &read(body.as_bytes()), &policy, now)).unwrap();
        let everything = Endpoint::HRIS.map(|endpoint| target(endpoint, SyncKind::Full));
        assert_eq!(received, Received::Stored(everything.to_vec()), "{models}");
    }
}

/// The fetch is requested even without an id.
#[test]
fn a_webhook_without_an_id_is_planned() {
    let heard = Heard::new();
    let body = changed(r#""type":"data-changed","#, r#""changed_models":[{"name":"lms_users"}]"#);
    let (webhook, now) = (read(body.as_bytes()), heard.bench.clock.now());
    let receive = || finish(webhooks::receive(&heard.bench.store, &webhook, &policy(), now)).unwrap();
    assert_eq!(receive(), Received::Stored(vec![target(Endpoint::LmsUsers, SyncKind::Full)]));
    assert_eq!(receive(), Received::Repeated);
}

//! Webhooks as received.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use kombo_sandbox::{
    FIRST_INTEGRATION, Model, Mutation, Sandbox, SandboxConfig, Webhook, WebhookConfig, WebhookMode, sign,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Mutex};

use crate::client::{get, start};

type Inbox = Arc<Mutex<Vec<(String, Bytes)>>>;

async fn receiver() -> (String, Inbox) {
    let inbox = Inbox::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/kombo", listener.local_addr().unwrap());
    let kept = Arc::clone(&inbox);
    let receive = async move |headers: HeaderMap, body: Bytes| {
        let signature = headers["x-kombo-signature"].to_str().unwrap().to_owned();
        kept.lock().await.push((signature, body));
        StatusCode::NO_CONTENT
    };
    let app = Router::new().route("/webhooks/kombo", post(receive));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, inbox)
}

async fn sandbox(data_changed: WebhookMode) -> (Sandbox, Inbox) {
    let (url, inbox) = receiver().await;
    let webhooks = WebhookConfig { targets: vec![url], data_changed, ..WebhookConfig::default() };
    (start(SandboxConfig { webhooks, ..SandboxConfig::default() }).await, inbox)
}

async fn rename_a_user(sandbox: &Sandbox) {
    let user = get(sandbox, "/lms/users").await.ids()[0].parse().unwrap();
    sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", "Ada")).unwrap();
}

#[tokio::test]
async fn all_six_arrive_signed() {
    let (sandbox, inbox) = sandbox(WebhookMode::Manual).await;
    let webhooks = [
        Webhook::DataChanged { changed_models: BTreeSet::from([Model::Users, Model::Courses]) },
        Webhook::SyncFinished { sync_state: "SUCCEEDED".to_owned() },
        Webhook::IntegrationCreated,
        Webhook::IntegrationDeleted,
        Webhook::IntegrationStateChanged,
        Webhook::ConnectionFlowFailed,
    ];
    for webhook in &webhooks {
        sandbox.send_webhook(FIRST_INTEGRATION, webhook).unwrap();
        sandbox.webhooks_settled().await;
    }
    let inbox = inbox.lock().await;
    assert_eq!(inbox.len(), 6);
    for ((signature, body), webhook) in inbox.iter().zip(&webhooks) {
        assert_eq!(signature, &sign("sandbox-secret", body));
        assert_eq!(signature.len(), 43);
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["type"], webhook.type_name());
    }
    assert!(sandbox.deliveries().iter().all(|it| it.status == Some(204)));
}

#[tokio::test]
async fn changes_are_reported_once_and_together() {
    let (sandbox, inbox) = sandbox(WebhookMode::Auto { debounce_ms: 1 }).await;
    rename_a_user(&sandbox).await;
    sandbox.webhooks_settled().await;
    let body: Value = serde_json::from_slice(&inbox.lock().await[0].1).unwrap();
    assert_eq!(body["data"]["changed_models"], serde_json::json!([{ "name": "lms_users" }]));
    assert_eq!(body["data"]["integration_id"], FIRST_INTEGRATION);
    assert!(!sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
}

#[tokio::test]
async fn on_demand_they_wait_and_switched_off_they_are_forgotten() {
    let (sandbox, inbox) = sandbox(WebhookMode::Manual).await;
    rename_a_user(&sandbox).await;
    sandbox.webhooks_settled().await;
    assert!(inbox.lock().await.is_empty());
    assert!(sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
    sandbox.configure_webhooks(|it| it.data_changed = WebhookMode::Off);
    rename_a_user(&sandbox).await;
    assert!(!sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
}

#[tokio::test]
async fn they_are_doubled_lost_and_refused_as_ordered() {
    let (sandbox, inbox) = sandbox(WebhookMode::Manual).await;
    sandbox.configure_webhooks(|it| {
        it.duplicates = 1;
        it.lose_next = 1;
    });
    sandbox.send_webhook(FIRST_INTEGRATION, &Webhook::IntegrationCreated).unwrap();
    sandbox.send_webhook(FIRST_INTEGRATION, &Webhook::IntegrationDeleted).unwrap();
    sandbox.webhooks_settled().await;
    let inbox = inbox.lock().await;
    assert_eq!(inbox.len(), 2);
    assert_eq!(inbox[0], inbox[1]);
    assert_eq!(sandbox.deliveries()[0].error.as_deref(), Some("lost as ordered"));
    sandbox
        .configure_webhooks(|it| it.targets = vec!["http://127.0.0.1:1/".to_owned(), "https://127.0.0.1/".to_owned()]);
    sandbox.send_webhook(FIRST_INTEGRATION, &Webhook::IntegrationCreated).unwrap();
    sandbox.webhooks_settled().await;
    let failed = sandbox.deliveries();
    assert_eq!(failed.iter().filter(|it| it.status.is_none() && it.target.is_some()).count(), 4);
}

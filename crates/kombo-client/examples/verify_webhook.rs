//! Verifies Kombo's webhooks in an axum handler. A sandbox sends two: a genuine one, and one signed with another
//! secret.
//!
//! ```text
//! lms_users changed at sandbox:7C9M5sXAQx2cNMpVHLojrFpL: go and look
//! answered with 200
//! refused: the signature belongs to another body or another secret
//! answered with 401
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use kombo_client::webhook::{SIGNATURE_HEADER, WebhookSecrets};
use kombo_model::{Webhook, WebhookEvent};
use kombo_sandbox::{FIRST_INTEGRATION, Model, Mutation, Sandbox, SandboxConfig, WebhookConfig};
use tokio::net::TcpListener;

/// Verifies the bytes as received, then parses them. Kombo waits for the answer, so do slow work elsewhere.
async fn receive(State(secrets): State<WebhookSecrets>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get(SIGNATURE_HEADER).map(HeaderValue::as_bytes);
    if let Err(error) = secrets.verify(&body, signature) {
        println!("refused: {error}");
        return StatusCode::UNAUTHORIZED;
    }
    match serde_json::from_slice::<Webhook>(&body).map(|webhook| webhook.event) {
        Ok(WebhookEvent::DataChanged(data)) => {
            for model in &data.changed_models {
                println!("{} changed at {}: go and look", model.name, data.integration_id);
            }
        }
        Ok(other) => println!("{}", other.kind()),
        // Signed but not understood, perhaps from a newer Kombo. Another delivery would not help.
        Err(error) => println!("not understood: {error}"),
    }
    StatusCode::OK
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Two secrets, during a change of the secret.
    let secrets = WebhookSecrets::new(["sandbox-secret".into(), "the-next-one".into()])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("http://{}/webhooks/kombo", listener.local_addr()?);
    let app = Router::new().route("/webhooks/kombo", post(receive)).with_state(secrets);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let webhooks = WebhookConfig { targets: vec![target], ..WebhookConfig::default() };
    let sandbox = Sandbox::start(SandboxConfig { webhooks, ..SandboxConfig::default() }).await?;
    for secret in ["sandbox-secret", "a-guess"] {
        sandbox.configure_webhooks(|config| secret.clone_into(&mut config.secret));
        let user = *sandbox.ids(FIRST_INTEGRATION, Model::Users)?.first().ok_or("the sandbox has no user")?;
        sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", secret))?;
        sandbox.send_data_changed(FIRST_INTEGRATION)?;
        sandbox.webhooks_settled().await;
        let status = sandbox.deliveries().last().and_then(|delivery| delivery.status).ok_or("nothing arrived")?;
        println!("answered with {status}");
    }
    Ok(())
}

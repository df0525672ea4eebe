//! Requests to the sandbox over its socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use kombo_sandbox::{FIRST_INTEGRATION, Sandbox};
use serde_json::Value;
use tokio::net::TcpStream;

/// A request to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) key: &'a str,
    pub(super) integration: Option<&'a str>,
    pub(super) body: Option<&'a Value>,
}

impl<'a> Ask<'a> {
    /// Creates a GET with the correct key for the first integration.
    pub(super) const fn get(path: &'a str) -> Self {
        Self { method: "GET", path, key: "sandbox-key", integration: Some(FIRST_INTEGRATION), body: None }
    }

    /// Creates a request with another method and a body.
    pub(super) const fn with_body(method: &'a str, path: &'a str, body: &'a Value) -> Self {
        Self { method, body: Some(body), ..Self::get(path) }
    }
}

/// Returns the status and body of the answer.
pub(super) async fn ask(sandbox: &Sandbox, ask: Ask<'_>) -> Result<(u16, Value), Box<dyn std::error::Error>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(sandbox.address()).await?)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(ask.method)
        .uri(format!("/v1{}", ask.path))
        .header("Host", "sandbox")
        .header("Authorization", format!("Bearer {}", ask.key));
    if let Some(integration) = ask.integration {
        request = request.header("X-Integration-Id", integration);
    }
    let body = ask.body.map_or_else(Bytes::new, |it| Bytes::from(it.to_string()));
    if ask.body.is_some() {
        request = request.header("Content-Type", "application/json");
    }
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&body)?))
}

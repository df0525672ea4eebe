//! Asking the sandbox over its socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use kombo_sandbox::{FIRST_INTEGRATION, Sandbox};
use serde_json::Value;
use tokio::net::TcpStream;

/// A GET as it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Get<'a> {
    pub(super) path: &'a str,
    pub(super) key: &'a str,
    pub(super) integration: Option<&'a str>,
}

impl<'a> Get<'a> {
    /// With the right key, of the first integration.
    pub(super) const fn new(path: &'a str) -> Self {
        Self { path, key: "sandbox-key", integration: Some(FIRST_INTEGRATION) }
    }
}

/// The status and the body of the answer.
pub(super) async fn get(sandbox: &Sandbox, get: Get<'_>) -> Result<(u16, Value), Box<dyn std::error::Error>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(sandbox.address()).await?)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::get(format!("/v1{}", get.path))
        .header("Host", "sandbox")
        .header("Authorization", format!("Bearer {}", get.key));
    if let Some(integration) = get.integration {
        request = request.header("X-Integration-Id", integration);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&body)?))
}

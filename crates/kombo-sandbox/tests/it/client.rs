//! A minimal client that shows everything: status, headers, and truncated bodies.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use kombo_sandbox::{FIRST_INTEGRATION, Sandbox, SandboxConfig};
use serde_json::Value;
use tokio::net::TcpStream;

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn code(&self) -> Value {
        self.json()["error"]["code"].clone()
    }

    pub fn results(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.json()["data"]["results"].as_array().unwrap().clone()
    }

    pub fn next(&self) -> Option<String> {
        self.json()["data"]["next"].as_str().map(str::to_owned)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    pub fn ids(&self) -> Vec<String> {
        self.results().iter().map(id_of).collect()
    }
}

pub fn id_of(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

pub async fn start(config: SandboxConfig) -> Sandbox {
    Sandbox::start(config).await.unwrap()
}

/// Sends a request with the given headers; an error if the connection breaks.
pub async fn send(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "sandbox");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// Sends a GET with the correct key for the first integration.
pub async fn try_get(sandbox: &Sandbox, path: &str) -> Result<Answer, hyper::Error> {
    let headers = [("authorization", "Bearer sandbox-key"), ("x-integration-id", FIRST_INTEGRATION)];
    send(sandbox, "GET", &format!("/v1{path}"), &headers, "").await
}

/// Like [`try_get`], but fails the test without an answer.
pub async fn get(sandbox: &Sandbox, path: &str) -> Answer {
    try_get(sandbox, path).await.unwrap()
}

/// Returns all rows of a listing and the number of pages. `path` has a query.
pub async fn all(sandbox: &Sandbox, path: &str) -> (Vec<Value>, usize) {
    let (mut rows, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let page = match &next {
            None => get(sandbox, path).await,
            Some(cursor) => get(sandbox, &format!("{path}&cursor={cursor}")).await,
        };
        rows.extend(page.results());
        pages += 1;
        next = page.next();
        assert!(pages < 1000, "{path} never ends");
        if next.is_none() {
            return (rows, pages);
        }
    }
}

/// Returns the ids of all rows of a listing.
pub async fn all_ids(sandbox: &Sandbox, path: &str) -> Vec<String> {
    all(sandbox, path).await.0.iter().map(id_of).collect()
}

//! Sends one webhook over plain HTTP.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// POSTs `body` and returns the status of the answer, or the reason if there is none.
pub(crate) async fn deliver(target: &str, signature: &str, body: String) -> Result<u16, String> {
    let sent = tokio::time::timeout(PATIENCE, post(target, signature, body)).await;
    sent.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn post(target: &str, signature: &str, body: String) -> Result<u16, String> {
    let uri: Uri = target.parse().map_err(|it| format!("{it}"))?;
    if uri.scheme_str() != Some("http") {
        return Err("only http:// targets are supported".to_owned());
    }
    let host = uri.host().ok_or("no host")?;
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare_host, uri.port_u16().unwrap_or(80))).await.map_err(|it| it.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|it| it.to_string())?;
    let request = Request::post(uri.path_and_query().map_or("/", |it| it.as_str()))
        .header(header::HOST, uri.authority().map_or(host, |it| it.as_str()))
        .header(header::CONTENT_TYPE, "application/json")
        .header("X-Kombo-Signature", signature)
        .body(Full::new(Bytes::from(body)))
        .map_err(|it| it.to_string())?;
    let answer = async { sender.send_request(request).await.map(|it| it.status().as_u16()) };
    let connection = async {
        // Its result does not matter: either the answer has arrived or sending fails.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer.map_err(|it| it.to_string()),
        () = connection => Err("connection closed".to_owned()),
    }
}

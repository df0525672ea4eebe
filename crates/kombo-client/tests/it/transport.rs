use std::time::{Duration, Instant};

use kombo_client::{BuildError, Client, Error, ErrorKind, Region, RetryPolicy, TransportFault};
use tokio::net::TcpListener;

use crate::server::{Reply, Server};
use crate::{KEY, builder, client};

fn fault(error: &Error) -> Option<TransportFault> {
    if let Error::Transport { fault, .. } = error { Some(*fault) } else { None }
}

async fn fault_of(reply: Reply) -> Option<TransportFault> {
    fault_within(Duration::from_secs(60), reply).await
}

async fn fault_within(timeout: Duration, reply: Reply) -> Option<TransportFault> {
    let server = Server::start([reply]).await;
    let client = builder(&server).retry(RetryPolicy::NEVER).timeout(timeout).build().unwrap();
    fault(&client.check_api_key().await.unwrap_err())
}

async fn fault_at(base_url: &str) -> Option<TransportFault> {
    let client = Client::builder(KEY).base_url(base_url).retry(RetryPolicy::NEVER).build().unwrap();
    fault(&client.check_api_key().await.unwrap_err())
}

#[tokio::test]
async fn faults_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(fault_at(&format!("http://{closed}")).await, Some(TransportFault::Connect));
    // This label of a host name is too long, so the resolver rejects it without a query.
    assert_eq!(fault_at(&format!("http://{}.invalid", "a".repeat(70))).await, Some(TransportFault::Dns));
    assert_eq!(fault_of(Reply::Drop).await, Some(TransportFault::Dropped));
    assert_eq!(fault_within(Duration::from_millis(50), Reply::Hang).await, Some(TransportFault::Timeout));
    assert_eq!(fault_of(Reply::ok("")).await, Some(TransportFault::Incomplete));
    assert_eq!(fault_of(Reply::raw(200, &[("content-length", "9")], "{")).await, Some(TransportFault::Incomplete));
}

#[tokio::test]
async fn a_server_without_tls_is_not_asked_again() {
    let server = Server::start([]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let client = match builder(&server).base_url(format!("https://{address}/v1")).build() {
        Ok(client) => client,
        // Without certificates, TLS is impossible, and building the client fails.
        Err(error) => return assert!(matches!(error, BuildError::Http(_)), "{error}"),
    };
    let error = client.check_api_key().await.unwrap_err();
    assert_eq!((fault(&error), error.attempts()), (Some(TransportFault::Tls), 1));
    assert_eq!(error.to_string(), format!("GET /check-api-key: could not agree on TLS with {address}"));
}

#[tokio::test]
async fn the_time_out_covers_a_dribbling_body() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\nconnection: close\r\n\r\n".to_vec();
    let server = Server::start([Reply::Dribble(head)]).await;
    let client = builder(&server).retry(RetryPolicy::NEVER).timeout(Duration::from_millis(200)).build().unwrap();
    let began = Instant::now();
    let error = client.check_api_key().await.unwrap_err();
    assert_eq!(fault(&error), Some(TransportFault::Timeout));
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_endless_error_body_counts_by_its_status() {
    let server = Server::start([Reply::new(401, &[], "x".repeat(1_000_000))]).await;
    assert_eq!(client(&server).check_api_key().await.unwrap_err().kind(), ErrorKind::KeyRejected);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::start([]).await;
    let location = format!("{}/check-api-key", other.base_url());
    let server = Server::start([Reply::new(307, &[("location", &location)], "")]).await;
    let error = client(&server).check_api_key().await.unwrap_err();
    assert!(matches!(&error, Error::Redirect { host: Some(host), .. } if &**host == "127.0.0.1"), "{error}");
    assert!(other.seen().is_empty());
}

#[test]
fn a_builder_says_what_is_wrong() {
    let error = |builder: kombo_client::ClientBuilder| builder.build().unwrap_err().to_string();
    let new = || Client::builder(KEY);
    assert_eq!(error(new().page_size(0)), "a page size of 0 is not between 1 and 250");
    assert_eq!(error(new().page_size(251)), "a page size of 251 is not between 1 and 250");
    assert_eq!(error(new().timeout(Duration::ZERO)), "the time-out is zero");
    assert_eq!(error(new().base_url("ftp://x")), "the base URL is wrong: the scheme is ftp, not http or https");
    assert!(error(new().user_agent("a\nb")).contains("user agent"));
    for key in ["", "with space", "line\n", "ü"] {
        assert!(error(Client::builder(key).base_url("http://h")).contains("API key"), "{key:?}");
    }
}

#[test]
fn regions_have_their_addresses() {
    assert_eq!(Region::default(), Region::Eu);
    assert_eq!(Region::Eu.base_url(), "https://api.kombo.dev/v1");
    assert_eq!(Region::Us.base_url(), "https://api.us.kombo.dev/v1");
}

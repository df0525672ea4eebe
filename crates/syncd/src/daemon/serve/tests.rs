#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, advance, timeout};

use super::*;

/// A client of a server that answers `GET /` and rejects bodies without reading them, in virtual time.
fn client(crowded: &Arc<Notify>) -> DuplexStream {
    let routes = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/refused", post(|| async { (StatusCode::PAYLOAD_TOO_LARGE, [("connection", "close")], "refused") }));
    let (client, server) = tokio::io::duplex(64 * 1024);
    let crowded = Arc::clone(crowded);
    tokio::spawn(async move { connection(server, routes, &CancellationToken::new(), &crowded).await });
    client
}

async fn ask(client: &mut DuplexStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"here") {
        let length = client.read(&mut part).await.unwrap();
        assert!(length > 0, "it hung up");
        answer.extend_from_slice(&part[..length]);
    }
}

/// Returns the time until the server closes the connection.
async fn until_closed(client: &mut DuplexStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(3_600), client.read_to_end(&mut rest)).await.unwrap().unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_outlives_a_balancers_idle_time() {
    let mut client = client(&Arc::default());
    for _ in 0..3 {
        ask(&mut client).await;
        advance(Duration::from_secs(125)).await;
    }
    ask(&mut client).await;
    let closed = until_closed(&mut client).await;
    assert!((140..160).contains(&closed.as_secs()), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_dribbles_in_is_not_waited_for() {
    for is_kept in [false, true] {
        let mut client = client(&Arc::default());
        if is_kept {
            ask(&mut client).await;
            advance(Duration::from_secs(100)).await;
        }
        let began = Instant::now();
        while client.write_all(b"G").await.is_ok() {
            advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert!(began.elapsed() < Duration::from_secs(30), "kept: {is_kept}");
        }
    }
    let mut silent = client(&Arc::default());
    assert_eq!(until_closed(&mut silent).await.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_goes_where_others_wait() {
    let crowded = Arc::new(Notify::new());
    let mut kept = client(&crowded);
    ask(&mut kept).await;
    tokio::task::yield_now().await;
    crowded.notify_one();
    assert_eq!(until_closed(&mut kept).await.as_secs(), 0);
}

/// The answer comes at once. The rest of the body is read within bounds.
#[tokio::test(start_paused = true)]
async fn a_refused_body_is_read_within_bounds() {
    let mut client = client(&Arc::default());
    client.write_all(b"POST /refused HTTP/1.1\r\nHost: here\r\nContent-Length: 8000000\r\n\r\n").await.unwrap();
    for _ in 0..80 {
        client.write_all(&vec![b'x'; 100_000]).await.unwrap();
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("refused"), "{answer}");

    let (mut endless, began) = (self::client(&Arc::default()), Instant::now());
    endless.write_all(b"POST /refused HTTP/1.1\r\nHost: here\r\nContent-Length: 8000000000\r\n\r\n").await.unwrap();
    while endless.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}

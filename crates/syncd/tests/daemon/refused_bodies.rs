//! Requests that are rejected before their end: the sender receives the answer, not a reset.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::deployment::{Daemon, Place, world_for};
use crate::http::connect;

const LENGTH: usize = 17 * 1024 * 1024;

/// Sends the whole request before reading anything, as simple clients do.
fn send_whole(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = connect(address).unwrap();
    stream.write_all(format!("{head}\r\nHost: localhost\r\n").as_bytes()).unwrap();
    stream.write_all(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    stream.write_all(body).unwrap_or_else(|error| panic!("{head}: {error}"));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{head}: {error} after {answer:?}"));
    answer
}

#[test]
fn a_sender_gets_the_answer() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let body = vec![b'x'; LENGTH];
    let post = "POST /webhooks/kombo HTTP/1.1\r\nConnection: close";
    let signed = format!("{post}\r\nX-Kombo-Signature: {}", "x".repeat(43));
    for (address, head, body, status) in [
        (place.webhooks, post, &body[..], 413),
        (place.webhooks, &signed, &body, 413),
        (place.webhooks, post, &body[..1_000_000], 401),
        (place.webhooks, &signed, &body[..1_000_000], 401),
        (place.webhooks, &signed, &body[..10_000_000], 401),
        (place.webhooks, "PUT /webhooks/kombo HTTP/1.1\r\nConnection: close", &body, 405),
        (place.webhooks, "POST /elsewhere HTTP/1.1\r\nConnection: close", &body, 404),
        (place.webhooks, "PO(ST /webhooks/kombo HTTP/1.1", &body, 400),
        (place.operations, "POST /metrics HTTP/1.1\r\nConnection: close", &body, 405),
        (place.operations, "POST /elsewhere HTTP/1.1\r\nConnection: close", &body, 404),
    ] {
        for _ in 0..5 {
            let answer = send_whole(address, head, body);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        }
    }
    daemon.stop();
}

/// A client that asks before it sends the body is rejected at once.
#[test]
fn a_body_that_would_be_refused_is_not_asked_for() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    for (headers, status) in [("Content-Length: 100", 401), ("Content-Length: 20000000", 413)] {
        let mut stream = connect(place.webhooks).unwrap();
        let head =
            format!("POST /webhooks/kombo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{headers}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    daemon.stop();
}

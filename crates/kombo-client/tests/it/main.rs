//! Tests the client against a scripted server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod classes;
mod encodings;
mod errors;
mod heavy_pages;
mod hooks;
mod meta;
mod objects;
mod odd_answers;
mod paging;
mod proxies;
mod records;
mod retrying;
mod sandbox;
mod secrets;
mod server;
mod transport;
mod writes;

use std::io::Write as _;
use std::time::Duration;

use kombo_client::{Client, ClientBuilder, RetryPolicy};
use kombo_model::IntegrationId;

use crate::server::Server;

const KEY: &str = "the-key-that-nobody-may-see";

/// Negligible pauses, and a budget that only a hanging test would exceed.
const QUICK: RetryPolicy = RetryPolicy {
    budget: Duration::from_secs(20),
    initial: Duration::from_millis(1),
    max_delay: Duration::from_millis(4),
};

fn integration() -> IntegrationId {
    IntegrationId::from("sandbox:7C9M5sXAQx2cNMpVHLojrFpL")
}

fn builder(server: &Server) -> ClientBuilder {
    Client::builder(KEY).base_url(server.base_url()).retry(QUICK)
}

fn client(server: &Server) -> Client {
    builder(server).build().unwrap()
}

/// Returns the body of a list page.
fn page(next: &str, results: &str) -> String {
    format!(r#"{{"status":"success","data":{{"next":{next},"results":{results}}}}}"#)
}

/// Compresses bytes into one gzip member.
fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Returns the body of an error with this code, given as JSON: `null` or a quoted text.
fn error_body(code: &str) -> String {
    format!(
        r#"{{"status":"error","error":{{"code":{code},"title":"A title","message":"What went wrong.","log_url":"https://app.kombo.dev/logs/1"}}}}"#
    )
}

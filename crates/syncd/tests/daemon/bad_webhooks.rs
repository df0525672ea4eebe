//! Invalid webhooks, and unusual but valid ones: tables of requests with the expected answers.

mod bodies;
mod requests;
mod signatures;

use std::collections::{BTreeMap, BTreeSet};

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig, sign};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, SECRET, data_changed, world_for};
use crate::http::{self, exchange, exchange_and_go};

on_both_databases!(each_request_gets_its_answer);

/// Request line of a webhook.
const LINE: &str = "POST /webhooks/kombo HTTP/1.1";
/// Maximum size of a body.
const LARGEST: usize = 16 * 1024 * 1024;
/// An older secret that Kombo may still use.
const OLDER_SECRET: &str = "older-secret-that-goes-soon";

/// The expected result of a request.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// Rejected with this status, with this text in the head or the body. Nothing is stored.
    Refused(u16, &'static str),
    /// Answered with 200. The event is stored, with this text about the action.
    Stored(&'static str),
    /// The connection is closed without an answer.
    HungUp,
}

/// A row of the tables.
struct Case {
    name: String,
    then: Then,
    request: Vec<u8>,
    /// Id of the event, if it should be stored.
    id: String,
    /// Whether the sender disconnects after the request.
    breaks_off: bool,
}

/// A valid webhook, from which cases take what they need.
struct Good {
    body: String,
    signature: String,
}

impl Good {
    /// Names no model, so that nothing happens after it is stored.
    fn new(id: &str) -> Self {
        Self::of(data_changed(id, FIRST_INTEGRATION, &[]))
    }

    fn of(body: String) -> Self {
        let signature = sign(SECRET, body.as_bytes());
        Self { body, signature }
    }

    fn signed(&self) -> String {
        format!("X-Kombo-Signature: {}", self.signature)
    }

    /// Builds the request with another request line.
    fn line(&self, line: &str) -> Vec<u8> {
        let length = format!("Content-Length: {}", self.body.len());
        raw(line, &[&length, &self.signed()], self.body.as_bytes())
    }

    /// Builds the request with an additional header.
    fn header(&self, header: &str) -> Vec<u8> {
        let length = format!("Content-Length: {}", self.body.len());
        raw(LINE, &[&length, &self.signed(), header], self.body.as_bytes())
    }

    /// Builds the request with these headers instead of the signature.
    fn signatures(&self, headers: &[&str]) -> Vec<u8> {
        let length = format!("Content-Length: {}", self.body.len());
        let headers: Vec<&str> = [length.as_str()].iter().chain(headers).copied().collect();
        raw(LINE, &headers, self.body.as_bytes())
    }

    /// Builds the request with these headers instead of the length.
    fn lengths(&self, headers: &[&str]) -> Vec<u8> {
        let signed = self.signed();
        let headers: Vec<&str> = [signed.as_str()].iter().chain(headers).copied().collect();
        raw(LINE, &headers, self.body.as_bytes())
    }

    /// Builds the request with this text as the chunked body.
    fn chunks(&self, chunks: &[u8]) -> Vec<u8> {
        raw(LINE, &[&self.signed(), "Transfer-Encoding: chunked"], chunks)
    }
}

/// Builds a request from a request line, headers and a body.
fn raw(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A case with a valid webhook, except for one change by `request`.
fn row(name: &str, then: Then, request: impl FnOnce(&Good) -> Vec<u8>) -> Case {
    Case { name: name.to_owned(), then, request: request(&Good::new(name)), id: name.to_owned(), breaks_off: false }
}

/// Like [`row`], but the sender disconnects before the request is complete.
fn broken_off(name: &str, then: Then, request: impl FnOnce(&Good) -> Vec<u8>) -> Case {
    Case { breaks_off: true, ..row(name, then, request) }
}

fn tables() -> Vec<Case> {
    let mut cases = requests::table();
    cases.extend(signatures::table());
    cases.extend(bodies::table());
    cases
}

/// The documentation states the number of cases.
#[test]
fn as_many_cases_as_documented() {
    let cases = tables();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "each row has a name of its own");
    assert!(cases.len() >= 150, "{}", cases.len());
    let documented = format!("{} requests", cases.len());
    let text = include_str!("../../../../docs/reliability.md");
    assert!(text.contains(&documented), "docs/reliability.md says how many there are: {documented}");
}

fn each_request_gets_its_answer(backend: Backend) {
    let place = Place::new();
    let mut world = world_for(backend, SandboxConfig::default(), place);
    world.set_toml("kombo.webhook_secret", &format!("[{OLDER_SECRET:?}, {SECRET:?}]"));
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let runs = world.database.query("SELECT count(*) || '' AS value FROM sync_runs");

    let mut wrong = Vec::new();
    let mut expected = BTreeMap::new();
    for case in tables() {
        let send = if case.breaks_off { exchange_and_go } else { exchange };
        let answer = send(place.webhooks, &case.request).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let as_it_should = match (case.then, &answer) {
            (Then::Refused(status, words), Some(answer)) => answer.status == status && answer.text.contains(words),
            (Then::Stored(_), Some(answer)) => answer.status == 200 && answer.text.ends_with("stored\n"),
            (Then::HungUp, None) => true,
            (Then::Refused(..) | Then::Stored(_), None) | (Then::HungUp, Some(_)) => false,
        };
        if !as_it_should {
            wrong.push(format!("{}: {:?}, not {answer:?}", case.name, case.then));
        }
        if let Then::Stored(result) = case.then {
            expected.insert(case.id, result.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));

    look.wait_until_settled(&world);
    let quoted = if backend == Backend::Sqlite { "json_quote(id)" } else { "to_json(id)::text" };
    let sql = format!("SELECT {quoted} || '|' || result AS value FROM sync_webhook_events");
    let lines = world.database.query(&sql);
    let stored: BTreeMap<String, String> = lines
        .iter()
        .map(|line| line.rsplit_once('|').unwrap())
        .map(|(id, result)| (serde_json::from_str(id).unwrap(), result.to_owned()))
        .collect();
    assert_eq!(stored, expected);
    assert_eq!(world.database.query("SELECT count(*) || '' AS value FROM sync_runs"), runs, "nothing was fetched");
    assert_eq!(world.database.query("SELECT id AS value FROM sync_integrations"), [FIRST_INTEGRATION]);
    assert_eq!(http::get(place.operations, "/healthz").unwrap().status, 200, "it lives");
    daemon.stop();
}

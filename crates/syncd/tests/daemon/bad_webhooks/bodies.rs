//! Bodies with a valid signature but unexpected content.

use kombo_sandbox::{FIRST_INTEGRATION, sign};

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Then::Stored;
use super::{Case, Good, LARGEST, LINE, SECRET, Then, raw};

/// Stored under a digest, as a webhook of the type `unreadable`.
const NO_WEBHOOK: Then = NEW_TYPE;
/// Stored with a type unknown to this version.
const NEW_TYPE: Then = Stored("recorded: of a type that this version does not know");
/// Stored as a change without known models. Everything would be fetched.
const RECORDED: Then = Stored("recorded");
const OTHER_CATEGORY: Then = Stored("ignored: of a category that is not mirrored");
const NO_INTEGRATION: Then = Stored("ignored: it names no integration");
const PLANNED: Then = Stored("planned");

/// A case with a body. `ID` stands for the case's name, and `INTEGRATION` for an existing integration.
fn row(name: &str, then: Then, body: impl AsRef<str>) -> Case {
    let body = body.as_ref().replace("INTEGRATION", FIRST_INTEGRATION).replace("ID", name);
    let readable = kombo_model::mend_json(body.trim_start_matches('\u{feff}'));
    let keys = serde_json::Deserializer::from_str(&readable).into_iter::<BTreeMap<String, &RawValue>>().next();
    let id = keys.and_then(Result::ok).and_then(|keys| serde_json::from_str::<String>(keys.get("id")?.get()).ok());
    let is_key = |id: &String| !id.is_empty() && id.len() <= 1_000 && !id.contains(['\0', '\u{fffd}']);
    let id = id.filter(is_key);
    let request = Good::of(body.clone()).line(LINE);
    Case { name: name.to_owned(), then, request, id: id.unwrap_or_else(|| digest(body.as_bytes())), breaks_off: false }
}

/// A case with bytes that contain no id.
fn bytes(name: &str, then: Then, body: &[u8]) -> Case {
    let headers = [format!("Content-Length: {}", body.len()), format!("X-Kombo-Signature: {}", sign(SECRET, body))];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let request = raw(LINE, &headers, body);
    Case { name: name.to_owned(), then, request, id: digest(body), breaks_off: false }
}

/// Replacement of an id that cannot be a key.
fn digest(body: &[u8]) -> String {
    let hex: Vec<String> = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}

/// A case with data of `data-changed`.
fn changed(name: &str, then: Then, data: &str) -> Case {
    row(name, then, format!(r#"{{"id":"ID","type":"data-changed","data":{data}}}"#))
}

/// A case with `data-changed` of an existing integration and these models.
fn models(name: &str, then: Then, models: &str) -> Case {
    changed(
        name,
        then,
        &format!(
            r#"{{"integration_id":"INTEGRATION","integration_tool":"sandbox","integration_category":"LMS","changed_models":{models}}}"#
        ),
    )
}

/// A case with data of another type.
fn event(name: &str, then: Then, kind: &str, data: &str) -> Case {
    row(name, then, format!(r#"{{"id":"ID","type":"{kind}","data":{data}}}"#))
}

pub(super) fn table() -> Vec<Case> {
    [no_json(), envelopes(), ids(), kinds(), changes(), other_events(), sizes()].into_iter().flatten().collect()
}

fn no_json() -> Vec<Case> {
    let utf16: Vec<u8> =
        r#"{"id":"utf-16","type":"new","data":{}}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        row("an empty body", NO_WEBHOOK, ""),
        row("spaces alone", NO_WEBHOOK, " \r\n\t "),
        row("a word", NO_WEBHOOK, "hello"),
        row("a form", NO_WEBHOOK, "id=1&type=data-changed"),
        row("HTML", NO_WEBHOOK, "<html><body>502</body></html>"),
        row("JSON that breaks off", NO_WEBHOOK, r#"{"id":"ID","type":"new","data":{"#),
        row("JSON with more behind it", NO_WEBHOOK, r#"{"id":"ID","type":"new","data":{}} {}"#),
        row("two webhooks in a body", NO_WEBHOOK, "{\"id\":\"ID\",\"type\":\"new\",\"data\":{}}\n{\"id\":\"b\"}"),
        row("a comma too many", NO_WEBHOOK, r#"{"id":"ID","type":"new","data":{},}"#),
        row("single quotes", NO_WEBHOOK, "{'id':'ID','type':'new','data':{}}"),
        row("a comment", NO_WEBHOOK, r#"{"id":"ID",/* odd */"type":"new","data":{}}"#),
        row("a number that is none", NO_WEBHOOK, r#"{"id":"ID","type":"new","data":NaN}"#),
        row("a raw line break in a text", NO_WEBHOOK, "{\"id\":\"ID\n\",\"type\":\"new\",\"data\":{}}"),
        row("half a pair of UTF-16 in the id", NEW_TYPE, r#"{"id":"\ud800","type":"new","data":{}}"#),
        row("a byte order mark", NEW_TYPE, "\u{feff}{\"id\":\"ID\",\"type\":\"new\",\"data\":{}}"),
        bytes("bytes that are not UTF-8", NO_WEBHOOK, b"{\"id\":\"\xff\xfe\",\"type\":\"new\",\"data\":{}}"),
        bytes("an overlong zero byte", NO_WEBHOOK, b"{\"id\":\"\xc0\x80\",\"type\":\"new\",\"data\":{}}"),
        bytes("UTF-16", NO_WEBHOOK, &utf16),
        bytes(
            "gzip",
            NO_WEBHOOK,
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
        ),
    ]
}

fn envelopes() -> Vec<Case> {
    let mut rows: Vec<Case> = ["null", "true", "7", "\"a\"", "[]", "{}"]
        .into_iter()
        .map(|json| row(&format!("the body {json}"), NO_WEBHOOK, json))
        .collect();
    rows.extend([
        row("other keys", NO_WEBHOOK, r#"{"event":"data-changed","payload":{}}"#),
        row("keys in capitals", NO_WEBHOOK, r#"{"ID":"ID","TYPE":"new","DATA":{}}"#),
        row("a webhook in an array", NO_WEBHOOK, r#"[{"id":"ID","type":"new","data":{}}]"#),
        row("a webhook in an envelope", NO_WEBHOOK, r#"{"webhook":{"id":"ID","type":"new","data":{}}}"#),
        row("a webhook as a list of its values", NO_WEBHOOK, r#"["ID","data-changed",7,7]"#),
        row("the id twice", NO_WEBHOOK, r#"{"id":"ID","id":"b","type":"new","data":{}}"#),
        row("the type twice", NO_WEBHOOK, r#"{"id":"ID","type":"new","type":"data-changed","data":{}}"#),
        row("the data twice", NO_WEBHOOK, r#"{"id":"ID","type":"new","data":{},"data":{}}"#),
        row("more keys than are known", NEW_TYPE, r#"{"id":"ID","type":"new","data":{},"extra":[1,{"a":null}]}"#),
        row("another order of keys", NEW_TYPE, r#"{"data":{},"type":"new","id":"ID"}"#),
        row("keys written with escapes", NEW_TYPE, r#"{"\u0069\u0064":"ID","type":"new","data":{}}"#),
    ]);
    rows
}

fn ids() -> Vec<Case> {
    let with = |name: &str, then: Then, id: &str| row(name, then, format!(r#"{{"id":{id},"type":"new","data":{{}}}}"#));
    let mut rows: Vec<Case> = ["null", "7", "true", "[]", "{}", "[\"a\"]"]
        .into_iter()
        .map(|id| with(&format!("the id {id}"), NEW_TYPE, id))
        .collect();
    rows.extend([
        row("no id", NEW_TYPE, r#"{"type":"new","data":{}}"#),
        row("no id where the data is odd", NEW_TYPE, r#"{"type":"data-changed","data":7}"#),
        with("an empty id", NEW_TYPE, r#""""#),
        row("an empty id where the data is odd", NEW_TYPE, r#"{"id":"","type":"data-changed","data":7}"#),
        with("an id that is a space", NEW_TYPE, r#"" ""#),
        with("an id with a line break", NEW_TYPE, r#""ID\nFORGED""#),
        with("an id with escapes for a terminal", NEW_TYPE, r#""ID\u001b[2J\u009b31m\u202e""#),
        with("an id with HTML", NEW_TYPE, r#""<script>alert('ID')</script>""#),
        with("an id with SQL", NEW_TYPE, r#""'; DROP TABLE sync_runs; -- ID""#),
        with("an id in another script", NEW_TYPE, r#""ID \u0438\u0434\u4e00\ud83d\ude00""#),
        with("an id with a zero byte", NEW_TYPE, r#""ID\u0000""#),
        with("an id with half a pair of UTF-16", NEW_TYPE, r#""ID\udfff""#),
    ]);
    rows
}

fn kinds() -> Vec<Case> {
    let with =
        |name: &str, then: Then, kind: &str| row(name, then, format!(r#"{{"id":"ID","type":{kind},"data":{{}}}}"#));
    let mut rows: Vec<Case> = ["null", "7", "false", "[]", "{}"]
        .into_iter()
        .map(|kind| with(&format!("the type {kind}"), NEW_TYPE, kind))
        .collect();
    rows.extend([
        row("no type", NEW_TYPE, r#"{"id":"ID","data":{}}"#),
        row("no data", NEW_TYPE, r#"{"id":"ID","type":"data-changed"}"#),
        with("an empty type", NEW_TYPE, r#""""#),
        with("a type with a line break", NEW_TYPE, r#""new\nFORGED""#),
        with("a type in capitals", NEW_TYPE, r#""DATA-CHANGED""#),
        with("a type with a space", NEW_TYPE, r#""data-changed ""#),
        with("a type of the next version", NEW_TYPE, r#""data-changed-v2""#),
        with("a type with a zero byte", NEW_TYPE, r#""new\u0000""#),
    ]);
    rows
}

fn changes() -> Vec<Case> {
    let mut rows: Vec<Case> = ["null", "7", "[]", "{}", "true"]
        .into_iter()
        .map(|data| changed(&format!("changes {data}"), NEW_TYPE, data))
        .collect();
    let category = |name: &str, then: Then, category: &str| {
        let data = format!(
            r#"{{"integration_id":"INTEGRATION","integration_tool":"sandbox","integration_category":{category},"changed_models":[]}}"#
        );
        changed(name, then, &data)
    };
    let integration = |name: &str, then: Then, id: &str| {
        let data = format!(
            r#"{{"integration_id":{id},"integration_tool":"sandbox","integration_category":"LMS","changed_models":[{{"name":"lms_users"}}]}}"#
        );
        changed(name, then, &data)
    };
    rows.extend([
        models("no models", PLANNED, "[]"),
        models("models of another category", PLANNED, r#"[{"name":"hris_employees"},{"name":"ATS_jobs"}]"#),
        models("50,000 names of models", PLANNED, &format!("[{}]", vec![r#"{"name":"hris_x"}"#; 50_000].join(","))),
        models("a model of another category with an odd key", PLANNED, r#"[{"name":"hris_employees","\u0000":1}]"#),
        models("a model with more keys", PLANNED, r#"[{"name":"hris_employees","count":7,"ids":["a"]}]"#),
        category("another category", OTHER_CATEGORY, r#""ASSESSMENT""#),
        category("an empty category", PLANNED, r#""""#),
        category("a category in small letters", PLANNED, r#""lms""#),
        category("a category of the next version", PLANNED, r#""LMS2\u0007""#),
        integration("an integration without a name", NO_INTEGRATION, r#""""#),
        integration("an integration named by spaces", NO_INTEGRATION, r#"" \t ""#),
        integration("an integration that is null", NEW_TYPE, "null"),
        integration("an integration that is a list", NEW_TYPE, "[7]"),
        integration("an integration that is an object", NEW_TYPE, r#"{"id":"INTEGRATION"}"#),
        integration("an integration with a zero byte", NEW_TYPE, r#""sandbox:\u0000""#),
        changed("an integration under another key", NEW_TYPE, r#"{"integration":"INTEGRATION"}"#),
        changed(
            "the integration twice",
            PLANNED,
            r#"{"integration_id":"sandbox:other","integration_id":"INTEGRATION","changed_models":[]}"#,
        ),
        changed(
            "changes of another category in an unknown shape",
            OTHER_CATEGORY,
            r#"{"integration_id":"INTEGRATION","integration_category":"ASSESSMENT","changed_models":{"all":true}}"#,
        ),
    ]);
    rows
}

fn other_events() -> Vec<Case> {
    let about = r#""integration_tool":"sandbox","integration_category":"LMS""#;
    let odd_state = "recorded: a state that this version does not know";
    let mut rows = Vec::new();
    for kind in [
        "sync-finished",
        "integration-created",
        "integration-deleted",
        "integration-state-changed",
        "connection-flow-failed",
    ] {
        for data in ["null", "[]", "{}"] {
            rows.push(event(&format!("{kind} with data {data}"), NEW_TYPE, kind, data));
        }
    }
    rows.extend([
        event(
            "a sync that began at no time",
            NEW_TYPE,
            "sync-finished",
            &format!(r#"{{"sync_id":"s","sync_state":"SUCCEEDED","sync_started_at":"yesterday","integration_id":"INTEGRATION",{about}}}"#),
        ),
        event(
            "a sync in an unknown state",
            RECORDED,
            "sync-finished",
            &format!(r#"{{"sync_id":"s","sync_state":"\u001b[2J","sync_started_at":"2026-01-01T00:00:00Z","integration_id":"INTEGRATION",{about}}}"#),
        ),
        event(
            "a sync of a negative duration",
            NEW_TYPE,
            "sync-finished",
            &format!(r#"{{"sync_id":"s","sync_state":"FAILED","sync_started_at":"2026-01-01T00:00:00Z","sync_duration_seconds":-1,"integration_id":"INTEGRATION",{about}}}"#),
        ),
        event("an integration created without a name", NO_INTEGRATION, "integration-created", r#"{"id":"","tool":"sandbox","category":"LMS"}"#),
        event("an integration of another category created", OTHER_CATEGORY, "integration-created", r#"{"id":"hris:a","tool":"sandbox","category":"ASSESSMENT"}"#),
        event("an integration deleted without a name", NO_INTEGRATION, "integration-deleted", r#"{"id":" ","tool":"sandbox","category":"LMS"}"#),
        event("an integration of another category deleted", OTHER_CATEGORY, "integration-deleted", r#"{"id":"INTEGRATION","tool":"sandbox","category":"ASSESSMENT"}"#),
        event(
            "an unknown state",
            Stored(odd_state),
            "integration-state-changed",
            &format!(r#"{{"integration_id":"INTEGRATION","state":"ASLEEP",{about}}}"#),
        ),
        event(
            "an empty state",
            Stored(odd_state),
            "integration-state-changed",
            &format!(r#"{{"integration_id":"INTEGRATION","state":"",{about}}}"#),
        ),
        event(
            "a state that is a number",
            NEW_TYPE,
            "integration-state-changed",
            &format!(r#"{{"integration_id":"INTEGRATION","state":0,{about}}}"#),
        ),
        event(
            "a connection that failed for a person in an odd shape",
            NEW_TYPE,
            "connection-flow-failed",
            &format!(r#"{{"end_user":"somebody",{about}}}"#),
        ),
    ]);
    rows
}

fn sizes() -> Vec<Case> {
    let with_data =
        |name: &str, then: Then, data: &str| row(name, then, format!(r#"{{"id":"ID","type":"new","data":{data}}}"#));
    let padded = |length: usize| {
        let empty = r#"{"id":"ID","type":"new","data":""}"#.replace("ID", "as much as is read").len();
        format!(r#"{{"id":"ID","type":"new","data":"{}"}}"#, "x".repeat(length - empty))
    };
    // All parts differ, so that no database can compress them.
    let incompressible = |length: usize| -> String {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(
                b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
                    [usize::try_from(state >> 58).unwrap()],
            )
        };
        (0..length).map(|_| next()).collect()
    };
    let long = incompressible(20_000);
    vec![
        row("as much as is read", NEW_TYPE, padded(LARGEST)),
        row("nested deeper than anybody reads", NO_WEBHOOK, "[".repeat(100_000)),
        row("objects nested deeper than anybody reads", NO_WEBHOOK, "{\"a\":".repeat(100_000)),
        with_data("data of 100 levels", NEW_TYPE, &format!("{}{}", "[".repeat(100), "]".repeat(100))),
        with_data("data of 100,000 levels", NEW_TYPE, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        with_data("a number beyond all numbers", NEW_TYPE, r#"{"a":1e999999,"b":-99999999999999999999999999}"#),
        with_data("a number of 100,000 digits", NEW_TYPE, &"9".repeat(100_000)),
        with_data("half a pair of UTF-16 in the data", NEW_TYPE, r#"{"a":"\ud800"}"#),
        with_data("a zero byte in the data", NEW_TYPE, r#"{"a":"\u0000"}"#),
        row("an id of 20,000 characters", NEW_TYPE, format!(r#"{{"id":"{long}","type":"new","data":{{}}}}"#)),
        row("a type of 20,000 characters", NEW_TYPE, format!(r#"{{"id":"ID","type":"{long}","data":{{}}}}"#)),
        changed(
            "an integration of 20,000 characters",
            NEW_TYPE,
            &format!(
                r#"{{"integration_id":"{long}","integration_tool":"sandbox","integration_category":"LMS","changed_models":[]}}"#
            ),
        ),
        models("a model of 20,000 characters", PLANNED, &format!(r#"[{{"name":"hris_{long}"}}]"#)),
    ]
}

//! Answers that no server should give: each is read, or is a short error of a known kind.

use kombo_client::{ErrorKind, RetryPolicy, UsersQuery};

use crate::server::{Reply, Server};
use crate::{KEY, builder, integration, page};

/// The expected outcome: the numbers of records and of rejected ones, or an error.
type Outcome = Result<(usize, usize), ErrorKind>;

async fn ask(name: &str, reply: Reply) -> Outcome {
    let server = Server::start([reply]).await;
    let client = builder(&server).retry(RetryPolicy::NEVER).build().unwrap();
    match client.users(&integration(), UsersQuery::default()).next_page().await {
        Ok(page) => page.map(|page| (page.records.len(), page.rejected.len())).ok_or(ErrorKind::Unexpected),
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 400 && !said.contains(KEY) && !said.contains('\n'), "{name}: {said}");
            Err(error.kind())
        }
    }
}

/// Returns a response with this unchecked head and this body.
fn raw(head: &str, body: &str) -> Reply {
    Reply::Bytes(format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n")).into_bytes())
}

#[tokio::test]
async fn heads_and_lengths() {
    let good = page("null", r#"[{"id":"a"}]"#);
    let length = good.len();
    let ok = format!("HTTP/1.1 200 OK\nconnection: close\ncontent-length: {length}");
    let early = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nlink: </a>\n\n".repeat(20);
    let chunked = "HTTP/1.1 200 OK\nconnection: close\ntransfer-encoding: chunked";
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n", body.len());
    let mut wrong = Vec::new();
    for (name, reply, outcome) in [
        ("good", raw(&ok, &good), Ok((1, 0))),
        ("HTTP/1.0", raw("HTTP/1.0 200 OK", &good), Ok((1, 0))),
        ("no reason", raw(&format!("HTTP/1.1 200\nconnection: close\ncontent-length: {length}"), &good), Ok((1, 0))),
        ("early answers", raw(&format!("{early}{ok}"), &good), Ok((1, 0))),
        ("a header of 64 KB", raw(&format!("{ok}\nx-trace: {}", "x".repeat(65_536)), &good), Ok((1, 0))),
        ("90 headers", raw(&format!("{ok}{}", "\nset-cookie: a=b".repeat(90)), &good), Ok((1, 0))),
        (
            "a header twice",
            raw(&format!("{ok}\ndate: a\ndate: b\nratelimit-reset: 1\nratelimit-reset: 2"), &good),
            Ok((1, 0)),
        ),
        (
            "headers of garbage",
            raw(
                &format!(
                    "{ok}\nratelimit-limit: \u{fffd}\nratelimit-remaining: -1\nratelimit-reset: 1e999\ndate: yesterday\nretry-after: never\ncontent-type: ;;;"
                ),
                &good,
            ),
            Ok((1, 0)),
        ),
        ("the same length twice", raw(&format!("{ok}\ncontent-length: {length}"), &good), Ok((1, 0))),
        ("two lengths", raw(&format!("{ok}\ncontent-length: 7"), &good), Err(ErrorKind::Transport)),
        ("too short a length", raw("HTTP/1.1 200 OK\ncontent-length: 20", &good), Err(ErrorKind::Transport)),
        ("too long a length", raw("HTTP/1.1 200 OK\ncontent-length: 9999", &good), Err(ErrorKind::Transport)),
        ("a length of garbage", raw("HTTP/1.1 200 OK\ncontent-length: many", &good), Err(ErrorKind::Transport)),
        ("a length below zero", raw("HTTP/1.1 200 OK\ncontent-length: -1", &good), Err(ErrorKind::Transport)),
        ("chunks", raw(chunked, &format!("{}0\r\n\r\n", chunk(&good))), Ok((1, 0))),
        ("chunks and trailers", raw(chunked, &format!("{}0\r\nx: y\r\n\r\n", chunk(&good))), Ok((1, 0))),
        ("no last chunk", raw(chunked, &chunk(&good)), Err(ErrorKind::Transport)),
        ("a chunk of garbage", raw(chunked, &format!("zz\r\n{good}")), Err(ErrorKind::Transport)),
        (
            "a chunk too long",
            raw(chunked, &format!("{}ffffffffffffffffff\r\n", chunk(&good))),
            Err(ErrorKind::Transport),
        ),
        ("nothing but a status", Reply::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec()), Err(ErrorKind::Transport)),
        ("an alert of TLS", Reply::Bytes(b"\x15\x03\x01\x00\x02\x02\x46".to_vec()), Err(ErrorKind::Transport)),
        (
            "206",
            raw("HTTP/1.1 206 Partial Content\nconnection: close\ncontent-range: bytes 0-9/99", &good[..10]),
            Err(ErrorKind::Transport),
        ),
        ("204", raw("HTTP/1.1 204 No Content\nconnection: close", ""), Err(ErrorKind::Transport)),
        ("205", raw("HTTP/1.1 205 Reset Content\nconnection: close\ncontent-length: 0", ""), Err(ErrorKind::Transport)),
        ("304", raw("HTTP/1.1 304 Not Modified\nconnection: close", ""), Err(ErrorKind::Unexpected)),
        (
            "a redirect to itself",
            raw("HTTP/1.1 302 Found\nlocation: /v1/lms/users\ncontent-length: 0", ""),
            Err(ErrorKind::Unexpected),
        ),
        ("a redirect to nowhere", raw("HTTP/1.1 301 Moved\ncontent-length: 0", ""), Err(ErrorKind::Unexpected)),
        (
            "a redirect of garbage",
            raw("HTTP/1.1 308 Moved\nlocation: http://[\ncontent-length: 0", ""),
            Err(ErrorKind::Unexpected),
        ),
    ] {
        let found = ask(name, reply).await;
        wrong.extend((found != outcome).then(|| format!("{name}: {found:?}, not {outcome:?}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn bodies() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let of = |record: &str| page("null", &format!("[{record}]"));
    let list = |results: &str| page("null", results);
    for (name, body, outcome) in [
        ("results null", list("null"), Err(ErrorKind::Decode)),
        ("results an object", list(r#"{"0":{"id":"a"}}"#), Err(ErrorKind::Decode)),
        ("results a text", list(r#""[]""#), Err(ErrorKind::Decode)),
        ("no results", r#"{"status":"success","data":{"next":null}}"#.to_owned(), Err(ErrorKind::Decode)),
        ("no data", r#"{"status":"success"}"#.to_owned(), Err(ErrorKind::Decode)),
        ("data null", r#"{"status":"success","data":null}"#.to_owned(), Err(ErrorKind::Decode)),
        ("no next", r#"{"status":"success","data":{"results":[]}}"#.to_owned(), Err(ErrorKind::Decode)),
        ("null", "null".to_owned(), Err(ErrorKind::Decode)),
        ("a number", "7".to_owned(), Err(ErrorKind::Decode)),
        ("two bodies", format!("{0}{0}", list("[]")), Err(ErrorKind::Decode)),
        ("a line for each", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n".to_owned(), Err(ErrorKind::Decode)),
        ("behind a guard", format!(")]}}'\n{}", list("[]")), Err(ErrorKind::Decode)),
        ("in a callback", format!("callback({});", list("[]")), Err(ErrorKind::Decode)),
        ("an error beside", r#"{"errors":[{"message":"no"}]}"#.to_owned(), Err(ErrorKind::Decode)),
        ("records null and scalar", list(r#"[null,7,"a",true,[],{},{"id":"a"}]"#), Ok((1, 6))),
        ("a record without id", of(r#"{"first_name":"Ada"}"#), Ok((0, 1))),
        ("an id of null", of(r#"{"id":null}"#), Ok((0, 1))),
        ("a key twice", of(r#"{"id":"a","first_name":"x","first_name":"y"}"#), Ok((1, 0))),
        ("an id twice", of(r#"{"id":"a","id":"b"}"#), Ok((1, 0))),
        ("NUL", of(r#"{"id":"a","first_name":"\u0000"}"#), Ok((1, 0))),
        ("NUL as it is", of("{\"id\":\"a\",\"first_name\":\"\0\"}"), Ok((1, 0))),
        ("200 levels", of(&format!(r#"{{"id":"a","custom_fields":{}}}"#, objects(200))), Ok((1, 0))),
        ("10,000 levels", of(&format!(r#"{{"id":"a","remote_data":{}}}"#, nested(10_000))), Ok((1, 0))),
        ("10,000 levels of nothing known", of(&format!(r#"{{"id":"a","new":{}}}"#, objects(10_000))), Ok((1, 0))),
        ("10,000 levels of a text", of(&format!(r#"{{"id":"a","last_name":{}}}"#, nested(10_000))), Ok((1, 1))),
        ("10,000 levels of a record", of(&nested(10_000)), Ok((0, 1))),
        ("10,000 levels of a page", nested(10_000), Err(ErrorKind::Decode)),
        ("10,000 levels beside", list("[]").replacen('{', &format!(r#"{{"meta":{},"#, objects(10_000)), 1), Ok((0, 0))),
        ("a status of another case", list("[]").replace("success", "SUCCESS"), Err(ErrorKind::Decode)),
        ("other keys", list("[]").replacen('{', r#"{"request_id":"x","warnings":[1],"#, 1), Ok((0, 0))),
        ("white space", format!("\r\n\t {} \n\n", list("[]")), Ok((0, 0))),
        ("a NUL behind", format!("{}\0", list("[]")), Err(ErrorKind::Decode)),
        (
            "a number of 100,000 digits",
            of(&format!(r#"{{"id":"a","custom_fields":{{"n":{}}}}}"#, "9".repeat(100_000))),
            Ok((1, 0)),
        ),
    ] {
        assert_eq!(ask(name, Reply::ok(body)).await, outcome, "{name}");
    }
}

//! Requests with invalid, unusual or too much HTTP.

use super::Then::{HungUp, Refused, Stored};
use super::{Case, LARGEST, LINE, broken_off, raw, row};

/// A webhook that names no model is stored, and there is nothing to fetch.
const DONE: super::Then = Stored("planned");
const NO_ROUTE: super::Then = Refused(404, "");
const NO_METHOD: super::Then = Refused(405, "allow: POST");
/// Rejected by the HTTP server, before any route.
const NO_HTTP: super::Then = Refused(400, "HTTP/1.1 400");
const TOO_LARGE: super::Then = Refused(413, "larger than 16 MiB");
const UNREADABLE: super::Then = Refused(400, "the body could not be read");
const UNSIGNED: super::Then = Refused(401, "the signature is missing or wrong");

pub(super) fn table() -> Vec<Case> {
    [methods(), targets(), versions(), headers(), lengths(), chunks()].into_iter().flatten().collect()
}

fn methods() -> Vec<Case> {
    let line = |method: &str| format!("{method} /webhooks/kombo HTTP/1.1");
    let mut rows: Vec<Case> = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "post"]
        .into_iter()
        .map(|method| row(&format!("method {method}"), NO_METHOD, |good| good.line(&line(method))))
        .collect();
    rows.push(row("a method that is no word", NO_HTTP, |good| good.line(&line("PO(ST"))));
    rows.push(row("no method", NO_HTTP, |good| good.line(" /webhooks/kombo HTTP/1.1")));
    rows.push(row("CONNECT to elsewhere", NO_ROUTE, |good| good.line("CONNECT elsewhere:443 HTTP/1.1")));
    rows
}

fn targets() -> Vec<Case> {
    let post = |target: &str| format!("POST {target} HTTP/1.1");
    let mut rows: Vec<Case> = [
        "/",
        "/webhooks",
        "/webhooks/",
        "/webhooks/kombo/",
        "//webhooks/kombo",
        "/webhooks//kombo",
        "/WEBHOOKS/KOMBO",
        "/webhooks/kombo%2F",
        "/webhooks/%6bombo",
        "/webhooks/kombo%00",
        "/webhooks/kombo;v=1",
        "/webhooks/../webhooks/kombo",
        "/webhooks/kombo/../../metrics",
        "/act",
        "/sign-in",
        "*",
    ]
    .into_iter()
    .map(|target| row(&format!("target {target}"), NO_ROUTE, |good| good.line(&post(target))))
    .collect();
    for path in ["/metrics", "/readyz", "/"] {
        let line = format!("GET {path} HTTP/1.1");
        rows.push(row(&format!("operations at {path}"), NO_ROUTE, |good| good.line(&line)));
    }
    rows.extend([
        row("a query", DONE, |good| good.line(&post("/webhooks/kombo?a=b&c=%FF"))),
        row("an absolute target", DONE, |good| good.line(&post("http://localhost/webhooks/kombo"))),
        row("a target of another host", DONE, |good| good.line(&post("http://elsewhere.example/webhooks/kombo"))),
        row("a target without a slash", NO_HTTP, |good| good.line(&post("webhooks/kombo"))),
        row("a space in the target", NO_HTTP, |good| good.line(&post("/webhooks /kombo"))),
        row("no target", NO_HTTP, |good| good.line("POST  HTTP/1.1")),
        row("a long target", NO_ROUTE, |good| good.line(&post(&format!("/{}", "x".repeat(10_000))))),
        row("a target that is too long", Refused(414, ""), |good| {
            good.line(&post(&format!("/{}", "x".repeat(70_000))))
        }),
    ]);
    rows
}

fn versions() -> Vec<Case> {
    let version = |version: &str| format!("POST /webhooks/kombo {version}");
    vec![
        row("HTTP/1.0", DONE, |good| good.line(&version("HTTP/1.0"))),
        row("HTTP/1.2", NO_HTTP, |good| good.line(&version("HTTP/1.2"))),
        row("HTTP/2.0 in text", NO_HTTP, |good| good.line(&version("HTTP/2.0"))),
        row("http/1.1 in small letters", NO_HTTP, |good| good.line(&version("http/1.1"))),
        row("no version", NO_HTTP, |good| good.line("POST /webhooks/kombo")),
        row("the preface of HTTP/2", HungUp, |_| b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        row("the beginning of TLS", NO_HTTP, |_| b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        row("no HTTP", NO_HTTP, |_| b"hello\r\n\r\n".to_vec()),
        row("zero bytes", NO_HTTP, |_| vec![0; 64]),
        broken_off("nothing", HungUp, |_| Vec::new()),
        broken_off("line ends alone", HungUp, |_| b"\r\n\r\n\r\n".to_vec()),
        broken_off("half a head", HungUp, |good| good.line(LINE)[..60].to_vec()),
        row("line ends before it", DONE, |good| [b"\r\n\r\n".to_vec(), good.line(LINE)].concat()),
    ]
}

fn headers() -> Vec<Case> {
    let many = |number: usize| {
        let mut lines: Vec<String> = (0..number).map(|number| format!("X-{number}: {number}")).collect();
        lines.push("X-Last: 1".to_owned());
        lines.join("\r\n")
    };
    vec![
        row("a header without a colon", NO_HTTP, |good| good.header("X-Odd")),
        row("a header without a name", NO_HTTP, |good| good.header(": odd")),
        row("a space in a header's name", NO_HTTP, |good| good.header("X Odd: 1")),
        row("a space before a header's colon", NO_HTTP, |good| good.header("X-Odd : 1")),
        row("a header in two lines", NO_HTTP, |good| good.header("X-Odd: 1\r\n 2")),
        row("a zero byte in a header", NO_HTTP, |good| good.header("X-Odd: a\0b")),
        row("an escape in a header", NO_HTTP, |good| good.header("X-Odd: \u{1b}[2J")),
        row("a lone CR in a header", NO_HTTP, |good| good.header("X-Odd: a\rb")),
        row("letters beyond ASCII in a header's name", NO_HTTP, |good| good.header("X-Ödd: 1")),
        row("letters beyond ASCII in a header", DONE, |good| good.header("X-Odd: öäü")),
        row("a large header", DONE, |good| good.header(&format!("X-Odd: {}", "x".repeat(20_000)))),
        row("a header that is too large", Refused(431, ""), |good| {
            good.header(&format!("X-Odd: {}", "x".repeat(600_000)))
        }),
        row("many headers", DONE, |good| good.header(&many(80))),
        row("too many headers", Refused(431, ""), |good| good.header(&many(100))),
        row("another media type", DONE, |good| good.header("Content-Type: text/html; charset=utf-16")),
        row("a media type that is none", DONE, |good| good.header("Content-Type: ;;;")),
        row("an encoding that it does not have", DONE, |good| good.header("Content-Encoding: gzip")),
        row("two hosts", DONE, |good| good.header("Host: elsewhere.example")),
        row("a client that waits to go on", DONE, |good| good.header("Expect: 100-continue")),
        row("a client that expects too much", DONE, |good| good.header("Expect: miracles")),
        row("another protocol wished for", DONE, |good| good.header("Upgrade: h2c")),
        row("a method to be overridden", DONE, |good| good.header("X-HTTP-Method-Override: DELETE")),
        row("a path to be overridden", DONE, |good| good.header("X-Original-URL: /act")),
        row("line ends without CR", DONE, |good| {
            String::from_utf8(good.line(LINE)).unwrap().replace("\r\n", "\n").into_bytes()
        }),
    ]
}

fn lengths() -> Vec<Case> {
    let of = |good: &super::Good| format!("Content-Length: {}", good.body.len());
    let mut rows: Vec<Case> = ["-1", "+1", "0x10", "1e3", "1.0", "ten", "", "99999999999999999999", "10, 11"]
        .into_iter()
        .map(|length| {
            let header = format!("Content-Length: {length}");
            row(&format!("length {length:?}"), NO_HTTP, |good| good.lengths(&[&header]))
        })
        .collect();
    rows.extend([
        row("one byte more than is read, and none sent", TOO_LARGE, |_| raw(LINE, &["Content-Length: 16777217"], b"")),
        row("a length beyond all memory", TOO_LARGE, |_| raw(LINE, &["Content-Length: 9223372036854775807"], b"")),
        row("one byte more than is read", TOO_LARGE, |_| super::Good::of("x".repeat(LARGEST + 1)).line(LINE)),
        row("the same length twice", DONE, |good| good.lengths(&[&of(good), &of(good)])),
        row("two lengths", NO_HTTP, |good| good.lengths(&[&of(good), "Content-Length: 5"])),
        row("no length", UNSIGNED, |good| good.lengths(&[])),
        row("a length of nothing", UNSIGNED, |good| good.lengths(&["Content-Length: 0"])),
        row("a length that is too short", UNSIGNED, |good| good.lengths(&["Content-Length: 20"])),
        broken_off("a body that ends too early", UNREADABLE, |good| good.lengths(&["Content-Length: 100000"])),
        row("a body and more", DONE, |good| [good.line(LINE), b"and more".to_vec()].concat()),
    ]);
    rows
}

/// Returns the body as one chunk, followed by `end`.
fn one_chunk(good: &super::Good, end: &str) -> Vec<u8> {
    format!("{:x}\r\n{}\r\n{end}", good.body.len(), good.body).into_bytes()
}

/// Returns a body in chunks of 64 KiB.
fn many_chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(65_536) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn chunks() -> Vec<Case> {
    let end = "0\r\n\r\n";
    let encoded = |encoding: &'static str| {
        move |good: &super::Good| {
            raw(LINE, &[&good.signed(), &format!("Transfer-Encoding: {encoding}")], &one_chunk(good, end))
        }
    };
    vec![
        row("in one chunk", DONE, |good| good.chunks(&one_chunk(good, end))),
        row("in chunks of a byte", DONE, |good| {
            let chunks: Vec<String> = good.body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
            good.chunks(format!("{}{end}", chunks.concat()).as_bytes())
        }),
        row("a chunk's length with zeros and capitals", DONE, |good| {
            let chunk = format!("0000{:X}\r\n{}\r\n{end}", good.body.len(), good.body);
            good.chunks(chunk.as_bytes())
        }),
        row("a chunk with an extension", DONE, |good| {
            let chunk = format!("{:x};name=value\r\n{}\r\n{end}", good.body.len(), good.body);
            good.chunks(chunk.as_bytes())
        }),
        row("headers after the chunks", DONE, |good| good.chunks(&one_chunk(good, "0\r\nX-Later: 1\r\n\r\n"))),
        row("no chunk", UNSIGNED, |good| good.chunks(end.as_bytes())),
        row("a chunk whose length is no number", UNREADABLE, |good| good.chunks(b"xyz\r\n{}\r\n0\r\n\r\n")),
        row("a chunk of a negative length", UNREADABLE, |good| good.chunks(b"-2\r\n{}\r\n0\r\n\r\n")),
        row("a chunk beyond all memory", UNREADABLE, |good| good.chunks(b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n")),
        row("a chunk longer than it says", UNREADABLE, |good| good.chunks(b"1\r\n{}\r\n0\r\n\r\n")),
        broken_off("a chunk that ends too early", UNREADABLE, |good| good.chunks(b"ff\r\n{}")),
        broken_off("chunks without an end", UNREADABLE, |good| good.chunks(&one_chunk(good, ""))),
        // The chunks count, according to RFC 9112. What follows them would need its own signature.
        row("chunks and a length", DONE, |good| {
            let length = format!("Content-Length: {}", good.body.len());
            raw(LINE, &[&good.signed(), &length, "Transfer-Encoding: chunked"], &one_chunk(good, end))
        }),
        row("an encoding that is not the last", NO_HTTP, encoded("chunked, identity")),
        row("an encoding that nobody knows", NO_HTTP, encoded("rot13")),
        row("chunks in HTTP/1.0", NO_HTTP, |good| {
            let headers = [good.signed(), "Transfer-Encoding: chunked".to_owned()];
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            raw("POST /webhooks/kombo HTTP/1.0", &headers, &one_chunk(good, end))
        }),
        row("one byte more than is read, in chunks", TOO_LARGE, |_| {
            let good = super::Good::of("x".repeat(LARGEST + 1));
            good.chunks(&many_chunks(good.body.as_bytes()))
        }),
        row("as much as is read, in chunks", DONE, |good| {
            let padded = format!("{}{}", good.body, " ".repeat(LARGEST - good.body.len()));
            let good = super::Good::of(padded);
            good.chunks(&many_chunks(good.body.as_bytes()))
        }),
    ]
}

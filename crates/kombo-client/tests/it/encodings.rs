//! Bodies in the encodings that servers and proxies use.

use kombo_client::{Error, Page, RetryPolicy, UsersQuery};
use kombo_model::User;

use crate::server::{Reply, Server};
use crate::{builder, gzip, integration, page};

async fn ask(reply: Reply) -> Result<Page<User>, Error> {
    ask_with(reply, 1 << 20).await
}

async fn ask_with(reply: Reply, limit: usize) -> Result<Page<User>, Error> {
    let server = Server::start([reply]).await;
    let client = builder(&server).retry(RetryPolicy::NEVER).max_body_bytes(limit).page_size(1).build().unwrap();
    let result = client.users(&integration(), UsersQuery::default()).next_page().await.map(Option::unwrap);
    // The client stops reading at its limit; sockets buffer the rest.
    assert!(server.sent() < 32 << 20, "{} bytes were taken", server.sent());
    result
}

fn user(name: &str) -> String {
    page("null", &format!(r#"[{{"id":"u","first_name":"{name}"}}]"#))
}

async fn name_in(reply: Reply) -> String {
    ask(reply).await.unwrap().records[0].first_name.clone().unwrap()
}

#[tokio::test]
async fn gzip_is_understood_under_each_of_its_names_and_in_several_members() {
    let body = user("Ada");
    let (head, tail) = body.split_at(30);
    let members = [gzip(head), gzip(tail)].concat();
    for (coding, bytes) in [
        ("gzip", gzip(&body)),
        ("GZIP", gzip(&body)),
        ("x-gzip", gzip(&body)),
        ("gzip", members.clone()),
        ("X-GZip", members),
        // The header is wrong, the body is not.
        ("identity", gzip(&body)),
        ("gzip", body.clone().into_bytes()),
        ("br", body.clone().into_bytes()),
    ] {
        assert_eq!(name_in(Reply::new(200, &[("content-encoding", coding)], bytes)).await, "Ada", "{coding}");
    }
    // In the smallest possible chunks.
    let pieces: Vec<u8> = gzip(&body).iter().flat_map(|byte| [b"1\r\n", &[*byte][..], b"\r\n"].concat()).collect();
    let chunked = Reply::raw(200, &[("transfer-encoding", "chunked")], [&pieces[..], b"0\r\n\r\n"].concat());
    assert_eq!(name_in(chunked).await, "Ada");
}

#[tokio::test]
async fn a_coding_that_is_not_understood_is_named() {
    for coding in ["br", "deflate", "zstd", "compress"] {
        let error = ask(Reply::new(200, &[("content-encoding", coding)], b"\x8b\x02\x80{\x03")).await.unwrap_err();
        assert!(error.to_string().contains(&format!("Content-Encoding is {coding}")), "{error}");
    }
}

#[tokio::test]
async fn text_is_read_in_what_it_is_written() {
    let json = |kind: &str, body: &[u8]| Reply::new(200, &[("content-type", kind)], body);
    assert_eq!(name_in(json("application/json", format!("\u{feff}{}", user("Ada")).as_bytes())).await, "Ada");
    assert_eq!(name_in(json("application/json; charset=UTF-8", user("Zoë").as_bytes())).await, "Zoë");
    let latin1: Vec<u8> = user("Zoë").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(name_in(json("application/json; charset=ISO-8859-1", &latin1)).await, "Zoë");
    // Invalid bytes affect only themselves.
    assert_eq!(name_in(json("application/json", &latin1)).await, "Zo\u{fffd}");
}

#[tokio::test]
async fn a_body_too_large_names_the_limit_and_is_not_read_to_its_end() {
    let body = user("Ada");
    let padded = format!("{body}{}", " ".repeat(2_000));
    ask_with(Reply::ok(&padded), padded.len()).await.unwrap();
    let limit = padded.len() - 1;
    // With a content length, chunked without end, until the connection closes, and compressed.
    let endless = Reply::Endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(), chunk());
    let unlimited = Reply::Endless(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b' '; 4_096]);
    let announced = Reply::Dribble(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n".to_vec());
    let bomb = Reply::new(200, &[("content-encoding", "gzip")], gzip(vec![b' '; 10_000_000]));
    let empty_members = Reply::Endless(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), gzip("").repeat(100));
    for (name, reply) in [
        ("plain", Reply::ok(&padded)),
        ("chunked", endless),
        ("until the end", unlimited),
        ("announced", announced),
        ("bomb", bomb),
        ("members of nothing", empty_members),
    ] {
        let error = ask_with(reply, limit).await.unwrap_err();
        assert!(matches!(error, Error::BodyTooLarge { .. }), "{name}: {error}");
        assert!(error.to_string().contains(&format!("more than {limit} bytes")), "{name}: {error}");
    }
}

/// Each member may be as short as 20 bytes.
#[tokio::test]
async fn any_number_of_gzip_members_takes_the_same_stack() {
    let members = [gzip("").repeat(10_000), gzip(user("Ada"))].concat();
    for body in [gzip(&members), members] {
        assert_eq!(name_in(Reply::new(200, &[("content-encoding", "gzip")], body)).await, "Ada");
    }
}

/// Tapes and block devices pad with zeros, and some proxies add a line break.
#[tokio::test]
async fn what_stands_behind_the_last_member_of_gzip_is_ignored() {
    let body = gzip(user("Ada"));
    for behind in [&b"\0"[..], &[0; 511], b"\n", b"\r\n", b"garbage", b"\x1f", b"\0\0\x1f\x8b\x08"] {
        let padded = [&body[..], behind].concat();
        assert_eq!(name_in(Reply::new(200, &[("content-encoding", "gzip")], &padded)).await, "Ada", "{behind:?}");
        let pieces: Vec<u8> = padded.iter().flat_map(|byte| [b"1\r\n", &[*byte][..], b"\r\n"].concat()).collect();
        let chunked = Reply::raw(200, &[("transfer-encoding", "chunked")], [&pieces[..], b"0\r\n\r\n"].concat());
        assert_eq!(name_in(chunked).await, "Ada", "{behind:?}");
    }
    // But a corrupt or truncated member is an error.
    let (head, tail) = (gzip(&user("Ada")[..30]), gzip(&user("Ada")[30..]));
    for broken in [[&head[..], &tail[..tail.len() - 1]].concat(), [&head[..], b"\x1f\x8bnot gzip"].concat()] {
        let error = ask(Reply::new(200, &[("content-encoding", "gzip")], broken)).await.unwrap_err();
        assert!(error.to_string().contains("incomplete answer"), "{error}");
    }
    // The bytes after the last member are limited, too.
    let endless = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &body[..]].concat();
    let error = ask(Reply::Endless(endless, vec![0; 4_096])).await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_body_compressed_twice_is_decompressed_twice() {
    let twice = gzip(gzip(user("Ada")));
    for coding in ["gzip, gzip", "gzip", "x-gzip,gzip", "identity, gzip, gzip"] {
        assert_eq!(name_in(Reply::new(200, &[("content-encoding", coding)], &twice)).await, "Ada", "{coding}");
    }
    let bomb = gzip(gzip(vec![b' '; 10_000_000]));
    let error = ask(Reply::new(200, &[("content-encoding", "gzip, gzip")], bomb)).await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge { .. }), "{error}");
    for coding in ["gzip, br", "br, gzip", "aws-chunked"] {
        let error = ask(Reply::new(200, &[("content-encoding", coding)], b"\x8b\x02\x80{\x03")).await.unwrap_err();
        let name = coding.replace("gzip, ", "").replace(", gzip", "");
        assert!(error.to_string().contains(&format!("Content-Encoding is {name},")), "{error}");
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_understood_is_named() {
    let body = user("Ada");
    let units: Vec<u16> = body.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let widest: Vec<u8> = body.chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    for (name, bytes) in [
        ("UTF-16", little.clone()),
        ("UTF-16", big.clone()),
        ("UTF-16", [b"\xff\xfe", &little[..]].concat()),
        ("UTF-16", [b"\xfe\xff", &big[..]].concat()),
        ("UTF-32", widest),
    ] {
        let error = ask(Reply::ok(&bytes)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("encoded as {name}")), "{error}");
        assert_eq!(error.kind(), kombo_client::ErrorKind::Decode);
    }
}

/// A small page can contain many records, and a record takes more memory than its bytes.
#[tokio::test]
async fn a_page_of_too_many_records_names_the_limit() {
    let of = |records: usize| Reply::ok(page("null", &format!("[{}]", vec![r#"{"id":"u"}"#; records].join(","))));
    assert_eq!(ask(of(10_000)).await.unwrap().records.len(), 10_000);
    let error = ask(of(10_001)).await.unwrap_err();
    assert!(matches!(error, Error::TooManyRecords { limit: 10_000, .. }), "{error}");
    assert!(error.to_string().contains("more than 10000 records"), "{error}");
    let unreadable = Reply::ok(page("null", &format!("[{}]", vec!["7"; 10_001].join(","))));
    assert!(matches!(ask(unreadable).await.unwrap_err(), Error::TooManyRecords { .. }));
}

fn chunk() -> Vec<u8> {
    [b"1000\r\n", &[b' '; 4_096][..], b"\r\n"].concat()
}

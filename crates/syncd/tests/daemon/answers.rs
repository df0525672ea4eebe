//! What a webhook is answered with, be it as it should or not.

use std::io::Write as _;
use std::time::{Duration, Instant};

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig, sign};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, SECRET, data_changed, post_webhook, world_for};
use crate::http::{self, connect, exchange, read_answer};
use crate::program::wait_until;

on_both_databases!(each_request_gets_its_answer, what_is_stored_says_what_was_done);

const PATH: &str = "/webhooks/kombo";
const LARGEST: usize = 1024 * 1024;

/// A request with a length, signed or not.
fn request(head: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{head} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A request in chunks of 64 KiB.
fn chunked(signature: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-Kombo-Signature: {signature}\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(65_536) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn each_request_gets_its_answer(backend: Backend) {
    let place = Place::new();
    let mut world = world_for(backend, SandboxConfig::default(), place);
    world.set_toml("kombo.webhook_secret", &format!("[\"older-secret-that-goes-soon\", {SECRET:?}]"));
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let runs = world.database.query("SELECT count(*) || '' AS value FROM sync_runs");

    let good = data_changed("good", FIRST_INTEGRATION, &[]);
    let post = format!("POST {PATH}");
    let signed = |body: &str| {
        let headers = format!("Connection: close\r\nX-Kombo-Signature: {}\r\n", sign(SECRET, body.as_bytes()));
        request(&post, &headers, body.as_bytes())
    };
    let with_signature = |signature: &str| {
        request(&post, &format!("Connection: close\r\nX-Kombo-Signature: {signature}\r\n"), good.as_bytes())
    };
    let right = sign(SECRET, good.as_bytes());
    let large = "x".repeat(LARGEST + 1);
    let just_fits = format!("\"{}\"", "x".repeat(LARGEST - 2));
    let cases: Vec<(&str, u16, Vec<u8>)> = vec![
        ("no signature", 401, request(&post, "Connection: close\r\n", good.as_bytes())),
        ("an empty signature", 401, with_signature("")),
        ("another signature", 401, with_signature(&sign("another secret", good.as_bytes()))),
        ("a short signature", 401, with_signature(&right[..42])),
        ("a long signature", 401, with_signature(&format!("{right}A"))),
        ("a padded signature", 401, with_signature(&format!("{right}="))),
        ("a signature that is no text", 401, with_signature("\u{fc}\u{fc}")),
        ("the signature of another body", 401, with_signature(&sign(SECRET, b"{}"))),
        ("no body", 401, request(&post, "Connection: close\r\n", b"")),
        ("not JSON", 400, signed("hello")),
        ("not UTF-8", 400, {
            let body = b"\xff\xfe{}";
            request(&post, &format!("Connection: close\r\nX-Kombo-Signature: {}\r\n", sign(SECRET, body)), body)
        }),
        ("JSON that is no object", 400, signed("[1, 2]")),
        ("an object that is no webhook", 400, signed("{\"hello\": \"world\"}")),
        ("a webhook without an id", 400, signed("{\"type\": \"data-changed\", \"data\": {}}")),
        ("a webhook with an empty id", 400, signed("{\"id\": \"\", \"type\": \"new-type\", \"data\": {}}")),
        ("JSON as deep as it gets", 400, signed(&"[".repeat(100_000))),
        ("too large with a length", 413, signed(&large)),
        ("too large in chunks", 413, chunked(&sign(SECRET, large.as_bytes()), large.as_bytes())),
        ("as large as may be", 400, signed(&just_fits)),
        ("as large as may be in chunks", 400, chunked(&sign(SECRET, just_fits.as_bytes()), just_fits.as_bytes())),
        ("GET", 405, request(&format!("GET {PATH}"), "Connection: close\r\n", b"")),
        ("PUT", 405, request(&format!("PUT {PATH}"), "Connection: close\r\n", good.as_bytes())),
        ("another path", 404, request("POST /webhooks", "Connection: close\r\n", good.as_bytes())),
        ("the path with a slash", 404, request("POST /webhooks/kombo/", "Connection: close\r\n", good.as_bytes())),
        ("operations on the port of webhooks", 404, request("GET /metrics", "Connection: close\r\n", b"")),
        ("no HTTP", 400, b"hello\r\n\r\n".to_vec()),
    ];
    for (what, expected, bytes) in &cases {
        let answer = exchange(place.webhooks, bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.as_ref().map(|answer| answer.status), Some(*expected), "{what}: {answer:?}");
    }
    assert_eq!(world.database.query("SELECT id AS value FROM sync_webhook_events"), Vec::<String>::new());

    // The older secret counts as long as it is listed.
    let both = ["older-secret-that-goes-soon", SECRET];
    for (number, secret) in both.into_iter().enumerate() {
        let body = data_changed(&format!("secret {number}"), FIRST_INTEGRATION, &[]);
        assert_eq!(post_webhook(place, secret, &body).unwrap().status, 200);
    }
    assert_eq!(world.database.query("SELECT count(*) || '' AS value FROM sync_runs"), runs, "nothing was fetched");
    assert_eq!(look.requests(), []);
    daemon.stop();
}

fn what_is_stored_says_what_was_done(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let runs = || world.database.query("SELECT count(*) || '' AS value FROM sync_runs");
    let before = runs();

    let hris = data_changed("other category", FIRST_INTEGRATION, &["hris_employees"]).replace("\"LMS\"", "\"HRIS\"");
    let cases: [(&str, String, &str); 6] = [
        ("new type", "{\"id\":\"new type\",\"type\":\"brand-new\",\"data\":{\"a\":1}}".to_owned(), "brand-new"),
        ("no data", "{\"id\":\"no data\",\"type\":\"brand-new\",\"data\":null}".to_owned(), "brand-new"),
        (
            "new shape",
            "{\"id\":\"new shape\",\"type\":\"data-changed\",\"data\":{\"integration\":7}}".to_owned(),
            "data-changed",
        ),
        ("other category", hris, "data-changed"),
        ("no models", data_changed("no models", FIRST_INTEGRATION, &[]), "data-changed"),
        ("foreign models", data_changed("foreign models", FIRST_INTEGRATION, &["hris_employees"]), "data-changed"),
    ];
    for (id, body, _) in &cases {
        for again in ["first", "again"] {
            let answer = daemon.webhook(body);
            assert_eq!(answer.status, 200, "{id}, {again}: {answer:?}");
        }
    }
    let stored =
        world.database.query("SELECT id || '|' || kind || '|' || result AS value FROM sync_webhook_events ORDER BY id");
    assert_eq!(stored.len(), cases.len(), "{stored:?}");
    for (id, _, kind) in &cases {
        assert!(stored.iter().any(|line| line.starts_with(&format!("{id}|{kind}|"))), "{id}: {stored:?}");
    }
    assert!(stored.iter().any(|line| line.contains("ignored: not of the LMS category")), "{stored:?}");
    assert_eq!((runs(), look.requests()), (before, Vec::new()), "nothing was fetched");

    // The same id again asks for nothing again, whatever it says then.
    assert_eq!(daemon.webhook(&data_changed("twice", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    look.wait_until_settled(&world);
    let once = runs();
    for _ in 0..5 {
        assert_eq!(
            daemon.webhook(&data_changed("twice", FIRST_INTEGRATION, &["lms_users", "lms_courses"])).status,
            200
        );
    }
    look.wait_until_settled(&world);
    assert_eq!(runs(), once);

    // A zero byte is JSON, and no database takes it: repeating it would not help.
    let answer = daemon.webhook("{\"id\":\"zero\\u0000\",\"type\":\"brand-new\",\"data\":{}}");
    assert!([200, 400].contains(&answer.status), "{answer:?}");
    daemon.stop();
}

/// What comes too slowly is not waited for, and keeps nobody else waiting.
#[test]
fn slow_clients_are_hung_up_on() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let began = Instant::now();

    let mut half_open: Vec<_> = (0..20).map(|_| connect(place.webhooks).unwrap()).collect();
    let mut silent = connect(place.webhooks).unwrap();
    let mut half_a_head = connect(place.webhooks).unwrap();
    half_a_head.write_all(b"POST /webhooks/kombo HTTP/1.1\r\nHost: local").unwrap();
    let mut no_body = connect(place.webhooks).unwrap();
    no_body.write_all(b"POST /webhooks/kombo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n").unwrap();
    let mut dribbling = connect(place.webhooks).unwrap();
    dribbling.write_all(b"POST /webhooks/kombo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n").unwrap();
    let dribble = std::thread::spawn(move || {
        dribbling.set_nonblocking(false).unwrap();
        // Until the daemon closes: a byte now and then keeps no connection alive.
        while dribbling.write_all(b"x").is_ok() && began.elapsed() < Duration::from_secs(25) {
            dribbling.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let mut head = [0; 12];
            if dribbling.peek(&mut head).is_ok_and(|length| length == 12) {
                dribbling.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                return read_answer(&mut dribbling).unwrap().map(|answer| answer.status);
            }
        }
        None
    });

    // Others are served meanwhile.
    assert_eq!(daemon.webhook(&data_changed("meanwhile", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    assert_eq!(http::get(place.operations, "/healthz").unwrap().status, 200);

    assert_eq!(read_answer(&mut no_body).unwrap().map(|answer| answer.status), Some(408));
    assert_eq!(dribble.join().unwrap(), Some(408));
    // No answer, or that it took too long: in any case an end.
    for stream in half_open.iter_mut().chain([&mut silent, &mut half_a_head]) {
        let answer = read_answer(stream).unwrap();
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{answer:?}");
    }
    eprintln!("slow clients were hung up on after {:?}", began.elapsed());
    wait_until("the webhook is counted", || daemon.metric("syncd_webhooks_total", "too_slow") == Some(2.0));
    daemon.stop();
}

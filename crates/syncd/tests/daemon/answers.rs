//! Answers to webhooks, valid or not.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, SECRET, data_changed, world_for};
use crate::http::{self, connect, read_answer};
use crate::program::wait_until;

#[test]
fn what_is_stored_says_what_was_done() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let runs = || world.database.query("SELECT count(*) || '' AS value FROM sync_runs");
    let before = runs();

    let assessment =
        data_changed("other category", FIRST_INTEGRATION, &["hris_employees"]).replace("\"LMS\"", "\"ASSESSMENT\"");
    let cases: [(&str, String, &str); 6] = [
        ("new type", "{\"id\":\"new type\",\"type\":\"brand-new\",\"data\":{\"a\":1}}".to_owned(), "brand-new"),
        ("no data", "{\"id\":\"no data\",\"type\":\"brand-new\",\"data\":null}".to_owned(), "brand-new"),
        (
            "new shape",
            "{\"id\":\"new shape\",\"type\":\"data-changed\",\"data\":{\"integration\":7}}".to_owned(),
            "data-changed",
        ),
        ("other category", assessment, "data-changed"),
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
    assert!(stored.iter().any(|line| line.contains("ignored: of a category that is not mirrored")), "{stored:?}");
    assert_eq!((runs(), look.requests()), (before, Vec::new()), "nothing was fetched");

    // A repeated id requests nothing, whatever its content.
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

    daemon.stop();
}

/// Slow clients are disconnected, and delay nobody else.
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
    let signature = "x".repeat(43);
    let signed = format!("POST /webhooks/kombo HTTP/1.1\r\nHost: localhost\r\nX-Kombo-Signature: {signature}\r\n");
    let mut no_body = connect(place.webhooks).unwrap();
    no_body.write_all(format!("{signed}Content-Length: 100\r\n\r\n").as_bytes()).unwrap();
    let mut dribbling = connect(place.webhooks).unwrap();
    dribbling.write_all(format!("{signed}Content-Length: 100000\r\n\r\n").as_bytes()).unwrap();
    let dribble = std::thread::spawn(move || {
        // Until the daemon closes: an occasional byte does not keep a connection alive.
        dribbling.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        while dribbling.write_all(b"x").is_ok() {
            let mut head = [0; 12];
            if dribbling.peek(&mut head).is_ok_and(|length| length == 12) {
                break;
            }
        }
    });

    // Other clients are served meanwhile.
    assert_eq!(daemon.webhook(&data_changed("meanwhile", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    assert_eq!(http::get(place.operations, "/healthz").unwrap().status, 200);

    assert_eq!(read_answer(&mut no_body).unwrap().map(|answer| answer.status), Some(408));
    dribble.join().unwrap();
    // Either no answer or a time-out, but in any case the end of the connection.
    for stream in half_open.iter_mut().chain([&mut silent, &mut half_a_head]) {
        let answer = read_answer(stream).unwrap();
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{answer:?}");
    }
    eprintln!("slow clients were hung up on after {:?}", began.elapsed());
    wait_until("both bodies are counted", || daemon.metric("syncd_webhooks_total", "too_slow") == Some(2.0));
    daemon.stop();
}

/// Sends a webhook of a megabyte except its last byte.
fn unfinished(place: Place, id: &str) -> TcpStream {
    let body = data_changed(id, FIRST_INTEGRATION, &["lms_users"]);
    let body = format!("{}{body}", " ".repeat(1024 * 1024 - body.len()));
    let (signature, length) = (kombo_sandbox::sign(SECRET, body.as_bytes()), body.len());
    let head = format!(
        "POST /webhooks/kombo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Kombo-Signature: {signature}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let mut stream = connect(place.webhooks).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..length - 1]).unwrap();
    stream
}

/// If more than 64 MiB of webhooks are being received, others are rejected at once, and accepted again when there is
/// room.
#[test]
fn what_is_too_much_is_turned_away() {
    const PLACES: usize = 64;
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let mut numbers = 0..;
    let mut under_way: Vec<TcpStream> = Vec::new();
    let body = data_changed("one too many", FIRST_INTEGRATION, &["lms_users"]);
    let (mut answer, mut tries, mut turned_away) = (None, 0, 0);
    wait_until("all places are taken", || {
        // On a busy machine some time out before the last one has arrived. Others replace them.
        under_way.retain_mut(|stream| {
            let (is_open, status) = state_of(stream);
            turned_away += usize::from(status == Some(503));
            is_open
        });
        while under_way.len() < PLACES {
            under_way.push(unfinished(place, &format!("slow {}", numbers.next().unwrap())));
        }
        tries += 1;
        let status = answer.insert(daemon.webhook(&body)).status;
        status == 503
    });
    let answer = answer.unwrap();
    assert!(answer.text.to_lowercase().contains("\r\nretry-after: 5\r\n"), "{answer:?}");
    assert!(answer.text.ends_with("busy: try again\n"), "{answer:?}");
    assert!(daemon.metric("syncd_webhooks_total", "busy") >= Some(1.0));
    assert!(daemon.is_ready(), "it is busy, not broken");

    // The accepted webhooks are completed, and make room.
    for stream in &mut under_way {
        // One may have timed out and been closed.
        let _ = stream.write_all(b"}");
    }
    let answers: Vec<_> =
        under_way.iter_mut().map(|stream| read_answer(stream).unwrap().map(|answer| answer.status)).collect();
    // Each attempt may have taken the room of one.
    turned_away += answers.iter().filter(|answer| **answer == Some(503)).count();
    assert!(turned_away < tries, "{turned_away} of those that had places: {answers:?}");
    let stored = answers.iter().filter(|answer| **answer == Some(200)).count();
    assert_ne!(stored, 0, "{answers:?}");
    let there = world.database.query("SELECT id AS value FROM sync_webhook_events WHERE id LIKE 'slow %'");
    assert_eq!(there.len(), stored);
    assert_eq!(daemon.webhook(&data_changed("later", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    daemon.stop();
}

/// Returns whether the daemon still waits for the rest of a webhook, and otherwise the status of its answer, if there
/// was one.
fn state_of(stream: &mut TcpStream) -> (bool, Option<u16>) {
    stream.set_nonblocking(true).unwrap();
    let waits = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    (waits, if waits { None } else { read_answer(stream).unwrap().map(|answer| answer.status) })
}

/// Connections beyond the maximum are not accepted: they cost the process nothing, and are served later.
#[test]
fn too_many_connections_wait() {
    const MOST: usize = 512;
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", daemon.process.id())).unwrap().count();
    let before = files();
    let idle: Vec<_> = (0..MOST + 100).map(|_| connect(place.webhooks).unwrap()).collect();
    wait_until("many are accepted", || files() >= before + MOST - 20);
    std::thread::scope(|scope| {
        let webhook = scope.spawn(|| daemon.webhook(&data_changed("1", FIRST_INTEGRATION, &["lms_users"])).status);
        for _ in 0..20 {
            // The margin is for other files of the daemon.
            assert!(files() <= before + MOST + 20, "{} files, {before} before", files());
            assert!(daemon.is_ready(), "the other server has connections of its own");
        }
        drop(idle);
        assert_eq!(webhook.join().unwrap(), 200);
    });
    daemon.stop();
}

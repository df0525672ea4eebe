//! Measures the time until a signed webhook is answered, which is when it is stored.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::figure::{Figure, Target, percentile, seconds};
use super::http::Connection;
use super::program::Daemon;
use super::world::{INTEGRATION, SECRET, World, watch};

const PER_SECOND: u32 = 500;
const SENDERS: u32 = 25;

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    let lasts: u32 = if world.options.runs > 1 { 20 } else { 5 };
    let mut figures = Vec::new();
    let postgres = world.postgres.create_database("webhooks")?;
    let sqlite = format!("sqlite://{}", world.file("webhooks.db").display());
    for (database, url) in [("PostgreSQL", postgres), ("SQLite", sqlite)] {
        let sandbox = world.sandbox(&[])?;
        let daemon = Daemon::new(world, sandbox.port, &url)?;
        watch(&mut world.syncd(&daemon.config, &["sync"]))?;
        let running = daemon.start(world)?;
        let mut times = send(daemon.webhooks, lasts)?;
        drop(running);
        let count = times.len();
        let (middle, late) = (percentile(&mut times, 50), percentile(&mut times, 99));
        figures.push(Figure {
            what: format!("webhook to its answer, {PER_SECOND} a second for {lasts} s, {database}: 99 of 100 within"),
            measured: seconds(late),
            yardstick: format!("half of {count} within {}", seconds(middle)),
            judged: late.as_secs_f64() * 1_000.0,
            unit: " ms",
            target: Target::AtMost(20.0),
        });
    }
    Ok(figures)
}

/// Sends at a constant rate, even if answers are slow. Returns the time from each scheduled send to its answer.
fn send(port: u16, lasts: u32) -> Result<Vec<Duration>> {
    let (began, times) = (Instant::now() + Duration::from_millis(100), Mutex::new(Vec::new()));
    let sender = |number: u32| -> Result<()> {
        let mut connection = Connection::open(port)?;
        let mut took = Vec::new();
        for round in 0..PER_SECOND / SENDERS * lasts {
            let place = round * SENDERS + number;
            let due = began + Duration::from_secs(1) * place / PER_SECOND;
            let body = body(place);
            let signature = sign(body.as_bytes());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let headers = format!("x-kombo-signature: {signature}\r\n");
            let (status, _) = connection.ask("POST", "/webhooks/kombo", &headers, body.as_bytes())?;
            took.push(due.elapsed());
            ensure!(status == 200, "a webhook was answered with {status}");
        }
        times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut took);
        Ok(())
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|number| scope.spawn(move || sender(number))).collect();
        senders.into_iter().try_for_each(|it| it.join().unwrap_or_else(|_| anyhow::bail!("a sender panicked")))
    })?;
    Ok(times.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn body(place: u32) -> String {
    serde_json::json!({
        "id": format!("bench-event-{place}"),
        "type": "data-changed",
        "data": {
            "integration_id": INTEGRATION, "integration_tool": "sandbox", "integration_category": "LMS",
            "changed_models": [{ "name": "lms_course_progressions" }],
        },
    })
    .to_string()
}

pub(crate) fn sign(body: &[u8]) -> String {
    Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(body);
            BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        },
    )
}

//! Measures the cost of a fleet of small integrations for the database and the daemon, and compares larger fleets with
//! the smallest.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sync_testkit::postgres::{Options as PostgresOptions, PrivatePostgres};

use super::figure::{Figure, Target, number, seconds};
use super::http::Connection;
use super::program::Daemon;
use super::webhooks::sign;
use super::world::{World, free_port, peak, sql};

/// Period in which costs are counted while nothing is due.
const IDLE: Duration = Duration::from_secs(60);
/// Number of integrations that are fetched to count the cost of a fetch.
const FETCHED: usize = 100;
/// Number of webhooks that arrive at once, and of connections.
const BURST: usize = 10_000;
const SENDERS: usize = 250;
/// Maximum cost of a fleet, relative to the smallest one.
const FLAT: f64 = 1.3;

/// The costs of a fleet: name, value, unit, and whether the value must not grow with the fleet.
type Counted = Vec<(&'static str, f64, &'static str, bool)>;

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut smallest: Option<(usize, Counted)> = None;
    for size in &world.options.fleets {
        let counted = once(world, *size).with_context(|| format!("a fleet of {size}"))?;
        for (place, (what, value, unit, is_flat)) in counted.iter().enumerate() {
            let first = smallest.as_ref().and_then(|(of, first)| Some((*of, first.get(place)?.1)));
            let ratio = first.map_or(1.0, |(_, first)| value / first.max(f64::MIN_POSITIVE));
            figures.push(Figure {
                what: format!("{size} integrations: {what}"),
                measured: format!("{}{unit}", number(*value)),
                yardstick: first.map_or_else(|| "–".to_owned(), |(of, first)| format!("{of}: {}{unit}", number(first))),
                judged: if first.is_some_and(|(_, first)| first == 0.0 && *value == 0.0) { 1.0 } else { ratio },
                unit: "x",
                target: if *is_flat && first.is_some() { Target::AtMost(FLAT) } else { Target::None },
            });
            println!("  {size}: {what}: {}{unit}", number(*value));
        }
        smallest.get_or_insert((*size, counted));
    }
    Ok(figures)
}

fn once(world: &World, size: usize) -> Result<Counted> {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let postgres = PrivatePostgres::start_with(PostgresOptions {
        durable: true,
        shared_buffers: "512MB".to_owned(),
        settings: vec![
            setting("shared_preload_libraries", "pg_stat_statements"),
            setting("log_lock_waits", "on"),
            setting("deadlock_timeout", "20ms"),
        ],
        ..PostgresOptions::default()
    })?;
    let url = postgres.create_database("fleet")?;
    sql(&url, "CREATE EXTENSION pg_stat_statements SCHEMA public")?;
    let integrations = size.to_string();
    let small = [
        "--integrations",
        &integrations,
        "--users",
        "3",
        "--courses",
        "1",
        "--providers",
        "1",
        "--skills",
        "1",
        "--progressions",
        "4",
    ];
    let sandbox = world.sandbox(&small)?;
    let state = sandbox.control()?.get("/control/state")?;
    let ids: Vec<String> =
        state.get("integrations").and_then(Value::as_object).context("no integrations")?.keys().cloned().collect();
    let daemon = Daemon::listening_at(world, sandbox.port, &url, free_port()?, &ids)?;
    let running = daemon.start(world)?;
    let began = Instant::now();
    let loaded = format!("SELECT count(*) = {} FROM kombo.sync_watermarks WHERE loaded_at IS NOT NULL", ids.len() * 3);
    wait(&url, &loaded)?;
    wait(&url, IS_IDLE)?;
    let load = began.elapsed();
    let process = running.0.id();
    let counter = Counter { url: &url, postgres: &postgres, process };

    let idle = counter.count(|| {
        thread::sleep(IDLE);
        Ok(())
    })?;
    let fetched: Vec<&String> = ids.iter().cycle().take(FETCHED).collect();
    let fetching = counter.count(|| {
        send(daemon.webhooks, "fetch", &fetched, 4)?;
        wait(&url, IS_IDLE)
    })?;
    let each: Vec<&String> = ids.iter().cycle().take(BURST).collect();
    let (mut stored, burst_began) = (Duration::ZERO, Instant::now());
    let mut refused = 0;
    let burst = counter.count(|| {
        (refused, stored) = send(daemon.webhooks, "burst", &each, SENDERS)?;
        wait(&url, IS_IDLE)
    })?;
    let all_fetched = burst_began.elapsed();
    let memory = Duration::from_secs(peak(&format!("/proc/{process}/status"))).as_secs_f64() / 1_024.0;
    drop(running);
    let (runs, minutes) = (fetching.runs.max(1.0), IDLE.as_secs_f64() / 60.0);
    Ok(vec![
        ("first load of all", load.as_secs_f64(), " s", false),
        ("idle: statements a minute", idle.statements / minutes, "", true),
        ("idle: rows read a minute", idle.rows / minutes, "", true),
        ("idle: database, of a minute", idle.database_ms / minutes, " ms", true),
        ("idle: processor of the daemon, of a minute", idle.processor_ms / minutes, " ms", true),
        ("rows read for a claim", fetching.claim_rows, "", true),
        ("blocks read for a claim", fetching.claim_blocks, "", true),
        ("statements for a fetch", fetching.statements / runs, "", true),
        ("rows read for a fetch", fetching.rows / runs, "", true),
        ("database time for a fetch", fetching.database_ms / runs, " ms", true),
        ("processor of the daemon for a fetch", fetching.processor_ms / runs, " ms", true),
        ("burst of 10,000 webhooks: refused", to_float(refused), "", false),
        ("burst: until all are stored", stored.as_secs_f64(), " s", false),
        ("burst: until all are fetched", all_fetched.as_secs_f64(), " s", false),
        ("burst: fetches", burst.runs, "", false),
        ("burst: waits for a lock of more than 20 ms", burst.lock_waits, "", false),
        ("most memory of the daemon", memory, " MiB", false),
    ])
}

/// True if nothing is due and nobody works.
const IS_IDLE: &str = "SELECT count(*) = 0 FROM kombo.sync_requests";

fn wait(url: &str, statement: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(3_600);
    while sql(url, statement)? != "t" {
        ensure!(Instant::now() < deadline, "waited an hour for {statement}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Work of the server and the daemon during a measurement.
#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    statements: f64,
    rows: f64,
    database_ms: f64,
    processor_ms: f64,
    runs: f64,
    claim_rows: f64,
    claim_blocks: f64,
    lock_waits: f64,
}

struct Counter<'a> {
    url: &'a str,
    postgres: &'a PrivatePostgres,
    process: u32,
}

impl Counter<'_> {
    fn count(&self, work: impl FnOnce() -> Result<()>) -> Result<Costs> {
        // Sessions report their reads a second later at most.
        thread::sleep(Duration::from_secs(3));
        sql(self.url, "SELECT pg_stat_statements_reset()")?;
        let before = self.look()?;
        work()?;
        thread::sleep(Duration::from_secs(3));
        let after = self.look()?;
        let ours = "FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                    AND query !~ 'pg_stat|pg_database|count\\(\\*\\) = '";
        let sum = |what: &str, of: &str| self.number(&format!("SELECT coalesce(sum({what}), 0) {ours} {of}"));
        let claims = "AND query ~ 'FOR UPDATE OF r SKIP LOCKED'";
        let calls = sum("calls", claims)?.max(1.0);
        Ok(Costs {
            statements: sum("calls", "")?,
            database_ms: sum("total_exec_time + total_plan_time", "")?,
            claim_blocks: sum("shared_blks_hit + shared_blks_read", claims)? / calls,
            // Rows read from the queue, and from integrations to check whether they are worked on.
            claim_rows: (after.queue_rows - before.queue_rows) / calls,
            rows: after.rows - before.rows,
            processor_ms: after.processor_ms - before.processor_ms,
            runs: after.runs - before.runs,
            lock_waits: after.lock_waits - before.lock_waits,
        })
    }

    fn look(&self) -> Result<Look> {
        let rows = |of: &str| {
            self.number(&format!(
                "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE {of}"
            ))
        };
        let log = fs::read(self.postgres.folder().join("server.log")).unwrap_or_default();
        Ok(Look {
            rows: rows("schemaname = 'kombo'")?,
            queue_rows: rows("relname = 'sync_requests'")?,
            processor_ms: processor_ms(self.process),
            runs: self.number("SELECT coalesce(max(id), 0) FROM kombo.sync_runs")?,
            lock_waits: to_float(String::from_utf8_lossy(&log).matches("still waiting for").count()),
        })
    }

    fn number(&self, query: &str) -> Result<f64> {
        sql(self.url, query)?.parse().with_context(|| format!("a number of {query}"))
    }
}

struct Look {
    rows: f64,
    queue_rows: f64,
    processor_ms: f64,
    runs: f64,
    lock_waits: f64,
}

/// Returns the processor time of a process so far. The system counts hundredths of a second.
fn processor_ms(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks * 10.0
}

/// Sends a webhook for each of the integrations. Returns the number of refused ones and the total time.
fn send(port: u16, name: &str, integrations: &[&String], senders: usize) -> Result<(usize, Duration)> {
    let (began, next, refused) = (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(None);
    let sender = || -> Result<()> {
        let mut connection = Connection::open(port)?;
        loop {
            let place = next.fetch_add(1, Ordering::SeqCst);
            let Some(id) = integrations.get(place) else { return Ok(()) };
            let event = format!("{name}-{place}");
            let body = serde_json::json!({
                "id": event, "type": "data-changed",
                "data": {
                    "integration_id": id, "integration_tool": "sandbox", "integration_category": "LMS",
                    "changed_models": [{ "name": "lms_users" }],
                },
            })
            .to_string();
            let headers = format!("x-kombo-signature: {}\r\n", sign(body.as_bytes()));
            let (status, _) = connection.ask("POST", "/webhooks/kombo", &headers, body.as_bytes())?;
            if status != 200 {
                refused.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..senders.min(integrations.len()) {
            scope.spawn(|| {
                if let Err(error) = sender() {
                    failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error.context(format!("a webhook of {}", seconds(began.elapsed())))),
        None => Ok((refused.into_inner(), began.elapsed())),
    }
}

fn to_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

//! Measures how soon changes of small integrations are in the mirror, alone and during the load of a large one.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::figure::{Figure, Target, seconds};
use super::program::Daemon;
use super::world::{Sandbox, World, free_port, sql};

/// Duration of changes without other load, in each run.
const IDLE: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_millis(50);

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    // A run has about forty changes during the load of the large integration, so the percentile is taken over all runs.
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..world.options.runs {
        let (alone, beside) = once(world)?;
        idle.extend(alone);
        busy.extend(beside);
    }
    let (changes, idle_changes) = (busy.len(), idle.len());
    let (busy, idle) = (most_within(busy), most_within(idle));
    Ok(vec![Figure {
        what: format!(
            "changes of 49 integrations until they are committed while a 50th loads {} records: 95 of 100 within",
            world.options.records
        ),
        measured: format!("{} ({changes} changes)", seconds(busy)),
        yardstick: format!("idle {} ({idle_changes} changes)", seconds(idle)),
        judged: busy.as_secs_f64() / idle.as_secs_f64(),
        unit: "x",
        target: Target::AtMost(2.0),
    }])
}

/// Returns the 95th percentile.
fn most_within(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get((times.len() * 95).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// Returns the delays of changes, alone and during the load of a large integration.
fn once(world: &World) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let url = world.postgres.create_database("fresh")?;
    // The sandbox needs the daemon's port before its start, and the daemon the sandbox's.
    let webhooks = free_port()?;
    let target = format!("http://127.0.0.1:{webhooks}/webhooks/kombo");
    let sandbox = world.sandbox(&[
        "--integrations",
        "49",
        "--users",
        "50",
        "--courses",
        "10",
        "--progressions",
        "200",
        "--prerender",
        "--webhook-url",
        &target,
        "--webhook-debounce",
        "10ms",
    ])?;
    let state = sandbox.control()?.get("/control/state")?;
    let integrations = state.get("integrations").and_then(serde_json::Value::as_object).context("no integrations")?;
    let ids: Vec<String> = integrations.keys().cloned().collect();
    let daemon = Daemon::listening_at(world, sandbox.port, &url, webhooks, &ids)?;
    let running = daemon.start(world)?;
    let loaded = "SELECT count(*) FROM kombo.sync_watermarks WHERE loaded_at IS NOT NULL";
    wait(&url, loaded, &(ids.len() * 3).to_string(), Duration::from_secs(120))?;
    let idle = changes(&sandbox, &url, &ids, 1, &mut |began| began.elapsed() >= IDLE)?;

    let large = "sandbox:large";
    let generate = json!({ "seed": 9, "users": 2000, "courses": 200, "progressions": world.options.records });
    sandbox.control()?.post("/control/integrations", &json!({ "id": large, "generate": generate }))?;
    // Renders the pages in advance, like those of the other integrations: the sandbox's own work is not measured.
    for endpoint in ["users", "courses", "course-progressions"] {
        sandbox.drain(large, endpoint, "")?;
    }
    sandbox
        .control()?
        .post("/control/webhook", &json!({ "integration": large, "webhook": { "type": "integration-created" } }))?;
    let is_loaded = format!(
        "SELECT count(*) FROM kombo.sync_watermarks WHERE loaded_at IS NOT NULL AND integration_id = '{large}'"
    );
    let mut looked = Instant::now();
    let busy = changes(&sandbox, &url, &ids, 1_000_000, &mut |began| {
        if looked.elapsed() < Duration::from_secs(1) {
            return false;
        }
        looked = Instant::now();
        began.elapsed() > Duration::from_secs(600) || sql(&url, &is_loaded).is_ok_and(|loaded| loaded == "3")
    })?;
    drop(running);
    let (_, name) = url.rsplit_once('/').context("a database")?;
    sql(&world.postgres.url("postgres"), &format!("DROP DATABASE {name} WITH (FORCE)"))?;
    Ok((idle, busy))
}

/// Makes changes until `enough`, waits until the log has them, and returns the delay of each commit.
fn changes(
    sandbox: &Sandbox,
    url: &str,
    ids: &[String],
    seed: usize,
    enough: &mut dyn FnMut(Instant) -> bool,
) -> Result<Vec<Duration>> {
    let first = sql(url, "SELECT coalesce(max(seq), 0) FROM kombo.sync_changes")?;
    let (began, mut control) = (Instant::now(), sandbox.control()?);
    for (number, id) in ids.iter().cycle().enumerate() {
        if enough(began) {
            break;
        }
        control.post("/control/mutate", &json!({ "integration": id, "count": 1, "seed": seed + number }))?;
        thread::sleep(BETWEEN);
    }
    thread::sleep(Duration::from_secs(3));
    // From the time of a change to the commit that stored it.
    let late = format!(
        "WITH fresh AS (
             SELECT pg_xact_commit_timestamp(c.xmin) - r.changed_at AS late
             FROM kombo.sync_changes AS c JOIN (
                 SELECT integration_id, id, changed_at FROM kombo.lms_users
                 UNION ALL SELECT integration_id, id, changed_at FROM kombo.lms_courses
                 UNION ALL SELECT integration_id, id, changed_at FROM kombo.lms_course_progressions
             ) AS r ON r.integration_id = c.integration_id AND r.id = c.record_id
             WHERE c.seq > {first} AND c.kind = 'updated' AND c.integration_id <> 'sandbox:large'
                 AND r.changed_at > now() - interval '1 hour'
         )
         SELECT extract(epoch FROM late) FROM fresh WHERE late > interval '0'"
    );
    let late: Vec<Duration> =
        sql(url, &late)?.lines().map(|late| Ok(Duration::from_secs_f64(late.parse()?))).collect::<Result<_>>()?;
    ensure!(!late.is_empty(), "no changes were logged");
    Ok(late)
}

fn wait(url: &str, statement: &str, wanted: &str, within: Duration) -> Result<()> {
    let deadline = Instant::now() + within;
    while sql(url, statement)? != wanted {
        ensure!(Instant::now() < deadline, "waited {} for {statement} to be {wanted}", seconds(within));
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

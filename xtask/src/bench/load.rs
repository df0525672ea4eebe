//! Measures a whole `syncd sync` against a sandbox, next to only reading the pages and only importing the rows.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::figure::{Figure, Target, median_number, median_time, ratio, seconds};
use super::world::{INTEGRATION, Ran, Sandbox, World, psql, sql, timed, watch};

const ENDPOINT: &str = "course-progressions";
const TABLE: &str = "kombo.lms_course_progressions";
const CHANGES: usize = 100;

/// The measurements for one number of records.
struct Loaded {
    first: Ran,
    again: Ran,
    drain: Duration,
    import: Duration,
    updates: u64,
    wal: u64,
    asked: u64,
    pages: u64,
    /// A delta of a hundred changes, less the time of reading its pages without a store.
    delta: Duration,
}

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    let records = world.options.records;
    let (large, small, tiny) = (Size::new(records), Size::new(records / 10), Size::new(records / 100));
    let many = repeat(world, &large, world.options.runs)?;
    let few = repeat(world, &small, 1)?;
    let least = repeat(world, &tiny, 1)?;
    let of = |pick: fn(&Loaded) -> Duration| median_time(&many.iter().map(pick).collect::<Vec<_>>());
    let ratios = |pick: fn(&Loaded) -> f64| median_number(&many.iter().map(pick).collect::<Vec<_>>());
    let peak = |loaded: &[Loaded]| {
        let most = loaded.iter().map(|it| it.first.peak_kib.max(it.again.peak_kib)).max().unwrap_or(0);
        Duration::from_secs(most).as_secs_f64() / 1024.0
    };
    let (peak_many, peak_few) = (peak(&many), peak(&few));
    let total = |pick: fn(&Loaded) -> u64| many.iter().map(pick).max().unwrap_or(0);
    let (updates, wal) = (total(|it| it.updates), total(|it| it.wal));
    let (asked, pages) = (total(|it| it.asked), total(|it| it.pages));
    let number = |count: u64| Duration::from_secs(count).as_secs_f64();
    let deltas = |loaded: &[Loaded]| median_time(&loaded.iter().map(|it| it.delta).collect::<Vec<_>>());
    let (delta_many, delta_least) = (deltas(&many), deltas(&least));
    Ok(vec![
        Figure {
            what: format!("`syncd sync`, {records} progressions into PostgreSQL"),
            measured: seconds(of(|it| it.first.took)),
            yardstick: format!(
                "pages alone {}, `\\copy` alone {}",
                seconds(of(|it| it.drain)),
                seconds(of(|it| it.import))
            ),
            judged: ratios(|it| ratio(it.first.took, it.drain.max(it.import))),
            unit: "x the longer",
            target: Target::AtMost(1.5),
        },
        Figure {
            what: "the same again, in full, nothing changed".to_owned(),
            measured: seconds(of(|it| it.again.took)),
            yardstick: format!("the first load {}", seconds(of(|it| it.first.took))),
            judged: ratios(|it| ratio(it.again.took, it.first.took)),
            unit: "x the first load",
            target: Target::AtMost(0.6),
        },
        Figure {
            what: "rows of the mirror that it updates".to_owned(),
            measured: updates.to_string(),
            yardstick: "–".to_owned(),
            judged: number(updates),
            unit: "",
            target: Target::AtMost(0.0),
        },
        Figure {
            what: "write-ahead log that it writes".to_owned(),
            measured: format!("{} KiB", wal / 1024),
            yardstick: "–".to_owned(),
            judged: number(wal) / 1_048_576.0,
            unit: " MiB",
            target: Target::AtMost(1.0),
        },
        Figure {
            what: "requests sent for a full fetch".to_owned(),
            measured: asked.to_string(),
            yardstick: format!("{pages} pages"),
            judged: number(asked) / number(pages),
            unit: "x",
            target: Target::AtMost(1.0),
        },
        Figure {
            what: format!("most memory of `syncd sync`, {records} records"),
            measured: format!("{peak_many:.1} MiB"),
            yardstick: "–".to_owned(),
            judged: peak_many,
            unit: " MiB",
            target: Target::AtMost(48.0),
        },
        Figure {
            what: format!("the same against {} records", small.records),
            measured: format!("{peak_many:.1} MiB"),
            yardstick: format!("{peak_few:.1} MiB"),
            judged: peak_many / peak_few,
            unit: "x",
            target: Target::AtMost(1.1),
        },
        Figure {
            what: format!("delta of {CHANGES} changes, {records} rows stored, its pages' own time taken off"),
            measured: seconds(delta_many),
            yardstick: format!("{} rows stored: {}", tiny.records, seconds(delta_least)),
            judged: ratio(delta_many, delta_least),
            unit: "x",
            target: Target::AtMost(1.2),
        },
    ])
}

struct Size {
    records: usize,
}

impl Size {
    fn new(records: usize) -> Self {
        Self { records }
    }

    fn sandbox(&self, world: &World) -> Result<Sandbox> {
        let (users, courses) = ((self.records / 50).max(10), (self.records / 1_000).clamp(5, 1_000));
        world.sandbox(&[
            "--prerender",
            "--filler",
            "400",
            "--users",
            &users.to_string(),
            "--courses",
            &courses.to_string(),
            "--progressions",
            &self.records.to_string(),
        ])
    }
}

fn repeat(world: &World, size: &Size, runs: usize) -> Result<Vec<Loaded>> {
    let sandbox = size.sandbox(world)?;
    sandbox.drain(INTEGRATION, ENDPOINT, "")?; // renders the pages
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(once(world, &sandbox)?);
    }
    // Changes invalidate the rendered pages, so they come last.
    let url = world.postgres.create_database("delta")?;
    let config = config(world, &sandbox, &url)?;
    watch(&mut world.syncd(&config, &["sync"]))?;
    for loaded in &mut all {
        loaded.delta = delta(world, &sandbox, &url)?;
    }
    drop_database(world, &url)?;
    Ok(all)
}

fn config(world: &World, sandbox: &Sandbox, url: &str) -> Result<std::path::PathBuf> {
    let endpoints = format!("[sync]\nendpoints = [\"{ENDPOINT}\"]");
    world.config("load.toml", sandbox.port, url, &endpoints, &[INTEGRATION.to_owned()])
}

fn once(world: &World, sandbox: &Sandbox) -> Result<Loaded> {
    let url = world.postgres.create_database("load")?;
    let config = config(world, sandbox, &url)?;
    let asked_before = asked(sandbox)?;
    let first = watch(&mut world.syncd(&config, &["sync"]))?;
    let asked = asked(sandbox)? - asked_before;
    let (drain, pages) = sandbox.drain(INTEGRATION, ENDPOINT, "")?;
    // PostgreSQL's cleanup after so many inserts does not belong to the next fetch, which follows a week later.
    sql(&url, "VACUUM (ANALYZE)")?;
    sql(&url, "CHECKPOINT")?;
    let (updates, wal) = (updates(&url)?, written(&url)?);
    let again = watch(&mut world.syncd(&config, &["sync", "--full"]))?;
    let (updates, wal) = (self::updates(&url)? - updates, written(&url)? - wal);
    let rows = world.file("load.tsv");
    sql(&url, &format!("CREATE TABLE yardstick (LIKE {TABLE} INCLUDING ALL)"))?;
    sql(&url, &format!("\\copy {TABLE} TO '{}'", rows.display()))?;
    sql(&url, "CHECKPOINT")?;
    let mut psql = Command::new(psql());
    psql.args(["--no-psqlrc", "--quiet", "--dbname", &url, "--command"]);
    let import = timed(psql.arg(format!("\\copy yardstick FROM '{}'", rows.display())))?;
    drop_database(world, &url)?;
    Ok(Loaded { first, again, drain, import, updates, wal, asked, pages, delta: Duration::ZERO })
}

/// Returns the time of a delta, less that of reading its pages: the sandbox scans all its rows for them.
fn delta(world: &World, sandbox: &Sandbox, url: &str) -> Result<Duration> {
    let config = config(world, sandbox, url)?;
    // Excludes records that the overlap fetches again.
    sandbox.control()?.post("/control/clock", &json!({ "advance_ms": 600_000 }))?;
    watch(&mut world.syncd(&config, &["sync"]))?;
    let watermark =
        sql(url, "SELECT to_char(max(watermark), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM kombo.sync_watermarks")?;
    let ids = sql(
        url,
        &format!(
            "SELECT id FROM {TABLE} WHERE remote_deleted_at IS NULL AND removed_at IS NULL ORDER BY md5(id) LIMIT {CHANGES}"
        ),
    )?;
    let status = if ids.is_empty() { "" } else { "ENROLLED" };
    let changes: Vec<_> = ids
        .lines()
        .enumerate()
        .map(|(number, id)| {
            let remote = format!("moved-{watermark}-{number}");
            json!({ "kind": "update", "model": "lms_course_progressions", "id": id,
                    "set": { "status": status, "remote_id": remote } })
        })
        .collect();
    let mutate = json!({ "integration": INTEGRATION, "mutations": changes });
    sandbox.control()?.post("/control/mutate", &mutate)?;
    let filter = format!("&updated_after={watermark}");
    let (alone, pages) = sandbox.drain(INTEGRATION, ENDPOINT, &filter)?;
    ensure!(pages == 1, "the delta has {pages} pages");
    let before = sql(url, "SELECT count(*) FROM kombo.sync_changes")?;
    let took = watch(&mut world.syncd(&config, &["sync"]))?.took;
    let after = sql(url, "SELECT count(*) FROM kombo.sync_changes")?;
    let (before, after): (usize, usize) = (before.parse()?, after.parse()?);
    ensure!(after - before >= CHANGES, "the delta logged {} changes", after - before);
    Ok(took.saturating_sub(alone))
}

fn asked(sandbox: &Sandbox) -> Result<u64> {
    let state = sandbox.control()?.get("/control/state")?;
    Ok(state.pointer("/requests/course-progressions").and_then(serde_json::Value::as_u64).unwrap_or(0))
}

fn updates(url: &str) -> Result<u64> {
    // Sessions report their statistics when they end.
    std::thread::sleep(Duration::from_millis(1_500));
    let sum = "SELECT coalesce(sum(n_tup_upd + n_tup_ins + n_tup_del), 0) FROM pg_stat_user_tables WHERE relname LIKE 'lms_%'";
    sql(url, sum)?.parse().context("a number of updates")
}

fn written(url: &str) -> Result<u64> {
    sql(url, "SELECT pg_current_wal_insert_lsn() - '0/0'")?.parse().context("a place in the log")
}

fn drop_database(world: &World, url: &str) -> Result<()> {
    let (_, name) = url.rsplit_once('/').context("a database")?;
    sql(&world.postgres.url("postgres"), &format!("DROP DATABASE {name} WITH (FORCE)")).map(drop)
}

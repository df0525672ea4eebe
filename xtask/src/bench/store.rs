//! Measures the store alone, next to the database's own import of the same rows into the same tables.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::figure::{Figure, Target, median_number, median_time, ratio, seconds};
use super::world::{World, psql, sql, timed};
use crate::process::{is_there, output};

const TABLE: &str = "lms_course_progressions";

/// The seconds that the store's benchmark reports.
#[derive(Debug, Deserialize)]
struct Took {
    new: f64,
    unchanged: f64,
    changed: f64,
}

/// The database's own import and the store's passes in one run.
struct Run {
    import: Duration,
    passes: [Duration; 3],
}

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    // Enough for ratios: each run makes five passes over them.
    let records = world.options.records.min(200_000);
    let mut figures = Vec::new();
    let runs: Result<Vec<Run>> = (0..world.options.runs).map(|_| postgres(world, records)).collect();
    figures.extend(judge("PostgreSQL", "`\\copy`", records, &runs?, [0.7, 1.5, 1.2]));
    if is_there(Command::new("sqlite3").arg("--version")) {
        let runs: Result<Vec<Run>> = (0..world.options.runs).map(|number| sqlite(world, records, number)).collect();
        figures.extend(judge("SQLite", "`.import`", records, &runs?, [0.7, 3.0, 1.5]));
    } else {
        println!("  no sqlite3: Debian's package is called sqlite3. SQLite is left out");
    }
    Ok(figures)
}

fn judge(database: &str, import: &str, records: usize, runs: &[Run], targets: [f64; 3]) -> Vec<Figure> {
    let imports: Vec<Duration> = runs.iter().map(|run| run.import).collect();
    let pass = |(place, what): (usize, &str)| {
        let times: Vec<Duration> = runs.iter().filter_map(|run| run.passes.get(place).copied()).collect();
        let ratios: Vec<f64> =
            runs.iter().filter_map(|run| run.passes.get(place).map(|time| ratio(run.import, *time))).collect();
        Figure {
            what: format!("{database}, {records} progressions of 700 bytes, {what}"),
            measured: seconds(median_time(&times)),
            yardstick: format!("{import} {}", seconds(median_time(&imports))),
            judged: median_number(&ratios),
            unit: "x as fast",
            target: targets.get(place).map_or(Target::None, |least| Target::AtLeast(*least)),
        }
    };
    ["all new", "all unchanged", "one in ten changed"].into_iter().enumerate().map(pass).collect()
}

fn postgres(world: &World, records: usize) -> Result<Run> {
    let url = world.postgres.create_database("store")?;
    let rows = world.file("rows.tsv");
    let passes = passes(world, &url, records)?;
    sql(&url, &format!("\\copy kombo.{TABLE} TO '{}'", rows.display()))?;
    sql(&url, &format!("TRUNCATE kombo.{TABLE}"))?;
    sql(&url, "CHECKPOINT")?;
    let mut psql = Command::new(psql());
    psql.args(["--no-psqlrc", "--quiet", "--dbname", &url, "--command"]);
    let import = timed(psql.arg(format!("\\copy kombo.{TABLE} FROM '{}'", rows.display())))?;
    let (_, name) = url.rsplit_once('/').context("a database")?;
    sql(&world.postgres.url("postgres"), &format!("DROP DATABASE {name}"))?;
    Ok(Run { import, passes })
}

fn sqlite(world: &World, records: usize, number: usize) -> Result<Run> {
    let (full, empty) = (world.file(&format!("full-{number}.db")), world.file(&format!("empty-{number}.db")));
    let rows = world.file("rows.csv");
    let passes = passes(world, &format!("sqlite://{}", full.display()), records)?;
    output(
        Command::new("sqlite3")
            .arg("-csv")
            .arg(&full)
            .arg(format!(".once {}", rows.display()))
            .arg(format!("SELECT * FROM {TABLE}")),
    )?;
    // Only creates the tables.
    self::passes(world, &format!("sqlite://{}", empty.display()), 0)?;
    let import =
        timed(Command::new("sqlite3").arg("-csv").arg(&empty).arg(format!(".import {} {TABLE}", rows.display())))?;
    let imported = output(Command::new("sqlite3").arg(&empty).arg(format!("SELECT count(*) FROM {TABLE}")))?;
    anyhow::ensure!(imported.trim() == records.to_string(), "imported {} rows", imported.trim());
    for file in [full, empty] {
        std::fs::remove_file(file)?;
    }
    Ok(Run { import, passes })
}

fn passes(world: &World, url: &str, records: usize) -> Result<[Duration; 3]> {
    let said = output(world.store_bench()?.arg(url).arg(records.to_string()))?;
    let took: Took = serde_json::from_str(&said).context("read what the store's program printed")?;
    Ok([took.new, took.unchanged, took.changed].map(Duration::from_secs_f64))
}

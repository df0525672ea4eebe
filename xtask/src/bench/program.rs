//! Measures the size of the program and the time until it is ready.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::figure::{Figure, Target, median_time, seconds};
use super::http::Connection;
use super::world::{INTEGRATION, Process, World, free_port, log_file, watch};

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    let size = fs::metadata(world.program())?.len();
    let mebibytes = Duration::from_secs(size).as_secs_f64() / 1_048_576.0;
    let mut figures = vec![Figure {
        what: "size of `syncd`, stripped".to_owned(),
        measured: format!("{mebibytes:.1} MiB"),
        yardstick: "–".to_owned(),
        judged: mebibytes,
        unit: " MiB",
        target: Target::AtMost(15.0),
    }];
    let sandbox = world.sandbox(&[])?;
    let postgres = world.postgres.create_database("start")?;
    let sqlite = format!("sqlite://{}", world.file("start.db").display());
    for (database, url) in [("PostgreSQL", postgres), ("SQLite", sqlite)] {
        let mut times = Vec::new();
        let daemon = Daemon::new(world, sandbox.port, &url)?;
        watch(&mut world.syncd(&daemon.config, &["sync"]))?; // creates tables and rows
        for _ in 0..world.options.runs.max(3) {
            let began = Instant::now();
            let running = daemon.start(world)?;
            times.push(began.elapsed());
            drop(running);
        }
        let took = median_time(&times);
        figures.push(Figure {
            what: format!("`syncd run` from its start until it is ready, {database}"),
            measured: seconds(took),
            yardstick: "–".to_owned(),
            judged: took.as_secs_f64() * 1_000.0,
            unit: " ms",
            target: Target::AtMost(300.0),
        });
    }
    Ok(figures)
}

/// A daemon to start.
pub(crate) struct Daemon {
    pub(crate) config: std::path::PathBuf,
    pub(crate) webhooks: u16,
    operations: u16,
}

impl Daemon {
    pub(crate) fn new(world: &World, sandbox: u16, url: &str) -> Result<Self> {
        Self::listening_at(world, sandbox, url, free_port()?, &[INTEGRATION.to_owned()])
    }

    pub(crate) fn listening_at(
        world: &World,
        sandbox: u16,
        url: &str,
        webhooks: u16,
        integrations: &[String],
    ) -> Result<Self> {
        let operations = free_port()?;
        let more = format!("[server]\nwebhooks = \"127.0.0.1:{webhooks}\"\noperations = \"127.0.0.1:{operations}\"");
        let config = world.config("daemon.toml", sandbox, url, &more, integrations)?;
        Ok(Self { config, webhooks, operations })
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&self, world: &World) -> Result<Process> {
        let mut command = world.syncd(&self.config, &["run"]);
        let log = log_file(&world.file("daemon.log"))?;
        let mut running = Process(command.stdout(Stdio::null()).stderr(log).spawn()?);
        let deadline = Instant::now() + Duration::from_secs(300);
        while !self.is_ready() {
            ensure!(running.0.try_wait()?.is_none(), "syncd run ended");
            ensure!(Instant::now() < deadline, "syncd run is not ready");
            thread::sleep(Duration::from_millis(2));
        }
        Ok(running)
    }

    fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(self.operations) else { return false };
        connection.ask("GET", "/readyz", "", b"").is_ok_and(|(status, _)| status == 200)
    }
}

use std::cell::OnceCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sync_testkit::postgres::{Options as PostgresOptions, PrivatePostgres, programs_folder};
use tempfile::TempDir;

use super::Options;
use super::http::Connection;
use crate::process::{cargo, output, run, target_folder};

pub(crate) const INTEGRATION: &str = "sandbox:7C9M5sXAQx2cNMpVHLojrFpL";
pub(crate) const SECRET: &str = "bench-secret";

/// The programs to measure, a database server, and a folder for their files.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) postgres: PrivatePostgres,
    syncd: PathBuf,
    sandbox: PathBuf,
    store: OnceCell<PathBuf>,
    folder: TempDir,
}

impl World {
    pub(crate) fn prepare(options: Options) -> Result<Self> {
        let programs = if let Some(programs) = &options.programs {
            programs.clone()
        } else {
            run(&mut cargo(&["build", "--release", "--package", "syncd", "--package", "kombo-sandbox"]))?;
            target_folder()?.join("release")
        };
        let settings = [("max_wal_size", "8GB"), ("track_commit_timestamp", "on"), ("checkpoint_timeout", "30min")];
        let postgres = PrivatePostgres::start_with(PostgresOptions {
            durable: true,
            shared_buffers: "512MB".to_owned(),
            settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..PostgresOptions::default()
        })?;
        Ok(Self {
            options,
            postgres,
            syncd: programs.join("syncd"),
            sandbox: programs.join("kombo-sandbox"),
            store: OnceCell::new(),
            folder: tempfile::Builder::new().prefix("bench-").tempdir()?,
        })
    }

    /// Returns the path of a file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn program(&self) -> &Path {
        &self.syncd
    }

    /// Returns the benchmark program of `store-diesel`, which is built on first use.
    pub(crate) fn store_bench(&self) -> Result<Command> {
        if let Some(program) = self.store.get() {
            return Ok(Command::new(program));
        }
        let program = store_bench()?;
        Ok(Command::new(self.store.get_or_init(|| program)))
    }

    /// Returns `syncd` with a configuration file.
    pub(crate) fn syncd(&self, config: &Path, arguments: &[&str]) -> Command {
        let mut syncd = Command::new(&self.syncd);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SYNCD")) {
            syncd.env_remove(name);
        }
        syncd.arg("--config").arg(config).args(["--log", "warn"]).args(arguments);
        syncd
    }

    /// Writes a configuration.
    pub(crate) fn config(
        &self,
        name: &str,
        sandbox: u16,
        store: &str,
        more: &str,
        integrations: &[String],
    ) -> Result<PathBuf> {
        let mut text = format!(
            "[kombo]\napi_key = \"sandbox-key\"\nbase_url = \"http://127.0.0.1:{sandbox}/v1\"\nwebhook_secret = \"{SECRET}\"\n\
             [store]\nurl = \"{store}\"\n{more}\n"
        );
        for id in integrations {
            text = format!("{text}[[integrations]]\nid = \"{id}\"\n");
        }
        let file = self.file(name);
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Starts a sandbox in its own process.
    pub(crate) fn sandbox(&self, arguments: &[&str]) -> Result<Sandbox> {
        let port = free_port()?;
        let mut command = Command::new(&self.sandbox);
        command.args(["--port", &port.to_string(), "--webhook-secret", SECRET]).args(arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().context("start the sandbox")?;
        let mut sandbox = Sandbox { process: Process(child), port };
        let deadline = Instant::now() + Duration::from_secs(120);
        while Connection::open(port).is_err() {
            ensure!(Instant::now() < deadline, "the sandbox does not listen");
            ensure!(sandbox.process.0.try_wait()?.is_none(), "the sandbox ended");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(sandbox)
    }
}

pub(crate) struct Sandbox {
    process: Process,
    pub(crate) port: u16,
}

impl Sandbox {
    pub(crate) fn control(&self) -> Result<Connection> {
        Connection::open(self.port)
    }

    /// Reads a list to its end and drops it. Returns the time and the number of pages.
    pub(crate) fn drain(&self, integration: &str, endpoint: &str, filter: &str) -> Result<(Duration, u64)> {
        let mut connection = self.control()?;
        let headers = format!("authorization: Bearer sandbox-key\r\nx-integration-id: {integration}\r\n");
        let (began, mut pages, mut cursor) = (Instant::now(), 0, String::new());
        loop {
            let path = format!("/v1/lms/{endpoint}?page_size=250&include_deleted=true{filter}{cursor}");
            let (status, body) = connection.ask("GET", &path, &headers, b"")?;
            ensure!(status == 200, "{endpoint}: {status}");
            pages += 1;
            // The sandbox writes the next cursor first.
            let head = String::from_utf8_lossy(body.get(..512.min(body.len())).unwrap_or_default()).into_owned();
            let Some((_, rest)) = head.split_once("\"next\":\"") else { return Ok((began.elapsed(), pages)) };
            cursor = format!("&cursor={}", rest.split('"').next().unwrap_or_default());
        }
    }
}

/// A child process that is killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The duration of a process and its peak memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran {
    pub(crate) took: Duration,
    pub(crate) peak_kib: u64,
}

/// Runs a program to its end.
pub(crate) fn watch(command: &mut Command) -> Result<Ran> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().context("start")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    loop {
        peak_kib = peak_kib.max(peak(&status));
        match child.try_wait()? {
            Some(end) if end.success() => return Ok(Ran { took: began.elapsed(), peak_kib }),
            Some(end) => bail!("it failed: {end}"),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Returns the peak memory of a process, as counted by the system.
pub(crate) fn peak(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Times a command that reads no standard input.
pub(crate) fn timed(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    output(command)?;
    Ok(began.elapsed())
}

/// Runs SQL and returns its output.
pub(crate) fn sql(url: &str, statement: &str) -> Result<String> {
    let mut psql = Command::new(psql());
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--dbname", url]);
    Ok(output(psql.arg("--command").arg(statement))?.trim().to_owned())
}

pub(crate) fn psql() -> PathBuf {
    programs_folder().map_or_else(|_| "psql".into(), |folder| folder.join("psql"))
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Creates a log for the output of a child, which is read only after a failure.
pub(crate) fn log_file(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("create {}", path.display()))
}

/// Builds the benchmark of `store-diesel` and returns its path.
fn store_bench() -> Result<PathBuf> {
    let arguments = ["bench", "--no-run", "--package", "store-diesel", "--bench", "store", "--message-format", "json"];
    let said = output(&mut cargo(&arguments))?;
    let program = said.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    program.context("cargo names no program")
}

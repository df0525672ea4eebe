use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::PostgresError;
use super::database::{self, Server};
use super::installation::{Installation, command};
use super::owner::Owner;
use super::supervisor::{Signal, Supervisor};

const SUPERUSER: &str = "postgres";
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(10);
const PORT_ATTEMPTS: u32 = 10;

/// Options of a private server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder of the server's programs; `None` for the installed ones.
    pub programs: Option<PathBuf>,
    /// Whether a commit waits for the disk (`fsync`), as in production. Off by default: a killed server loses nothing
    /// without it, only a power failure does.
    pub durable: bool,
    /// `shared_buffers`, for example `"128MB"`.
    pub shared_buffers: String,
    /// `max_connections`.
    pub max_connections: u16,
    /// Further settings of `postgresql.conf`, by name and value. They override all others.
    pub settings: Vec<(String, String)>,
    /// The language of the server's messages, such as `de_DE`. They are English if `localedef` or the server's
    /// translations are not installed.
    pub language: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            programs: None,
            durable: false,
            shared_buffers: "128MB".into(),
            max_connections: 200,
            settings: Vec::new(),
            language: None,
        }
    }
}

/// A private PostgreSQL server on a free port of 127.0.0.1 that trusts every local user.
///
/// Its drop ends the server and removes its data. So does any end of this process: a shell that has a pipe to this
/// process runs the server, and cleans up when the pipe closes.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Fields are dropped in this order: the server ends before its folder is removed.
    running: Option<Supervisor>,
    installation: Installation,
    owner: Owner,
    options: Options,
    port: u16,
    /// The locale of the server's messages.
    messages: Option<Locale>,
    folder: TempDir,
}

/// A compiled locale.
#[derive(Debug)]
struct Locale {
    name: String,
    folder: PathBuf,
}

impl PrivatePostgres {
    /// Starts a server with the default [`Options`].
    ///
    /// # Errors
    ///
    /// [`PostgresError::NotInstalled`] if the server's programs are not found; other variants if the start fails.
    pub fn start() -> Result<Self, PostgresError> {
        Self::start_with(Options::default())
    }

    /// Starts a server with these options and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// Like those of [`start`](Self::start).
    pub fn start_with(options: Options) -> Result<Self, PostgresError> {
        let installation = options.programs.clone().map_or_else(Installation::find, |bin| Ok(Installation::at(bin)))?;
        let (folder, owner) = own_folder()?;
        let messages = options.language.as_deref().and_then(|language| compile_locale(language, folder.path()));
        let mut server = Self { running: None, installation, owner, options, port: 0, messages, folder };
        server.initialise()?;
        server.start_on_a_free_port()?;
        Ok(server)
    }

    /// Starts a hot standby of this server with the same options, and waits until it accepts connections. It follows
    /// this server until it is [promoted](Self::promote).
    ///
    /// # Errors
    ///
    /// Like those of [`start`](Self::start). Also fails if this server does not run.
    pub fn standby(&self) -> Result<Self, PostgresError> {
        let (folder, owner) = own_folder()?;
        let (installation, options) = (self.installation.clone(), self.options.clone());
        let mut standby = Self { running: None, installation, owner, options, port: 0, messages: None, folder };
        let mut backup = command(standby.installation.program("pg_basebackup"));
        backup
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--username", SUPERUSER])
            .args(["--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf", "--no-sync", "--pgdata"])
            .arg(standby.data())
            .current_dir(standby.folder());
        let output = standby.owner.run(&mut backup).output().map_err(PostgresError::io("run pg_basebackup"))?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(PostgresError::Initdb { output });
        }
        standby.start_on_a_free_port()?;
        Ok(standby)
    }

    /// Promotes a standby to an independent server, and returns when it accepts writes.
    ///
    /// # Errors
    ///
    /// Fails if the server is not a standby.
    pub fn promote(&self) -> Result<(), PostgresError> {
        Server::new(self.url(SUPERUSER)).execute("SELECT pg_promote(true, 60)").map(drop)
    }

    /// Returns the URL of a database on this server, as the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{}:{}/{database}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Creates an empty database with a name that begins with `prefix`, and returns its URL.
    ///
    /// # Errors
    ///
    /// Fails if `psql` is missing or the server is not running.
    pub fn create_database(&self, prefix: &str) -> Result<String, PostgresError> {
        database::create(&Server::new(self.url(SUPERUSER)), prefix).map(|created| created.url)
    }

    /// Returns the port on 127.0.0.1. Restarts do not change it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of the data, the socket and the log. It is removed with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the process id of the server, or `None` after a kill.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Supervisor::server_pid)
    }

    /// Kills the server like a crash, and returns when it is gone.
    ///
    /// Its sessions notice within moments, each on its own. Does nothing to a server that was already killed.
    ///
    /// # Errors
    ///
    /// Fails if the system does not report the server's end.
    pub fn kill_9(&mut self) -> Result<(), PostgresError> {
        self.running.take().map_or(Ok(()), |server| server.end(Signal::Kill))
    }

    /// Starts the server again with the same data and port. A running server is ended cleanly first.
    ///
    /// # Errors
    ///
    /// Fails if the server is not ready within a minute, for example because another process has taken the port.
    pub fn restart(&mut self) -> Result<(), PostgresError> {
        if let Some(server) = self.running.take() {
            server.end(Signal::Interrupt)?;
        }
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // Sessions of a killed server may keep its memory for a moment, and a new one does not start until it is
            // free.
            match self.launch(deadline) {
                Err(PostgresError::Ended { .. }) if Instant::now() < deadline => thread::sleep(POLL_EVERY),
                done => return done,
            }
        }
    }

    fn initialise(&self) -> Result<(), PostgresError> {
        let mut initdb = command(self.installation.program("initdb"));
        initdb
            .args(["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .arg("--pgdata")
            .arg(self.data())
            .current_dir(self.folder());
        let output = self.owner.run(&mut initdb).output().map_err(PostgresError::io("run initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(PostgresError::Initdb { output: String::from_utf8_lossy(&printed).trim().to_owned() })
    }

    fn start_on_a_free_port(&mut self) -> Result<(), PostgresError> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut attempt = 1;
        loop {
            self.port = free_port()?;
            match self.launch(deadline) {
                // Another process may have taken the port after the check.
                Err(PostgresError::Ended { log }) if attempt < PORT_ATTEMPTS && log.contains("already in use") => {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    fn launch(&mut self, deadline: Instant) -> Result<(), PostgresError> {
        let log_before = self.log().lines().count();
        let mut server = Supervisor::spawn(
            &self.program(),
            self.owner,
            self.folder.path(),
            &self.environment(),
            self.server_arguments(),
        )?;
        loop {
            if self.is_ready(server.server_pid()) {
                self.running = Some(server);
                return Ok(());
            }
            if server.has_ended()? {
                return Err(PostgresError::Ended { log: self.log_after(log_before) });
            }
            if Instant::now() >= deadline {
                let log = self.log_after(log_before);
                let directory = self.folder().to_path_buf();
                return Err(PostgresError::NotReady { directory, waited: READY_WITHIN, log });
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// The server writes its state into the last line of its lock file, after its process id. `pg_ctl` reads it there
    /// too.
    fn is_ready(&self, pid: u32) -> bool {
        let lock = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = lock.lines().map(str::trim);
        lines.next() == Some(pid.to_string().as_str()) && matches!(lines.next_back(), Some("ready" | "standby"))
    }

    fn server_arguments(&self) -> Vec<OsString> {
        let settings = [
            ("listen_addresses", Ipv4Addr::LOCALHOST.to_string()),
            ("port", self.port.to_string()),
            ("unix_socket_directories", self.folder().display().to_string()),
            ("max_connections", self.options.max_connections.to_string()),
            ("shared_buffers", self.options.shared_buffers.clone()),
            ("fsync", self.options.durable.to_string()),
            // Containers have a small /dev/shm, and a killed server would leave its segments there.
            ("dynamic_shared_memory_type", "mmap".into()),
            ("timezone", "UTC".into()),
            ("log_timezone", "UTC".into()),
        ];
        let messages = self.messages.iter().map(|locale| format!("lc_messages={}", locale.name));
        let further = self.options.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let settings = settings.iter().map(|(name, value)| format!("{name}={value}")).chain(messages).chain(further);
        let mut arguments = vec!["-D".into(), self.data().into_os_string()];
        arguments.extend(settings.flat_map(|setting| ["-c".into(), OsString::from(setting)]));
        arguments
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        self.messages.iter().map(|locale| ("LOCPATH", locale.folder.clone().into_os_string())).collect()
    }

    fn program(&self) -> PathBuf {
        self.installation.program("postgres")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_after(&self, lines: usize) -> String {
        self.log().lines().skip(lines).collect::<Vec<_>>().join("\n")
    }

    fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// Compiles a locale for the server's messages, because systems may not have it.
fn compile_locale(language: &str, folder: &Path) -> Option<Locale> {
    let name = format!("{language}.UTF-8");
    let locales = folder.join("locales");
    fs::create_dir(&locales).ok()?;
    let mut localedef = command("localedef");
    localedef.args(["-i", language, "-f", "UTF-8"]).arg(locales.join(&name));
    let compiled = localedef.output().ok()?.status.success();
    compiled.then_some(Locale { name, folder: locales })
}

/// Creates a folder, and chooses the user that runs the server in it.
pub(super) fn own_folder() -> Result<(TempDir, Owner), PostgresError> {
    let folder = tempfile::Builder::new()
        .prefix("pg-")
        .tempdir_in(env::temp_dir())
        .map_err(PostgresError::io("make the data folder"))?;
    let owner = Owner::for_folder(folder.path())?;
    owner.take_over(folder.path())?;
    Ok((folder, owner))
}

/// Finds a port that nobody listens on, below the ranges of local ports for outgoing connections. In those ranges a
/// client that retries a stopped server could take the server's port.
pub(super) fn free_port() -> Result<u16, PostgresError> {
    const PORTS: std::ops::Range<u16> = 15_000..32_000;
    let random = RandomState::new().build_hasher().finish() % u64::from(PORTS.end - PORTS.start);
    let first = PORTS.start + u16::try_from(random).unwrap_or_default();
    (first..PORTS.end)
        .chain(PORTS.start..first)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or(PostgresError::NoPort)
}

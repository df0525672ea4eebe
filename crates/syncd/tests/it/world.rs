//! The environment of a test: a sandbox, a database and a folder with a configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use kombo_model::IntegrationId;
use kombo_sandbox::{Endpoint, LoggedRequest, Sandbox, SandboxConfig};
use store_diesel::DieselStore;
use sync_core::ports::{Store as _, Tx, TxResult};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::database::{Backend, Database};
use crate::program::{Finished, Running};

/// The key that the sandbox expects.
pub const API_KEY: &str = "key-that-must-not-be-shown";

/// The password in the database URLs of these tests.
pub const DATABASE_PASSWORD: &str = "database-password";

/// The endpoints that list records.
pub const LISTS: [Endpoint; 3] = [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions];

/// Returns the tested program: the one that was built for the tests, or the one in `SYNCD_PROGRAM`.
fn program() -> PathBuf {
    std::env::var_os("SYNCD_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_syncd").into(), PathBuf::from)
}

/// The environment of a test.
#[derive(Debug)]
pub struct World {
    /// Plays Kombo.
    pub sandbox: Sandbox,
    /// The database of the mirror.
    pub database: Database,
    settings: BTreeMap<String, String>,
    integrations: Vec<String>,
    runs: AtomicUsize,
    folder: TempDir,
    runtime: Runtime,
}

impl World {
    /// Creates a sandbox, an empty database, and a configuration with both and all integrations.
    pub fn new(backend: Backend, config: SandboxConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = SandboxConfig { api_key: API_KEY.to_owned(), ..config };
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        let folder = TempDir::new().unwrap();
        let database = Database::new(backend, folder.path());
        let integrations = sandbox.integrations();
        let mut world = Self {
            sandbox,
            database,
            settings: BTreeMap::new(),
            integrations,
            runs: AtomicUsize::new(0),
            folder,
            runtime,
        };
        world.set("kombo.api_key", API_KEY);
        world.set("kombo.base_url", &world.sandbox.base_url());
        world.set("store.url", &world.database.url());
        // Any free port, unless a test sets one.
        world.set("server.webhooks", "127.0.0.1:0");
        world.set("server.operations", "127.0.0.1:0");
        world
    }

    /// Sets a text in the configuration.
    pub fn set(&mut self, key: &str, text: &str) {
        self.set_toml(key, &format!("{text:?}"));
    }

    /// Sets a TOML value in the configuration.
    pub fn set_toml(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    /// Removes a setting from the configuration.
    pub fn unset(&mut self, key: &str) {
        self.settings.remove(key);
    }

    /// Replaces the integrations in the configuration.
    pub fn name_integrations(&mut self, ids: &[&str]) {
        self.integrations = ids.iter().map(|id| (*id).to_owned()).collect();
    }

    /// Returns the configuration as text.
    pub fn configuration(&self) -> String {
        self.configuration_with(&[])
    }

    /// Returns the configuration with other TOML values. Settings without a value are left out.
    pub fn configuration_with(&self, others: &[(String, Option<String>)]) -> String {
        let mut settings: BTreeMap<_, _> = self.settings.iter().map(|(key, value)| (key, Some(value))).collect();
        settings.extend(others.iter().map(|(key, value)| (key, value.as_ref())));
        let mut lines: Vec<String> =
            settings.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?))).collect();
        lines.extend(self.integrations.iter().map(|id| format!("[[integrations]]\nid = \"{id}\"")));
        lines.join("\n")
    }

    /// Returns the working directory of processes, which contains the configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Returns the program's command with these arguments, in the folder, without environment variables.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.write("syncd.toml", &self.configuration());
        self.command_as_it_is(arguments)
    }

    /// Like [`World::command`], without writing the configuration first.
    pub fn command_as_it_is(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder()).env_clear();
        command
    }

    /// Starts a command.
    pub fn start(&self, command: Command) -> Running {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let secrets = vec![API_KEY.to_owned(), DATABASE_PASSWORD.to_owned()];
        Running::start(command, &self.folder().join(format!("output-{number}")), secrets)
    }

    /// Starts a command with these standard streams for output and errors.
    pub fn start_to(&self, command: Command, to: [Stdio; 2]) -> Running {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let secrets = vec![API_KEY.to_owned(), DATABASE_PASSWORD.to_owned()];
        Running::start_to(command, &self.folder().join(format!("output-{number}")), secrets, to)
    }

    /// Starts the program with these arguments.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        self.start(self.command(arguments))
    }

    /// Runs the program with these arguments to its end.
    pub fn syncd(&self, arguments: &[&str]) -> Finished {
        self.spawn(arguments).wait()
    }

    /// Runs `sync`, which must succeed.
    #[track_caller]
    pub fn sync(&self) -> Finished {
        self.syncd(&["sync", "--json"]).expect_code(0)
    }

    /// Reads from the database.
    pub fn read<T: Send + 'static>(&self, look: impl FnOnce(&mut dyn Tx) -> TxResult<T> + Send + 'static) -> T {
        self.runtime
            .block_on(async {
                let store = DieselStore::open(&self.database.url().parse().unwrap()).await.unwrap();
                store.read(look).await
            })
            .unwrap()
    }

    /// Returns the integrations that are registered in the mirror.
    pub fn integrations(&self) -> Vec<IntegrationId> {
        self.sandbox.integrations().iter().map(|id| IntegrationId::from(id.as_str())).collect()
    }

    /// Returns the sandbox's logged requests to an endpoint.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<LoggedRequest> {
        self.sandbox.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
    }
}

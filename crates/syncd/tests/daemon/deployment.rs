//! A daemon with its environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use kombo_sandbox::{Model, Mutation, SandboxConfig, WebhookMode};
use serde_json::Value;
use store_diesel::DieselStore;
use sync_core::jobs::QueuedRequest;
use sync_core::ports::{Store as _, StoreError, Tx, TxResult};
use tokio::runtime::Runtime;

use crate::database::Backend;
use crate::http::{self, Answer};
use crate::mirror::{Skills, assert_faithful};
use crate::program::{Finished, Running, wait_until};
use crate::world::World;

/// Longer than any work of these tests takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The secret that signs webhooks.
pub const SECRET: &str = "webhook-secret-that-must-not-be-shown";

/// The addresses of a daemon.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Address for webhooks.
    pub webhooks: SocketAddr,
    /// Address for health and metrics.
    pub operations: SocketAddr,
}

impl Place {
    /// Chooses two free ports. They are below the ranges that systems hand out and that private servers take, so they
    /// stay free while no daemon runs.
    pub fn new() -> Self {
        Self { webhooks: free_port(), operations: free_port() }
    }

    /// Returns the URL for webhooks.
    pub fn url(&self) -> String {
        format!("http://{}/webhooks/kombo", self.webhooks)
    }
}

fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 400).unwrap() * 10;
    loop {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_800;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Creates a world with a sandbox that sends a webhook for every change to the daemon at `place` at once.
pub fn world_for(backend: Backend, config: SandboxConfig, place: Place) -> World {
    let mut world = World::new(backend, config);
    world.set("kombo.webhook_secret", SECRET);
    world.sandbox.configure_webhooks(|hooks| {
        SECRET.clone_into(&mut hooks.secret);
        hooks.targets = vec![place.url()];
        hooks.data_changed = WebhookMode::Auto { debounce_ms: 0 };
    });
    world
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub process: Running,
    /// Its addresses.
    pub place: Place,
}

impl Daemon {
    /// Starts a daemon, and waits until it is ready.
    pub fn start(world: &World, place: Place) -> Self {
        let mut daemon = Self::launch(world, place);
        wait_until("the daemon is ready", || {
            assert!(daemon.process.is_running(), "the daemon ended: see {}", world.folder().display());
            daemon.is_ready()
        });
        daemon
    }

    /// Starts a daemon without waiting.
    pub fn launch(world: &World, place: Place) -> Self {
        Self::launch_as(world, place, world.command(&["run"]))
    }

    /// Starts a daemon by another command.
    pub fn launch_as(world: &World, place: Place, mut command: Command) -> Self {
        command.env("SYNCD__SERVER__WEBHOOKS", place.webhooks.to_string());
        command.env("SYNCD__SERVER__OPERATIONS", place.operations.to_string());
        Self { process: world.start(command), place }
    }

    /// Starts a daemon with another standard error.
    pub fn launch_to(world: &World, place: Place, stderr: Stdio) -> Self {
        let mut command = world.command(&["run"]);
        command.env("SYNCD__SERVER__WEBHOOKS", place.webhooks.to_string());
        command.env("SYNCD__SERVER__OPERATIONS", place.operations.to_string());
        Self { process: world.start_to(command, [Stdio::null(), stderr]), place }
    }

    /// Returns the answer of `/readyz`.
    pub fn readyz(&self) -> Option<Answer> {
        http::get(self.place.operations, "/readyz").ok()
    }

    /// Whether it can do its work.
    pub fn is_ready(&self) -> bool {
        self.readyz().is_some_and(|answer| answer.status == 200)
    }

    /// Returns the sum of a metric over its series with labels that contain `label`; `None` if there are none.
    pub fn metric(&self, name: &str, label: &str) -> Option<f64> {
        let metrics = self.metrics();
        let mut found = metrics
            .iter()
            .filter(|(key, _)| key.split('{').next() == Some(name) && key.contains(label))
            .map(|(_, value)| *value)
            .peekable();
        found.peek().is_some().then_some(())?;
        Some(found.sum())
    }

    /// Returns the content of `/metrics`, by name and labels.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = http::get(self.place.operations, "/metrics").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        let lines = answer.text.lines().filter(|line| line.starts_with("syncd_"));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(key, value)| (key.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// Posts a signed webhook.
    pub fn webhook(&self, body: &str) -> Answer {
        post_webhook(self.place, SECRET, body).unwrap()
    }

    /// Sends a stop signal, and waits for the end.
    pub fn stop(self) -> Finished {
        self.process.signal("TERM");
        self.process.wait().expect_code(0)
    }

    /// Kills the daemon, as in a crash.
    pub fn kill(self) -> Finished {
        self.process.kill()
    }
}

/// Posts a webhook signed with `secret`.
pub fn post_webhook(place: Place, secret: &str, body: &str) -> std::io::Result<Answer> {
    let signature = kombo_sandbox::sign(secret, body.as_bytes());
    let headers = [("Content-Type", "application/json"), ("X-Kombo-Signature", signature.as_str())];
    http::post(place.webhooks, "/webhooks/kombo", &headers, body.as_bytes())
}

/// Makes a change in an integration that a delta can show, and returns the webhook for it.
pub fn change(world: &World, integration: &str, number: usize) -> String {
    let ids = |model: Model| world.sandbox.ids(integration, model).unwrap();
    let any = |model: Model| ids(model)[number % ids(model).len()];
    let text = format!("Changed by {number}");
    let mutation = match number % 7 {
        0 => Mutation::update(Model::CourseRevisions, any(Model::CourseRevisions), "title", text),
        1 => Mutation::update(Model::CourseProgressions, any(Model::CourseProgressions), "status", "COMPLETED"),
        2 => {
            let id = format!("new{number}").parse().unwrap();
            Mutation::enrol(any(Model::Users), any(Model::CourseRevisions), id, 1)
        }
        3 => Mutation::delete(Model::CourseProgressions, any(Model::CourseProgressions)),
        4 => Mutation::restore(Model::CourseProgressions, any(Model::CourseProgressions)),
        5 => Mutation::update(Model::Users, any(Model::Users), "last_name", text),
        _ => Mutation::update(Model::Users, any(Model::Users), "first_name", text),
    };
    let applied = world.sandbox.mutate(integration, mutation).unwrap();
    let models: Vec<&str> = applied.models.iter().map(|model| model.as_str()).collect();
    data_changed(&format!("webhook-{number}"), integration, &models)
}

/// Returns the body of a `data-changed` webhook.
pub fn data_changed(id: &str, integration: &str, models: &[&str]) -> String {
    let models: Vec<Value> = models.iter().map(|name| serde_json::json!({ "name": name })).collect();
    let data = serde_json::json!({
        "integration_id": integration, "integration_tool": "sandbox", "integration_category": "LMS",
        "changed_models": models,
    });
    serde_json::json!({ "id": id, "type": "data-changed", "data": data }).to_string()
}

/// Reads the database through a store that stays open.
#[derive(Debug)]
pub struct Look {
    store: DieselStore,
    runtime: Runtime,
}

impl Look {
    /// Opens the database of a world. Its tables must exist.
    pub fn new(world: &World) -> Self {
        Self::at(&world.database.url())
    }

    /// Opens the database at this URL.
    pub fn at(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = runtime.block_on(DieselStore::open(&url.parse().unwrap())).unwrap();
        Self { store, runtime }
    }

    /// Reads, and retries while the database does not answer.
    pub fn read<T: Send + 'static>(&self, look: impl Fn(&mut dyn Tx) -> TxResult<T> + Clone + Send + 'static) -> T {
        let mut seen = None;
        wait_until("the database answers", || {
            let look = look.clone();
            let result = self.runtime.block_on(self.store.read(move |tx| look(tx)));
            match result {
                Ok(value) => seen = Some(value),
                Err(StoreError::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            seen.is_some()
        });
        seen.unwrap()
    }

    /// Returns all requests.
    pub fn requests(&self) -> Vec<QueuedRequest> {
        self.read(|tx| tx.requests())
    }

    /// Fails if more than one fetch of an endpoint of an integration runs, or more than `most` wait.
    #[track_caller]
    pub fn assert_one_at_a_time(&self, most: usize) {
        let mut at_work: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for request in self.requests() {
            let (run, wait) = at_work.entry((request.target.integration_id, request.target.endpoint)).or_default();
            *if request.lease.is_some() { run } else { wait } += 1;
        }
        assert!(at_work.values().all(|(run, wait)| *run <= 1 && *wait <= most), "{at_work:?}");
    }

    /// Waits until all of the sandbox's webhooks have been answered and no request is left.
    #[track_caller]
    pub fn wait_until_settled(&self, world: &World) {
        let began = Instant::now();
        loop {
            self.runtime.block_on(world.sandbox.webhooks_settled());
            let unplanned = self.read(|tx| tx.integrations_with_pending_webhooks(1));
            let left = self.requests();
            if unplanned.is_empty() && left.is_empty() {
                return;
            }
            let names: Vec<String> = left.iter().map(|request| format!("{} {:?}", request.target, request)).collect();
            assert!(began.elapsed() < PATIENCE, "waited too long for {}", names.join("\n"));
        }
    }

    /// Waits until every stored webhook is planned.
    #[track_caller]
    pub fn wait_until_planned(&self) {
        wait_until("every webhook is planned", || self.read(|tx| tx.integrations_with_pending_webhooks(1)).is_empty());
    }

    /// Waits like [`Look::wait_until_settled`], and compares the mirror with the sandbox.
    #[track_caller]
    pub fn assert_faithful_in_the_end(&self, world: &World) {
        self.wait_until_settled(world);
        assert_faithful(world, Skills::FromCourses);
    }

    /// Waits until every configured integration is loaded.
    pub fn wait_until_loaded(&self, world: &World) {
        let endpoints = world.integrations().len() * 3;
        wait_until("everything is loaded", || {
            let loaded = self.read(|tx| tx.endpoints(None)).iter().filter(|state| state.loaded_at.is_some()).count();
            loaded == endpoints && self.requests().is_empty()
        });
    }
}

/// Returns the output of `syncd status --json`.
pub fn status(world: &World) -> Value {
    world.syncd(&["status", "--json"]).expect_code(0).json()
}

/// Returns the integration in the output of `status`.
pub fn status_of<'a>(status: &'a Value, integration: &str) -> &'a Value {
    let integrations = status["integrations"].as_array().unwrap();
    integrations.iter().find(|known| known["id"] == integration).unwrap_or(&Value::Null)
}

/// Returns the endpoint in the output of `status`.
pub fn endpoint_of<'a>(status: &'a Value, integration: &str, endpoint: &str) -> &'a Value {
    let endpoints = status_of(status, integration)["endpoints"].as_array();
    endpoints.and_then(|all| all.iter().find(|known| known["endpoint"] == endpoint)).unwrap_or(&Value::Null)
}

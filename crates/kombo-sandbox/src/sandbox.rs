//! The handle of a running sandbox, for tests and the command.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{net::TcpListener, runtime::Handle, sync::watch, task::JoinHandle};

use crate::{
    Applied, Delivery, Endpoint, Fault, GeneratorConfig, Id, LoggedRequest, Model, Mutation, SandboxClock,
    SandboxConfig, SandboxError, State, TruthRow, Webhook, WebhookConfig, server, shared::Shared, truth::truth,
};

/// A running sandbox. It stops when dropped.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    grace: Duration,
}

impl Sandbox {
    /// Generates the data, binds the port and serves. Requires a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Bind`] if the port is not available.
    pub async fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Bind { address: config.listen.to_string(), source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let grace = config.shutdown_grace;
        let shared = Arc::new(Shared::new(config, Handle::current()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::serve(listener, Arc::clone(&shared), stopped));
        Ok(Self { shared, address, stop, task: Some(task), grace })
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL for a client: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the URL of the control endpoint: `http://127.0.0.1:PORT/control`.
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.address)
    }

    /// Stops accepting connections, waits briefly for the open ones, and closes them.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(self.grace, &mut task).await.is_err()
        {
            task.abort();
        }
    }

    /// Returns the sandbox's clock.
    pub fn clock(&self) -> &SandboxClock {
        &self.shared.clock
    }

    /// Returns the sorted ids of the integrations.
    pub fn integrations(&self) -> Vec<String> {
        self.shared.read().integrations.keys().cloned().collect()
    }

    /// Connects another integration with generated data.
    pub fn add_integration(&self, id: &str, generator: &GeneratorConfig) -> Result<(), SandboxError> {
        self.shared.add_integration(id, generator)
    }

    /// Removes an integration: it is not found any more.
    pub fn remove_integration(&self, id: &str) -> Result<(), SandboxError> {
        let removed = self.shared.write().integrations.remove(id);
        removed.map(drop).ok_or_else(|| SandboxError::NoIntegration(id.to_owned()))
    }

    /// Returns the sorted ids of all rows of a model, including deleted ones. Empty for skill assignments, which have
    /// no id.
    pub fn ids(&self, integration: &str, model: Model) -> Result<Vec<Id>, SandboxError> {
        self.shared.commit_due();
        Ok(self.shared.read().integration(integration)?.tables.ids(model))
    }

    /// Reads the state. `look` must not call the sandbox again.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.commit_due();
        look(&self.shared.read())
    }

    /// Edits the state by hand: rows, integrations, behaviour, latency, limits. No time moves and no webhook is sent.
    /// `change` must not call the sandbox again.
    pub fn edit<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.commit_due();
        let mut state = self.shared.write();
        let result = change(&mut state);
        for integration in state.integrations.values_mut() {
            integration.version += 1;
        }
        drop(state);
        self.shared.pages().clear();
        result
    }

    /// Applies one mutation at the clock's time.
    pub fn mutate(&self, integration: &str, mutation: Mutation) -> Result<Applied, SandboxError> {
        self.shared.mutate(integration, mutation)
    }

    /// Applies one random mutation, chosen by `seed`. `None` if none is possible.
    pub fn mutate_random(&self, integration: &str, seed: u64) -> Result<Option<Applied>, SandboxError> {
        self.shared.mutate_random(integration, seed)
    }

    /// Deletes all rows of a model with tombstones, as when the model is disabled. Returns their number.
    pub fn delete_all(&self, integration: &str, model: Model) -> Result<usize, SandboxError> {
        self.shared.delete_all(integration, model)
    }

    /// Returns the content of a correct mirror of `model`: flat rows by Kombo's column names, sorted by id.
    pub fn truth(&self, integration: &str, model: Model) -> Result<Vec<TruthRow>, SandboxError> {
        self.shared.commit_due();
        let state = self.shared.read();
        let tables = &state.integration(integration)?.tables;
        Ok(truth(tables, &state.behaviour, self.shared.clock.now(), model))
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) {
        self.shared.traffic().faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.traffic().faults.clear();
    }

    /// Returns the faults that have not ended.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.traffic().faults.waiting().to_vec()
    }

    /// Returns the logged requests, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.traffic().log.kept.iter().cloned().collect()
    }

    /// Returns the number of requests to an endpoint since the log was last cleared.
    pub fn request_count(&self, endpoint: Endpoint) -> u64 {
        self.shared.traffic().log.counts.get(&endpoint).copied().unwrap_or_default()
    }

    /// Clears the log of requests.
    pub fn clear_requests(&self) {
        self.shared.traffic().log.clear();
    }

    /// Expires every cursor issued so far.
    pub fn expire_cursors(&self) {
        self.shared.traffic().cursor_generation += 1;
    }

    /// Changes the targets and settings of webhooks.
    pub fn configure_webhooks(&self, change: impl FnOnce(&mut WebhookConfig)) {
        change(&mut self.shared.hooks().config);
    }

    /// Sends a webhook in the background and returns its body.
    pub fn send_webhook(&self, integration: &str, webhook: &Webhook) -> Result<String, SandboxError> {
        self.shared.send(integration, webhook)
    }

    /// Sends `data-changed` about all unreported changes; returns whether there were any.
    pub fn send_data_changed(&self, integration: &str) -> Result<bool, SandboxError> {
        self.shared.send_data_changed(integration)
    }

    /// Returns the results of the webhooks sent so far, in the order of completion.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.hooks().deliveries.clone()
    }

    /// Waits until no webhook is in transit, including debounced ones.
    pub async fn webhooks_settled(&self) {
        // `self` owns the sender, so waiting cannot fail because it was dropped.
        let _ = self.shared.on_the_way.subscribe().wait_for(|it| *it == 0).await;
    }

    /// Moves the clock; short for `clock().advance`.
    pub fn advance(&self, delta: TimeDelta) {
        self.shared.clock.advance(delta);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

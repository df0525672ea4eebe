//! The handle by which a test or the command holds a running sandbox.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{net::TcpListener, runtime::Handle, sync::watch, task::JoinHandle};

use crate::{
    Applied, Delivery, Endpoint, Fault, GeneratorConfig, Id, LoggedRequest, Model, Mutation, SandboxClock,
    SandboxConfig, SandboxError, State, TruthRow, Webhook, WebhookConfig, server, shared::Shared, truth::truth,
};

/// A running sandbox. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    grace: Duration,
}

impl Sandbox {
    /// Generates the data, binds the port and serves. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Bind`] if the port cannot be had.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to configure a client with: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The URL under which the control endpoint is: `http://127.0.0.1:PORT/control`.
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.address)
    }

    /// Takes no more connections, waits a moment for the open ones, and ends them.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(self.grace, &mut task).await.is_err()
        {
            task.abort();
        }
    }

    /// The sandbox's clock.
    pub fn clock(&self) -> &SandboxClock {
        &self.shared.clock
    }

    /// The ids of the integrations, sorted.
    pub fn integrations(&self) -> Vec<String> {
        self.shared.read().integrations.keys().cloned().collect()
    }

    /// Connects another integration with generated data.
    pub fn add_integration(&self, id: &str, generator: &GeneratorConfig) -> Result<(), SandboxError> {
        self.shared.add_integration(id, generator)
    }

    /// Removes an integration: from here on it is not found.
    pub fn remove_integration(&self, id: &str) -> Result<(), SandboxError> {
        let removed = self.shared.write().integrations.remove(id);
        removed.map(drop).ok_or_else(|| SandboxError::NoIntegration(id.to_owned()))
    }

    /// The ids of all rows of a model, deleted ones too, sorted. None for the assignments of skills, which have no id.
    pub fn ids(&self, integration: &str, model: Model) -> Result<Vec<Id>, SandboxError> {
        self.shared.commit_due();
        Ok(self.shared.read().integration(integration)?.tables.ids(model))
    }

    /// Looks at the state. `look` must not call the sandbox again.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.commit_due();
        look(&self.shared.read())
    }

    /// Changes the state by hand: rows, integrations, behaviour, latency, limits. No time moves and no webhook is sent.
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

    /// Does one mutation at the clock's time.
    pub fn mutate(&self, integration: &str, mutation: Mutation) -> Result<Applied, SandboxError> {
        self.shared.mutate(integration, mutation)
    }

    /// Does one mutation of any sort, decided by `seed`. `None` where there is nothing to do anything to.
    pub fn mutate_random(&self, integration: &str, seed: u64) -> Result<Option<Applied>, SandboxError> {
        self.shared.mutate_random(integration, seed)
    }

    /// Gives every row of a model a tombstone, as when the model is turned off; says how many.
    pub fn delete_all(&self, integration: &str, model: Model) -> Result<usize, SandboxError> {
        self.shared.delete_all(integration, model)
    }

    /// What a faithful mirror holds of `model`: flat rows by Kombo's column names, sorted by id.
    pub fn truth(&self, integration: &str, model: Model) -> Result<Vec<TruthRow>, SandboxError> {
        self.shared.commit_due();
        let state = self.shared.read();
        let tables = &state.integration(integration)?.tables;
        Ok(truth(tables, &state.behaviour, self.shared.clock.now(), model))
    }

    /// Orders a fault.
    pub fn inject(&self, fault: Fault) {
        self.shared.traffic().faults.add(fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.shared.traffic().faults.clear();
    }

    /// Faults that still wait.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.traffic().faults.waiting().to_vec()
    }

    /// The requests that the log keeps, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.traffic().log.kept.iter().cloned().collect()
    }

    /// How many requests there were to an endpoint since the log was last cleared.
    pub fn request_count(&self, endpoint: Endpoint) -> u64 {
        self.shared.traffic().log.counts.get(&endpoint).copied().unwrap_or_default()
    }

    /// Forgets the requests.
    pub fn clear_requests(&self) {
        self.shared.traffic().log.clear();
    }

    /// Every cursor issued so far is expired.
    pub fn expire_cursors(&self) {
        self.shared.traffic().cursor_generation += 1;
    }

    /// Changes where webhooks go and how.
    pub fn configure_webhooks(&self, change: impl FnOnce(&mut WebhookConfig)) {
        change(&mut self.shared.hooks().config);
    }

    /// Sends a webhook in the background and gives its body.
    pub fn send_webhook(&self, integration: &str, webhook: &Webhook) -> Result<String, SandboxError> {
        self.shared.send(integration, webhook)
    }

    /// Sends `data-changed` about everything that changed since the last; says whether there was anything.
    pub fn send_data_changed(&self, integration: &str) -> Result<bool, SandboxError> {
        self.shared.send_data_changed(integration)
    }

    /// What became of the webhooks sent so far, in the order in which they ended.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.hooks().deliveries.clone()
    }

    /// Waits until no webhook is on its way, those that are debounced included.
    pub async fn webhooks_settled(&self) {
        // The sender lives in `self`, so that waiting cannot end in its loss.
        let _ = self.shared.on_the_way.subscribe().wait_for(|it| *it == 0).await;
    }

    /// Moves the clock; shorthand for `clock().advance`.
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

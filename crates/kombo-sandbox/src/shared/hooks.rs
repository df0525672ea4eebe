//! Webhooks from a change to its delivery.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::Shared;
use crate::{
    Delivery, Model, SandboxError, Webhook, WebhookConfig, WebhookMode,
    webhook::{deliver, payload, sign},
};

/// Counts a webhook as in transit until dropped.
struct OnTheWay(Arc<Shared>);

impl OnTheWay {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.on_the_way.send_modify(|it| *it += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.0.on_the_way.send_modify(|it| *it = it.saturating_sub(1));
    }
}

impl Shared {
    /// Records changed models and, in automatic mode, sends `data-changed` after the debounce.
    pub(super) fn note_changes(self: &Arc<Self>, integration: &str, models: &BTreeSet<Model>) {
        if models.is_empty() {
            return;
        }
        let mut hooks = self.hooks();
        let mode = hooks.config.data_changed;
        if mode == WebhookMode::Off {
            return;
        }
        let unannounced = hooks.unannounced.entry(integration.to_owned()).or_default();
        let first = unannounced.is_empty();
        unannounced.extend(models);
        drop(hooks);
        if let WebhookMode::Auto { debounce_ms } = mode
            && first
        {
            let (integration, on_the_way) = (integration.to_owned(), OnTheWay::new(self));
            self.runtime.spawn(async move {
                tokio::time::sleep(Duration::from_millis(debounce_ms)).await;
                // The integration may have been removed; then there is nothing to send.
                let _ = on_the_way.0.send_data_changed(&integration);
            });
        }
    }

    /// Changes the settings. Recorded changes are sent immediately if sending is no longer manual.
    pub(crate) fn configure_hooks(self: &Arc<Self>, config: WebhookConfig) {
        let mut hooks = self.hooks();
        hooks.config = config;
        let is_auto = matches!(hooks.config.data_changed, WebhookMode::Auto { .. });
        let unannounced: Vec<String> = if is_auto { hooks.unannounced.keys().cloned().collect() } else { Vec::new() };
        drop(hooks);
        for integration in unannounced {
            // It may have been removed; then there is nothing to send.
            let _ = self.send_data_changed(&integration);
        }
    }

    /// Sends `data-changed` about all unreported changes; returns whether there were any.
    pub(crate) fn send_data_changed(self: &Arc<Self>, integration: &str) -> Result<bool, SandboxError> {
        let changed_models = self.hooks().unannounced.remove(integration).unwrap_or_default();
        if changed_models.is_empty() {
            return Ok(false);
        }
        self.send(integration, &Webhook::DataChanged { changed_models })?;
        Ok(true)
    }

    /// Sends a webhook in the background and returns its body.
    pub(crate) fn send(self: &Arc<Self>, integration: &str, webhook: &Webhook) -> Result<String, SandboxError> {
        self.send_with(integration, webhook, |_| {})
    }

    /// Like [`send`](Self::send), but edits the webhook's `data` first.
    pub(super) fn send_with(
        self: &Arc<Self>,
        integration: &str,
        webhook: &Webhook,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<String, SandboxError> {
        let at = self.clock.now();
        let state = self.read();
        let about = state.integration(integration)?;
        let mut hooks = self.hooks();
        let mut body = payload(webhook, about, at, &mut hooks.rng);
        if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) {
            change(data);
        }
        let body = body.to_string();
        drop(state);
        let mut delivery = Delivery {
            at,
            webhook: webhook.type_name(),
            integration: integration.to_owned(),
            target: None,
            body: body.clone(),
            signature: sign(&hooks.config.secret, body.as_bytes()),
            status: None,
            error: None,
        };
        let targets = if hooks.config.lose_next > 0 {
            hooks.config.lose_next -= 1;
            delivery.error = Some("lost as ordered".to_owned());
            Vec::new()
        } else {
            hooks.config.targets.clone()
        };
        if targets.is_empty() {
            delivery.error.get_or_insert_with(|| "no target".to_owned());
            hooks.deliveries.push(delivery);
            return Ok(body);
        }
        let (copies, delay) = (hooks.config.duplicates.saturating_add(1), Duration::from_millis(hooks.config.delay_ms));
        drop(hooks);
        for target in targets {
            for _ in 0..copies {
                self.send_off(Delivery { target: Some(target.clone()), ..delivery.clone() }, delay);
            }
        }
        Ok(body)
    }

    fn send_off(self: &Arc<Self>, mut delivery: Delivery, delay: Duration) {
        let on_the_way = OnTheWay::new(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            let target = delivery.target.clone().unwrap_or_default();
            match deliver(&target, &delivery.signature, delivery.body.clone()).await {
                Ok(status) => delivery.status = Some(status),
                Err(error) => delivery.error = Some(error),
            }
            on_the_way.0.hooks().deliveries.push(delivery);
        });
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kombo_client::webhook::sign;
use kombo_model::{
    ChangedModel, DataChanged, Extra, IntegrationCategory, IntegrationDeleted, IntegrationState,
    IntegrationStateChanged, ModelName, Webhook, WebhookEvent,
};
use secrecy::SecretString;
use tokio::time::sleep;

use crate::process::{Answer, SECRET};
use crate::tally::Fault;
use crate::world::{Tenant, World};

/// Maximum delay of a webhook.
const LATEST: Duration = Duration::from_secs(300);
const SEND_AGAIN_AFTER: Duration = Duration::from_secs(20);
const MOST_TRIES: u32 = 8;

/// Sends webhooks like Kombo and the network.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebhookSender {
    sent: Arc<AtomicU64>,
    arrived: Arc<AtomicU64>,
}

impl WebhookSender {
    /// Sends a webhook that names the changed models.
    pub(crate) fn tell(&self, world: &Arc<World>, tenant: &Tenant, changed: Vec<ModelName>) {
        if changed.is_empty() {
            return;
        }
        let models = changed.into_iter().map(|name| ChangedModel { name, extra: Extra::new() });
        self.send(
            world,
            WebhookEvent::DataChanged(DataChanged {
                integration_id: tenant.id.clone(),
                integration_tool: "sandbox".to_owned(),
                integration_category: IntegrationCategory::Lms,
                changed_models: models.collect(),
                extra: Extra::new(),
            }),
        );
    }

    /// Sends a webhook with the state of an integration.
    pub(crate) fn tell_state(&self, world: &Arc<World>, tenant: &Tenant, state: IntegrationState) {
        self.send(
            world,
            WebhookEvent::IntegrationStateChanged(IntegrationStateChanged {
                integration_id: tenant.id.clone(),
                integration_tool: "sandbox".to_owned(),
                integration_category: IntegrationCategory::Lms,
                end_user: None,
                qa_status: None,
                setup_status: None,
                state,
                updated_at: None,
                extra: Extra::new(),
            }),
        );
    }

    fn send(&self, world: &Arc<World>, event: WebhookEvent) {
        let rates = &world.manner.rates;
        let number = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let webhook = Webhook { id: format!("event {number}").as_str().into(), event };
        world.log(format_args!("Kombo sends webhook {number}: {:?}", webhook.event));
        if world.meets(Fault::WebhookLost, rates.webhook_lost) {
            return;
        }
        let Ok(body) = serde_json::to_vec(&webhook) else { return };
        let signature = sign(&SecretString::from(SECRET), &body);
        let times = if world.meets(Fault::WebhookTwice, rates.webhook_twice) { 2 } else { 1 };
        for _ in 0..times {
            let late = world.meets(Fault::WebhookLate, rates.webhook_late);
            let delay = world.between(Duration::from_millis(20), if late { LATEST } else { Duration::from_secs(2) });
            world.under_way.fetch_add(1, Ordering::SeqCst);
            let (world, arrived) = (Arc::clone(world), Arc::clone(&self.arrived));
            let (body, signature) = (body.clone(), signature.clone());
            tokio::spawn(async move {
                sleep(delay).await;
                if arrived.fetch_max(number, Ordering::SeqCst) > number {
                    world.count(Fault::WebhookOvertaken);
                }
                deliver(&world, &body, Some(signature.as_bytes())).await;
                world.under_way.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    /// Sends a forged webhook about the deletion of an integration, without knowing the secret.
    pub(crate) fn forge(world: &Arc<World>, tenant: &Tenant) {
        world.count(Fault::WebhookForged);
        let event = WebhookEvent::IntegrationDeleted(IntegrationDeleted {
            id: tenant.id.clone(),
            tool: "sandbox".to_owned(),
            category: IntegrationCategory::Lms,
            end_user: None,
            deleted_at: None,
            extra: Extra::new(),
        });
        let Ok(mut body) = serde_json::to_vec(&Webhook { id: "forged".into(), event }) else { return };
        let kind = world.dice().u8(0..4);
        let signature = match kind {
            0 => None,
            1 => Some("not a signature".to_owned()),
            2 => Some(sign(&SecretString::from("a guess"), &body)),
            _ => {
                // Signed by Kombo, and changed in transit.
                let signature = sign(&SecretString::from(SECRET), &body);
                body.push(b' ');
                Some(signature)
            }
        };
        world.under_way.fetch_add(1, Ordering::SeqCst);
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let answer = deliver(&world, &body, signature.as_deref().map(str::as_bytes)).await;
            if answer == Some(Answer::Stored) {
                world.fail(format!("a webhook that was forged in way {kind} was taken in"));
            }
            world.under_way.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Tries several times. Returns `None` if the webhook was neither stored nor refused.
async fn deliver(world: &Arc<World>, body: &[u8], signature: Option<&[u8]>) -> Option<Answer> {
    for _ in 0..MOST_TRIES {
        let process = {
            let processes = world.processes();
            world.dice().choice(processes.iter()).cloned()
        };
        if let Some(process) = process {
            let answer = tokio::select! {
                biased;
                () = process.dead.cancelled() => Answer::TryAgain,
                answer = process.receive(body, signature) => answer,
            };
            if answer != Answer::TryAgain {
                return Some(answer);
            }
        }
        sleep(SEND_AGAIN_AFTER).await;
    }
    world.log(format_args!("a webhook is given up"));
    None
}

use kombo_model::IntegrationId;
use sync_core::hold::{self, Held};
use sync_core::port::{Clock as _, Scope, Store as _};

use super::store::{Tables, open};
use super::{Context, Exit};
use crate::clock::SystemClock;
use crate::config::ConfigError;
use crate::output;

/// Keeps an integration from being fetched, whatever webhooks and the schedule say.
pub(crate) async fn pause(context: &Context, id: IntegrationId) -> anyhow::Result<Exit> {
    let store = open(&context.config()?, Tables::Expect).await?;
    let (wanted, now) = (id.clone(), SystemClock.now());
    let held = store.transact(Scope::Integration(id.clone()), move |tx| hold::pause(tx, &wanted, now)).await?;
    tell(context, &id, held, "paused", "nothing is fetched until `syncd resume`")
}

/// Lets it be fetched again, and asks for what changed meanwhile.
pub(crate) async fn resume(context: &Context, id: IntegrationId) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let store = open(&config, Tables::Expect).await?;
    let (wanted, endpoints, now) = (id.clone(), config.plan_policy().endpoints, SystemClock.now());
    let unit = move |tx: &mut dyn sync_core::port::Tx| hold::resume(tx, &wanted, &endpoints, now);
    let held = store.transact(Scope::Integration(id.clone()), unit).await?;
    tell(context, &id, held, "resumed", "a daemon fetches what changed meanwhile, or `syncd sync`")
}

fn tell(context: &Context, id: &IntegrationId, held: Held, done: &str, then: &str) -> anyhow::Result<Exit> {
    let shown = output::one_line(id.as_str());
    if held == Held::Unknown {
        let text = format!("{shown} is not in this store, or was deleted: `syncd status` names those that are there");
        return Err(ConfigError(text).into());
    }
    let changed = held == Held::Done;
    if context.global.json {
        output::json(&serde_json::json!({ "integration_id": id, "outcome": done, "changed": changed }))?;
    } else if changed {
        output::line(format!("{shown} is {done}: {then}."))?;
    } else {
        output::line(format!("{shown} is not changed: it was {done} already, or never paused."))?;
    }
    Ok(Exit::Done)
}

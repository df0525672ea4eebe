use kombo_model::IntegrationId;
use sync_core::jobs::pause::{self, PauseOutcome};
use sync_core::ports::Clock as _;

use crate::clock::SystemClock;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::{Tables, open, unknown_integration};

/// Keeps an integration from being fetched, whatever webhooks and the schedule say.
pub(crate) async fn pause(context: &Context, id: IntegrationId) -> anyhow::Result<Exit> {
    let store = open(&context.config()?, Tables::Expect).await?;
    let held = pause::pause(&store, &id, SystemClock.now()).await?;
    let words = ("paused", "nothing is fetched until `syncd resume`", "it was paused already");
    tell(context, &id, held, words)
}

/// Lets it be fetched again, and asks for what changed meanwhile.
pub(crate) async fn resume(context: &Context, id: IntegrationId) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let store = open(&config, Tables::Expect).await?;
    let held = pause::resume(&store, &id, &config.plan_policy().endpoints, SystemClock.now()).await?;
    let words = ("resumed", "a daemon fetches what changed meanwhile, or `syncd sync`", "it was not paused");
    tell(context, &id, held, words)
}

/// Words for what was done, for what follows, and for why nothing was done.
type Words = (&'static str, &'static str, &'static str);

fn tell(
    context: &Context,
    id: &IntegrationId,
    held: PauseOutcome,
    (done, then, unchanged): Words,
) -> anyhow::Result<Exit> {
    let shown = output::one_line(id.as_str());
    if held == PauseOutcome::Unknown {
        return Err(unknown_integration(id).into());
    }
    let changed = held == PauseOutcome::Done;
    if context.global.json {
        output::json(&serde_json::json!({ "integration_id": id, "outcome": done, "changed": changed }))?;
    } else if changed {
        output::line(format!("{shown} is {done}: {then}."))?;
    } else {
        output::line(format!("{shown} is not changed: {unchanged}."))?;
    }
    Ok(Exit::Done)
}

use kombo_model::IntegrationId;
use sync_core::jobs::pause::{self, PauseOutcome};
use sync_core::ports::Clock as _;

use crate::clock::SystemClock;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::{Tables, open, unknown_integration};

/// Stops fetching an integration, even if webhooks or the schedule request it.
pub(crate) async fn pause(context: &Context, id: IntegrationId) -> anyhow::Result<Exit> {
    let store = open(&context.config()?, Tables::Expect).await?;
    let held = pause::pause(&store, &id, SystemClock.now()).await?;
    let words = ("paused", "nothing is fetched until `syncd resume`", "it was paused already");
    tell(context, &id, held, words)
}

/// Resumes a paused integration, and requests the changes since the pause.
pub(crate) async fn resume(context: &Context, id: IntegrationId) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let store = open(&config, Tables::Expect).await?;
    let held = pause::resume(&store, &id, &config.plan_policy().endpoints, SystemClock.now()).await?;
    let words = ("resumed", "a daemon fetches what changed meanwhile, or `syncd sync`", "it was not paused");
    tell(context, &id, held, words)
}

/// Messages: the result, the next step, and the reason if nothing was done.
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

use kombo_model::{Category, ModelName};
use sync_core::ports::Clock as _;
use sync_core::rows::Model;
use sync_core::webhooks::planner::{SyncPlan, plan};

use crate::clock::SystemClock;
use crate::config::ConfigError;
use crate::context::Context;
use crate::exit::Exit;
use crate::nearest::suggestion;
use crate::output;

/// Prints the endpoints that a webhook naming these models would fetch, with reasons.
pub(crate) fn run(context: &Context, models: &[String]) -> anyhow::Result<Exit> {
    let models: Vec<String> = models.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    if let Some(typo) = models.iter().find(|name| !name.contains('_')) {
        let of_category =
            |category| suggestion(&format!("{category}_{typo}"), Model::ALL.iter().map(|model| model.as_str()));
        let meant = Category::ALL.into_iter().map(of_category).find(|meant| !meant.is_empty()).unwrap_or_default();
        let typo = output::one_line(typo);
        let message = format!("\"{typo}\" is no model name: they look like lms_users or hris_employees{meant}");
        return Err(ConfigError(message).into());
    }
    let is_of_category = |name: &str| Category::ALL.iter().any(|of| name.starts_with(&format!("{of}_")));
    for name in models.iter().filter(|name| is_of_category(name) && Model::meant_by(name).next().is_none()) {
        // Not an error: Kombo may have introduced the model after this version of the program.
        let meant = suggestion(name, Model::ALL.iter().map(|model| model.as_str()));
        tracing::warn!(
            model = name,
            "this version does not know the model: a webhook that names it fetches every endpoint{meant}"
        );
    }
    let config = context.config()?;
    let models: Vec<ModelName> = models.iter().map(|name| ModelName::from(name.as_str())).collect();
    let mut policy = config.plan_policy();
    // Webhooks name models of one category, that of their integration.
    policy.endpoints.retain(|endpoint| models.iter().any(|name| name.may_be_of(endpoint.category())));
    let plan = plan(&models, &policy, None, SystemClock.now());
    if context.global.json {
        output::json(&plan)?;
    } else {
        output::line(describe(&plan))?;
    }
    Ok(Exit::Done)
}

fn describe(plan: &SyncPlan) -> String {
    let names = |models: &[ModelName]| models.iter().map(ModelName::as_str).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    for fetch in &plan.fetches {
        lines.push(format!(
            "call   {:<20} {:<6} because of {}",
            fetch.endpoint.as_str(),
            fetch.kind,
            names(&fetch.because)
        ));
    }
    for spared in &plan.spared {
        lines.push(format!("spare  {:<20} {}", spared.endpoint.as_str(), spared.why));
    }
    if !plan.ignored.is_empty() {
        lines.push(format!("ignore {}: no endpoint of their category is enabled", names(&plan.ignored)));
    }
    lines.join("\n")
}

use anyhow::bail;
use kombo_client::RetryPolicy;
use kombo_model::IntegrationCategory;
use serde_json::json;
use store_diesel::{DieselStore, StoreUrl};

use super::{Context, Exit};
use crate::config::{Config, ConfigError};
use crate::kombo::source_error;
use crate::output;

/// Reads everything, asks Kombo if the key works, and changes nothing.
pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let url = config.store_url()?;
    config.operations_token()?;
    let receiver = config.receiver()?;
    let client = config.client()?.retry(RetryPolicy::NEVER).build();
    let client = client.map_err(|error| ConfigError::of_client(&error))?;

    let mut checks = Vec::new();
    checks.push(("store".to_owned(), check_store(&url).await));
    let key = client.check_api_key().await;
    let key = key.map(|answer| format!("the key opens environment {}", answer.data.environment_id));
    let key_works = key.is_ok();
    checks.push(("kombo.api_key".to_owned(), key.map_err(|error| source_error(&error, &config.kombo_name()).message)));
    if key_works {
        for integration in &config.integrations {
            let found = check_integration(&config, &client, &integration.id).await;
            checks.push((format!("integration {}", integration.id), found));
        }
    }

    if config.has_webhook_secret() {
        let said = config.webhook_secrets().map(|secrets| match secrets.len() {
            1 => "one secret".to_owned(),
            several => format!("{several} secrets"),
        });
        checks.push(("kombo.webhook_secret".to_owned(), said.map_err(|error| error.0)));
    } else {
        let said = "not set: `syncd sync` does without, `syncd run` does not start".to_owned();
        checks.push(("kombo.webhook_secret".to_owned(), Ok(said)));
    }
    if let Some(receiver) = receiver {
        // Not asked: whatever is posted there may be taken for a delivery.
        checks.push(("delivery.url".to_owned(), Ok(format!("changes will be delivered to {}", receiver.shown()))));
    }

    let failed = checks.iter().any(|(_, result)| result.is_err());
    if context.global.json {
        let list: Vec<_> = checks
            .iter()
            .map(|(what, result)| {
                let said = match result {
                    Ok(said) | Err(said) => said,
                };
                json!({ "check": what, "ok": result.is_ok(), "message": said })
            })
            .collect();
        output::json(&json!({ "ok": !failed, "checks": list }))?;
    } else {
        for (what, result) in &checks {
            match result {
                Ok(said) => output::line(output::one_line(&format!("ok      {what}: {said}")))?,
                Err(said) => output::line(output::one_line(&format!("FAILED  {what}: {said}")))?,
            }
        }
    }
    if failed {
        bail!("the configuration does not work yet");
    }
    Ok(Exit::Done)
}

async fn check_store(url: &StoreUrl) -> Result<String, String> {
    if let StoreUrl::Sqlite(path) = url
        && !path.exists()
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return match folder {
            Some(folder) if !folder.is_dir() => Err(format!("store.url: there is no folder {}", folder.display())),
            _ => Ok(format!("{url} will be created")),
        };
    }
    let store = DieselStore::open(url).await.map_err(|error| format!("store.url: {}", output::chain(&error)))?;
    let status = store.schema_status().await.map_err(|error| output::chain(&error))?;
    match (status.unknown.last(), status.pending.len()) {
        (Some(newest), _) => Err(format!("the tables are newer than this program (migration {newest}): upgrade syncd")),
        (None, 0) => Ok(format!("{url} is up to date")),
        (None, pending) if status.may_migrate => Ok(format!("{url} answers; {pending} migrations are pending")),
        (None, _) => {
            Err("store.url: the role may not make the tables; as the owner of the database run CREATE SCHEMA \
                          kombo AUTHORIZATION and the role's name, or let `syncd migrate` run as a role that may"
                .to_owned())
        }
    }
}

async fn check_integration(
    config: &Config,
    client: &kombo_client::Client,
    id: &kombo_model::IntegrationId,
) -> Result<String, String> {
    let answer = client.integration(id).await;
    let integration = answer.map_err(|error| source_error(&error, &config.kombo_name()).message)?.data;
    if integration.category != IntegrationCategory::Lms {
        return Err(format!("is of category {}, not LMS", integration.category));
    }
    let tool = integration.tool.label.unwrap_or(integration.tool.id);
    Ok(format!("{tool}, {}", integration.status))
}

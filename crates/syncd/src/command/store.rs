//! Opening the store, with errors that say what to do.

use anyhow::{Context as _, bail};
use kombo_model::IntegrationId;
use store_diesel::{DieselStore, StoreUrl};

use crate::config::{Config, ConfigError};
use crate::output;

/// Whether a command makes the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// They are created or upgraded.
    Migrate,
    /// They must be there.
    Expect,
}

/// What is said of an integration that is not there.
pub(crate) fn unknown_integration(id: &IntegrationId) -> ConfigError {
    let shown = output::one_line(id.as_str());
    ConfigError(format!("{shown} is not in this store, or was deleted: `syncd status` names those that are there"))
}

/// Opens the configured store.
pub(crate) async fn open(config: &Config, tables: Tables) -> anyhow::Result<DieselStore> {
    let url = config.store_url()?;
    open_url(&url, tables).await
}

/// Opens a store.
pub(crate) async fn open_url(url: &StoreUrl, tables: Tables) -> anyhow::Result<DieselStore> {
    if let (StoreUrl::Sqlite(path), Tables::Expect) = (url, tables)
        && !path.exists()
    {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        bail!(
            "store.url: there is no {} yet: run `syncd migrate` or `syncd sync` first. A path that does not begin with / \
             is looked for from the working directory",
            path.display()
        );
    }
    let store = DieselStore::open(url).await.with_context(|| match url {
        StoreUrl::Sqlite(_) => "store.url: check that the folder is there and may be written to, and that the file is SQLite's",
        StoreUrl::Postgres(_) => {
            "store.url: check that the server runs, its address, user and password, and TLS (sslmode=disable does without)"
        }
    })?;
    match tables {
        Tables::Migrate => {
            let ran = store.migrate().await?;
            if !ran.is_empty() {
                tracing::info!(migrations = ran.len(), store = url.to_string(), "tables created or upgraded");
            }
        }
        Tables::Expect => {
            let status = store.schema_status().await?;
            if let Some(newest) = status.unknown.last() {
                return Err(store_diesel::MigrateError::TooNew { url: url.to_string(), newest: newest.clone() }.into());
            }
            if !status.pending.is_empty() {
                bail!(
                    "the tables of {url} are not there or older than this program ({} migrations are pending): run \
                     `syncd migrate`",
                    status.pending.len()
                );
            }
        }
    }
    Ok(store)
}

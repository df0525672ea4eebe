//! Opening the store, with errors that say what to do.

use anyhow::{Context as _, bail};
use store_diesel::{DieselStore, StoreUrl};

use crate::config::Config;

/// Whether a command makes the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// They are created or upgraded.
    Migrate,
    /// They must be there.
    Expect,
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
        bail!("store.url: there is no {url} yet: run `syncd migrate` or `syncd sync` first");
    }
    let store = DieselStore::open(url).await.with_context(|| match url {
        StoreUrl::Sqlite(_) => "store.url: check that the folder is there and may be written to",
        StoreUrl::Postgres(_) => "store.url: check that the server runs, and its address, user, password and TLS",
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

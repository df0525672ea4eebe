//! Opening the store, with remedies in its errors.

use anyhow::{Context as _, bail};
use kombo_model::IntegrationId;
use store_diesel::{ConnectError, DieselStore, MigrateError, Partitioning, StoreUrl, Trial};
use sync_core::ports::{Scope, Store as _, StoreError};

use crate::config::{Config, ConfigError, Connections};
use crate::{clock, output, skew};

/// Maximum connections of a command without a configuration.
const ALONE: usize = 4;

/// Whether a command creates the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Create or upgrade them.
    Migrate,
    /// Require that they exist.
    Expect,
}

/// The error for an unknown integration.
pub(crate) fn unknown_integration(id: &IntegrationId) -> ConfigError {
    let shown = output::one_line(id.as_str());
    ConfigError(format!("{shown} is not in this store, or was deleted: `syncd status` names those that are there"))
}

/// Opens the configured store.
pub(crate) async fn open(config: &Config, tables: Tables) -> anyhow::Result<DieselStore> {
    let url = config.store_url()?;
    let store = connect(&url, tables, config.connections()?.for_work()).await?;
    prepare(&store, &url, tables).await?;
    partition(&store, config, tables).await?;
    Ok(store)
}

/// Opens the configured store for a long-running, writing command, after checking the requirements.
pub(crate) async fn open_to_write(config: &Config, tables: Tables) -> anyhow::Result<DieselStore> {
    let (url, connections) = (config.store_url()?, config.connections()?);
    let store = connect(&url, tables, connections.for_work()).await?;
    none(&store.missing(Connections::fewest(), connections.all()).await?)?;
    store.transact(Scope::Shared, |_| Ok::<(), StoreError>(())).await?;
    prepare(&store, &url, tables).await?;
    partition(&store, config, tables).await?;
    if tables == Tables::Expect {
        // A migration has already corrected the counters, or failed.
        none(&store.lost_counters().await?)?;
    }
    none(&store.faults(Trial::FirstWritten).await.with_context(|| format!("store.url: {url} cannot be written to"))?)?;
    Ok(store)
}

/// Fails if there are faults.
fn none(faults: &[String]) -> anyhow::Result<()> {
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("; ")) }
}

/// Whether the operation may succeed later without a change of the configuration.
pub(crate) fn is_passing(error: &anyhow::Error) -> bool {
    let is_unavailable = |error: &StoreError| matches!(error, StoreError::Unavailable { .. });
    error.downcast_ref().is_some_and(ConnectError::is_transient)
        || error.downcast_ref::<StoreError>().is_some_and(is_unavailable)
        || matches!(error.downcast_ref(), Some(MigrateError::Store(error)) if is_unavailable(error))
}

/// Opens a store.
pub(crate) async fn open_url(url: &StoreUrl, tables: Tables) -> anyhow::Result<DieselStore> {
    let store = connect(url, tables, ALONE).await?;
    prepare(&store, url, tables).await?;
    Ok(store)
}

async fn connect(url: &StoreUrl, tables: Tables, connections: usize) -> anyhow::Result<DieselStore> {
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
    let store = match DieselStore::open_with(url, connections).await {
        Err(error @ ConnectError::Setting { .. }) => return Err(ConfigError(format!("store.url: {error}")).into()),
        Err(error @ ConnectError::TooOld { .. }) => return Err(anyhow::Error::new(error).context("store.url")),
        Err(error @ ConnectError::Server { remedy, .. }) => {
            return Err(anyhow::Error::new(error).context(format!("store.url: {remedy}")));
        }
        opened => opened,
    };
    store.context("store.url: check that the folder is there and may be written to, and that the file is SQLite's")
}

/// Partitions empty tables if the configuration says so.
async fn partition(store: &DieselStore, config: &Config, tables: Tables) -> anyhow::Result<()> {
    let (Some(number), Tables::Migrate) = (config.partitions(), tables) else { return Ok(()) };
    match store.partitioning().await? {
        Partitioning::Done => {}
        Partitioning::Empty => drop(store.partition_plain(number).await.context("store.partitions")?),
        Partitioning::Filled => tracing::warn!(
            "store.partitions: the tables contain rows and are not partitioned: run `syncd migrate --partitions {number}`"
        ),
    }
    Ok(())
}

/// Creates the tables, or checks that they exist.
async fn prepare(store: &DieselStore, url: &StoreUrl, tables: Tables) -> anyhow::Result<()> {
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
                return Err(MigrateError::TooNew { url: url.to_string(), newest: newest.clone() }.into());
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
    if let Some(theirs) = clock::follow(store).await?
        && let Some(skew) = skew::compare(clock::machine(), "the database's", theirs)
    {
        skew.log();
    }
    Ok(())
}

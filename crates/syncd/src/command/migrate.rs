use anyhow::Context as _;
use serde_json::json;

use crate::config::{self, ConfigError};
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::Tables;

/// Creates or upgrades the tables, partitions them if asked, and prints the result.
pub(crate) async fn run(context: &Context, partitions: Option<usize>) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let url = config.store_url()?;
    if let Some(number) = partitions {
        config::partitions(number).map_err(|wrong| ConfigError(format!("--partitions: {wrong}")))?;
    }
    let before = match store_diesel::DieselStore::open(&url).await {
        Ok(store) => store.schema_status().await?.pending,
        Err(_) => Vec::new(), // reported in more detail below
    };
    let store = crate::store::open(&config, Tables::Migrate).await?;
    let partitioned = match partitions {
        Some(number) => store.partition(number).await.context("--partitions")?,
        None => Vec::new(),
    };
    if context.global.json {
        output::json(&json!({ "store": url.to_string(), "migrations": before, "partitioned": partitioned }))?;
        return Ok(Exit::Done);
    }
    if before.is_empty() {
        output::line(format!("{url} is up to date."))?;
    } else {
        output::line(format!("{url}: {} migrations ran: {}.", before.len(), before.join(", ")))?;
    }
    match partitions {
        Some(_) if partitioned.is_empty() => output::line("All tables have this number of partitions.")?,
        Some(number) => output::line(format!("{number} partitions each: {}.", partitioned.join(", ")))?,
        None => {}
    }
    Ok(Exit::Done)
}

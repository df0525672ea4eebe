use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::Tables;
use crate::store::open_url;

/// Creates or upgrades the tables, and prints the result.
pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let url = context.config()?.store_url()?;
    let before = match store_diesel::DieselStore::open(&url).await {
        Ok(store) => store.schema_status().await?.pending,
        Err(_) => Vec::new(), // reported in more detail below
    };
    drop(open_url(&url, Tables::Migrate).await?);
    if context.global.json {
        output::json(&json!({ "store": url.to_string(), "migrations": before }))?;
    } else if before.is_empty() {
        output::line(format!("{url} is up to date."))?;
    } else {
        output::line(format!("{url}: {} migrations ran: {}.", before.len(), before.join(", ")))?;
    }
    Ok(Exit::Done)
}

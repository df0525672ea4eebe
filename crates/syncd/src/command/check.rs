use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use kombo_model::Category;
use serde_json::json;
use store_diesel::{DieselStore, StoreUrl};
use sync_core::ports::{Scope, Store as _, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::config::{Config, Connections};
use crate::context::Context;
use crate::exit::Exit;
use crate::kombo::{self, source_error};
use crate::{output, wiring};

/// Permissions that an SQLite file needs.
const TO_WRITE: &str = "the user that runs syncd needs to write to the file and to its folder";

/// Time limit for a daemon's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Checks everything that `syncd run` needs: reads all files, tries the database and the addresses, and asks Kombo
/// whether the key works. Leaves everything unchanged.
pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let url = config.store_url()?;
    config.operations_token()?;
    let receiver = config.receiver()?;
    let client = wiring::probe_client(&config)?;

    let mut checks = Vec::new();
    checks.push(("store".to_owned(), check_store(&config, &url).await));
    let key = client.check_api_key().await;
    if let Some(skew) = key.as_ref().ok().and_then(|answer| kombo::skew(&answer.meta)) {
        skew.log();
        if skew.is_wrong {
            checks.push(("clock".to_owned(), Err(skew.message)));
        }
    }
    let key = key.map(|answer| format!("the key opens environment {}", answer.data.environment_id));
    let key_works = key.is_ok();
    checks.push(("kombo.api_key".to_owned(), key.map_err(|error| source_error(&error, &config.kombo_name()).message)));
    if key_works {
        for integration in &config.integrations {
            let found = check_integration(&config, &client, &integration.id).await;
            checks.push((format!("integration {}", integration.id), found));
        }
    }

    let secrets = config.webhook_secrets().map(|secrets| match secrets.len() {
        1 => "one secret".to_owned(),
        several => format!("{several} secrets"),
    });
    let secrets = secrets.map_err(|error| format!("{error}. `syncd sync` does without it, `syncd run` does not start"));
    checks.push(("kombo.webhook_secret".to_owned(), secrets));
    let (webhooks, operations) = (config.server.webhooks, config.server.operations);
    let is_running = is_syncd(operations).await;
    for (what, address) in [("server.webhooks", webhooks), ("server.operations", operations)] {
        checks.push((what.to_owned(), check_address(address, webhooks == operations, is_running).await));
    }
    if let Some(receiver) = receiver {
        // No request is sent, because the receiver could take it for a delivery.
        checks.push(("delivery.url".to_owned(), Ok(format!("changes will be delivered to {}", receiver.shown()))));
    }

    let failed = checks.iter().any(|(_, result)| result.is_err());
    let warnings = config.warnings();
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
        output::json(&json!({ "ok": !failed, "checks": list, "warnings": warnings }))?;
    } else {
        for (what, result) in &checks {
            match result {
                Ok(said) => output::line(output::one_line(&format!("ok      {what}: {said}")))?,
                Err(said) => output::line(output::one_line(&format!("FAILED  {what}: {said}")))?,
            }
        }
        for warning in &warnings {
            output::line(output::one_line(&format!("WARNING {warning}")))?;
        }
    }
    if failed {
        bail!("the configuration does not work yet");
    }
    Ok(Exit::Done)
}

async fn check_store(config: &Config, url: &StoreUrl) -> Result<String, String> {
    if let StoreUrl::Sqlite(path) = url
        && !path.exists()
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(format!("store.url: there is no folder {}", folder.display()));
        }
        let made = tempfile_in(folder);
        return made.map(|()| format!("{url} will be created")).map_err(|error| {
            format!(
                "store.url: no file can be made in {}: {error}; the user that runs syncd needs the right to",
                folder.display()
            )
        });
    }
    let connections = config.connections().map_err(|error| error.0)?;
    let store = DieselStore::open_with(url, connections.for_work()).await;
    let store = store.map_err(|error| match url {
        StoreUrl::Sqlite(_) => format!("store.url: {}; {TO_WRITE}", output::chain(&error)),
        StoreUrl::Postgres(_) => format!("store.url: {}", output::chain(&error)),
    })?;
    let said = |error: StoreError| unwritable(url, &error);
    let missing = store.missing(Connections::fewest(), connections.all()).await.map_err(said)?;
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    store.transact(Scope::Shared, |_| Ok::<(), StoreError>(())).await.map_err(said)?;
    let status = store.schema_status().await.map_err(|error| output::chain(&error))?;
    match (status.unknown.last(), status.pending.len()) {
        (Some(newest), _) => Err(format!("the tables are newer than this program (migration {newest}): upgrade syncd")),
        (None, 0) => {
            let mut faults = store.lost_counters().await.map_err(said)?;
            if faults.is_empty() {
                faults = store.faults(store_diesel::Trial::EveryTable).await.map_err(said)?;
            }
            if !faults.is_empty() {
                return Err(faults.join("; "));
            }
            Ok(format!("{url} is up to date, and can be written to"))
        }
        (None, pending) if status.may_migrate => Ok(format!("{url} answers; {pending} migrations are pending")),
        (None, _) => Err("store.url: the role may not make the tables; as the owner of the database run CREATE SCHEMA \
                          kombo AUTHORIZATION and the role's name, or let `syncd migrate` run as the role that owns them"
            .to_owned()),
    }
}

/// Describes why nothing can be written.
fn unwritable(url: &StoreUrl, error: &StoreError) -> String {
    let said = output::chain(error);
    match url {
        StoreUrl::Sqlite(path) => format!("store.url: {} cannot be written to: {said}; {TO_WRITE}", path.display()),
        StoreUrl::Postgres(_) => format!("store.url: {url} cannot be written to: {said}"),
    }
}

/// Creates a file and removes it.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".syncd-check-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    std::fs::remove_file(&path)?;
    written
}

/// Checks whether the daemon can listen on an address.
async fn check_address(address: SocketAddr, is_twice: bool, is_running: bool) -> Result<String, String> {
    if is_twice && address.port() != 0 {
        return Err(format!("server.webhooks and server.operations are both {address}: take two ports"));
    }
    match TcpListener::bind(address).await {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && is_running => {
            Ok(format!("{address} is in use, by the syncd that runs here"))
        }
        Err(error) => Err(format!("cannot listen on {address}: {error}")),
    }
}

/// Whether a daemon answers on this address.
async fn is_syncd(operations: SocketAddr) -> bool {
    let ask = async {
        let mut address = operations;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        }
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: syncd\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(1024).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b"alive\n"))
    };
    matches!(tokio::time::timeout(ANSWER_WITHIN, ask).await, Ok(Ok(true)))
}

async fn check_integration(
    config: &Config,
    client: &kombo_client::Client,
    id: &kombo_model::IntegrationId,
) -> Result<String, String> {
    let answer = client.integration(id).await;
    let integration = answer.map_err(|error| source_error(&error, &config.kombo_name()).message)?.data;
    let category: Category = match integration.category.as_str().parse() {
        Ok(category) => category,
        Err(_) => return Err(format!("is of category {}, which syncd does not mirror", integration.category)),
    };
    if !config.endpoints().iter().any(|endpoint| endpoint.category() == category) {
        return Err(format!("is of category {category}, and sync.endpoints names none of its endpoints"));
    }
    let tool = integration.tool.label.unwrap_or(integration.tool.id);
    Ok(format!("{tool}, {}", integration.status))
}

//! A store of one's own: the mirror in a folder, as lines of JSON. `docs/store-backends.md` walks through it.
//!
//! Here the engine loads an integration into it from a sandbox that plays Kombo; then the folder is closed and opened
//! again, and the engine goes on from where it was.
//!
//! ```text
//! full users: completed, 100 records, 96 created, 0 updated
//! full courses: completed, 40 records, 271 created, 0 updated
//! closed, and opened again
//! users: 96, loaded: true, runs: 1
//! courses: 40, loaded: true, runs: 1
//! delta users: completed, 1 records, 0 created, 1 updated
//! ```
//!
//! `cargo test -p sync-testkit --example json_lines` runs the conformance suite, and what else must hold of such a folder.
#![allow(clippy::print_stdout, reason = "an example prints")]

#[path = "../../../sync-core/examples/embed_engine/clock.rs"]
mod clock;
mod edit;
mod journal;
#[path = "../../../sync-core/examples/embed_engine/kombo.rs"]
mod kombo;
mod rows;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod tx;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use kombo_client::Client;
use kombo_model::{Endpoint, IntegrationId};
use kombo_sandbox::{FIRST_INTEGRATION, Model as SandboxModel, Mutation, Sandbox, SandboxConfig};
use sync_core::SyncError;
use sync_core::engine::{Engine, SyncPolicy};
use sync_core::mirror::Model;
use sync_core::port::{Clock, Scope, Silent, Store};
use sync_core::queue::{self, Claim};
use sync_core::types::{LeaseToken, RequestCause, SyncKind, Target};
use tokio_util::sync::CancellationToken;

use crate::clock::MachineClock;
use crate::kombo::Kombo;
use crate::store::JsonLinesStore;

const ENDPOINTS: [Endpoint; 2] = [Endpoint::Users, Endpoint::Courses];

type FolderEngine = Engine<JsonLinesStore, Kombo, MachineClock, Silent>;

fn open(folder: &Path, client: &Client) -> Result<FolderEngine, SyncError> {
    let (store, source) = (Arc::new(JsonLinesStore::open(folder)?), Arc::new(Kombo(client.clone())));
    Ok(Engine::new(store, source, MachineClock, Silent, SyncPolicy::new(BTreeSet::from(ENDPOINTS))))
}

/// Asks for a fetch, and does it. A daemon asks for what is due, and leases whatever anybody asked for.
async fn fetch(engine: &FolderEngine, endpoint: Endpoint, kind: SyncKind) -> Result<(), Box<dyn Error>> {
    let target = Target { integration_id: IntegrationId::from(FIRST_INTEGRATION), endpoint, kind };
    let token = LeaseToken(format!("{:032x}", fastrand::u128(..)));
    let claim = Claim { owner: "example".to_owned(), token, ttl: engine.policy().lease_ttl };
    let now = MachineClock.now();
    let leased = engine.store().transact(Scope::Shared, move |tx| {
        queue::request(tx, target.clone(), RequestCause::Command, now, now)?;
        queue::lease_target(tx, &target, &claim, now).map_err(SyncError::from)
    });
    let lease = leased.await?.ok_or("somebody else works on it")?;
    let run = engine.work(&lease, &CancellationToken::new()).await?;
    let (target, counts) = (&run.target, &run.counts);
    print!("{} {}: {}, {} records, ", target.kind, target.endpoint, run.outcome, counts.records);
    println!("{} created, {} updated", counts.created, counts.updated);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(SandboxConfig::default()).await?;
    let client = Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    let folder = tempfile::tempdir()?;

    let engine = open(folder.path(), &client)?;
    for endpoint in ENDPOINTS {
        fetch(&engine, endpoint, SyncKind::Full).await?;
    }
    drop(engine);
    println!("closed, and opened again");
    let engine = open(folder.path(), &client)?;

    let of = IntegrationId::from(FIRST_INTEGRATION);
    for endpoint in ENDPOINTS {
        let (model, id) = (Model::listed_by(endpoint), of.clone());
        let stored = engine.store().read(move |tx| {
            let loaded = tx.endpoint(&id, endpoint)?.is_some_and(|state| state.loaded_at.is_some());
            let runs = tx.recent_runs(Some(&id), 10)?.iter().filter(|run| run.target.endpoint == endpoint).count();
            Ok::<_, SyncError>((tx.live_rows(model, &id)?, loaded, runs))
        });
        let (rows, loaded, runs) = stored.await?;
        println!("{endpoint}: {rows}, loaded: {loaded}, runs: {runs}");
    }

    // A delta goes on from the watermark that was stored, so it brings what changed and nothing else.
    let user = *sandbox.ids(FIRST_INTEGRATION, SandboxModel::Users)?.first().ok_or("the sandbox has no user")?;
    sandbox.mutate(FIRST_INTEGRATION, Mutation::update(SandboxModel::Users, user, "first_name", "Ada"))?;
    fetch(&engine, Endpoint::Users, SyncKind::Delta).await
}

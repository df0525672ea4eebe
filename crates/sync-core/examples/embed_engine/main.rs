//! A mirror in your own program: the engine over a store, a source and a clock. A sandbox stands in for Kombo.
//!
//! The store is that of `sync-testkit`, which keeps everything in memory. You can replace it by `store-diesel`'s, or by
//! one of your own that passes `sync_testkit::conformance`. Nothing else changes.
//!
//! ```text
//! full lms/users: completed, 100 records, 96 created
//! full lms/courses: completed, 40 records, 271 created
//! webhook: delta lms/users
//! delta lms/users: completed, 1 records, 0 created, 1 updated
//! verified: 0 differences
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

mod clock;
mod kombo;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kombo_client::Client;
use kombo_model::{Category, Endpoint, IntegrationId, Webhook};
use kombo_sandbox::{FIRST_INTEGRATION, Model, Mutation, Sandbox, SandboxConfig};
use sync_core::SyncError;
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{Eligible, LeaseToken};
use sync_core::ports::{Clock, Scope, Silent, Store};
use sync_core::pull::{Engine, SyncPolicy};
use sync_core::verify::{Verifier, VerifyPolicy};
use sync_core::webhooks::{self, Received, WebhookPolicy};
use sync_testkit::MemoryStore;
use tokio_util::sync::CancellationToken;

use crate::clock::MachineClock;
use crate::kombo::Kombo;

/// Works on due requests until there are none. A daemon calls this in a loop, in one or several workers.
async fn work<St: Store>(engine: &Engine<St, Kombo, MachineClock, Silent>) -> Result<(), SyncError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let eligible = Eligible::all(engine.policy().plan.endpoints.clone());
        // Tokens must be random if processes share the store.
        let token = LeaseToken(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        let claim = Claim {
            owner: "example".to_owned(),
            token,
            ttl: engine.policy().lease_ttl,
            longest_wait: engine.policy().longest_wait(),
        };
        let now = MachineClock.now();
        let next = engine
            .store()
            .transact(Scope::Shared, move |tx| queue::lease_next(tx, &claim, &eligible, now).map_err(SyncError::from));
        let Some(lease) = next.await? else { return Ok(()) };
        let run = engine.work(&lease, &CancellationToken::new()).await?.run;
        let (target, counts) = (&run.target, &run.counts);
        print!("{} {}: {}, {} records, ", target.kind, target.endpoint, run.outcome, counts.records);
        println!("{} created{}", counts.created, updated(counts.updated));
    }
}

fn updated(rows: u64) -> String {
    if rows == 0 { String::new() } else { format!(", {rows} updated") }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(SandboxConfig::default()).await?;
    let client = Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    let integration = IntegrationId::from(FIRST_INTEGRATION);
    let endpoints = BTreeSet::from([Endpoint::LmsUsers, Endpoint::LmsCourses]);
    let policy = SyncPolicy::new(endpoints.clone());
    let (store, source) = (Arc::new(MemoryStore::new()), Arc::new(Kombo(client)));
    let engine = Engine::new(Arc::clone(&store), Arc::clone(&source), MachineClock, Silent, policy.clone());

    // Once at the start, and then every few seconds, the schedule requests due fetches.
    let schedule = SchedulePolicy {
        endpoints: endpoints.clone(),
        poll_every: None,
        full_every: policy.full_every,
        look_at_paused_every: Duration::from_secs(3_600),
    };
    let (known, now) = (BTreeMap::from([(integration.clone(), Some(Category::Lms))]), MachineClock.now());
    let ask = store.transact(Scope::Shared, move |tx| {
        dispatch::register(tx, &known, now)?;
        dispatch::schedule(tx, &schedule, now).map_err(SyncError::from)
    });
    ask.await?;
    work(&engine).await?;

    // A record changes at Kombo, which sends a webhook. Its signature is checked on arrival.
    let user = *sandbox.ids(FIRST_INTEGRATION, Model::Users)?.first().ok_or("the sandbox has no user")?;
    sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", "Ada"))?;
    sandbox.send_data_changed(FIRST_INTEGRATION)?;
    sandbox.webhooks_settled().await;
    let body = sandbox.deliveries().pop().ok_or("no webhook was sent")?.body;
    let webhook: Webhook = serde_json::from_str(&body)?;
    let policy =
        WebhookPolicy { plan: policy.plan, accept_unknown: false, look_at_paused_every: Duration::from_secs(3_600) };
    let now = MachineClock.now();
    if let Received::Stored(targets) = webhooks::receive(&*store, &webhook, &policy, now).await? {
        for target in targets {
            println!("webhook: {} {}", target.kind, target.endpoint);
        }
    }
    work(&engine).await?;

    // The same functions verify the mirror, without writing.
    let enabled = endpoints.clone();
    let policy = VerifyPolicy { endpoints, enabled, tombstones: engine.policy().tombstones, ids_per_lookup: 100 };
    let mut differences = 0;
    for endpoint in policy.endpoints.clone() {
        let mut verifier = Verifier::new(&*store, &*source, policy.clone(), integration.clone());
        let tell = |_| {
            differences += 1;
            Ok::<_, SyncError>(())
        };
        verifier.endpoint(endpoint, tell).await?;
    }
    println!("verified: {differences} differences");
    Ok(())
}

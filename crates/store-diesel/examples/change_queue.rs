//! Consumes the change log as a queue, from SQLite: in order, and at least once. `sync-testkit` plays Kombo.
//!
//! A consumer stores the number of the last entry that it has processed. Here it dies once before it has stored that
//! number, and processes the entry again. Processing must therefore be idempotent.
//!
//! ```text
//! 1: lms_users u2 was created
//! 2: lms_users u1 was updated: ["first_name"]
//! the consumer dies, with 1 as the last number that it noted
//! 2: lms_users u1 was updated: ["first_name"]
//! 3: lms_users u3 was deleted
//! nothing after 3
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId};
use store_diesel::{DieselStore, StoreUrl};
use sync_core::SyncError;
use sync_core::changes::Change;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{LeaseToken, RequestCause, SyncKind, Target};
use sync_core::ports::{Clock as _, Scope, Silent, Store as _, StoreError};
use sync_core::pull::{Engine, SyncPolicy};
use sync_core::rows::ChangeKind;
use sync_core::rows::Model;
use sync_testkit::{FakeKombo, ManualClock};
use tokio_util::sync::CancellationToken;

type Mirror = Engine<DieselStore, FakeKombo, ManualClock, Silent>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let url: StoreUrl = format!("sqlite://{}", folder.path().join("mirror.db").display()).parse()?;
    let store = Arc::new(DieselStore::open(&url).await?);
    store.migrate().await?;

    let clock = ManualClock::default();
    let kombo = FakeKombo::new(clock.clone());
    kombo.edit(|lms| ["u1", "u3"].map(|id| lms.add_user(id)));
    let policy = SyncPolicy::new([Endpoint::LmsUsers].into());
    let mirror = Engine::new(Arc::clone(&store), Arc::new(kombo.clone()), clock.clone(), Silent, policy);

    // The first load is not logged: a new follower first reads the tables, and then the log.
    clock.advance(Duration::from_secs(3_600));
    sync(&mirror, &clock, SyncKind::Full).await?;
    kombo.edit(|lms| lms.add_user("u2"));
    clock.advance(Duration::from_secs(3_600));
    sync(&mirror, &clock, SyncKind::Delta).await?;
    kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    clock.advance(Duration::from_secs(3_600));
    sync(&mirror, &clock, SyncKind::Delta).await?;
    kombo.edit(|lms| lms.delete(Model::LmsUsers, "u3"));
    clock.advance(Duration::from_secs(3_600));
    sync(&mirror, &clock, SyncKind::Delta).await?;

    // A real consumer stores this next to its results, in the same transaction if possible.
    let mut done = 0;
    for change in next(&store, done, 2).await? {
        handle(&change);
        if change.seq == 2 {
            println!("the consumer dies, with {done} as the last number that it noted");
            break;
        }
        done = change.seq;
    }
    loop {
        let changes = next(&store, done, 2).await?;
        if changes.is_empty() {
            println!("nothing after {done}");
            return Ok(());
        }
        for change in changes {
            handle(&change);
            done = change.seq;
        }
    }
}

/// Entries have numbers in commit order: an entry that appears later never has a lower number.
async fn next(store: &DieselStore, after: i64, limit: usize) -> Result<Vec<Change>, StoreError> {
    store.read(move |tx| tx.changes(None, after, limit)).await
}

fn handle(change: &Change) {
    print!("{}: {} {} was {}", change.seq, change.model, change.record_id, change.kind);
    if change.kind == ChangeKind::Updated {
        print!(": {}", change.fields);
    }
    println!();
}

async fn sync(mirror: &Mirror, clock: &ManualClock, kind: SyncKind) -> Result<(), Box<dyn Error>> {
    let target = Target { integration_id: IntegrationId::from("sandbox:a"), endpoint: Endpoint::LmsUsers, kind };
    let now = clock.now();
    let claim = Claim {
        owner: "example".to_owned(),
        token: LeaseToken(now.to_string()),
        ttl: Duration::from_secs(30),
        longest_wait: Duration::from_secs(3_600),
    };
    let lease = mirror.store().transact(Scope::Shared, move |tx| {
        let request = queue::request(tx, target, RequestCause::Poll, now, now)?;
        queue::lease_target(tx, &request.target, &claim, now).map_err(SyncError::from)
    });
    let lease = lease.await?.ok_or("somebody else works on it")?;
    mirror.work(&lease, &CancellationToken::new()).await?;
    Ok(())
}

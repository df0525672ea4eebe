//! Tests of invariants: an impossible state ends a transaction with a specific error.

use kombo_model::Endpoint;
use sync_core::SyncError;
use sync_core::jobs::{HeldLease, LeaseToken, SyncKind};
use sync_core::ports::{Clock as _, Invariant, LockMode, StoreError};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, target};

#[tokio::test]
async fn two_leases_on_one_endpoint_stop_a_fetch_before_it_begins() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.load().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let (delta, now) = (target(Endpoint::LmsUsers, SyncKind::Delta), bench.clock.now());
    let expires_at = now.saturating_add(bench.policy.lease_ttl);
    let by_hand =
        HeldLease { token: LeaseToken("2".to_owned()), owner: "a hand".to_owned(), expires_at, generation: 1 };
    bench
        .store
        .edit::<_, StoreError>(|tx| {
            let mut request = tx.request(&delta, LockMode::Wait)?.locked().unwrap();
            request.lease = Some(by_hand);
            tx.put_request(&request)
        })
        .unwrap();
    let stopped = bench.engine().work(&lease, &CancellationToken::new()).await;
    let two = Invariant::TwoLeases { one: lease.request.target, other: delta };
    assert!(matches!(&stopped, Err(SyncError::Store(StoreError::Invariant(found))) if *found == two), "{stopped:?}");
}

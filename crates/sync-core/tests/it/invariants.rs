//! Tests of invariants: an impossible state ends a transaction with a specific error.

use std::sync::Arc;

use kombo_model::{Endpoint, Webhook};
use sync_core::SyncError;
use sync_core::jobs::{HeldLease, LeaseToken, SyncKind};
use sync_core::ports::{Clock as _, Invariant, LockMode, Scope, StoreError};
use sync_core::webhooks;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, id, target};
use crate::finish;
use crate::webhooks::policy;

#[tokio::test]
async fn two_leases_on_one_endpoint_stop_a_fetch_before_it_begins() {
    let bench = Bench::new(&[Endpoint::Users]);
    bench.furnish();
    bench.load().await;
    bench.ask(Endpoint::Users, SyncKind::Delta);
    bench.ask(Endpoint::Users, SyncKind::Full);
    let lease = bench.lease(Endpoint::Users, SyncKind::Full).unwrap();
    let (delta, now) = (target(Endpoint::Users, SyncKind::Delta), bench.clock.now());
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

/// Other transactions of the integration would not wait for this one, so a person's pause could be lost.
#[test]
fn webhooks_of_an_integration_are_not_stored_outside_of_its_scope() {
    let bench = Bench::new(&[Endpoint::Users]);
    let webhook: Webhook = serde_json::from_value(serde_json::json!({ "id": "1", "type": "data-changed", "data": {
        "integration_id": id(), "integration_tool": "sandbox", "integration_category": "LMS",
        "changed_models": [{ "name": "lms_users" }] } }))
    .unwrap();
    let (webhooks, now) = (vec![Arc::new(webhook)], bench.clock.now());
    let receive = |scope: Scope| {
        let webhooks = webhooks.clone();
        finish(webhooks::receive_all(&bench.store, scope, || webhooks, Arc::new(policy()), now))
    };
    for scope in [Scope::Shared, Scope::Integration("sandbox:other".into())] {
        let refused = receive(scope);
        assert!(
            matches!(&refused, Err(StoreError::Invariant(Invariant::OutOfScope(of))) if *of == id()),
            "{refused:?}"
        );
    }
    assert!(bench.store.webhooks().is_empty());
    assert_eq!(receive(Scope::Integration(id())).unwrap().len(), 1);
}

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use crate::lms;
use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::jobs::queue::{Claim, lease_next, lease_target};
use sync_core::jobs::{
    Claimable, Eligible, HeldLease, IntegrationRecord, IntegrationStatus, LeaseToken, QueuedRequest, RequestCause,
    SyncKind, Target, dispatch,
};
use sync_core::ports::{Lock, LockMode, Scope, Store, StoreError, Tx, TxResult};

use super::sample::{alpha, at, beta, delta, horizon, read, request, target, time, write};
use super::transactions::{PATIENCE, beside};

fn held(mut request: QueuedRequest, until: Timestamp) -> QueuedRequest {
    request.lease = Some(HeldLease {
        token: LeaseToken("token".to_owned()),
        owner: "worker".to_owned(),
        expires_at: until,
        generation: request.generation,
    });
    request
}

fn put(tx: &mut dyn Tx, requests: &[QueuedRequest]) -> TxResult<()> {
    requests.iter().try_for_each(|request| tx.put_request(request))
}

/// If several transactions insert a request for one target at once, one succeeds; the others leave it unchanged.
pub async fn a_request_is_inserted_once<S: Store>(store: Arc<S>) {
    let start = Arc::new(Barrier::new(8));
    let transactions = (0..8).map(|number| {
        let (store, start) = (Arc::clone(&store), Arc::clone(&start));
        beside(async move {
            start.wait();
            let mine = QueuedRequest { generation: number, ..request(delta(), at(number)) };
            let inserted = write(&store, move |tx| tx.insert_request(&mine)).await;
            inserted.then_some(number)
        })
    });
    let transactions: Vec<_> = transactions.collect();
    let inserted: Vec<i64> = transactions.into_iter().filter_map(|transaction| transaction.join().unwrap()).collect();
    let stored = write(&store, |tx| tx.request(&delta(), LockMode::Wait).map(Lock::locked))
        .await
        .map(|stored| stored.generation);
    assert_eq!(inserted, Vec::from_iter(stored));
}

/// A request keeps every field, is replaced whole, and can be deleted. Deleting it again does nothing.
pub async fn requests_are_written_replaced_and_deleted<S: Store>(store: Arc<S>) {
    assert!(write(&store, |tx| tx.request(&delta(), LockMode::Wait).map(Lock::locked)).await.is_none());
    for cause in RequestCause::ALL {
        let whole = QueuedRequest {
            target: delta(),
            cause: *cause,
            requested_at: time("2026-01-02T03:04:05.678Z"),
            not_before: at(2),
            generation: i64::MAX,
            attempts: i32::MAX,
            approved_removals: Some(5_000_000_000),
            lease: Some(HeldLease {
                token: LeaseToken("t'1".to_owned()),
                owner: "host é/1".to_owned(),
                expires_at: time("2026-01-02T03:04:05.999Z"),
                generation: 7,
            }),
        };
        let written = whole.clone();
        write(&store, move |tx| tx.put_request(&written)).await;
        assert_eq!(write(&store, |tx| tx.request(&delta(), LockMode::Wait).map(Lock::locked)).await, Some(whole));
    }
    let bare = request(delta(), at(1));
    let sibling = request(Target { kind: SyncKind::Full, ..delta() }, at(2));
    let written = [bare.clone(), sibling.clone()];
    write(&store, move |tx| put(tx, &written)).await;
    assert_eq!(read(&store, |tx| tx.requests()).await, [bare, sibling.clone()]);
    write(&store, |tx| {
        tx.delete_request(&delta())?;
        tx.delete_request(&delta())
    })
    .await;
    assert_eq!(read(&store, |tx| tx.requests()).await, [sibling]);
}

/// All requests are listed, due or not, leased or not.
pub async fn requests_come_in_the_order_of_their_time<S: Store>(store: Arc<S>) {
    let requests = [
        request(target(alpha(), Endpoint::LmsUsers, SyncKind::Full), at(3)),
        held(request(target(beta(), Endpoint::LmsUsers, SyncKind::Delta), at(1)), at(9)),
        request(target(alpha(), Endpoint::LmsCourses, SyncKind::Delta), at(2)),
    ];
    let written = requests.clone();
    write(&store, move |tx| put(tx, &written)).await;
    let [third, first, second] = requests;
    assert_eq!(read(&store, |tx| tx.requests()).await, [first, second, third]);
}

/// Registers integrations, so that their requests are worked on.
fn register(tx: &mut dyn Tx, ids: &[IntegrationId]) -> TxResult<()> {
    dispatch::register(tx, &lms(ids.iter().cloned()), at(0))
}

fn all() -> Eligible {
    Eligible::all(Endpoint::ALL.into())
}

fn claimable(tx: &mut dyn Tx, now: Timestamp) -> TxResult<Option<QueuedRequest>> {
    Ok(match tx.claimable_request(&horizon(now), &all())? {
        Claimable::Request(request) => Some(request),
        Claimable::Idle | Claimable::Nothing => None,
    })
}

/// A claim takes the preferred kind first, then the earliest due time.
pub async fn claims_are_by_kind_then_by_time<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        register(tx, &[alpha(), beta()])?;
        let full = |id: IntegrationId, time| request(target(id, Endpoint::LmsUsers, SyncKind::Full), at(time));
        let delta = |id: IntegrationId, time| request(target(id, Endpoint::LmsCourses, SyncKind::Delta), at(time));
        let (full_1, full_2, delta_3, delta_4) =
            (full(alpha(), 1), full(beta(), 2), delta(beta(), 3), delta(alpha(), 4));
        for (kinds, order) in [
            ([SyncKind::Delta, SyncKind::Full], [&delta_3, &delta_4, &full_1, &full_2]),
            ([SyncKind::Full, SyncKind::Delta], [&full_1, &full_2, &delta_3, &delta_4]),
        ] {
            put(tx, &[full_2.clone(), delta_4.clone(), full_1.clone(), delta_3.clone()])?;
            let eligible = Eligible { kinds: kinds.to_vec(), ..all() };
            for next in order {
                assert_eq!(tx.claimable_request(&horizon(at(10)), &eligible)?, Claimable::Request(next.clone()));
                tx.delete_request(&next.target)?;
            }
            assert_eq!(tx.claimable_request(&horizon(at(10)), &eligible)?, Claimable::Nothing);
        }
        Ok(())
    })
    .await;
}

/// A request is due from `not_before` on.
pub async fn claims_have_come_due<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        register(tx, &[alpha()])?;
        let mut waiting = request(delta(), at(1));
        waiting.not_before = time("2026-01-01T00:00:10.500Z");
        tx.put_request(&waiting)?;
        assert_eq!(claimable(tx, time("2026-01-01T00:00:10.499Z"))?, None);
        assert_eq!(claimable(tx, time("2026-01-01T00:00:10.500Z"))?, Some(waiting));
        Ok(())
    })
    .await;
}

/// A lease keeps a request from being claimed until it expires.
pub async fn claims_are_held_by_nobody<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        register(tx, &[alpha()])?;
        let leased = held(request(delta(), at(1)), time("2026-01-01T00:00:20.500Z"));
        tx.put_request(&leased)?;
        assert_eq!(claimable(tx, time("2026-01-01T00:00:20.499Z"))?, None);
        assert_eq!(claimable(tx, time("2026-01-01T00:00:20.500Z"))?, Some(leased));
        Ok(())
    })
    .await;
}

/// A claim takes only eligible endpoints, kinds and integrations, and retries only if they are eligible.
pub async fn claims_are_eligible<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let failed = QueuedRequest { attempts: 1, ..request(delta(), at(1)) };
        tx.put_request(&failed)?;
        assert_eq!(tx.claimable_request(&horizon(at(2)), &all())?, Claimable::Idle, "it is not registered");
        register(tx, &[alpha()])?;
        assert_eq!(claimable(tx, at(2))?, Some(failed.clone()));
        let at_share: BTreeSet<_> = [(SyncKind::Delta, alpha()), (SyncKind::Full, beta())].into();
        let nothing = [
            Eligible { retries: false, ..all() },
            Eligible { kinds: vec![SyncKind::Full], ..all() },
            Eligible { endpoints: [Endpoint::LmsCourses].into(), ..all() },
            Eligible { endpoints: BTreeSet::new(), ..all() },
            Eligible { kinds: Vec::new(), ..all() },
        ];
        for eligible in nothing {
            assert_eq!(tx.claimable_request(&horizon(at(2)), &eligible)?, Claimable::Nothing, "{eligible:?}");
        }
        let eligible = Eligible { at_share, ..all() };
        let alone = tx.claimable_request(&horizon(at(2)), &eligible)?;
        assert_eq!(alone, Claimable::Request(failed.clone()), "it is the only integration");
        register(tx, &[beta()])?;
        assert_eq!(tx.claimable_request(&horizon(at(2)), &eligible)?, Claimable::Nothing);
        let other = QueuedRequest { target: target(beta(), Endpoint::LmsUsers, SyncKind::Delta), ..failed };
        tx.put_request(&other)?;
        assert_eq!(tx.claimable_request(&horizon(at(2)), &eligible)?, Claimable::Request(other));
        Ok(())
    })
    .await;
}

/// Requests of integrations that are deleted, paused by a person or not registered are delayed, whatever their number.
pub async fn idle_requests_are_postponed<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        register(tx, &[alpha(), beta()])?;
        for (id, status) in [("deleted", IntegrationStatus::Deleted), ("held", IntegrationStatus::Held)] {
            register(tx, &[id.into()])?;
            let record = tx.integration(&id.into())?.unwrap();
            tx.put_integration(&IntegrationRecord { status, ..record })?;
        }
        let idle: Vec<Target> = ["deleted", "held", "unknown"]
            .into_iter()
            .flat_map(|id| Endpoint::ALL.map(|endpoint| target(id.into(), endpoint, SyncKind::Delta)))
            .collect();
        for target in &idle {
            tx.put_request(&request(target.clone(), at(1)))?;
        }
        let working = request(target(alpha(), Endpoint::LmsUsers, SyncKind::Full), at(5));
        tx.put_request(&working)?;
        assert_eq!(claimable(tx, at(9))?, Some(working.clone()), "they hide no work");
        tx.put_request(&held(working, at(60)))?;
        assert_eq!(tx.claimable_request(&horizon(at(9)), &all())?, Claimable::Idle);
        assert_eq!(tx.postpone_idle_requests(&horizon(at(9)), at(99))?, idle.len());
        assert_eq!(tx.claimable_request(&horizon(at(9)), &all())?, Claimable::Nothing);
        assert!(tx.requests_of(&["held".into()])?.iter().all(|request| request.not_before == at(99)));
        assert_eq!(tx.postpone_idle_requests(&horizon(at(9)), at(99))?, 0);
        Ok(())
    })
    .await;
}

/// A wait beyond the longest possible one was stored by a clock that was ahead. The request counts as due.
pub async fn claims_wait_no_longer_than_the_longest<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        register(tx, &[alpha()])?;
        let mut waiting = request(delta(), at(1));
        for (ahead, due) in [(3_660, false), (3_661, true), (86_400, true), (40 * 86_400, true)] {
            waiting.not_before = at(1_000 + ahead);
            tx.put_request(&waiting)?;
            assert_eq!(claimable(tx, at(1_000))?.is_some(), due, "{ahead} seconds ahead");
        }
        waiting.not_before = Timestamp::MAX;
        tx.put_request(&waiting)?;
        let lease = lease_next(tx, &claim("worker", 1), &all(), at(1_000))?;
        assert_eq!(lease.map(|lease| lease.request.target), Some(waiting.target));
        Ok(())
    })
    .await;
}

/// A lease that ends later than any possible lease was taken by a clock that was ahead. It counts as expired.
pub async fn claims_are_held_no_longer_than_a_lease<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        register(tx, &[alpha()])?;
        for (ahead, due) in [(120, false), (121, true), (3_600, true), (40 * 86_400, true)] {
            let leased = held(request(delta(), at(1)), at(1_000 + ahead));
            tx.put_request(&leased)?;
            assert_eq!(claimable(tx, at(1_000))?.is_some(), due, "{ahead} seconds ahead");
            let lease = lease_target(tx, &leased.target, &claim("worker", usize::try_from(ahead).unwrap()), at(1_000))?;
            assert_eq!(lease.is_some(), due, "{ahead} seconds ahead");
        }
        Ok(())
    })
    .await;
}

/// A delta is not leased while the full fetch of the same integration and endpoint is leased, and vice versa.
pub async fn requests_of_one_endpoint_are_leased_one_at_a_time<S: Store>(store: Arc<S>) {
    for kind in SyncKind::ALL {
        let other = if *kind == SyncKind::Delta { SyncKind::Full } else { SyncKind::Delta };
        write(&store, move |tx| {
            register(tx, &[alpha(), beta()])?;
            let leased = held(request(Target { kind: *kind, ..delta() }, at(1)), at(20));
            let sibling = request(Target { kind: other, ..delta() }, at(2));
            let elsewhere = request(target(beta(), Endpoint::LmsUsers, other), at(4));
            put(tx, &[leased, sibling.clone(), elsewhere.clone()])?;
            let lease = lease_next(tx, &claim("worker", 1), &all(), at(19))?;
            assert_eq!(lease.map(|lease| lease.request.target), Some(elsewhere.target), "{kind} is held");
            let lease = lease_target(tx, &sibling.target, &claim("worker", 2), at(19))?;
            assert_eq!(lease, None, "{kind} is held");
            let lease = lease_target(tx, &sibling.target, &claim("worker", 3), at(20))?;
            assert!(lease.is_some(), "the lease of {kind} expired");
            for request in tx.requests()? {
                tx.delete_request(&request.target)?;
            }
            Ok(())
        })
        .await;
    }
}

fn claim(owner: &str, number: usize) -> Claim {
    let token = LeaseToken(format!("{owner}/{number}"));
    Claim { owner: owner.to_owned(), token, ttl: Duration::from_secs(60), longest_wait: Duration::from_secs(3_600) }
}

/// Concurrent workers never lease the same request, nor two requests of one endpoint.
pub async fn requests_are_leased_once<S: Store>(store: Arc<S>) {
    const INTEGRATIONS: usize = 12;
    const WORKERS: usize = 4;
    write(&store, |tx| {
        for number in 0..INTEGRATIONS {
            let id = IntegrationId::from(format!("sandbox:{number}"));
            register(tx, std::slice::from_ref(&id))?;
            for kind in SyncKind::ALL {
                tx.put_request(&request(target(id.clone(), Endpoint::LmsUsers, *kind), at(1)))?;
            }
        }
        Ok(())
    })
    .await;
    let start = Arc::new(Barrier::new(WORKERS));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            beside(async move {
                start.wait();
                let mut leased: Vec<Target> = Vec::new();
                // Requests that another transaction has locked are skipped, so finding nothing does not mean that all
                // is done.
                let mut misses = 0;
                while misses < 50 {
                    let claim = claim(&format!("worker {worker}"), leased.len());
                    let lease = store.transact(Scope::Shared, move |tx| {
                        lease_next(tx, &claim, &all(), at(10)).map_err(sync_core::SyncError::from)
                    });
                    match lease.await.expect("the transaction passes") {
                        Some(lease) => leased.push(lease.request.target),
                        None => misses += 1,
                    }
                }
                leased
            })
        })
        .collect();
    let mut leased: Vec<Target> =
        workers.into_iter().flat_map(|worker| worker.join().expect("the worker passes")).collect();
    leased.sort();
    let expected: Vec<Target> = leased.iter().map(|of| Target { kind: SyncKind::Delta, ..of.clone() }).collect();
    assert_eq!(leased, expected, "deltas come first, and hold back their siblings");
    leased.dedup();
    assert_eq!(leased.len(), INTEGRATIONS, "every delta was leased, and none twice");
}

/// Two transactions that read a request and write it a moment later lose no update, even without a common scope.
pub async fn a_request_is_locked_until_the_transaction_ends<S: Store>(store: Arc<S>) {
    const TRANSACTIONS: i64 = 20;
    write(&store, |tx| tx.put_request(&request(delta(), at(1)))).await;
    let raise = |store: Arc<S>| {
        beside(async move {
            for _ in 0..TRANSACTIONS {
                let raised = store.transact(Scope::Shared, |tx| {
                    let mut request = tx.request(&delta(), LockMode::Wait)?.locked().expect("it was stored");
                    std::thread::yield_now();
                    request.generation += 1;
                    tx.put_request(&request)
                });
                let raised: Result<(), StoreError> = raised.await;
                raised.expect("the transaction passes");
            }
        })
    };
    let others = [raise(Arc::clone(&store)), raise(Arc::clone(&store)), raise(Arc::clone(&store))];
    for other in others {
        other.join().expect("the writer passes");
    }
    let request =
        write(&store, |tx| tx.request(&delta(), LockMode::Wait).map(Lock::locked)).await.expect("it was stored");
    assert_eq!(request.generation, 1 + 3 * TRANSACTIONS);
}

/// A request that another transaction has locked is busy. A store that runs transactions one by one waits instead, and
/// shows the other's result. A request that does not exist is missing.
pub async fn a_request_can_be_tried_without_waiting<S: Store>(store: Arc<S>) {
    write(&store, |tx| tx.put_request(&request(delta(), at(1)))).await;
    let missing =
        write(&store, |tx| tx.request(&target(beta(), Endpoint::LmsUsers, SyncKind::Delta), LockMode::Skip)).await;
    assert_eq!(missing, Lock::Missing);
    let free = write(&store, |tx| tx.request(&delta(), LockMode::Skip)).await;
    assert_eq!(free, Lock::Locked(request(delta(), at(1))));

    let (begun, has_begun) = mpsc::channel();
    let (over, is_over) = mpsc::channel();
    let locking = Arc::clone(&store);
    let holder = beside(async move {
        let transaction = locking.transact(Scope::Shared, move |tx| {
            let mut request = tx.request(&delta(), LockMode::Wait)?.locked().expect("it was stored");
            begun.send(()).expect("the other transaction waits");
            is_over.recv_timeout(PATIENCE).ok();
            request.generation = 2;
            tx.put_request(&request)
        });
        let done: Result<(), StoreError> = transaction.await;
        done.expect("the transaction passes");
    });
    let trier = Arc::clone(&store);
    let trying = beside(async move {
        has_begun.recv().expect("the other transaction begins");
        let transaction = trier.transact(Scope::Shared, |tx| tx.request(&delta(), LockMode::Skip));
        let found: Result<Lock<QueuedRequest>, StoreError> = transaction.await;
        over.send(()).ok();
        found.expect("the transaction passes")
    });
    match trying.join().expect("the transaction passes") {
        Lock::Busy => {}
        Lock::Locked(request) => assert_eq!(request.generation, 2, "it was locked only after the other transaction"),
        Lock::Missing => panic!("it was stored"),
    }
    holder.join().expect("the transaction passes");
}

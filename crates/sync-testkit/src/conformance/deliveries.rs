//! Delivery status and dead letters.

use std::sync::{Arc, mpsc};

use kombo_model::{Category, IntegrationId, Timestamp};
use sync_core::jobs::{IntegrationRecord, IntegrationStatus, LeaseToken};
use sync_core::outbox::{Backlog, DeadLetter, Delivery, DeliveryBatch, DeliveryId, DeliveryLease, Undelivered};
use sync_core::ports::{Lock, LockMode, Scope, Store, StoreError, Tx, TxResult};

use super::sample::{alpha, at, beta, change, horizon, read, time, write};
use super::transactions::{PATIENCE, beside};

fn bare(id: IntegrationId) -> Delivery {
    Delivery::new(id, 0, at(1))
}

fn whole(id: IntegrationId) -> Delivery {
    Delivery {
        integration_id: id,
        delivered_seq: i64::MAX,
        delivered_at: Some(time("2026-01-02T03:04:05.678Z")),
        not_before: time("2026-01-02T03:04:06.789Z"),
        batch: Some(DeliveryBatch {
            id: DeliveryId("p'1".to_owned()),
            first_seq: 5_000_000_000,
            last_seq: i64::MAX,
            entries: 5_000_000_001,
            first_tried_at: time("2026-01-02T03:04:05.001Z"),
            attempts: i32::MAX,
            error: Some("HTTP 500 é".to_owned()),
        }),
        lease: Some(DeliveryLease {
            token: LeaseToken("t'1".to_owned()),
            owner: "host é/1".to_owned(),
            expires_at: time("2026-01-02T03:04:05.999Z"),
        }),
    }
}

fn held(delivery: Delivery, until: Timestamp) -> Delivery {
    let (token, owner) = (LeaseToken("token".to_owned()), "process".to_owned());
    Delivery { lease: Some(DeliveryLease { token, owner, expires_at: until }), ..delivery }
}

fn letter(id: IntegrationId, name: &str, first_seq: i64) -> DeadLetter {
    DeadLetter {
        integration_id: id,
        id: DeliveryId(name.to_owned()),
        first_seq,
        last_seq: first_seq + 9,
        entries: 3,
        first_tried_at: time("2026-01-02T03:04:05.678Z"),
        last_tried_at: time("2026-01-03T03:04:05.678Z"),
        attempts: 99,
        error: "no answer, it's down".to_owned(),
        again: false,
    }
}

fn put(tx: &mut dyn Tx, deliveries: &[Delivery]) -> TxResult<()> {
    deliveries.iter().try_for_each(|delivery| tx.put_delivery(delivery))
}

fn register(tx: &mut dyn Tx, id: IntegrationId) -> TxResult<()> {
    tx.put_integration(&IntegrationRecord {
        id,
        tool: None,
        category: Some(Category::Lms),
        status: IntegrationStatus::Active,
        status_since: at(1),
        reason: None,
        registered_at: at(1),
        state_updated_at: None,
    })
}

async fn due(store: &impl Store, now: i64, limit: usize) -> Vec<IntegrationId> {
    let due = read(store, move |tx| tx.due_deliveries(&horizon(at(now)), limit)).await;
    due.into_iter().map(|delivery| delivery.integration_id).collect()
}

/// The start of delivery is set once; later attempts have no effect.
pub async fn the_start_of_delivery_is_said_once<S: Store>(store: Arc<S>) {
    assert_eq!(read(&store, |tx| tx.delivery_start()).await, None);
    for seq in [5_000_000_000, 3, 0] {
        write(&store, move |tx| tx.insert_delivery_start(seq)).await;
        assert_eq!(read(&store, |tx| tx.delivery_start()).await, Some(5_000_000_000));
    }
}

/// Registered integrations without a delivery are listed in the order of ids.
pub async fn integrations_without_a_delivery_are_reported<S: Store>(store: Arc<S>) {
    assert!(read(&store, |tx| tx.undelivered_integrations()).await.is_empty());
    write(&store, |tx| {
        for name in ["b", "a", "B", "c"] {
            register(tx, IntegrationId::from(name))?;
        }
        put(tx, &[bare("c".into()), bare("d".into())])
    })
    .await;
    let ids = ["B", "a", "b"].map(IntegrationId::from);
    assert_eq!(read(&store, |tx| tx.undelivered_integrations()).await, ids);
}

/// A delivery keeps every field. A put replaces it whole, an insert does not. All are listed in the order of
/// integrations.
pub async fn deliveries_are_written_and_replaced<S: Store>(store: Arc<S>) {
    let both = |tx: &mut dyn Tx| Ok((tx.delivery(&alpha(), LockMode::Wait)?, tx.delivery(&alpha(), LockMode::Skip)?));
    assert_eq!(write(&store, both).await, (Lock::Missing, Lock::Missing));
    write(&store, |tx| tx.insert_delivery(&whole(beta()))).await;
    for delivery in [bare(alpha()), whole(alpha()), bare(alpha()), held(whole(alpha()), at(7)), whole(alpha())] {
        let written = delivery.clone();
        write(&store, move |tx| {
            tx.put_delivery(&written)?;
            tx.insert_delivery(&bare(alpha()))
        })
        .await;
        let locked = Lock::Locked(delivery.clone());
        assert_eq!(write(&store, both).await, (locked.clone(), locked));
        assert_eq!(read(&store, |tx| tx.deliveries()).await, [delivery, whole(beta())]);
    }
}

/// Two transactions that read a delivery and write it a moment later lose no update, even without a common scope.
pub async fn a_delivery_is_locked_until_the_transaction_ends<S: Store>(store: Arc<S>) {
    const TRANSACTIONS: i64 = 20;
    write(&store, |tx| tx.put_delivery(&bare(alpha()))).await;
    let raise = |store: Arc<S>| {
        beside(async move {
            for _ in 0..TRANSACTIONS {
                let raised = store.transact(Scope::Shared, |tx| {
                    let mut delivery = tx.delivery(&alpha(), LockMode::Wait)?.locked().expect("it was stored");
                    std::thread::yield_now();
                    delivery.delivered_seq += 1;
                    tx.put_delivery(&delivery)
                });
                let raised: Result<(), StoreError> = raised.await;
                raised.expect("the transaction passes");
            }
        })
    };
    for other in [raise(Arc::clone(&store)), raise(Arc::clone(&store)), raise(Arc::clone(&store))] {
        other.join().expect("the writer passes");
    }
    let delivery =
        write(&store, |tx| tx.delivery(&alpha(), LockMode::Wait).map(Lock::locked)).await.expect("it was stored");
    assert_eq!(delivery.delivered_seq, 3 * TRANSACTIONS);
}

/// A delivery that another transaction has locked is busy. A store that runs transactions one by one waits instead, and
/// shows the other's result.
pub async fn a_delivery_can_be_tried_without_waiting<S: Store>(store: Arc<S>) {
    write(&store, |tx| tx.put_delivery(&bare(alpha()))).await;
    let (begun, has_begun) = mpsc::channel();
    let (over, is_over) = mpsc::channel();
    let locking = Arc::clone(&store);
    let holder = beside(async move {
        let transaction = locking.transact(Scope::Shared, move |tx| {
            let mut delivery = tx.delivery(&alpha(), LockMode::Wait)?.locked().expect("it was stored");
            begun.send(()).expect("the other transaction waits");
            is_over.recv_timeout(PATIENCE).ok();
            delivery.delivered_seq = 2;
            tx.put_delivery(&delivery)
        });
        let done: Result<(), StoreError> = transaction.await;
        done.expect("the transaction passes");
    });
    let trier = Arc::clone(&store);
    let trying = beside(async move {
        has_begun.recv().expect("the other transaction begins");
        let transaction = trier.transact(Scope::Shared, |tx| tx.delivery(&alpha(), LockMode::Skip));
        let found: Result<Lock<Delivery>, StoreError> = transaction.await;
        over.send(()).ok();
        found.expect("the transaction passes")
    });
    match trying.join().expect("the transaction passes") {
        Lock::Busy => {}
        Lock::Locked(delivery) => {
            assert_eq!(delivery.delivered_seq, 2, "it was locked only after the other transaction");
        }
        Lock::Missing => panic!("it is there"),
    }
    holder.join().expect("the transaction passes");
}

/// A delivery is due if there is an entry after its position, or a dead letter that is to be retried.
pub async fn due_deliveries_have_something_to_deliver<S: Store>(store: Arc<S>) {
    let last = write(&store, |tx| {
        // The names are before, between and after those with entries.
        put(tx, &["a", "b", "c", "d", "e"].map(|name| bare(name.into())))?;
        tx.append_changes(&[change("b".into(), "r", at(1)), change("d".into(), "r", at(1))])?;
        tx.append_changes(&[change("b".into(), "r", at(1))])?;
        tx.last_change()
    })
    .await;
    assert_eq!(due(&*store, 1, 9).await, ["b", "d"].map(IntegrationId::from));
    write(&store, move |tx| {
        tx.put_delivery(&Delivery { delivered_seq: last - 1, ..bare("b".into()) })?;
        tx.put_delivery(&Delivery { delivered_seq: last - 1, ..bare("d".into()) })?;
        tx.put_dead_letter(&letter("e".into(), "x", 1), "{}")?;
        tx.put_dead_letter(&letter("c".into(), "x", 1), "{}")?;
        tx.mark_dead_letter(&"e".into(), &DeliveryId("x".to_owned())).map(drop)
    })
    .await;
    assert_eq!(due(&*store, 1, 9).await, ["b", "e"].map(IntegrationId::from));
    write(&store, move |tx| tx.put_delivery(&Delivery { delivered_seq: last, ..bare("b".into()) })).await;
    assert_eq!(due(&*store, 1, 9).await, ["e"].map(IntegrationId::from));
}

/// Due deliveries are ordered by time, then by integration. No more than the limit are returned, and none before its
/// time.
pub async fn due_deliveries_come_by_their_time<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for (name, not_before) in [("a", 3), ("b", 2), ("c", 1), ("d", 2), ("e", 9)] {
            tx.put_delivery(&Delivery { not_before: at(not_before), ..bare(name.into()) })?;
            tx.append_changes(&[change(name.into(), "r", at(1))])?;
        }
        Ok(())
    })
    .await;
    assert_eq!(due(&*store, 5, 9).await, ["c", "b", "d", "a"].map(IntegrationId::from));
    assert_eq!(due(&*store, 2, 2).await, ["c", "b"].map(IntegrationId::from));
    assert_eq!(due(&*store, 9, 9).await.len(), 5);
    assert!(due(&*store, 0, 9).await.is_empty());
}

/// A leased delivery is due only when its lease has expired. It is returned whole.
pub async fn due_deliveries_are_held_by_nobody<S: Store>(store: Arc<S>) {
    let mine = held(Delivery { delivered_seq: 0, not_before: at(1), ..whole(alpha()) }, at(5));
    let written = mine.clone();
    write(&store, move |tx| {
        tx.put_delivery(&written)?;
        tx.append_changes(&[change(alpha(), "r", at(1))])
    })
    .await;
    assert!(due(&*store, 4, 9).await.is_empty());
    assert_eq!(read(&store, |tx| tx.due_deliveries(&horizon(at(5)), 9)).await, [mine]);
}

/// A time or lease beyond the longest possible one was stored by a clock that was ahead. It counts as due.
pub async fn due_deliveries_wait_no_longer_than_the_longest<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        // A receiver may ask for a longer wait. A delivery that was not tried waits for the next check.
        for (name, not_before) in [("a", 960), ("b", 961), ("c", 40 * 86_400)] {
            tx.put_delivery(&Delivery { not_before: at(not_before), ..bare(name.into()) })?;
            tx.append_changes(&[change(name.into(), "r", at(1))])?;
        }
        for (name, not_before) in [("g", 3_660), ("h", 3_661)] {
            let failed = Delivery { delivered_seq: 0, lease: None, ..whole(name.into()) };
            tx.put_delivery(&Delivery { not_before: at(not_before), ..failed })?;
            tx.append_changes(&[change(name.into(), "r", at(1))])?;
        }
        for (name, until) in [("d", 120), ("e", 121), ("f", 40 * 86_400)] {
            tx.put_delivery(&held(Delivery { not_before: at(0), ..bare(name.into()) }, at(until)))?;
            tx.append_changes(&[change(name.into(), "r", at(1))])?;
        }
        Ok(())
    })
    .await;
    assert_eq!(due(&*store, 0, 9).await, ["e", "f", "b", "h", "c"].map(IntegrationId::from));
}

/// Each delivery that is behind reports its number of entries, and when the first of them was found.
pub async fn undelivered_entries_are_counted<S: Store>(store: Arc<S>) {
    assert!(read(&store, |tx| tx.undelivered()).await.is_empty());
    let seqs = write(&store, |tx| {
        tx.append_changes(&[change(alpha(), "a", at(1)), change(beta(), "b", at(2)), change(alpha(), "c", at(3))])?;
        tx.append_changes(&[change(alpha(), "d", at(4)), change("none".into(), "e", at(5))])?;
        put(tx, &[bare(beta()), bare(alpha()), bare("idle".into())])?;
        Ok(tx.changes(None, 0, 9)?.into_iter().map(|change| change.seq).collect::<Vec<_>>())
    })
    .await;
    let backlog = |id: IntegrationId, entries, oldest_at| Backlog { integration_id: id, entries, oldest_at };
    let all = [backlog(alpha(), 3, at(1)), backlog(beta(), 1, at(2))];
    assert_eq!(read(&store, |tx| tx.undelivered()).await, all);
    write(&store, move |tx| {
        tx.put_delivery(&Delivery { delivered_seq: seqs[0], ..bare(alpha()) })?;
        tx.put_delivery(&Delivery { delivered_seq: seqs[1], ..bare(beta()) })
    })
    .await;
    assert_eq!(read(&store, |tx| tx.undelivered()).await, [backlog(alpha(), 2, at(3))]);
}

/// Trimming keeps old undelivered entries if requested, and removes all other old entries.
pub async fn undelivered_changes_may_stay<S: Store>(store: Arc<S>) {
    let before = write(&store, |tx| {
        tx.append_changes(&[change(alpha(), "a", at(1)), change(beta(), "b", at(2)), change(alpha(), "c", at(3))])?;
        tx.append_changes(&[change("none".into(), "d", at(4)), change(alpha(), "e", at(9))])?;
        let all = tx.changes(None, 0, 9)?;
        let delivered_seq = all[0].seq;
        put(
            tx,
            &[Delivery { delivered_seq, ..bare(alpha()) }, Delivery { delivered_seq: all[1].seq, ..bare(beta()) }],
        )?;
        Ok(all)
    })
    .await;
    assert_eq!(write(&store, |tx| tx.trim_changes(at(9), Undelivered::Keep)).await, 3);
    assert_eq!(read(&store, |tx| tx.changes(None, 0, 9)).await, [before[2].clone(), before[4].clone()]);
    assert_eq!(write(&store, |tx| tx.trim_changes(at(9), Undelivered::Remove)).await, 1);
    assert_eq!(read(&store, |tx| tx.changes(None, 0, 9)).await, before[4..]);
}

/// A dead letter keeps every field and its exact body, and is replaced whole. All are listed in the order of
/// integrations and first entries.
pub async fn dead_letters_are_kept_and_replaced<S: Store>(store: Arc<S>) {
    let body = "{\"changes\": [ \"é ' \\u0000\\u202e\", 1.0, 1e2 ]}\n";
    let body_of = |id: IntegrationId, name: &str| {
        let name = DeliveryId(name.to_owned());
        let store = Arc::clone(&store);
        async move { read(&store, move |tx| tx.dead_letter_body(&id, &name)).await }
    };
    assert_eq!(body_of(alpha(), "x").await, None);
    let letters = [letter(alpha(), "z", 1), letter(alpha(), "x", 20), letter(beta(), "x", 5)];
    let [first, second, third] = letters.clone();
    write(&store, move |tx| {
        tx.put_dead_letter(&third, "of beta")?;
        tx.put_dead_letter(&second, body)?;
        tx.put_dead_letter(&first, "")
    })
    .await;
    assert_eq!(read(&store, |tx| tx.dead_letters(None)).await, letters);
    assert_eq!(read(&store, |tx| tx.dead_letters(Some(&alpha()))).await, letters[..2]);
    assert_eq!(body_of(alpha(), "x").await.as_deref(), Some(body));
    assert_eq!(body_of(beta(), "x").await.as_deref(), Some("of beta"));
    assert_eq!(body_of(alpha(), "z").await.as_deref(), Some(""));
    let other = DeadLetter {
        first_seq: 5_000_000_000,
        last_seq: i64::MAX,
        entries: i64::MAX,
        first_tried_at: at(1),
        last_tried_at: at(2),
        attempts: i32::MAX,
        error: String::new(),
        again: true,
        ..letter(alpha(), "x", 1)
    };
    let written = other.clone();
    write(&store, move |tx| tx.put_dead_letter(&written, "other")).await;
    assert_eq!(read(&store, |tx| tx.dead_letters(Some(&alpha()))).await, [letters[0].clone(), other]);
    assert_eq!(body_of(alpha(), "x").await.as_deref(), Some("other"));
}

/// A dead letter is marked and removed alone; the result shows whether there was one.
pub async fn dead_letters_are_marked_and_removed<S: Store>(store: Arc<S>) {
    let id = || DeliveryId("x".to_owned());
    let letters = [letter(alpha(), "w", 1), letter(alpha(), "x", 2), letter(beta(), "x", 1)];
    let written = letters.clone();
    write(&store, move |tx| written.iter().try_for_each(|letter| tx.put_dead_letter(letter, "body"))).await;
    assert!(!write(&store, move |tx| tx.mark_dead_letter(&beta(), &DeliveryId("w".to_owned()))).await);
    assert_eq!(read(&store, |tx| tx.dead_letters(None)).await, letters);
    assert!(write(&store, move |tx| tx.mark_dead_letter(&alpha(), &id())).await);
    let marked = DeadLetter { again: true, ..letters[1].clone() };
    assert_eq!(read(&store, |tx| tx.dead_letters(None)).await, [letters[0].clone(), marked, letters[2].clone()]);
    assert_eq!(read(&store, move |tx| tx.dead_letter_body(&alpha(), &id())).await.as_deref(), Some("body"));
    assert!(write(&store, move |tx| tx.delete_dead_letter(&alpha(), &id())).await);
    assert!(!write(&store, move |tx| tx.delete_dead_letter(&alpha(), &id())).await);
    assert_eq!(read(&store, |tx| tx.dead_letters(None)).await, [letters[0].clone(), letters[2].clone()]);
    assert_eq!(read(&store, move |tx| tx.dead_letter_body(&alpha(), &id())).await, None);
}

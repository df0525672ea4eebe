use std::sync::Arc;

use kombo_model::{IntegrationCategory, IntegrationId, IntegrationState, ModelName};
use sync_core::ports::Store;
use sync_core::webhooks::{Announced, Hint, PendingWebhook, WebhookRecord};

use super::sample::{alpha, at, beta, read, write};

fn webhook(id: &str, seconds: i64) -> WebhookRecord {
    WebhookRecord {
        id: id.to_owned(),
        kind: "data-changed".to_owned(),
        integration_id: Some(alpha()),
        received_at: at(seconds),
        models: vec!["lms_users".to_owned(), "lms_é'new".to_owned()],
        result: "1 fetch".to_owned(),
    }
}

/// A repeated webhook is recognized in the same list, in the same transaction and in later ones.
pub async fn a_webhook_is_stored_once<S: Store>(store: Arc<S>) {
    let list = [webhook("b", 1), webhook("a", 1), webhook("b", 2)];
    let first = write(&store, move |tx| Ok((tx.insert_webhooks(&list)?, tx.insert_webhooks(&[webhook("a", 2)])?)));
    assert_eq!(first.await, (vec![true, true, false], vec![false]));
    let nameless = WebhookRecord { integration_id: None, models: Vec::new(), ..webhook("c", 1) };
    let list = [webhook("a", 3), webhook("A", 3), nameless, webhook("b", 3)];
    assert_eq!(write(&store, move |tx| tx.insert_webhooks(&list)).await, [false, true, true, false]);
    assert_eq!(write(&store, |tx| tx.insert_webhooks(&[])).await, [false; 0]);
}

/// Transactions that store the same webhooks in another order both succeed, and each webhook is stored by one of them.
pub async fn transactions_may_store_the_same_webhooks<S: Store>(store: Arc<S>) {
    let ids: Vec<String> = (0..50).map(|number| format!("event {number}")).collect();
    let transactions = (0..4_usize).map(|number| {
        let mut list: Vec<WebhookRecord> = ids.iter().map(|id| webhook(id, 1)).collect();
        list.rotate_left(number * 13);
        let store = Arc::clone(&store);
        tokio::spawn(async move { write(&store, move |tx| tx.insert_webhooks(&list)).await })
    });
    let mut stored = 0;
    for transaction in transactions.collect::<Vec<_>>() {
        stored += transaction.await.unwrap().into_iter().filter(|stored| *stored).count();
    }
    assert_eq!(stored, ids.len());
}

/// Only webhooks older than a time are removed.
pub async fn trimmed_webhooks_leave_the_rest<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for (id, seconds) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(tx.insert_webhooks(&[webhook(id, seconds)])?, [true]);
        }
        assert_eq!(tx.trim_webhooks(at(3))?, 2);
        let again = tx.insert_webhooks(&[webhook("c", 9), webhook("a", 9)])?;
        assert_eq!(again, [false, true], "c is still there, a is gone");
        assert_eq!(tx.trim_webhooks(at(3))?, 0);
        Ok(())
    })
    .await;
}

fn pending(id: &str, integration_id: IntegrationId, seconds: i64, announced: Announced) -> PendingWebhook {
    let hint = Hint { tool: "moodle".to_owned(), category: IntegrationCategory::Lms, announced };
    PendingWebhook { id: id.to_owned(), integration_id, received_at: at(seconds), hint }
}

/// Pending webhooks come back as they were stored, in that order, whatever their ids and times are, until they are
/// settled. Two integrations may have one of the same id.
pub async fn pending_webhooks_keep_their_order<S: Store>(store: Arc<S>) {
    let models = vec![ModelName::LmsUsers, ModelName::from("lms_é'new")];
    let first = vec![
        pending("b", alpha(), 5, Announced::Data(models)),
        pending("c", beta(), 4, Announced::Created),
        pending("a", alpha(), 3, Announced::State(IntegrationState::Invalid, Some(at(1)))),
    ];
    let later = vec![
        pending("B", alpha(), 1, Announced::Deleted(None)),
        pending("b", beta(), 6, Announced::Deleted(Some(at(2)))),
        pending("b", alpha(), 9, Announced::Created),
    ];
    for list in [first.clone(), Vec::new(), later.clone()] {
        write(&store, move |tx| tx.put_pending_webhooks(&list)).await;
    }
    let own = [first[0].clone(), first[2].clone(), later[0].clone()];
    assert_eq!(read(&store, |tx| tx.pending_webhooks(&alpha(), 9)).await, own);
    assert_eq!(read(&store, |tx| tx.pending_webhooks(&alpha(), 2)).await, own[..2]);
    assert_eq!(read(&store, |tx| tx.pending_webhooks(&beta(), 9)).await, [first[1].clone(), later[1].clone()]);
    let oldest = [(alpha(), at(1)), (beta(), at(4))];
    assert_eq!(read(&store, |tx| tx.integrations_with_pending_webhooks(9)).await, oldest);
    assert_eq!(read(&store, |tx| tx.integrations_with_pending_webhooks(1)).await, oldest[..1]);

    write(&store, |tx| tx.settle_webhooks(&alpha(), &[("b", "planned"), ("a", "paused"), ("c", "of nobody")])).await;
    assert_eq!(read(&store, |tx| tx.pending_webhooks(&alpha(), 9)).await, own[2..]);
    assert_eq!(read(&store, |tx| tx.pending_webhooks(&beta(), 9)).await.len(), 2, "another integration's stay");
    write(&store, |tx| tx.settle_webhooks(&alpha(), &[("B", "deleted")])).await;
    assert_eq!(read(&store, |tx| tx.integrations_with_pending_webhooks(9)).await, oldest[1..]);
}

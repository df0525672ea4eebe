use std::sync::Arc;

use sync_core::ports::Store;
use sync_core::webhooks::WebhookRecord;

use super::sample::{alpha, at, write};

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
pub async fn units_may_store_the_same_webhooks<S: Store>(store: Arc<S>) {
    let ids: Vec<String> = (0..50).map(|number| format!("event {number}")).collect();
    let units = (0..4_usize).map(|unit| {
        let mut list: Vec<WebhookRecord> = ids.iter().map(|id| webhook(id, 1)).collect();
        list.rotate_left(unit * 13);
        let store = Arc::clone(&store);
        tokio::spawn(async move { write(&store, move |tx| tx.insert_webhooks(&list)).await })
    });
    let mut stored = 0;
    for unit in units.collect::<Vec<_>>() {
        stored += unit.await.unwrap().into_iter().filter(|stored| *stored).count();
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

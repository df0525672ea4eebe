use std::sync::Arc;

use sync_core::port::Store;
use sync_core::types::WebhookRecord;

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

/// The second delivery of a webhook is told from the first, in the same unit and in later ones.
pub async fn a_webhook_is_stored_once<S: Store>(store: Arc<S>) {
    let first = write(&store, |tx| Ok((tx.insert_webhook(&webhook("a", 1))?, tx.insert_webhook(&webhook("a", 2))?)));
    assert_eq!(first.await, (true, false));
    let nameless = WebhookRecord { integration_id: None, models: Vec::new(), ..webhook("b", 1) };
    let again = write(&store, move |tx| {
        Ok((tx.insert_webhook(&webhook("a", 3))?, tx.insert_webhook(&webhook("A", 3))?, tx.insert_webhook(&nameless)?))
    });
    assert_eq!(again.await, (false, true, true));
}

/// Webhooks from before a moment go, and only those.
pub async fn trimmed_webhooks_leave_the_rest<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for (id, seconds) in [("a", 1), ("b", 2), ("c", 3)] {
            assert!(tx.insert_webhook(&webhook(id, seconds))?);
        }
        assert_eq!(tx.trim_webhooks(at(3))?, 2);
        assert!(!tx.insert_webhook(&webhook("c", 9))?, "it is still there");
        assert!(tx.insert_webhook(&webhook("a", 9))?, "it is gone");
        assert_eq!(tx.trim_webhooks(at(3))?, 0);
        Ok(())
    })
    .await;
}

//! Lets the transactions of one integration wait for each other within this process, where waiting occupies no
//! connection. Waiting for transactions of other processes happens in the database, and occupies one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kombo_model::IntegrationId;
use tokio::sync::{Mutex as Row, OwnedMutexGuard};

/// One mutex for each integration with running or waiting transactions.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<IntegrationId, Weak<Row<()>>>>>);

/// The turn of a transaction. Until it is dropped, no other transaction of the integration gets one.
pub(super) struct Turn {
    id: IntegrationId,
    turns: Turns,
    /// `Some` until the drop.
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until all earlier turns of the integration have ended.
    pub(super) async fn take(&self, id: &IntegrationId) -> Turn {
        let row = self.row(id);
        Turn { id: id.clone(), turns: self.clone(), held: Some(row.lock_owned().await) }
    }

    fn row(&self, id: &IntegrationId) -> Arc<Row<()>> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get(id).and_then(Weak::upgrade) {
            return row;
        }
        let row = Arc::default();
        rows.insert(id.clone(), Arc::downgrade(&row));
        row
    }

    /// Removes a mutex that nobody uses or waits for.
    fn tidy(&self, id: &IntegrationId) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.get(id).is_some_and(|row| row.strong_count() == 0) {
            rows.remove(id);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        self.turns.tidy(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_in_the_order_of_coming_and_forgotten() {
        let (turns, id) = (Turns::default(), IntegrationId::from("sandbox:a"));
        let first = turns.take(&id).await;
        let (mut second, mut third) = (Box::pin(turns.take(&id)), Box::pin(turns.take(&id)));
        assert!(poll(&mut second).await.is_none() && poll(&mut third).await.is_none());
        let other = poll(&mut Box::pin(turns.take(&IntegrationId::from("sandbox:b")))).await;
        assert!(other.is_some(), "another integration's is free");
        drop(first);
        assert!(poll(&mut third).await.is_none());
        let second = poll(&mut second).await;
        assert!(second.is_some());
        drop(third); // a waiting transaction is cancelled
        drop((second, other));
        assert_eq!(turns.0.lock().unwrap().len(), 0);
    }

    /// Polls a future once, and returns its output if it is ready.
    async fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            ready = future => Some(ready),
            () = std::future::ready(()) => None,
        }
    }
}

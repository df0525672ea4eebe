//! Whose turn it is: the units of one integration that this process runs wait for each other here, where that costs
//! nothing. Those of other processes are waited for in the database, with a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kombo_model::IntegrationId;
use tokio::sync::{Mutex as Row, OwnedMutexGuard};

/// The rows in which units wait.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<IntegrationId, Weak<Row<()>>>>>);

/// A unit's turn: until it is dropped, no other unit of the integration has one.
pub(super) struct Turn {
    id: IntegrationId,
    turns: Turns,
    /// Some until it is dropped.
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for those that came before.
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

    /// Forgets a row in which nobody is any more.
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
        drop(third); // somebody gave up waiting
        drop((second, other));
        assert_eq!(turns.0.lock().unwrap().len(), 0);
    }

    /// What a future gives at once, if it does.
    async fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            ready = future => Some(ready),
            () = std::future::ready(()) => None,
        }
    }
}

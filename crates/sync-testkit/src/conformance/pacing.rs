//! The shared state that says when requests to the source may be sent.

use std::sync::Arc;

use sync_core::ports::Store;
use sync_core::ratelimit::{Budget, Pacing};

use super::sample::{at, read, write};

/// The last stored state is read whole, or the default if none was stored.
pub async fn the_pace_is_what_was_said_last<S: Store>(store: Arc<S>) {
    assert_eq!(write(&store, |tx| tx.pacing()).await, Pacing::default());
    let limit = u64::try_from(i64::MAX).unwrap();
    for pacing in [
        Pacing { next_at: Some(at(5)), budget: Budget::Unknown },
        Pacing { next_at: Some(at(3)), budget: Budget::Asked(at(4)) },
        Pacing { next_at: Some(at(3)), budget: Budget::Left { limit, left: 7, renewed_at: at(60) } },
        Pacing { next_at: None, budget: Budget::Left { limit: 0, left: 0, renewed_at: at(1) } },
        Pacing::default(),
    ] {
        let said = pacing.clone();
        write(&store, move |tx| tx.put_pacing(&said)).await;
        assert_eq!(write(&store, |tx| tx.pacing()).await, pacing);
    }
    assert_eq!(read(&store, |tx| tx.last_change()).await, 0);
}

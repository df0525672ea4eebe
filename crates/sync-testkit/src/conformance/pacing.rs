//! The row of requests to the source.

use std::sync::Arc;

use sync_core::port::Store;

use super::sample::{at, read, write};

/// The time is what was said last, and nothing before anything was said.
pub async fn the_pace_is_what_was_said_last<S: Store>(store: Arc<S>) {
    assert_eq!(write(&store, |tx| tx.paced_until()).await, None);
    for seconds in [5, 3] {
        write(&store, move |tx| tx.put_paced_until(at(seconds))).await;
        assert_eq!(write(&store, |tx| tx.paced_until()).await, Some(at(seconds)));
    }
    assert_eq!(read(&store, |tx| tx.last_change()).await, 0);
}

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// The longest time that a full fetch waits for deltas, for each page and batch. It thus makes progress even if deltas
/// never end.
const AT_MOST: Duration = Duration::from_millis(25);

/// Gives the deltas of a process priority over its full fetches. A delta takes milliseconds if a backfill leaves it
/// processor and database.
#[derive(Debug, Default)]
pub(super) struct DeltaPriority {
    deltas: AtomicUsize,
    none_left: Notify,
}

/// A delta in progress.
pub(super) struct UnderWay<'a>(&'a DeltaPriority);

impl DeltaPriority {
    /// Starts a delta. It ends when the returned value is dropped.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.deltas.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }

    /// Waits briefly while deltas are in progress.
    pub(super) async fn let_deltas_go_first(&self) {
        let none_left = async {
            loop {
                let ended = self.none_left.notified();
                if self.deltas.load(Ordering::SeqCst) == 0 {
                    return;
                }
                ended.await;
            }
        };
        // After the time-out, the full fetch continues alongside the deltas.
        drop(tokio::time::timeout(AT_MOST, none_left).await);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.0.deltas.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_fetch_waits_for_deltas_but_not_for_ever() {
        let delta_priority = DeltaPriority::default();
        let waited = async || {
            let began = tokio::time::Instant::now();
            delta_priority.let_deltas_go_first().await;
            began.elapsed()
        };
        assert_eq!(waited().await, Duration::ZERO);
        let (one, other) = (delta_priority.begin(), delta_priority.begin());
        assert_eq!(waited().await, AT_MOST);
        drop(one);
        let ends = async {
            tokio::time::sleep(AT_MOST / 5).await;
            drop(other);
        };
        assert_eq!(tokio::join!(waited(), ends).0, AT_MOST / 5);
        assert_eq!(waited().await, Duration::ZERO);
    }
}

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a full fetch lets deltas go first, at each page and batch: where deltas never end, it still gets on.
const AT_MOST: Duration = Duration::from_millis(25);

/// Deltas of the same process go before full fetches: they bring news in milliseconds, if a backfill leaves them processor
/// and database.
#[derive(Debug, Default)]
pub(super) struct DeltaPriority {
    deltas: AtomicUsize,
    none_left: Notify,
}

/// A delta that is under way.
pub(super) struct UnderWay<'a>(&'a DeltaPriority);

impl DeltaPriority {
    /// A delta begins, and ends when what is returned is dropped.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.deltas.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }

    /// Waits for a moment while deltas are under way.
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
        // Where time is up, it goes on beside them.
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

//! The result of a read that takes longer the larger the fleet is, shared by those who ask for it.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How many times as long as the read took its result is reused. Reads then take at most a twentieth of the time.
const REUSED_FOR: u32 = 20;
/// The longest time for which a result is reused.
const LONGEST: Duration = Duration::from_secs(60);

/// The result of the last read, and until when it is reused.
#[derive(Debug)]
pub(super) struct LastRead<T>(Mutex<Option<(T, Instant)>>);

impl<T> Default for LastRead<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> LastRead<T> {
    /// Returns the last result if it is recent and `still_holds`, otherwise that of `read`. Concurrent callers wait for
    /// one read. A read without a result is repeated by the next caller.
    pub(super) async fn get(
        &self,
        still_holds: impl Future<Output = bool>,
        read: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        let mut last = self.0.lock().await;
        if let Some((value, until)) = &*last
            && Instant::now() < *until
            && still_holds.await
        {
            return Some(value.clone());
        }
        *last = None;
        let began = Instant::now();
        let value = read.await?;
        let reused_for = (began.elapsed() * REUSED_FOR).min(LONGEST);
        *last = Some((value.clone(), Instant::now() + reused_for));
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;

    /// Counts reads that take a time.
    #[derive(Default)]
    struct Reads {
        last: LastRead<u32>,
        number: AtomicU32,
    }

    impl Reads {
        async fn get(&self, takes: Duration, still_holds: bool) -> Option<u32> {
            let read = async {
                sleep(takes).await;
                Some(self.number.fetch_add(1, Ordering::SeqCst) + 1)
            };
            self.last.get(async { still_holds }, read).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_a_read_for_twenty_times_its_duration() {
        let (reads, takes) = (Reads::default(), Duration::from_millis(100));
        let both = tokio::join!(reads.get(takes, true), reads.get(takes, true));
        assert_eq!(both, (Some(1), Some(1)));
        advance(Duration::from_millis(1_990)).await;
        assert_eq!(reads.get(takes, true).await, Some(1));
        advance(Duration::from_millis(20)).await;
        assert_eq!(reads.get(takes, true).await, Some(2));
        assert_eq!(reads.get(takes, false).await, Some(3), "the last result does not hold any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_is_at_most_a_minute_old() {
        let (reads, takes) = (Reads::default(), Duration::from_secs(30));
        assert_eq!(reads.get(takes, true).await, Some(1));
        advance(Duration::from_secs(59)).await;
        assert_eq!(reads.get(takes, true).await, Some(1));
        advance(Duration::from_secs(2)).await;
        assert_eq!(reads.get(takes, true).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_reused() {
        let reads = Reads::default();
        let failed = reads.last.get(async { true }, async {
            sleep(Duration::from_secs(30)).await;
            None
        });
        assert_eq!(failed.await, None);
        assert_eq!(reads.get(Duration::ZERO, true).await, Some(1));
    }
}

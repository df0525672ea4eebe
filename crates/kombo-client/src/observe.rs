use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kombo_model::ErrorCode;

use crate::{Operation, RateLimit, TransportFault};

/// Called after each attempt, failed ones included.
pub(crate) type OnResponse = Arc<dyn Fn(&ResponseEvent) + Send + Sync>;

/// One attempt to ask Kombo something, when it has ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResponseEvent {
    /// What was asked.
    pub operation: Operation,
    /// 1 for the first attempt of a request.
    pub attempt: u32,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// Kombo's error code, where the answer was an error with one.
    pub code: Option<ErrorCode>,
    /// How long the attempt took, body included.
    pub elapsed: Duration,
    /// What the response said of the key's rate limit; empty where there was none.
    pub rate_limit: RateLimit,
    /// How long the response asked to wait.
    pub retry_after: Option<Duration>,
    /// How long until the request is sent again; none if it is not, or not because of this attempt.
    pub pause: Option<Duration>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// There was a response with this HTTP status; a status of success does not say that its body was readable.
    Status(u16),
    /// There was no response, or it broke off.
    Fault(TransportFault),
}

/// A gate that each attempt passes before it is sent, so that a process can pace all requests with one key.
///
/// The wait counts neither towards the time-out of an attempt nor towards the budget of the retries.
///
/// ```
/// use std::future::Future;
/// use std::pin::Pin;
/// use std::time::Duration;
///
/// use kombo_client::Pacer;
/// use tokio::sync::Mutex;
/// use tokio::time::{Interval, interval};
///
/// /// Five requests a second.
/// struct FiveASecond(Mutex<Interval>);
///
/// impl Pacer for FiveASecond {
///     fn acquire(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
///         Box::pin(async { drop(self.0.lock().await.tick().await) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pacer = FiveASecond(Mutex::new(interval(Duration::from_millis(200))));
/// # pacer.acquire().await;
/// # }
/// ```
pub trait Pacer: Send + Sync {
    /// Resolves when the attempt may be sent.
    fn acquire(&self) -> BoxFuture<'_, ()>;

    /// An attempt that was let through was dropped before it ended, so that no [`ResponseEvent`] tells of its end.
    fn given_up(&self) {}
}

/// An attempt that was let through and has not ended.
pub(crate) struct UnderWay<'a>(Option<&'a dyn Pacer>);

impl<'a> UnderWay<'a> {
    pub(crate) fn new(pacer: Option<&'a dyn Pacer>) -> Self {
        Self(pacer)
    }

    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(pacer) = self.0 {
            pacer.given_up();
        }
    }
}

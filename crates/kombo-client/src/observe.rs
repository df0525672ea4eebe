use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kombo_model::{ErrorCode, IntegrationId};

use crate::{Operation, RateLimit, TransportFault};

/// Called after each attempt, including failed ones.
pub(crate) type OnResponse = Arc<dyn Fn(&ResponseEvent) + Send + Sync>;

/// An attempt at a request, after its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResponseEvent {
    /// The requested operation.
    pub operation: Operation,
    /// The integration that the request concerns, if it concerns one.
    pub integration: Option<IntegrationId>,
    /// 1 for the first attempt of a request.
    pub attempt: u32,
    /// The outcome of the attempt.
    pub outcome: Outcome,
    /// Kombo's error code, if the answer was an error with a code.
    pub code: Option<ErrorCode>,
    /// Duration of the attempt, including the body.
    pub elapsed: Duration,
    /// The key's rate limit in the response; empty if there was none.
    pub rate_limit: RateLimit,
    /// The wait that the response requests.
    pub retry_after: Option<Duration>,
    /// Time until the request is sent again. `None` if it is not sent again, or not because of this attempt.
    pub pause: Option<Duration>,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A response with this HTTP status arrived; a success status does not mean that its body was readable.
    Status(u16),
    /// No response arrived, or it was truncated.
    Fault(TransportFault),
}

/// A gate for each attempt, so that a process can pace all requests with one key.
///
/// The wait counts neither towards the time-out of an attempt nor towards the retry budget.
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

    /// Called when an admitted attempt is dropped before it ends, so that no [`ResponseEvent`] follows.
    fn given_up(&self) {}
}

/// An attempt that was admitted and has not ended.
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

use std::time::Duration;

/// Limits the retries of a request that fails for a temporary reason.
///
/// Pauses double from `initial` to `max_delay`, each shortened by a random part of up to a half. A wait that an answer
/// requests is obeyed; if it exceeds the budget, the request fails immediately.
///
/// ```
/// use std::time::Duration;
///
/// use kombo_client::{Client, RetryPolicy};
///
/// let patient = RetryPolicy { budget: Duration::from_secs(600), ..RetryPolicy::default() };
/// let builder = Client::builder("an-api-key").retry(patient); // or RetryPolicy::NEVER
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Total time for the attempts of a request and the pauses between them. No attempt begins after it, so a request
    /// takes at most this and one time-out.
    pub budget: Duration,
    /// The first pause.
    pub initial: Duration,
    /// The longest pause that the client chooses itself.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    /// Two minutes, with pauses from half a second to 30 seconds.
    fn default() -> Self {
        Self {
            budget: Duration::from_secs(120),
            initial: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// One attempt without retries.
    pub const NEVER: Self = Self { budget: Duration::ZERO, initial: Duration::ZERO, max_delay: Duration::ZERO };

    /// Decides what to do after a failed attempt. `jitter` is random from 0 to 1.
    pub(crate) fn decide(&self, failed: &Failed, jitter: f64) -> RetryDecision {
        match failed.class {
            RetryClass::Never => return RetryDecision::GiveUp,
            RetryClass::Few(most) if failed.few_used >= most => return RetryDecision::GiveUp,
            RetryClass::Few(_) | RetryClass::Backoff => {}
        }
        let backoff = self.backoff(failed.attempts, jitter);
        // A requested wait is exceeded by a random delay, so that requests do not all return at the same moment.
        let delay = failed.retry_after.map_or(backoff, |wait| wait.saturating_add(backoff.min(MAX_LATENESS)));
        if failed.spent.saturating_add(delay) >= self.budget {
            RetryDecision::GiveUp
        } else {
            RetryDecision::After(delay)
        }
    }

    /// Returns the pause after the given number of attempts.
    fn backoff(&self, attempts: u32, jitter: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max_delay);
        full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// Longest random delay added to a requested wait.
const MAX_LATENESS: Duration = Duration::from_secs(1);

/// The facts of a failed attempt that decide about a retry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    pub(crate) class: RetryClass,
    /// The wait that the answer requests.
    pub(crate) retry_after: Option<Duration>,
    /// Number of attempts, including this one.
    pub(crate) attempts: u32,
    /// Time spent on attempts and pauses.
    pub(crate) spent: Duration,
    /// Number of earlier failures of the class [`RetryClass::Few`] in this request.
    pub(crate) few_used: u32,
}

/// Whether and how often to retry a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryClass {
    /// Another attempt would fail the same way.
    Never,
    /// This number of retries, because the answer made no sense.
    Few(u32),
    /// As many retries as the budget allows.
    Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    After(Duration),
    GiveUp,
}

#[cfg(test)]
mod tests;

use crate::ports::error::TxResult;
use crate::ratelimit::Pacing;

/// What replicas share of the rate limit.
pub trait RateLimit {
    /// When requests to the source may be sent, locked until the unit ends. The default if nothing was said.
    fn pacing(&mut self) -> TxResult<Pacing>;

    /// Says when requests to the source may be sent.
    fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()>;
}

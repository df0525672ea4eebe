use crate::ports::error::TxResult;
use crate::ratelimit::Pacing;

/// The part of the rate limit's state that replicas share.
pub trait RateLimit {
    /// Returns when requests to the source may be sent, locked until the transaction ends. Returns the default if
    /// nothing is stored.
    fn pacing(&mut self) -> TxResult<Pacing>;

    /// Sets when requests to the source may be sent.
    fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()>;
}

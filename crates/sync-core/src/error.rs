use crate::ports::error::StoreError;
use crate::ports::source::{FailureClass, SourceError};

/// An error of the engine's work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Another worker took over. Nothing of this transaction was written.
    #[error("the lease of {0} was lost to another worker")]
    LeaseLost(String),
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    /// Returns the class of the failure, which decides when the work is tried again.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Source(error) => error.class,
            Self::LeaseLost(_) | Self::Store(_) => FailureClass::Transient,
        }
    }
}

use crate::ports::error::StoreError;
use crate::ports::source::{FailureClass, SourceError};

/// Why a piece of the engine's work did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Another worker took over: nothing of this unit was written.
    #[error("the lease of {0} was lost to another worker")]
    LeaseLost(String),
    /// The source could not deliver.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store could not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    /// What is to be done about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Source(error) => error.class,
            Self::LeaseLost(_) | Self::Store(_) => FailureClass::Transient,
        }
    }
}

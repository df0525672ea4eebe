use std::error::Error;

/// What a statement returns.
pub type TxResult<T> = Result<T, StoreError>;

/// Why a store could not do its part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database does not answer, or not in time: try again later.
    #[error("{message}")]
    Unavailable {
        /// What was tried.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The database refuses the content of a row. Without that row the unit may pass.
    #[error("the database refuses a value: {message}")]
    Refused {
        /// What the database said of it.
        message: String,
    },
    /// What is stored makes no sense to this version.
    #[error("{table}: {message}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The database gives a reason that this version does not know. It may lie in the content of a row.
    #[error("{message}")]
    Unexpected {
        /// What was tried.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Anything else: it does not lie in the content of a row, and does not pass by itself.
    #[error("{message}")]
    Failed {
        /// What was tried.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Whether the same may pass later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the same may pass without one of the rows.
    pub fn may_lie_in_a_row(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unexpected { .. })
    }
}

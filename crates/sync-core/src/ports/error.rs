use std::error::Error;

use kombo_model::Timestamp;

use crate::jobs::request::Target;
use crate::pull::run::RunId;
use crate::rows::Model;

/// The result of a statement.
pub type TxResult<T> = Result<T, StoreError>;

/// An error of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database does not answer, or not in time. Try again later.
    #[error("{message}")]
    Unavailable {
        /// The operation that failed.
        message: String,
        /// The error of the database.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The database rejects the content of a row. Without that row the transaction may succeed.
    #[error("the database refuses a value: {message}")]
    Refused {
        /// The database's reason.
        message: String,
    },
    /// This version cannot interpret stored data.
    #[error("{table}: {message}")]
    Corrupt {
        /// Table of the data.
        table: &'static str,
        /// Description of the problem.
        message: String,
    },
    /// The database reports an error that this version does not recognize. The content of a row may be the cause.
    #[error("{message}")]
    Unexpected {
        /// The operation that failed.
        message: String,
        /// The error of the database.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A stored or new state is impossible. Nothing of the transaction was written.
    #[error(transparent)]
    Invariant(#[from] Invariant),
    /// Any other error. The content of a row is not the cause, and retrying does not help.
    #[error("{message}")]
    Failed {
        /// The operation that failed.
        message: String,
        /// The error of the database.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Whether a later retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the transaction may succeed without one of its rows.
    pub fn may_lie_in_a_row(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unexpected { .. })
    }
}

/// A state that is impossible whatever Kombo, the clock and the network do. Its cause is a bug or a manual edit of the
/// tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invariant {
    /// Two workers have leases of one endpoint.
    #[error("two leases at once: {one}, and {other}")]
    TwoLeases {
        /// The lease of this transaction.
        one: Target,
        /// The other lease.
        other: Target,
    },
    /// A watermark would move back.
    #[error("the watermark would move back from {from} to {to}")]
    WatermarkMovesBack {
        /// The stored watermark.
        from: Timestamp,
        /// The new watermark.
        to: Timestamp,
    },
    /// Another worker stored later batches of a run.
    #[error("run {run} has {stored} batches, but this worker wrote only {known}")]
    CheckpointAhead {
        /// The run.
        run: RunId,
        /// Number of stored batches.
        stored: i64,
        /// Number of batches that this worker wrote.
        known: i64,
    },
    /// The change log would get an entry for a row that is not written.
    #[error("the change log would get an entry without its row in {0}")]
    EntryWithoutRow(Model),
}

use std::error::Error;

use kombo_model::{IntegrationId, Timestamp};

use crate::jobs::request::Target;
use crate::pull::run::RunId;
use crate::rows::model::Model;

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
    /// What is stored, or was about to be, cannot be. Nothing of the transaction was written.
    #[error(transparent)]
    Invariant(#[from] Invariant),
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

/// A state that cannot be, whatever Kombo, the clock and the network do: a fault of the program or of a hand at the tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invariant {
    /// Two workers hold leases on one endpoint.
    #[error("two leases at once: {one}, and {other}")]
    TwoLeases {
        /// The lease of this transaction.
        one: Target,
        /// The other one.
        other: Target,
    },
    /// A watermark would move back.
    #[error("the watermark would move back from {from} to {to}")]
    WatermarkMovesBack {
        /// What is stored.
        from: Timestamp,
        /// What was about to be.
        to: Timestamp,
    },
    /// Somebody else stored later batches of a run.
    #[error("run {run} has {stored} batches, but this worker wrote only {known}")]
    CheckpointAhead {
        /// The run.
        run: RunId,
        /// How many batches are stored.
        stored: i64,
        /// How many this worker knows of.
        known: i64,
    },
    /// A webhook of an integration was to be stored in a transaction that others of the integration do not wait for.
    #[error("a webhook of {0} was to be stored outside of its integration's scope")]
    OutOfScope(IntegrationId),
    /// The change log would get an entry of a row that is not written.
    #[error("the change log would get an entry without its row in {0}")]
    EntryWithoutRow(Model),
}

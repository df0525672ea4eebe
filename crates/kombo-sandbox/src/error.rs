//! What can go wrong when the sandbox is driven.

use crate::{Id, Model};

/// Why the sandbox could not be started or could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The port could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not an id the sandbox can keep.
    #[error("an id has 1 to 24 visible ASCII characters, not {0:?}")]
    BadId(String),
    /// No integration of that id.
    #[error("no integration {0:?}")]
    NoIntegration(String),
    /// An integration of that id is there already.
    #[error("integration {0:?} exists already")]
    IntegrationExists(String),
    /// No such record.
    #[error("no record {id} in {model}")]
    NoRecord {
        /// The record's model.
        model: Model,
        /// The record's id.
        id: Id,
    },
    /// The record is there already.
    #[error("{model} has a record {id} already")]
    RecordExists {
        /// The record's model.
        model: Model,
        /// The record's id.
        id: Id,
    },
    /// The field does not exist or does not take that value.
    #[error("{model}.{field} does not take {value}")]
    BadField {
        /// The record's model.
        model: Model,
        /// The field's name.
        field: String,
        /// The value, as JSON.
        value: String,
    },
    /// The mutation cannot be done on that model, or nothing is there to do it on.
    #[error("cannot {what}")]
    Impossible {
        /// What was asked.
        what: String,
    },
}

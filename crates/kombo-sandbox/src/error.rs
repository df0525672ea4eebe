//! Errors of controlling a sandbox.

use crate::{Id, Model};

/// An error of starting or controlling a sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The port could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The requested address.
        address: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The text is not a valid id.
    #[error("an id has 1 to 24 visible ASCII characters, not {0:?}")]
    BadId(String),
    /// The integration does not exist.
    #[error("no integration {0:?}")]
    NoIntegration(String),
    /// The integration already exists.
    #[error("integration {0:?} exists already")]
    IntegrationExists(String),
    /// The record does not exist.
    #[error("no record {id} in {model}")]
    NoRecord {
        /// The record's model.
        model: Model,
        /// The record's id.
        id: Id,
    },
    /// The record already exists.
    #[error("{model} has a record {id} already")]
    RecordExists {
        /// The record's model.
        model: Model,
        /// The record's id.
        id: Id,
    },
    /// The field does not exist or does not accept the value.
    #[error("{model}.{field} does not take {value}")]
    BadField {
        /// The record's model.
        model: Model,
        /// The field's name.
        field: String,
        /// The value, as JSON.
        value: String,
    },
    /// The model does not support the mutation, or no row fits.
    #[error("cannot {what}")]
    Impossible {
        /// The requested mutation.
        what: String,
    },
}

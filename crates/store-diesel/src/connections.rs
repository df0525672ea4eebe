//! The connections of a store, as callers see them.

/// A notification of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// A request became free to lease.
    Request,
    /// The change log grew.
    Change,
}

/// The result of moving to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The address is the present one.
    Same,
    /// New connections go to the new address.
    Done,
    /// The address is of another kind of database, or of another file, and needs a new store.
    AtRestart,
}

/// Usage of the connections to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Maximum number of connections.
    pub most: usize,
    /// Open connections.
    pub open: usize,
    /// Open connections that are not in use.
    pub idle: usize,
    /// Transactions that wait for a connection.
    pub waiting: usize,
}

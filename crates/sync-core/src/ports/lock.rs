/// Whether a statement that locks a row waits for other transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Waits for transactions that have locked the row. The result is never [`Lock::Busy`].
    Wait,
    /// Does not wait.
    Skip,
}

/// The result of a statement that locks a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock<T> {
    /// The row does not exist.
    Missing,
    /// Another transaction has locked the row.
    Busy,
    /// This transaction has locked the row.
    Locked(T),
}

impl<T> Lock<T> {
    /// Returns the row if this transaction has locked it.
    pub fn locked(self) -> Option<T> {
        match self {
            Self::Locked(row) => Some(row),
            Self::Missing | Self::Busy => None,
        }
    }

    /// Whether the row does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

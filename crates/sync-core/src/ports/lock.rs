/// What a statement that locks a row does about other transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// It waits for those that have the row locked: the answer is never [`Lock::Busy`].
    Wait,
    /// It waits for none.
    Skip,
}

/// What a statement that locks a row finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock<T> {
    /// There is no such row.
    Missing,
    /// Another transaction has it locked.
    Busy,
    /// This transaction has it locked now.
    Locked(T),
}

impl<T> Lock<T> {
    /// The row, if it is locked now.
    pub fn locked(self) -> Option<T> {
        match self {
            Self::Locked(row) => Some(row),
            Self::Missing | Self::Busy => None,
        }
    }

    /// Whether there is no such row.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

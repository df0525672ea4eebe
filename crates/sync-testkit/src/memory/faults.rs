use std::fmt;

use sync_core::ports::{StoreError, TxResult};

/// Whether the store attributes an error to a text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    Known,
    Unknown,
}

/// The requested failures, and the number of statements so far.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) statements: u64,
    pub(super) refused: Option<(String, Reason)>,
    failing: Option<(u64, StoreError)>,
}

impl Faults {
    pub(super) fn fail(&mut self, n: u64, error: StoreError) {
        self.failing = Some((self.statements.saturating_add(n), error));
    }

    pub(super) fn fail_no_more(&mut self) {
        self.failing = None;
    }

    /// Counts a statement, and fails it if a failure was requested.
    pub(super) fn statement(&mut self) -> TxResult<()> {
        self.statements += 1;
        match self.failing.take_if(|(at, _)| *at <= self.statements) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("statements", &self.statements).finish_non_exhaustive()
    }
}

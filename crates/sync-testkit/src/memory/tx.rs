mod jobs;
mod log;
mod received;
mod registry;
mod rows;

use std::sync::{Mutex, PoisonError};

use sync_core::ports::{Lock, StoreError, Tx, TxResult};

use super::faults::{Faults, Reason};
use super::state::State;

/// Rights of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    Write,
}

/// A running transaction on its own copy of the state.
pub(super) struct MemoryTx<'a> {
    state: State,
    faults: &'a Mutex<Faults>,
    mode: Mode,
    /// Whether a statement failed: as in a database, further statements and the commit fail as well.
    broken: bool,
    may_be_lost: bool,
}

/// Result of a transaction.
pub(super) struct Done {
    pub(super) state: State,
    pub(super) may_be_lost: bool,
}

impl<'a> MemoryTx<'a> {
    pub(super) fn new(state: State, faults: &'a Mutex<Faults>, mode: Mode) -> Self {
        Self { state, faults, mode, broken: false, may_be_lost: false }
    }

    /// Runs `work`, and returns its value together with the state that it left.
    pub(super) fn run<T, E: From<StoreError>>(
        mut self,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<(T, Done), E> {
        let value = work(&mut self)?;
        if self.broken {
            return Err(failed("a statement of the transaction failed").into());
        }
        Ok((value, Done { state: self.state, may_be_lost: self.may_be_lost }))
    }

    fn reading(&mut self) -> TxResult<()> {
        if self.broken {
            return Err(failed("an earlier statement of the transaction failed"));
        }
        let result = self.faults.lock().unwrap_or_else(PoisonError::into_inner).statement();
        self.broken = result.is_err();
        result
    }

    fn writing(&mut self) -> TxResult<()> {
        self.reading()?;
        if self.mode == Mode::Read {
            self.broken = true;
            return Err(failed("a transaction that reads must not write"));
        }
        Ok(())
    }

    fn accept(&mut self, mut texts: impl Iterator<Item: AsRef<str>>) -> TxResult<()> {
        let refused = self.faults.lock().unwrap_or_else(PoisonError::into_inner).refused.clone();
        let Some((needle, reason)) = refused else { return Ok(()) };
        if texts.any(|text| text.as_ref().contains(&needle)) {
            self.broken = true;
            return Err(match reason {
                Reason::Known => StoreError::Refused { message: "the text may not be stored".to_owned() },
                Reason::Unknown => StoreError::Unexpected { message: "something went wrong".to_owned(), source: None },
            });
        }
        Ok(())
    }
}

impl Tx for MemoryTx<'_> {
    fn may_be_lost(&mut self) -> TxResult<()> {
        self.writing()?;
        self.may_be_lost = true;
        Ok(())
    }
}

/// Returns the row, locked or missing. Transactions run one at a time, so none is busy.
pub(super) fn locked<T: Clone>(row: Option<&T>) -> Lock<T> {
    row.cloned().map_or(Lock::Missing, Lock::Locked)
}

fn failed(message: &str) -> StoreError {
    StoreError::Failed { message: message.to_owned(), source: None }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

//! Checks whether the file can be written to, by a write on a separate connection that is rolled back.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use sync_core::ports::StoreError;

use crate::tables::{self, Trial};

/// If another process writes for this long, writing works.
const BUSY_TIMEOUT_MS: u32 = 500;
/// More than the connection's cache holds, so that the data go to the disk before the transaction ends.
const BYTES: u32 = 64 * 1024;

/// Writes and rolls back. Returns the problems of the tables, each with its remedy. `Err` contains the reason why
/// nothing can be written.
pub(super) fn faults(path: &Path, trial: Trial) -> Result<Vec<String>, StoreError> {
    let mut conn = super::open(path).map_err(|error| failed(error.to_string()))?;
    let setup = format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA cache_size = 2; PRAGMA cache_spill = 1;");
    let said = |error: diesel::result::Error| failed(error.to_string());
    conn.batch_execute(&setup).map_err(said)?;
    if let Err(error) = conn.batch_execute("BEGIN IMMEDIATE") {
        return if is_locked(&error.to_string()) { Ok(Vec::new()) } else { Err(said(error)) };
    }
    let write = format!(
        "CREATE TABLE syncd_probe (bytes BLOB); INSERT INTO syncd_probe VALUES (randomblob({BYTES})); \
         INSERT INTO syncd_probe SELECT randomblob({BYTES}) FROM syncd_probe;"
    );
    let written = conn.batch_execute(&write).map_err(said);
    // A failure may already have ended the transaction.
    let rolled_back = conn.batch_execute("ROLLBACK");
    written.and_then(|()| rolled_back.map_err(said))?;
    match tables::sqlite::faults(&mut conn, trial) {
        Err(StoreError::Unavailable { source: Some(source), .. }) if is_locked(&source.to_string()) => Ok(Vec::new()),
        found => found,
    }
}

fn failed(said: String) -> StoreError {
    StoreError::Unavailable { message: "writing on trial".to_owned(), source: Some(said.into()) }
}

/// Identified by its text: Diesel has no code for it, and SQLite's texts are always English.
fn is_locked(said: &str) -> bool {
    said.contains("locked")
}

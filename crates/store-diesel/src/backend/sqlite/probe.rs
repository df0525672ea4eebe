//! Whether the file can be written to: tried on a connection of its own, and taken back.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use sync_core::ports::StoreError;

use crate::tables;

/// Another process that writes for so long shows that writing works.
const BUSY_TIMEOUT_MS: u32 = 500;
/// Does not fit into the connection's cache, so that it goes to the disk before the transaction ends.
const BYTES: u32 = 64 * 1024;

/// Writes, and rolls back. Returns what is wrong with the tables, each with its remedy; `Err` says why nothing can be written.
pub(super) fn faults(path: &Path) -> Result<Vec<String>, StoreError> {
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
    // A failure may have ended the transaction already.
    let rolled_back = conn.batch_execute("ROLLBACK");
    written.and_then(|()| rolled_back.map_err(said))?;
    match tables::sqlite::faults(&mut conn) {
        Err(StoreError::Unavailable { source: Some(source), .. }) if is_locked(&source.to_string()) => Ok(Vec::new()),
        found => found,
    }
}

fn failed(said: String) -> StoreError {
    StoreError::Unavailable { message: "writing on trial".to_owned(), source: Some(said.into()) }
}

/// Diesel has no code for it, and SQLite says it in English everywhere.
fn is_locked(said: &str) -> bool {
    said.contains("locked")
}

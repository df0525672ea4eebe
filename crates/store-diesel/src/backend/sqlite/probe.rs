//! Whether the file can be written to: tried on a connection of its own, and taken back.

use std::path::Path;

use diesel::connection::SimpleConnection as _;

/// Another process that writes for so long shows that writing works.
const BUSY_TIMEOUT_MS: u32 = 500;
/// Does not fit into the connection's cache, so that it goes to the disk before the transaction ends.
const BYTES: u32 = 64 * 1024;

/// Writes, and rolls back. `Err` says why not.
pub(super) fn try_write(path: &Path) -> Result<(), String> {
    let mut conn = super::open(path).map_err(|error| error.to_string())?;
    let setup = format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA cache_size = 2; PRAGMA cache_spill = 1;");
    let said = |error: diesel::result::Error| error.to_string();
    conn.batch_execute(&setup).map_err(said)?;
    if let Err(error) = conn.batch_execute("BEGIN IMMEDIATE") {
        return if is_locked(&error) { Ok(()) } else { Err(said(error)) };
    }
    let write = format!(
        "CREATE TABLE syncd_probe (bytes BLOB); INSERT INTO syncd_probe VALUES (randomblob({BYTES})); \
         INSERT INTO syncd_probe SELECT randomblob({BYTES}) FROM syncd_probe;"
    );
    let written = conn.batch_execute(&write).map_err(said);
    // A failure may have ended the transaction already.
    let rolled_back = conn.batch_execute("ROLLBACK");
    written.and_then(|()| rolled_back.map_err(said))
}

/// Diesel has no code for it, and SQLite says it in English everywhere.
fn is_locked(error: &diesel::result::Error) -> bool {
    error.to_string().contains("locked")
}

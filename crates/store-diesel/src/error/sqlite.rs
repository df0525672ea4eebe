//! Meaning of SQLite's errors. Diesel exposes the extended result code of a few, and for all others only the text of
//! `sqlite3_errmsg`. SQLite's texts are compiled in, in English.

use diesel::result::DatabaseErrorKind;

use super::Verdict;

const DAMAGED: &str = "the file is damaged: restore it from a backup";
const FILE: &str = "the file must be writable for the user that syncd runs as, and so must its folder";

/// Texts of `sqlite3_errstr`, grouped by result code.
const VERDICTS: &[(&str, Verdict)] = &[
    // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_NOMEM, SQLITE_INTERRUPT, SQLITE_IOERR, SQLITE_FULL, SQLITE_PROTOCOL, SQLITE_SCHEMA
    ("database is locked", Verdict::Unavailable),
    ("database table is locked", Verdict::Unavailable),
    ("database schema is locked", Verdict::Unavailable),
    ("out of memory", Verdict::Unavailable),
    ("interrupted", Verdict::Unavailable),
    ("disk I/O error", Verdict::Unavailable),
    ("database or disk is full", Verdict::Unavailable),
    ("locking protocol", Verdict::Unavailable),
    ("database schema has changed", Verdict::Unavailable),
    // SQLITE_TOOBIG, SQLITE_MISMATCH
    ("string or blob too big", Verdict::Refused),
    ("datatype mismatch", Verdict::Refused),
    // SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_CORRUPT, SQLITE_NOTADB
    ("attempt to write a readonly database", Verdict::Lasting(FILE)),
    ("unable to open database file", Verdict::Lasting(FILE)),
    ("access permission denied", Verdict::Lasting(FILE)),
    ("database disk image is malformed", Verdict::Lasting(DAMAGED)),
    ("file is not a database", Verdict::Lasting(DAMAGED)),
];

#[allow(clippy::wildcard_enum_match_arm, reason = "the kinds of another crate, which may become more")]
pub(super) fn verdict(kind: DatabaseErrorKind, message: &str) -> Verdict {
    match kind {
        // Another process inserted the row after this transaction found it missing.
        DatabaseErrorKind::UniqueViolation => Verdict::Unavailable,
        DatabaseErrorKind::NotNullViolation
        | DatabaseErrorKind::CheckViolation
        | DatabaseErrorKind::ForeignKeyViolation => Verdict::Refused,
        _ => VERDICTS.iter().find(|(words, _)| message.starts_with(words)).map_or(Verdict::Unknown, |(_, it)| *it),
    }
}

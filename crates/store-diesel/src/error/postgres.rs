//! Meaning of PostgreSQL's errors by SQLSTATE. Their messages are in the server's language.

use std::fmt;

use diesel::result::Error;

use super::Verdict;

/// An error of the connection or of the server.
#[derive(Debug)]
pub(crate) struct ServerError(tokio_postgres::Error);

/// Sessions that are unusable after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spent {
    Nothing,
    /// The session that met the error.
    Session,
    /// All sessions of the same age.
    AllSessions,
}

const NUMBERS: &str = "the numbers of a sequence in the schema kombo are used up: correct its limit or the row with the \
                       highest number, then run `syncd migrate`";
const RIGHTS: &str = "grant the role the rights that it needs (docs/operations.md lists them)";
const TABLES: &str = "the database is not as syncd made it: run `syncd migrate`, or undo what was changed by hand";
const DAMAGED: &str = "the database is damaged: restore it from a backup";

/// Meaning of an SQLSTATE for a statement. The longest matching prefix counts.
const VERDICTS: &[(&str, Verdict)] = &[
    // Connection exception.
    ("08", Verdict::Unavailable),
    // Feature not supported: the table of a prepared statement has changed.
    ("0A", Verdict::Unavailable),
    // Invalid grantor, invalid role specification.
    ("0L", Verdict::Lasting(RIGHTS)),
    ("0P", Verdict::Lasting(RIGHTS)),
    // Cardinality violation, data exception, integrity constraint violation.
    ("21", Verdict::Refused),
    ("22", Verdict::Refused),
    ("2200H", Verdict::Lasting(NUMBERS)),
    ("23", Verdict::Refused),
    // Unique violation: another process inserted the row after this transaction found it missing.
    ("23505", Verdict::Unavailable),
    // Invalid transaction state: read-only after a failover, or a time-out within a transaction.
    ("25006", Verdict::Unavailable),
    ("25P03", Verdict::Unavailable),
    ("25P04", Verdict::Unavailable),
    // Invalid prepared statement: a pooler switched this connection to another session.
    ("26", Verdict::Unavailable),
    // Invalid authorization.
    ("28", Verdict::Lasting("check the user and the password in store.url, and the server's pg_hba.conf")),
    ("3D", Verdict::Lasting("create the database, or correct its name in store.url")),
    ("3F", Verdict::Lasting(TABLES)),
    // Transaction rollback: deadlock, serialization failure.
    ("40", Verdict::Unavailable),
    // Syntax error or access rule violation.
    ("42", Verdict::Lasting(TABLES)),
    ("42501", Verdict::Lasting(RIGHTS)),
    ("42P05", Verdict::Unavailable),
    // Check option of a view.
    ("44", Verdict::Refused),
    // Insufficient resources: disk, memory, connections.
    ("53", Verdict::Unavailable),
    // Program limit exceeded: an index entry or a row is too long, JSON is too deep.
    ("54", Verdict::Refused),
    // Object not in prerequisite state: a lock is not available, a server is in recovery.
    ("55", Verdict::Unavailable),
    // The state of an object that only a person changes: a published table without a replica identity.
    ("55000", Verdict::Lasting(TABLES)),
    // Operator intervention: a time-out, a shutdown, a start.
    ("57", Verdict::Unavailable),
    // System error.
    ("58", Verdict::Unavailable),
    ("F0", Verdict::Lasting("the server's configuration file is wrong")),
    ("XX001", Verdict::Lasting(DAMAGED)),
    ("XX002", Verdict::Lasting(DAMAGED)),
];

const UNIQUE_VIOLATION: &str = "23505";

/// After these, all sessions of the same age are unusable: the server is read-only, or tables of prepared statements
/// changed.
const ALL_SPENT: [&str; 2] = ["25006", "0A"];
/// After these, this session is unusable.
const SPENT: [&str; 4] = ["08", "26", "42P05", "57P"];

impl ServerError {
    pub(crate) fn new(error: tokio_postgres::Error) -> Self {
        Self(error)
    }

    /// Returns the SQLSTATE, if the server sent one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.0.code().map(tokio_postgres::error::SqlState::code)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if let Some(code) = self.code() {
            return verdict(code);
        }
        // The only IO error that does not concern the connection: a message is too long to send.
        let cause = std::error::Error::source(&self.0).and_then(|cause| cause.downcast_ref::<std::io::Error>());
        match cause.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::InvalidInput) => Verdict::Refused,
            _ => Verdict::Unavailable,
        }
    }

    /// Whether the server has no room for a write, or cannot write to its disk.
    pub(crate) fn is_of_room(&self) -> bool {
        self.code().is_some_and(|code| ["53100", "53200", "58"].iter().any(|it| code.starts_with(it)))
    }

    pub(crate) fn spent(&self) -> Spent {
        let begins = |prefixes: &[&str]| self.code().is_some_and(|code| prefixes.iter().any(|it| code.starts_with(it)));
        if begins(&ALL_SPENT) {
            Spent::AllSessions
        } else if self.code().is_none() || begins(&SPENT) {
            Spent::Session
        } else {
            Spent::Nothing
        }
    }
}

/// Returns advice for a person after a connection failed. Without an SQLSTATE, no PostgreSQL server answered.
pub(crate) fn connection_remedy(code: Option<&str>) -> &'static str {
    match (code, code.map(verdict)) {
        (None, _) => {
            "check that the server runs, its address, user and password, and TLS (sslmode=disable does without)"
        }
        (Some("53300"), _) => {
            "no connection is free: close others, or raise max_connections, or the CONNECTION LIMIT of the role or the \
             database"
        }
        (Some("42501"), _) => "grant the role CONNECT on the database",
        (Some(code), _) if code.starts_with("22") || code.starts_with("42") => {
            "correct `options` in store.url, and the settings of the role and the database"
        }
        (_, Some(Verdict::Lasting(remedy))) => remedy,
        (_, Some(Verdict::Unavailable)) => "try again when the server is ready",
        (_, Some(Verdict::Refused | Verdict::Unknown) | None) => "look into the server's log",
    }
}

fn verdict(code: &str) -> Verdict {
    let fitting = VERDICTS.iter().filter(|(prefix, _)| code.starts_with(prefix));
    fitting.max_by_key(|(prefix, _)| prefix.len()).map_or(Verdict::Unknown, |(_, verdict)| *verdict)
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(said) = self.0.as_db_error() else { return f.write_str(&chain(&self.0)) };
        let code = said.code().code();
        let message = if code.starts_with("22") {
            // The rest may contain the value.
            said.message().split(':').next().unwrap_or_default()
        } else {
            said.message()
        };
        write!(f, "{message} (SQLSTATE {code})")
    }
}

impl std::error::Error for ServerError {}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        // Diesel's own error kind for databases has no field for the code.
        Self::QueryBuilderError(Box::new(error))
    }
}

/// Returns the server's error, if the error came from the server.
pub(super) fn server_error(error: &Error) -> Option<&ServerError> {
    if let Error::RollbackErrorOnCommit { commit_error, .. } = error {
        return server_error(commit_error);
    }
    if let Error::QueryBuilderError(error) = error { error.downcast_ref() } else { None }
}

/// Whether a row with the same key already exists.
pub(crate) fn is_unique_violation(error: &Error) -> bool {
    server_error(error).and_then(ServerError::code) == Some(UNIQUE_VIOLATION)
}

/// Joins the messages of an error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Before the first statement, these are errors of settings, not of tables or values.
    #[test]
    fn remedies_of_settings_at_connecting() {
        for code in ["42704", "42601", "22023"] {
            assert!(connection_remedy(Some(code)).contains("`options` in store.url"), "{code}");
        }
    }

    #[test]
    fn verdicts() {
        for (code, expected) in [
            ("22P05", Verdict::Refused),
            ("22021", Verdict::Refused),
            ("2200H", Verdict::Lasting(NUMBERS)),
            ("54000", Verdict::Refused),
            ("54001", Verdict::Refused),
            ("21000", Verdict::Refused),
            ("23514", Verdict::Refused),
            ("23505", Verdict::Unavailable),
            ("08006", Verdict::Unavailable),
            ("57P01", Verdict::Unavailable),
            ("57P03", Verdict::Unavailable),
            ("57014", Verdict::Unavailable),
            ("53300", Verdict::Unavailable),
            ("55000", Verdict::Lasting(TABLES)),
            ("40001", Verdict::Unavailable),
            ("40P01", Verdict::Unavailable),
            ("55P03", Verdict::Unavailable),
            ("25006", Verdict::Unavailable),
            ("58030", Verdict::Unavailable),
            ("0A000", Verdict::Unavailable),
            ("28P01", Verdict::Lasting("check the user and the password in store.url, and the server's pg_hba.conf")),
            ("42501", Verdict::Lasting(RIGHTS)),
            ("42P01", Verdict::Lasting(TABLES)),
            ("3D000", Verdict::Lasting("create the database, or correct its name in store.url")),
            ("XX001", Verdict::Lasting(DAMAGED)),
            ("XX000", Verdict::Unknown),
            ("P0001", Verdict::Unknown),
            ("25001", Verdict::Unknown),
        ] {
            assert_eq!(verdict(code), expected, "{code}");
        }
    }
}

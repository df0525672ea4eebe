use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use super::installation::{command, psql};
use super::{PostgresError, PrivatePostgres};

const TEST_URL_VARIABLE: &str = "DATABASE_TEST_URL";

/// A database for one test. Its drop ends all sessions and drops the database; failures are ignored.
#[derive(Debug)]
pub struct TestDatabase {
    server: Server,
    created: Created,
}

impl TestDatabase {
    /// The URL to connect to.
    pub fn url(&self) -> &str {
        &self.created.url
    }

    /// Name of the database, unique on its server.
    pub fn name(&self) -> &str {
        &self.created.name
    }

    /// Runs SQL through `psql`, and returns its output: a line for each row, columns separated by `|`.
    ///
    /// # Errors
    ///
    /// Fails with the output of `psql` if a statement fails.
    pub fn execute(&self, sql: &str) -> Result<String, PostgresError> {
        execute(self.url(), sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let _ = self.server.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.created.name));
    }
}

/// Creates a fresh, empty database: on the server in `DATABASE_TEST_URL`, where the role must be allowed to create
/// databases, or on a private server that the whole process shares and that ends with it.
///
/// # Errors
///
/// [`PostgresError::NotInstalled`] if the variable is unset and the server's programs are not found; other variants if
/// the server fails.
pub fn test_database() -> Result<TestDatabase, PostgresError> {
    let server = match env::var(TEST_URL_VARIABLE) {
        Ok(url) if !url.is_empty() => Server::new(url),
        _ => Server::new(shared()?.url("postgres")),
    };
    let created = create(&server, "test")?;
    Ok(TestDatabase { server, created })
}

fn shared() -> Result<&'static PrivatePostgres, PostgresError> {
    static SHARED: OnceLock<Result<PrivatePostgres, String>> = OnceLock::new();
    SHARED
        .get_or_init(|| PrivatePostgres::start().map_err(|error| with_causes(&error)))
        .as_ref()
        .map_err(|text| PostgresError::Shared(text.clone()))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", with_causes(source)))
}

/// A server, identified by the URL of a database from which others can be created.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
}

impl Server {
    pub(super) fn new(url: String) -> Self {
        Self { url }
    }

    pub(super) fn execute(&self, statement: &str) -> Result<String, PostgresError> {
        execute(&self.url, statement)
    }
}

#[derive(Debug)]
pub(super) struct Created {
    pub(super) name: String,
    pub(super) url: String,
}

pub(super) fn create(server: &Server, prefix: &str) -> Result<Created, PostgresError> {
    let name = unique_name(prefix);
    server.execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
    let url = with_database(&server.url, &name);
    Ok(Created { name, url })
}

fn execute(url: &str, sql: &str) -> Result<String, PostgresError> {
    let output = command(psql()?)
        .args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set", "ON_ERROR_STOP=1", "--dbname", url, "--command", sql])
        .output()
        .map_err(PostgresError::io("run psql"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(PostgresError::Statement { statement: sql.to_owned(), output })
}

/// Returns a name that needs no quotes: the letters and digits of `prefix`, and a suffix that no other process uses.
fn unique_name(prefix: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    let prefix: String = prefix.chars().map(plain).take(40).collect();
    let random = RandomState::new().build_hasher().finish();
    format!("db_{prefix}_{random:016x}")
}

/// Replaces the database of a URL.
fn with_database(url: &str, database: &str) -> String {
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let authority_at = address.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = address.split_at(authority_at);
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}{authority}/{database}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_keeps_the_rest_of_the_url() {
        for (url, expected) in [
            ("postgres://me:pw@host:5433/postgres?sslmode=require", "postgres://me:pw@host:5433/new?sslmode=require"),
            ("postgres://me@host/postgres", "postgres://me@host/new"),
            ("postgresql://host", "postgresql://host/new"),
            ("postgresql:///old?host=/run/pg", "postgresql:///new?host=/run/pg"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }

    #[test]
    fn names_are_plain_short_and_unlike() {
        let name = unique_name("Überlang; DROP \"x\" and many, many more letters than a name may have");
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'));
        assert!(name.len() <= 63);
        assert_ne!(unique_name("same"), unique_name("same"));
    }
}

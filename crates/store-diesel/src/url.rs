use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a store's database is.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file: `sqlite://syncd.db` beside the working directory, `sqlite:///var/lib/syncd/syncd.db` anywhere.
    Sqlite(PathBuf),
    /// A server: `postgres://user:password@host:port/database?sslmode=require`.
    Postgres(::url::Url),
}

/// The text is not the URL of a database that is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// Another kind of database, or none at all.
    #[error("unsupported kind of database \"{0}\": use sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE")]
    Unsupported(String),
    /// SQLite without a file.
    #[error("the SQLite URL names no file: use sqlite://FILE, for example sqlite://syncd.db")]
    NoFile,
    /// SQLite in memory, of which every connection would see another one.
    #[error("SQLite in memory keeps nothing: use sqlite://FILE, for example sqlite://syncd.db")]
    InMemory,
    /// PostgreSQL with something missing or malformed.
    #[error("the PostgreSQL URL is malformed ({0}): use postgres://USER:PASSWORD@HOST/DATABASE")]
    Malformed(String),
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return match path {
                "" => Err(StoreUrlError::NoFile),
                path if path.starts_with(":memory:") => Err(StoreUrlError::InMemory),
                path => Ok(Self::Sqlite(PathBuf::from(path))),
            };
        }
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            // Only the scheme is shown: the rest may hold a password.
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            let scheme: String = scheme.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
            return Err(StoreUrlError::Unsupported(scheme));
        }
        let url: ::url::Url = text.parse().map_err(|error: ::url::ParseError| {
            let is_port = error == ::url::ParseError::InvalidPort;
            let hint = if is_port { "; in a password, / is written %2F" } else { "" };
            StoreUrlError::Malformed(format!("{error}{hint}"))
        })?;
        let database = url.path().trim_matches('/');
        if database.is_empty() {
            return Err(StoreUrlError::Malformed("no database is named".to_owned()));
        }
        // What stands there is shown, and may be a part of a password.
        if database.contains(['/', '@']) {
            let reason = "the name of the database contains / or @; in a password, they are written %2F and %40";
            return Err(StoreUrlError::Malformed(reason.to_owned()));
        }
        Ok(Self::Postgres(url))
    }
}

/// As given, with the password left out.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => {
                let mut shown = url.clone();
                if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
                    return f.write_str("postgres://…");
                }
                shown.set_query(None);
                write!(f, "{shown}")
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER_NAME: &str = "the name of the database contains / or @; in a password, they are written %2F and %40";

    #[test]
    fn urls() {
        for (text, shown) in [
            ("sqlite://syncd.db", "sqlite://syncd.db"),
            ("sqlite:///var/lib/syncd.db", "sqlite:///var/lib/syncd.db"),
            ("sqlite:syncd.db", "sqlite://syncd.db"),
            ("postgres://u:secret@host/db?password=x", "postgres://u:***@host/db"),
            ("postgresql://host:5433/db", "postgresql://host:5433/db"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"));
        }
        for (text, error) in [
            ("mysql://u:secret@host/db", StoreUrlError::Unsupported("mysql".to_owned())),
            ("", StoreUrlError::Unsupported(String::new())),
            ("sqlite://", StoreUrlError::NoFile),
            ("sqlite://:memory:", StoreUrlError::InMemory),
            ("postgres://host", StoreUrlError::Malformed("no database is named".to_owned())),
            ("postgres://u:12/secret@host/db", StoreUrlError::Malformed(OTHER_NAME.to_owned())),
            ("postgres://u:12/secret@host", StoreUrlError::Malformed(OTHER_NAME.to_owned())),
            ("postgres://u:p@hostpostgres://u:secret@host", StoreUrlError::Malformed(OTHER_NAME.to_owned())),
        ] {
            let found = text.parse::<StoreUrl>().unwrap_err();
            assert_eq!(found, error);
            assert!(!found.to_string().contains("secret"), "{found}");
        }
    }
}

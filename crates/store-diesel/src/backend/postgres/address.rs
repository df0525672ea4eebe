//! Turns a URL into a session: tries the hosts one after the other, with the encryption that the URL asks for and a
//! password that may be in a file.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::postgres::{ServerError, connection_remedy};
use crate::url::{Encryption, PostgresUrl};

mod passfile;
mod tls;

/// Time limit for one host, unless the URL sets another.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

type TlsStream = <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream;

/// Address of a server, and the way to connect to it.
#[derive(Clone)]
pub(super) struct Address {
    url: PostgresUrl,
    tls: MakeRustlsConnect,
}

/// A new session and its connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) connection: Connection<Socket, TlsStream>,
    /// Whether transactions may write by default.
    pub(super) is_writable: bool,
}

/// The reason why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconnected {
    /// The server or the network reported an error.
    #[error(transparent)]
    Failed(#[from] ServerError),
    /// A server was reached, but it takes no writes although the session must write.
    #[error("the server takes no writes")]
    ReadOnly,
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    #[error("all connections were busy for {0:?}: store.connections allows more")]
    Busy(Duration),
    #[error("passfile: {0}")]
    Passfile(String),
}

impl Unconnected {
    fn code(&self) -> Option<&str> {
        if let Self::Failed(error) = self { error.code() } else { None }
    }

    /// Returns advice for a person.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Failed(_) | Self::ReadOnly | Self::TooSlow(_) => connection_remedy(self.code()),
            Self::Busy(_) => "allow more connections",
            Self::Passfile(_) => "correct the passfile",
        }
    }

    /// Whether the server rejects the user or the password.
    pub(super) fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("28"))
    }

    /// Whether the server, the database or the role has reached its connection limit.
    pub(super) fn is_too_many(&self) -> bool {
        self.code() == Some("53300")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Address {
    /// `Err` names the setting that is impossible.
    pub(super) fn new(url: &PostgresUrl) -> Result<Self, String> {
        Ok(Self { tls: tls::connector(url)?, url: url.clone() })
    }

    /// Whether this address comes from `url`.
    pub(super) fn is(&self, url: &PostgresUrl) -> bool {
        self.url == *url
    }

    /// Connects to the first host that accepts writes, or else to one that can be read.
    pub(super) async fn connect(&self) -> Result<Link, Unconnected> {
        let mut servers: Vec<&Config> = self.url.servers.iter().collect();
        if self.url.shuffle {
            // Each process begins with another host. That is all the balancing there is.
            let count = servers.len().max(1);
            let turn = usize::try_from(std::process::id()).unwrap_or_default() % count;
            servers.rotate_left(turn);
        }
        let (mut readable, mut failed) = (None, None);
        for server in servers {
            match self.connect_to(server, TargetSessionAttrs::ReadWrite).await {
                Ok(link) => return Ok(link),
                Err(Unconnected::ReadOnly) => readable = Some(server),
                Err(error) => failed = Some(error),
            }
        }
        match (readable, failed) {
            (Some(server), _) => self.connect_to(server, TargetSessionAttrs::Any).await,
            (None, Some(error)) => Err(error),
            (None, None) => Err(Unconnected::TooSlow(Duration::ZERO)),
        }
    }

    async fn connect_to(&self, server: &Config, wanted: TargetSessionAttrs) -> Result<Link, Unconnected> {
        let mut config = server.clone();
        config.target_session_attrs(wanted);
        if let Some(file) = self.url.passfile.as_deref().filter(|_| server.get_password().is_none())
            && let Some(password) = password(file, server)?
        {
            config.password(password);
        }
        let within = server.get_connect_timeout().copied().unwrap_or(CONNECT_WITHIN);
        match self.within(within, &config).await {
            // The server may require encryption. If the error has another cause, the encrypted attempt reports it
            // again.
            Err(error) if self.url.encryption == Encryption::Allow && error.code().is_some() => {
                config.ssl_mode(SslMode::Require);
                let encrypted = self.within(within, &config).await;
                encrypted.map_err(|second| if second.code().is_some() { second } else { error })
            }
            connected => connected,
        }
        .map(|link| Link { is_writable: wanted == TargetSessionAttrs::ReadWrite, ..link })
    }

    async fn within(&self, within: Duration, config: &Config) -> Result<Link, Unconnected> {
        let connecting = async {
            loop {
                // While connecting, the client queries whether the server takes writes. The server's own time-out may
                // be too short for that.
                match config.connect(self.tls.clone()).await {
                    Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {}
                    connected => return connected,
                }
            }
        };
        let connected = tokio::time::timeout(within, connecting).await.map_err(|_| Unconnected::TooSlow(within))?;
        let (client, connection) = connected.map_err(|error| {
            if is_read_only(&error) { Unconnected::ReadOnly } else { ServerError::new(error).into() }
        })?;
        Ok(Link { client, connection, is_writable: false })
    }
}

/// Whether the error means that a server was reached that takes no writes.
fn is_read_only(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.as_db_error().is_none() && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

fn password(file: &Path, server: &Config) -> Result<Option<String>, Unconnected> {
    let host = match server.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(_)) => "localhost".to_owned(),
        None => server.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = server.get_ports().first().map(ToString::to_string).unwrap_or_default();
    let fields = [&host, &port, server.get_dbname().unwrap_or_default(), server.get_user().unwrap_or_default()];
    passfile::password(file, fields).map_err(Unconnected::Passfile)
}

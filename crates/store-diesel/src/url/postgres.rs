use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};

use super::StoreUrlError;
use super::escape::{decode, encode};

mod parameters;

/// A server that vanishes silently is detected within a minute.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_COUNT: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Name of sessions in `pg_stat_activity`.
const APPLICATION_NAME: &str = "syncd";

const PORT: u16 = 5432;

/// The address of a PostgreSQL database: the checked content of a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// One entry for each host, in the order in which they are tried.
    pub(crate) servers: Vec<Config>,
    pub(crate) encryption: Encryption,
    pub(crate) roots: Roots,
    /// A password file, read for each connection.
    pub(crate) passfile: Option<PathBuf>,
    /// Whether hosts are tried in a random order.
    pub(crate) shuffle: bool,
    shown: String,
}

impl FromStr for PostgresUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        rest.map_or_else(|| Err(malformed("it does not begin with postgres://")), Self::parse)
    }
}

/// Whether a connection is encrypted, and which parts of the certificate are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    Disable,
    /// Only if the server requires it.
    Allow,
    /// If the server supports it.
    Prefer,
    Require,
    /// Like `Require`, but without a check of the name in the certificate.
    AnyName,
}

/// Authorities that may sign a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The system's authorities.
    System,
    /// Authorities from a file.
    File(String),
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Parts of a URL before they are checked together.
#[derive(Default)]
struct Parts {
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    hosts: Vec<String>,
    addresses: Vec<String>,
    ports: Vec<Option<u16>>,
    config: Config,
    encryption: Option<Encryption>,
    root_file: Option<String>,
    passfile: Option<PathBuf>,
    shuffle: bool,
}

impl PostgresUrl {
    /// Parses the part after `postgres://`.
    pub(super) fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let (place, parameters) = text.split_once('?').map_or((text, None), |(place, rest)| (place, Some(rest)));
        let (authority, path) =
            place.split_once('/').map_or((place, None), |(authority, path)| (authority, Some(path)));
        let (credentials, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(credentials, hosts)| (Some(credentials), hosts));

        let mut parts = Parts { config: defaults(), ..Parts::default() };
        if let Some(credentials) = credentials {
            let (user, password) =
                credentials.split_once(':').map_or((credentials, None), |(user, password)| (user, Some(password)));
            parts.user = Some(decode(user).map_err(malformed)?).filter(|user| !user.is_empty());
            parts.password = password.map(decode).transpose().map_err(malformed)?;
        }
        parts.read_hosts(hosts)?;
        if let Some(path) = path {
            let path = path.trim_end_matches('/');
            // The name is shown in errors, and a wrong split may put a part of a password into it.
            if path.contains(['/', '@']) {
                return Err(malformed(
                    "the name of the database contains / or @; in a password, they are written %2F and %40",
                ));
            }
            parts.database = Some(decode(path).map_err(malformed)?).filter(|name| !name.is_empty());
        }
        for parameter in parameters.into_iter().flat_map(|all| all.split('&')).filter(|it| !it.is_empty()) {
            let Some((key, value)) = parameter.split_once('=') else {
                let reason = "a parameter has no =; in a password, ? is written %3F and & is written %26";
                return Err(StoreUrlError::Parameter(reason.to_owned()));
            };
            let (key, value) = (decode(key).map_err(malformed)?, decode(value).map_err(malformed)?);
            parts.set(&key, value)?;
        }
        parts.finish()
    }
}

/// Whether a text looks like `host=… dbname=…`.
pub(super) fn is_key_value(text: &str) -> bool {
    let key = text.trim_start().split_once('=').map(|(key, _)| key.trim_end());
    key.is_some_and(|key| ["host", "hostaddr", "port", "dbname", "user", "password", "service"].contains(&key))
}

fn defaults() -> Config {
    let mut config = Config::new();
    config
        .application_name(APPLICATION_NAME)
        .keepalives_idle(KEEPALIVES_IDLE)
        .keepalives_interval(KEEPALIVES_INTERVAL)
        .keepalives_retries(KEEPALIVES_COUNT)
        .tcp_user_timeout(TCP_USER_TIMEOUT);
    config
}

fn malformed(reason: &str) -> StoreUrlError {
    StoreUrlError::Malformed(reason.to_owned())
}

fn wrong(key: &str, reason: &str) -> StoreUrlError {
    StoreUrlError::Parameter(format!("{key}: {reason}"))
}

impl Parts {
    fn read_hosts(&mut self, hosts: &str) -> Result<(), StoreUrlError> {
        for host in hosts.split(',').filter(|_| !hosts.is_empty()) {
            let (host, port) = match host.strip_prefix('[') {
                Some(rest) => {
                    let (host, rest) =
                        rest.split_once(']').ok_or_else(|| malformed("a ] is missing behind an IPv6 address"))?;
                    (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("no number")) })
                }
                None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
            };
            self.hosts.push(decode(host).map_err(malformed)?);
            self.ports.push(port.map(|port| port_number(&decode(port).map_err(malformed)?)).transpose()?.flatten());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<PostgresUrl, StoreUrlError> {
        let database = self.database.take().ok_or_else(|| malformed("no database is named"))?;
        let count = self.hosts.len().max(self.addresses.len());
        if count == 0 {
            return Err(malformed("no host is named; a socket is named by ?host=/var/run/postgresql"));
        }
        if !self.hosts.is_empty() && !self.addresses.is_empty() && self.hosts.len() != self.addresses.len() {
            return Err(wrong("hostaddr", "there are not as many addresses as hosts"));
        }
        if self.ports.len() > 1 && self.ports.len() != count {
            return Err(wrong("port", "there are not as many ports as hosts"));
        }
        let encryption = self.encryption.unwrap_or(Encryption::Prefer);
        let roots = self.roots(encryption)?;
        let encryption = if self.root_file.as_deref() == Some("system") { Encryption::Require } else { encryption };
        self.check_needs_of_tls(encryption)?;

        let mut base = self.config.clone();
        base.dbname(&database);
        base.ssl_mode(match encryption {
            Encryption::Disable | Encryption::Allow => SslMode::Disable,
            Encryption::Prefer => SslMode::Prefer,
            Encryption::Require | Encryption::AnyName => SslMode::Require,
        });
        if let Some(user) = &self.user {
            base.user(user);
        }
        if let Some(password) = &self.password {
            base.password(password);
        }
        let mut servers = Vec::with_capacity(count);
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let (host, address) = (self.hosts.get(index), self.addresses.get(index));
            let port = *self.ports.get(index).or_else(|| self.ports.first()).unwrap_or(&None);
            let mut server = base.clone();
            server.port(port.unwrap_or(PORT));
            if let Some(host) = host {
                check_host(host)?;
                server.host(host);
            }
            if let Some(address) = address {
                let address: IpAddr = address.parse().map_err(|_| wrong("hostaddr", "is no IP address"))?;
                server.hostaddr(address);
            }
            servers.push(server);
            let place = host.or(address).map(|place| shown_host(place)).unwrap_or_default();
            places.push(port.map_or_else(|| place.clone(), |port| format!("{place}:{port}")));
        }
        let shown = shown(self.user.as_deref(), self.password.is_some(), &places, &database);
        Ok(PostgresUrl { servers, encryption, roots, passfile: self.passfile, shuffle: self.shuffle, shown })
    }

    /// Rejects parameters that need encryption, if it is off or optional. No connection would ever succeed.
    fn check_needs_of_tls(&self, encryption: Encryption) -> Result<(), StoreUrlError> {
        let is_certain = matches!(encryption, Encryption::Require | Encryption::AnyName);
        if self.config.get_ssl_negotiation() == SslNegotiation::Direct && !is_certain {
            return Err(wrong("sslnegotiation", "direct goes with sslmode=require, verify-ca or verify-full only"));
        }
        if self.config.get_channel_binding() == ChannelBinding::Require && encryption == Encryption::Disable {
            return Err(wrong("channel_binding", "require needs TLS, which sslmode=disable turns off"));
        }
        Ok(())
    }

    fn roots(&self, encryption: Encryption) -> Result<Roots, StoreUrlError> {
        match self.root_file.as_deref() {
            None | Some("") => Ok(Roots::System),
            // libpq rejects weaker modes too, because with the system's authorities only the name identifies the
            // server.
            Some("system") if self.encryption.is_none() || encryption == Encryption::Require => Ok(Roots::System),
            Some("system") => Err(wrong("sslrootcert", "system goes with sslmode=verify-full only")),
            Some(file) => Ok(Roots::File(file.to_owned())),
        }
    }
}

/// Returns `None` for the default port.
fn port_number(text: &str) -> Result<Option<u16>, StoreUrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|port| *port > 0).map(Some);
    number.ok_or_else(|| {
        malformed("a port is not a number from 1 to 65535; in a password, / is written %2F and ? is written %3F")
    })
}

fn check_host(host: &str) -> Result<(), StoreUrlError> {
    if host.is_empty() {
        return Err(malformed("a host is empty"));
    }
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || ['/', '@', '#', '\\', '?'].contains(&c);
    if !host.starts_with('/') && host.contains(is_odd) {
        return Err(malformed("a host has characters that no host has; in a password, / is written %2F and @ is %40"));
    }
    Ok(())
}

fn shown_host(host: &str) -> String {
    if host.contains(':') && !host.starts_with('/') {
        return format!("[{host}]");
    }
    encode(host, &['/', '?', '#', '@', ',', ':', ' '])
}

fn shown(user: Option<&str>, has_password: bool, places: &[String], database: &str) -> String {
    let user = user.map(|user| encode(user, &['/', '?', '#', '@', ':', ' '])).unwrap_or_default();
    let password = if has_password { ":***" } else { "" };
    let at = if user.is_empty() && !has_password { "" } else { "@" };
    let database = encode(database, &['/', '?', '#', '@', ' ']);
    format!("postgres://{user}{password}{at}{}/{database}", places.join(","))
}

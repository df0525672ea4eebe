//! The parameters of libpq, and their treatment.

use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslNegotiation};

use super::{Encryption, Parts, port_number, wrong};
use crate::url::StoreUrlError;

impl Parts {
    /// Sets a parameter. All of libpq's parameters are recognized; unsupported values are rejected.
    pub(super) fn set(&mut self, key: &str, value: String) -> Result<(), StoreUrlError> {
        match key {
            "user" => self.user = Some(value).filter(|user| !user.is_empty()),
            "password" => self.password = Some(value),
            "passfile" => self.passfile = Some(value.into()),
            "dbname" => self.database = Some(value).filter(|name| !name.is_empty()),
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "hostaddr" => self.addresses = value.split(',').map(str::to_owned).collect(),
            "port" => self.ports = value.split(',').map(port_number).collect::<Result<_, _>>()?,
            "options" => drop(self.config.options(value)),
            "application_name" => drop(self.config.application_name(value)),
            "connect_timeout" => {
                if let Some(seconds) = positive(key, &value)? {
                    self.config.connect_timeout(Duration::from_secs(seconds));
                }
            }
            "ssl" if value == "true" => self.encryption = Some(Encryption::Require),
            "sslmode" => self.encryption = Some(encryption(&value)?),
            "sslrootcert" => self.root_file = Some(value),
            "sslnegotiation" => {
                let negotiation = match value.as_str() {
                    "postgres" => SslNegotiation::Postgres,
                    "direct" => SslNegotiation::Direct,
                    _ => return Err(wrong(key, "is neither postgres nor direct")),
                };
                self.config.ssl_negotiation(negotiation);
            }
            "channel_binding" => {
                let binding = match value.as_str() {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(wrong(key, "is neither disable nor prefer nor require")),
                };
                self.config.channel_binding(binding);
            }
            "target_session_attrs" => match value.as_str() {
                // A writable server is always preferred.
                "any" | "read-write" | "primary" => {}
                "read-only" | "standby" | "prefer-standby" => {
                    return Err(wrong(key, "syncd writes: only read-write, primary and any are possible"));
                }
                _ => return Err(wrong(key, "is neither read-write nor primary nor any")),
            },
            "load_balance_hosts" => {
                self.shuffle = match value.as_str() {
                    "disable" => false,
                    "random" => true,
                    _ => return Err(wrong(key, "is neither disable nor random")),
                };
                let order = if self.shuffle { LoadBalanceHosts::Random } else { LoadBalanceHosts::Disable };
                self.config.load_balance_hosts(order);
            }
            "client_encoding" => {
                let name: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                if !["utf8", "unicode", "auto"].contains(&name.to_lowercase().as_str()) {
                    return Err(wrong(key, "syncd speaks UTF8 only: leave it out"));
                }
            }
            "gssencmode" if value == "require" => return Err(wrong(key, "encryption by GSSAPI is not supported")),
            // Satisfied anyway, or related to unused features.
            "fallback_application_name"
            | "gssencmode"
            | "sslsni"
            | "sslcompression"
            | "krbsrvname"
            | "gsslib"
            | "gssdelegation" => {}
            "sslcert" | "sslkey" | "sslpassword" | "sslcertmode" => {
                return Err(wrong(key, "certificates of clients are not supported"));
            }
            "sslcrl"
            | "sslcrldir"
            | "ssl_min_protocol_version"
            | "ssl_max_protocol_version"
            | "sslkeylogfile"
            | "requirepeer"
            | "require_auth"
            | "requiressl"
            | "replication"
            | "service"
            | "servicefile"
            | "scram_client_key"
            | "scram_server_key"
            | "min_protocol_version"
            | "max_protocol_version"
            | "oauth_issuer"
            | "oauth_client_id"
            | "oauth_client_secret"
            | "oauth_scope" => {
                return Err(wrong(key, "is not supported: leave it out"));
            }
            key => return self.set_keepalive(key, &value),
        }
        Ok(())
    }

    fn set_keepalive(&mut self, key: &str, value: &str) -> Result<(), StoreUrlError> {
        match key {
            "keepalives" => {
                let on = number::<u64>(key, value)? != 0;
                self.config.keepalives(on);
            }
            "keepalives_idle" => {
                if let Some(seconds) = positive(key, value)? {
                    self.config.keepalives_idle(Duration::from_secs(seconds));
                }
            }
            "keepalives_interval" => {
                if let Some(seconds) = positive(key, value)? {
                    self.config.keepalives_interval(Duration::from_secs(seconds));
                }
            }
            "keepalives_count" | "keepalives_retries" => {
                let count = number(key, value)?;
                self.config.keepalives_retries(count);
            }
            "tcp_user_timeout" => {
                if let Some(milliseconds) = positive(key, value)? {
                    self.config.tcp_user_timeout(Duration::from_millis(milliseconds));
                }
            }
            // A name is shown only if it cannot be a part of a password.
            key => {
                let is_plain = key.len() <= 32 && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if is_plain { format!("\"{key}\"") } else { "one".to_owned() };
                return Err(StoreUrlError::Parameter(format!(
                    "{name} is unknown; in a password, ? is written %3F and & is written %26"
                )));
            }
        }
        Ok(())
    }
}

fn encryption(value: &str) -> Result<Encryption, StoreUrlError> {
    match value {
        "disable" => Ok(Encryption::Disable),
        "allow" => Ok(Encryption::Allow),
        "prefer" => Ok(Encryption::Prefer),
        // The certificate is checked in full: encryption to an unknown server gives no protection from one in between.
        "require" | "verify-full" => Ok(Encryption::Require),
        "verify-ca" => Ok(Encryption::AnyName),
        _ => Err(wrong("sslmode", "is none of disable, allow, prefer, require, verify-ca and verify-full")),
    }
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, StoreUrlError> {
    value.trim().parse().map_err(|_| wrong(key, "is not a whole number, or is too large or too small"))
}

/// Parses seconds or milliseconds. Returns `None` where the system's own limit applies.
fn positive(key: &str, value: &str) -> Result<Option<u64>, StoreUrlError> {
    let value: i64 = number(key, value)?;
    Ok(u64::try_from(value).ok().filter(|value| *value > 0))
}

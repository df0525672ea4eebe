//! The configuration: defaults, then a file, then the environment.

mod address;
mod connections;
mod delivery;
mod duration;
mod environment;
mod exact;
mod list;
mod load;
mod reference;
mod settings;
mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kombo_client::{BuildError, Region};
use kombo_model::{Category, Endpoint, EndpointSelection, IntegrationId};
use secrecy::SecretString;
use serde::Deserialize;
use store_diesel::StoreUrl;
use sync_core::ports::Clock as _;
use sync_core::pull::SyncPolicy;
use sync_core::rows::compare::Tombstones;
use sync_core::webhooks::planner::{PlanMode, PlanPolicy};

use crate::clock::SystemClock;
use crate::output::chain;
use crate::secret::{Secret, read_file};

pub(crate) use connections::Connections;
pub(crate) use delivery::Receiver;
pub(crate) use load::load;
pub(crate) use reference::{page, sample};

/// Integrations to register, with their categories if these are known.
pub(crate) type Configured = BTreeMap<IntegrationId, Option<Category>>;

/// Default URL of the mirror.
const DEFAULT_STORE: &str = "sqlite://syncd.db";

/// Further workers would only wait for each other, and each needs memory.
const MOST_PARTITIONS: usize = 1_024;
const MOST_WORKERS: usize = 256;

/// A shorter token might be guessed.
const SHORTEST_TOKEN: usize = 16;

/// An error of the configuration, with the setting and a remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

impl ConfigError {
    /// Error for settings from which no client can be built.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the errors of another crate, which may become more")]
    pub(crate) fn of_client(error: &BuildError) -> Self {
        Self(match error {
            BuildError::BaseUrl(reason) => {
                format!("kombo.base_url: {reason}; an address such as \"http://127.0.0.1:9000/v1\" is needed")
            }
            BuildError::ApiKey => {
                "kombo.api_key: has characters that no key has, such as a space or a line break".to_owned()
            }
            error => format!("kombo: {}", chain(error)),
        })
    }
}

/// Everything that can be configured. Unknown keys are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) kombo: Kombo,
    pub(crate) store: Store,
    pub(crate) sync: Sync,
    pub(crate) changes: Changes,
    delivery: delivery::Delivery,
    pub(crate) server: Server,
    #[serde(default)]
    pub(crate) integrations: Vec<Integration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kombo {
    api_key: Option<Secret>,
    api_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "word::read")]
    region: RegionName,
    base_url: Option<String>,
    #[serde(deserialize_with = "exact::number")]
    page_size: u16,
    #[serde(deserialize_with = "exact::number")]
    pub(crate) max_requests_per_minute: u32,
    #[serde(deserialize_with = "duration::read")]
    pub(crate) timeout: Duration,
    webhook_secret: Option<OneOrMore>,
    webhook_secret_file: Option<PathBuf>,
}

/// One secret, or several during an exchange.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "one secret or a list of secrets is needed")]
enum OneOrMore {
    One(Secret),
    More(Vec<Secret>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RegionName {
    Eu,
    Us,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    url: Option<Secret>,
    url_file: Option<PathBuf>,
    #[serde(deserialize_with = "exact::number")]
    connections: usize,
    #[serde(deserialize_with = "exact::number")]
    partitions: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sync {
    #[serde(deserialize_with = "list::read")]
    pub(crate) endpoints: Vec<EndpointSelection>,
    #[serde(deserialize_with = "word::read")]
    mode: PlanMode,
    #[serde(deserialize_with = "duration::read")]
    full_every: Duration,
    #[serde(deserialize_with = "duration::read")]
    overlap: Duration,
    #[serde(deserialize_with = "duration::read")]
    blind_full_min_interval: Duration,
    /// Time after a worker's last heartbeat until its lease expires.
    #[serde(deserialize_with = "duration::read")]
    lease: Duration,
    #[serde(deserialize_with = "word::read")]
    tombstones: Tombstones,
    #[serde(deserialize_with = "exact::switch")]
    change_values: bool,
    #[serde(deserialize_with = "exact::number")]
    pub(crate) workers: usize,
    /// Maximum time between fetches of an endpoint; zero for no limit.
    #[serde(deserialize_with = "duration::read")]
    pub(crate) poll_every: Duration,
    /// Whether integrations that webhooks announce are registered and loaded.
    #[serde(deserialize_with = "exact::switch")]
    pub(crate) accept_unknown: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    /// Retention of the change log; zero keeps it forever.
    #[serde(deserialize_with = "duration::read")]
    pub(crate) keep_for: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Address that receives webhooks.
    #[serde(deserialize_with = "address::read")]
    pub(crate) webhooks: SocketAddr,
    /// Address of health, metrics and status.
    #[serde(deserialize_with = "address::read")]
    pub(crate) operations: SocketAddr,
    operations_token: Option<Secret>,
    operations_token_file: Option<PathBuf>,
    /// Number of integrations with metrics of their own.
    pub(crate) metrics_integrations: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Integration {
    pub(crate) id: IntegrationId,
}

/// Returns the endpoints that names stand for.
pub(crate) fn selected(names: &[EndpointSelection]) -> BTreeSet<Endpoint> {
    names.iter().flat_map(|EndpointSelection(endpoints)| endpoints).copied().collect()
}

impl Config {
    /// Returns the key, from the configuration or its file.
    pub(crate) fn api_key(&self) -> Result<SecretString, ConfigError> {
        let missing = "kombo.api_key is not set: put it into syncd.toml, into the file named by kombo.api_key_file, or \
                       into the environment as SYNCD__KOMBO__API_KEY";
        match (&self.kombo.api_key, &self.kombo.api_key_file) {
            (Some(_), Some(_)) => {
                Err(ConfigError("kombo.api_key and kombo.api_key_file are both set: keep one".to_owned()))
            }
            (Some(key), None) if key.is_blank() => Err(ConfigError(missing.to_owned())),
            (Some(key), None) => Ok(key.reveal()),
            (None, Some(path)) => match read_file("kombo.api_key_file", path).map_err(ConfigError)?.as_slice() {
                [key] => Ok(key.reveal()),
                keys => Err(ConfigError(format!(
                    "kombo.api_key_file: {} has {} lines, one key is needed",
                    path.display(),
                    keys.len()
                ))),
            },
            (None, None) => Err(ConfigError(missing.to_owned())),
        }
    }

    /// Returns the secrets of webhooks, from the configuration or their file. There is at least one.
    pub(crate) fn webhook_secrets(&self) -> Result<Vec<SecretString>, ConfigError> {
        let missing = "kombo.webhook_secret is not set: put it into syncd.toml, into the file named by \
                       kombo.webhook_secret_file, or into the environment as SYNCD__KOMBO__WEBHOOK_SECRET";
        let secrets = match (&self.kombo.webhook_secret, &self.kombo.webhook_secret_file) {
            (Some(_), Some(_)) => {
                let both = "kombo.webhook_secret and kombo.webhook_secret_file are both set: keep one";
                return Err(ConfigError(both.to_owned()));
            }
            (Some(OneOrMore::One(secret)), None) => vec![secret.clone()],
            (Some(OneOrMore::More(secrets)), None) => secrets.clone(),
            (None, Some(path)) => read_file("kombo.webhook_secret_file", path).map_err(ConfigError)?,
            (None, None) => Vec::new(),
        };
        if secrets.is_empty() || secrets.iter().any(Secret::is_blank) {
            return Err(ConfigError(missing.to_owned()));
        }
        Ok(secrets.iter().map(Secret::reveal).collect())
    }

    /// Returns the names of the sections that differ from another configuration, ignoring secrets.
    pub(crate) fn sections_unlike(&self, other: &Self) -> Vec<&'static str> {
        // `Debug` shows everything of a section except its secrets.
        let sections = |it: &Self| {
            [
                ("store", format!("{:?}", it.store)),
                ("sync", format!("{:?}", it.sync)),
                ("server", format!("{:?}", it.server)),
                ("changes", format!("{:?}", it.changes)),
                ("delivery", format!("{:?}", it.delivery)),
            ]
        };
        let both = sections(self).into_iter().zip(sections(other));
        both.filter(|(this, that)| this != that).map(|((name, _), _)| name).collect()
    }

    /// Returns the token of the status page. Without one, everyone can read the page and no one can act on it.
    pub(crate) fn operations_token(&self) -> Result<Option<SecretString>, ConfigError> {
        use secrecy::ExposeSecret as _;
        let token = match (&self.server.operations_token, &self.server.operations_token_file) {
            (Some(_), Some(_)) => {
                let both = "server.operations_token and server.operations_token_file are both set: keep one";
                return Err(ConfigError(both.to_owned()));
            }
            (Some(token), None) => token.reveal(),
            (None, Some(path)) => {
                let tokens = read_file("server.operations_token_file", path).map_err(ConfigError)?;
                let [token] = tokens.as_slice() else {
                    let text = format!("server.operations_token_file: {} has more than one line", path.display());
                    return Err(ConfigError(text));
                };
                token.reveal()
            }
            (None, None) => return Ok(None),
        };
        if token.expose_secret().chars().count() < SHORTEST_TOKEN {
            return Err(ConfigError(format!(
                "server.operations_token: at least {SHORTEST_TOKEN} characters, such as `openssl rand -hex 24` prints"
            )));
        }
        Ok(Some(token))
    }

    /// Returns a client builder, complete except for additions of a command.
    pub(crate) fn client(&self) -> Result<kombo_client::ClientBuilder, ConfigError> {
        let kombo = &self.kombo;
        let region = match kombo.region {
            RegionName::Eu => Region::Eu,
            RegionName::Us => Region::Us,
        };
        let builder = kombo_client::Client::builder(self.api_key()?)
            .region(region)
            .page_size(kombo.page_size)
            .timeout(kombo.timeout)
            .clock(|| SystemClock.now())
            .user_agent(concat!("syncd/", env!("CARGO_PKG_VERSION")));
        Ok(match &kombo.base_url {
            Some(url) => builder.base_url(url),
            None => builder,
        })
    }

    /// Returns warnings about settings that work but are unwise.
    pub(crate) fn warnings(&self) -> Vec<String> {
        use secrecy::ExposeSecret as _;
        let is_in_clear = |url: &str| url::Url::parse(url).is_ok_and(|url| sends_in_clear(&url));
        let mut warnings = Vec::new();
        if self.kombo.base_url.as_deref().is_some_and(is_in_clear) {
            warnings.push(
                "kombo.base_url: begins with http://, so that the key and all records can be read on the way: use \
                 https:// for anything but this machine"
                    .to_owned(),
            );
        }
        if self.delivery.url.as_ref().is_some_and(|url| is_in_clear(url.reveal().expose_secret())) {
            warnings.push(
                "delivery.url: begins with http://, so that the changes can be read on the way: use https:// for \
                 anything but this machine"
                    .to_owned(),
            );
        }
        // The value may contain a password.
        warnings.extend(kombo_client::unusable_proxies().into_iter().map(|name| {
            format!("{name} in the environment is ignored: it is not the address of a proxy, such as http://HOST:PORT")
        }));
        warnings
    }

    /// Returns the name of the Kombo instance, for people.
    pub(crate) fn kombo_name(&self) -> String {
        match (&self.kombo.base_url, self.kombo.region) {
            (Some(url), _) => format!("{url} (kombo.base_url)"),
            (None, RegionName::Eu) => "Kombo's EU region (kombo.region = \"eu\")".to_owned(),
            (None, RegionName::Us) => "Kombo's US region (kombo.region = \"us\")".to_owned(),
        }
    }

    /// Returns the URL of the database.
    pub(crate) fn store_url(&self) -> Result<StoreUrl, ConfigError> {
        use secrecy::ExposeSecret as _;
        let url = match (&self.store.url, &self.store.url_file) {
            (Some(_), Some(_)) => {
                return Err(ConfigError("store.url and store.url_file are both set: keep one".to_owned()));
            }
            (Some(url), None) => url.reveal(),
            (None, Some(path)) => match read_file("store.url_file", path).map_err(ConfigError)?.as_slice() {
                [url] => url.reveal(),
                _ => return Err(ConfigError(format!("store.url_file: {} has more than one line", path.display()))),
            },
            (None, None) => SecretString::from(DEFAULT_STORE),
        };
        url.expose_secret().parse().map_err(|error| ConfigError(format!("store.url: {error}")))
    }

    /// Returns the limits of the connections.
    pub(crate) fn connections(&self) -> Result<Connections, ConfigError> {
        Connections::new(self.store.connections)
    }

    /// Returns the number of partitions that the mirror's tables of PostgreSQL should have; `None` for plain tables.
    pub(crate) fn partitions(&self) -> Option<usize> {
        Some(self.store.partitions).filter(|number| *number > 0)
    }

    /// Returns the configured integrations. Kombo knows their categories.
    pub(crate) fn integrations(&self) -> Configured {
        self.integrations.iter().map(|known| (known.id.clone(), None)).collect()
    }

    /// Returns the enabled endpoints.
    pub(crate) fn endpoints(&self) -> BTreeSet<Endpoint> {
        selected(&self.sync.endpoints)
    }

    /// Returns the endpoints for a command: those that it names, or the enabled ones.
    pub(crate) fn endpoints_or(&self, named: &[EndpointSelection]) -> BTreeSet<Endpoint> {
        selected(if named.is_empty() { &self.sync.endpoints } else { named })
    }

    /// Returns the policy of the engine.
    pub(crate) fn policy(&self) -> SyncPolicy {
        let endpoints = self.endpoints();
        SyncPolicy {
            overlap: self.sync.overlap,
            full_every: self.sync.full_every,
            tombstones: self.sync.tombstones,
            change_values: self.sync.change_values,
            lease_ttl: self.sync.lease,
            ..SyncPolicy::new(endpoints)
        }
        .with_plan(self.plan_policy())
    }

    /// Returns the policy for planning fetches.
    pub(crate) fn plan_policy(&self) -> PlanPolicy {
        PlanPolicy {
            endpoints: self.endpoints(),
            mode: self.sync.mode,
            blind_full_min_interval: self.sync.blind_full_min_interval,
        }
    }

    /// Checks rules that types cannot express.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: &str| Err(ConfigError(text.to_owned()));
        if !(1..=250).contains(&self.kombo.page_size) {
            return wrong("kombo.page_size: Kombo takes 1 to 250");
        }
        if self.kombo.timeout.is_zero() {
            return wrong("kombo.timeout: must be longer than nothing, such as \"30s\"");
        }
        self.connections()?;
        if self.store.partitions != 0 {
            if matches!(self.store_url()?, StoreUrl::Sqlite(_)) {
                return wrong("store.partitions: SQLite has no partitions: leave it out");
            }
            partitions(self.store.partitions)
                .map_err(|wrong| ConfigError(format!("store.partitions: {wrong}, or 0 for plain tables")))?;
        }
        if self.sync.endpoints.is_empty() {
            return wrong("sync.endpoints: name at least one, such as lms/users");
        }
        if !(1..=MOST_WORKERS).contains(&self.sync.workers) {
            return Err(ConfigError(format!("sync.workers: 1 to {MOST_WORKERS}")));
        }
        if self.sync.lease < Duration::from_secs(1) {
            return wrong("sync.lease: at least \"1s\"; \"30s\" suits every database that is not in trouble");
        }
        if self.sync.full_every < Duration::from_secs(60) {
            return wrong("sync.full_every: at least \"1m\"; \"7d\" is Kombo's advice");
        }
        if let Some(blank) = self.integrations.iter().position(|integration| integration.id.as_str().trim().is_empty())
        {
            return Err(ConfigError(format!("integrations[{blank}].id: is empty")));
        }
        self.check_delivery()
    }
}

/// Whether data sent to this address leave the machine unencrypted.
fn sends_in_clear(url: &url::Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_local
}

/// Checks a number of partitions.
pub(crate) fn partitions(number: usize) -> Result<usize, String> {
    if (2..=MOST_PARTITIONS).contains(&number) { Ok(number) } else { Err(format!("2 to {MOST_PARTITIONS}")) }
}

#[cfg(test)]
mod tests {
    use super::sends_in_clear;

    #[test]
    fn only_loopback_does_without_encryption() {
        for (url, warns) in [
            ("http://api.kombo.dev/v1", true),
            ("http://10.0.0.7:9000/v1", true),
            ("http://localhost.example/v1", true),
            ("http://[2001:db8::1]/v1", true),
            ("https://api.kombo.dev/v1", false),
            ("http://localhost:9000/v1", false),
            ("http://kombo.localhost/v1", false),
            ("http://127.0.0.2/v1", false),
            ("http://[::1]:9000/v1", false),
        ] {
            assert_eq!(url.parse().map(|url| sends_in_clear(&url)), Ok(warns), "{url}");
        }
    }
}

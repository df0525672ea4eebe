//! The command line options.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use kombo_model::Category;
use kombo_sandbox::{
    Behaviour, CursorKind, GeneratorConfig, Latency, ListOrder, NestedReading, RateLimit, SandboxConfig, WebhookConfig,
    WebhookMode,
};

/// A stateful fake of Kombo's API.
#[derive(Debug, Parser)]
#[command(version)]
#[cfg_attr(feature = "contract-check", command(args_conflicts_with_subcommands = true))]
pub(crate) struct Cli {
    #[cfg(feature = "contract-check")]
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Seed of all generated data and ids
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of integrations
    #[arg(long, default_value_t = 1)]
    integrations: usize,
    /// Category of the integrations: lms, hris or ats
    #[arg(long, default_value = "lms")]
    category: Category,
    /// Users per integration; for HRIS and ATS, employees or candidates
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Courses per integration
    #[arg(long, default_value_t = 40)]
    courses: usize,
    /// Providers per integration
    #[arg(long, default_value_t = 5)]
    providers: usize,
    /// Skills per integration
    #[arg(long, default_value_t = 20)]
    skills: usize,
    /// Course progressions per integration
    #[arg(long, default_value_t = 500)]
    progressions: usize,
    /// Minimum size of each progression's `remote_data`, in bytes
    #[arg(long, default_value_t = 0)]
    filler: usize,
    /// Latency of every answer, such as 20ms or 1s
    #[arg(long, default_value = "0ms", value_parser = duration)]
    latency: Duration,
    /// Maximum random time added to the latency
    #[arg(long, default_value = "0ms", value_parser = duration)]
    jitter: Duration,
    /// Requests per minute; 0 for no limit
    #[arg(long, default_value_t = 0)]
    rate_limit: u32,
    /// API key that requests must carry
    #[arg(long, default_value = "sandbox-key")]
    api_key: String,
    /// Target URL of webhooks (http://); may be repeated
    #[arg(long)]
    webhook_url: Vec<String>,
    /// Secret that signs webhooks
    #[arg(long, default_value = "sandbox-secret")]
    webhook_secret: String,
    /// Delay before data-changed reports changes
    #[arg(long, default_value = "500ms", value_parser = duration)]
    webhook_debounce: Duration,
    /// Effect of nested changes on `updated_after`
    #[arg(long, value_enum, default_value_t = Nested::Guide)]
    nested: Nested,
    /// Order of rows
    #[arg(long, value_enum, default_value_t = Order::Id)]
    order: Order,
    /// Cursors store a row (keyset) or a count (offset)
    #[arg(long, value_enum, default_value_t = Cursors::Keyset)]
    cursors: Cursors,
    /// `updated_after` includes rows changed at exactly that time
    #[arg(long)]
    inclusive: bool,
    /// Every n-th page is empty although more follow; 0 for never
    #[arg(long, default_value_t = 0)]
    empty_page_every: u32,
    /// Time that a change stays invisible after its `changed_at`
    #[arg(long, default_value = "0ms", value_parser = duration)]
    commit_lag: Duration,
    /// Cache rendered pages of full listings, for benchmarks
    #[arg(long)]
    prerender: bool,
}

/// Subcommands.
#[cfg(feature = "contract-check")]
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Compare every response and webhook with Kombo's `OpenAPI` document
    #[command(hide = true)]
    CheckContract {
        /// The document
        #[arg(long)]
        contract: std::path::PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Nested {
    Guide,
    Reference,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    Id,
    ChangedAt,
    Shuffled,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cursors {
    Keyset,
    Offset,
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("{text:?} does not end in ms, s or m")),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Cli {
    pub(crate) fn into_config(self) -> SandboxConfig {
        SandboxConfig {
            listen: SocketAddr::new(self.host, self.port),
            api_key: self.api_key,
            seed: self.seed,
            integrations: self.integrations,
            generator: GeneratorConfig {
                seed: self.seed,
                category: self.category,
                users: self.users,
                courses: self.courses,
                providers: self.providers,
                skills: self.skills,
                progressions: self.progressions,
                filler: self.filler,
                ..GeneratorConfig::default()
            },
            behaviour: Behaviour {
                nested: match self.nested {
                    Nested::Guide => NestedReading::Guide,
                    Nested::Reference => NestedReading::Reference,
                },
                order: match self.order {
                    Order::Id => ListOrder::Id,
                    Order::ChangedAt => ListOrder::ChangedAt,
                    Order::Shuffled => ListOrder::Shuffled,
                },
                cursor: match self.cursors {
                    Cursors::Keyset => CursorKind::Keyset,
                    Cursors::Offset => CursorKind::Offset,
                },
                inclusive: self.inclusive,
                empty_page_every: self.empty_page_every,
                commit_lag_ms: millis(self.commit_lag),
                ..Behaviour::default()
            },
            latency: Latency { fixed_ms: millis(self.latency), jitter_ms: millis(self.jitter) },
            rate_limit: RateLimit { requests: self.rate_limit, ..RateLimit::default() },
            webhooks: WebhookConfig {
                targets: self.webhook_url,
                secret: self.webhook_secret,
                data_changed: WebhookMode::Auto { debounce_ms: millis(self.webhook_debounce) },
                ..WebhookConfig::default()
            },
            prerender: self.prerender,
            ..SandboxConfig::default()
        }
    }
}

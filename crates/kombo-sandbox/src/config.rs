//! The settings of a sandbox, before and during its run.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{ClockMode, GeneratorConfig, WebhookConfig};

/// The effect of nested changes on `updated_after`. Kombo's guide and its API reference disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NestedReading {
    /// A course is listed after any nested change; a progression is listed when its user, revision or course changed.
    #[default]
    Guide,
    /// A course is listed after a revision was added, removed or changed, but not for other nested changes; a
    /// progression is listed only for its own changes.
    Reference,
}

/// The order of rows in a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// By id: the only order in which the cost of a page does not grow with the table.
    #[default]
    Id,
    /// By the row's own `changed_at`, then id: a row that changes during the listing moves to the end.
    ChangedAt,
    /// Shuffled, but always in the same way.
    Shuffled,
}

/// The content of a page cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorKind {
    /// The last listed row: added or removed rows do not shift the listing.
    #[default]
    Keyset,
    /// The number of listed rows: rows that are added or removed during the listing cause gaps or repetitions.
    Offset,
}

/// Behaviour that the contract leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The effect of nested changes on `updated_after`.
    pub nested: NestedReading,
    /// Whether `updated_after` includes rows changed at exactly that time.
    pub inclusive: bool,
    /// The order of rows.
    pub order: ListOrder,
    /// The content of a page cursor.
    pub cursor: CursorKind,
    /// Every n-th page of a listing is empty although more follow; 0 for never.
    pub empty_page_every: u32,
    /// Ends every listing that has rows with an additional empty page.
    pub trailing_empty_page: bool,
    /// A cursor expires after this number of later requests.
    pub cursor_expires_after: Option<u64>,
    /// Milliseconds during which a mutation stays invisible although its `changed_at` is already set.
    pub commit_lag_ms: u64,
    /// Milliseconds during which the task of a course upsert is pending.
    pub task_takes_ms: u64,
    /// Milliseconds during which a forced sync is queued; then `sync-finished` is sent.
    pub sync_takes_ms: u64,
    /// Days until a deleted row's fields become null, 14 by default; `None` for never.
    pub anonymise_after_days: Option<u32>,
    /// Anonymisation also clears `remote_id` and the references, which the contract declares as not nullable.
    pub anonymise_hard: bool,
    /// Keys omitted from the copies nested in other records, such as `work_email`.
    pub omit_nested: Vec<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            nested: NestedReading::default(),
            inclusive: false,
            order: ListOrder::default(),
            cursor: CursorKind::default(),
            empty_page_every: 0,
            trailing_empty_page: false,
            cursor_expires_after: None,
            commit_lag_ms: 0,
            task_takes_ms: 200,
            sync_takes_ms: 200,
            anonymise_after_days: Some(14),
            anonymise_hard: false,
            omit_nested: Vec::new(),
        }
    }
}

/// The latency of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Milliseconds of every answer.
    pub fixed_ms: u64,
    /// Maximum of random milliseconds added.
    pub jitter_ms: u64,
}

/// A rate limit by a fixed window over all requests of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per window; 0 for no limit, with 300 in the headers.
    pub requests: u32,
    /// Length of a window in seconds, at least 1.
    pub window: u32,
    /// Whether a 429 carries `Retry-After`, which Kombo does not document.
    pub retry_after: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests: 0, window: 60, retry_after: false }
    }
}

/// The configuration of a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The key that requests must carry.
    pub api_key: String,
    /// Seed of all randomness except generated data: integration ids, webhook ids, jitter, probabilities.
    pub seed: u64,
    /// Number of integrations at the start, each generated from `generator` with its own seed.
    pub integrations: usize,
    /// The initial data of every integration.
    pub generator: GeneratorConfig,
    /// The mode of the clock.
    pub clock: ClockMode,
    /// Behaviour that the contract leaves open.
    pub behaviour: Behaviour,
    /// The latency of answers.
    pub latency: Latency,
    /// The rate limit.
    pub rate_limit: RateLimit,
    /// Targets and settings of webhooks.
    pub webhooks: WebhookConfig,
    /// Number of requests that the log keeps.
    pub request_log: usize,
    /// Caches the bytes of pages of plain full listings, for benchmarks. Any change to the integration discards them,
    /// but not the anonymisation of deleted rows over time.
    pub prerender: bool,
    /// Time that `shutdown` waits for open connections.
    pub shutdown_grace: Duration,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_key: "sandbox-key".to_owned(),
            seed: 1,
            integrations: 1,
            generator: GeneratorConfig::default(),
            clock: ClockMode::default(),
            behaviour: Behaviour::default(),
            latency: Latency::default(),
            rate_limit: RateLimit::default(),
            webhooks: WebhookConfig::default(),
            request_log: 100_000,
            prerender: false,
            shutdown_grace: Duration::from_millis(250),
        }
    }
}

impl SandboxConfig {
    /// Configures a sandbox with one integration without rows, for tests that add their own.
    pub fn empty() -> Self {
        Self { generator: GeneratorConfig::empty(), ..Self::default() }
    }
}

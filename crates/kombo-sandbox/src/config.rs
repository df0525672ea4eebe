//! What a sandbox can be told before and while it runs.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{ClockMode, GeneratorConfig, WebhookConfig};

/// How far `updated_after` reaches into nested data. Kombo's guide and Kombo's API reference disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NestedReading {
    /// A course returns after any nested change; a progression returns when its user, revision or course changed.
    #[default]
    Guide,
    /// A course returns after a revision was added, removed or changed, and for nothing else nested; a progression
    /// returns for its own changes only.
    Reference,
}

/// In which order a listing shows its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// By id: the only order in which a page costs nothing but itself.
    #[default]
    Id,
    /// By the row's own `changed_at`, then id: a row that changes meanwhile moves to the end.
    ChangedAt,
    /// As if shuffled, but the same way every time.
    Shuffled,
}

/// What a page cursor remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorKind {
    /// The last row shown: rows that come or go elsewhere move nothing.
    #[default]
    Keyset,
    /// How many rows were shown: rows that come or go meanwhile are missed or shown twice.
    Offset,
}

/// How the sandbox answers, where the contract leaves it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How far `updated_after` reaches into nested data.
    pub nested: NestedReading,
    /// Whether `updated_after` includes rows changed at exactly that instant.
    pub inclusive: bool,
    /// In which order rows are shown.
    pub order: ListOrder,
    /// What a cursor remembers.
    pub cursor: CursorKind,
    /// Every so manieth page of a listing is empty, though more follow; 0 for never.
    pub empty_page_every: u32,
    /// Ends every listing that has rows with an additional page that is empty.
    pub trailing_empty_page: bool,
    /// A cursor is refused when so many requests came after it was issued.
    pub cursor_expires_after: Option<u64>,
    /// Milliseconds for which a mutation stays invisible although its `changed_at` is already set.
    pub commit_lag_ms: u64,
    /// Milliseconds for which the task of an upsert of courses is pending.
    pub task_takes_ms: u64,
    /// Milliseconds for which a forced sync is queued; then `sync-finished` is sent.
    pub sync_takes_ms: u64,
    /// After how many days a deleted row's fields are null; `None` for never, 14 unless told.
    pub anonymise_after_days: Option<u32>,
    /// Anonymisation also takes `remote_id` and the references, which the contract does not allow to be null.
    pub anonymise_hard: bool,
    /// Keys left out of the copies nested in other records, such as `work_email`.
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

/// How long answers take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Milliseconds that every answer takes.
    pub fixed_ms: u64,
    /// At most so many milliseconds more, at random.
    pub jitter_ms: u64,
}

/// The fixed window over all requests of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Requests in a window; 0 refuses none and says 300 in the headers.
    pub requests: u32,
    /// How many seconds a window has: at least 1.
    pub window: u32,
    /// Whether a refusal carries `Retry-After`, which Kombo does not document.
    pub retry_after: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests: 0, window: 60, retry_after: false }
    }
}

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The key that requests must bear.
    pub api_key: String,
    /// Seed of everything random that is not generated data: integration ids, webhook ids, jitter, probabilities.
    pub seed: u64,
    /// How many integrations to begin with, each generated from `generator` with a seed of its own.
    pub integrations: usize,
    /// What every integration begins with.
    pub generator: GeneratorConfig,
    /// How the clock runs.
    pub clock: ClockMode,
    /// How open questions are answered.
    pub behaviour: Behaviour,
    /// How long answers take.
    pub latency: Latency,
    /// The rate limit.
    pub rate_limit: RateLimit,
    /// Where webhooks go.
    pub webhooks: WebhookConfig,
    /// How many requests the log keeps.
    pub request_log: usize,
    /// Keeps the pages of plain full listings as bytes once they were asked for, for benchmarks. Any change to the
    /// integration makes them anew; that deleted rows lose their fields as time passes does not.
    pub prerender: bool,
    /// How long the sandbox waits for the connections to finish on `shutdown`.
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
    /// A sandbox with one integration that has no rows yet: for tests that bring their own.
    pub fn empty() -> Self {
        Self { generator: GeneratorConfig::empty(), ..Self::default() }
    }
}

//! The words of the engine: kinds of fetches and changes, requests, leases, runs.

use std::fmt;
use std::str::FromStr;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::mirror::Model;

macro_rules! words {
    ($($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word used in tables, JSON and configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
            }
        }
    )*};
}

/// A word that is none of a closed set's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word \"{0}\"")]
pub struct UnknownWord(pub String);

words! {
    /// Whether a fetch asks for what changed or for everything.
    pub enum SyncKind {
        /// What changed since the watermark.
        Delta = "delta",
        /// Everything.
        Full = "full",
    }

    /// What happened to a record.
    pub enum ChangeKind {
        /// It is new.
        Created = "created",
        /// Some of its values differ.
        Updated = "updated",
        /// It is gone.
        Deleted = "deleted",
        /// It is back.
        Restored = "restored",
    }

    /// How a change became known.
    pub enum ChangeCause {
        /// The endpoint that owns the model returned the record.
        Direct = "direct",
        /// A copy nested in another model's record showed it.
        Nested = "nested",
        /// A full fetch found a difference that no `changed_at` tells of: a hand edit, a lost record, a silent change.
        Drift = "drift",
        /// A full fetch did not show the record, and a look-up by id did not find it.
        Sweep = "sweep",
    }

    /// What becomes of the values of a record that Kombo marks as deleted.
    pub enum Tombstones {
        /// Kombo's later nulls are taken over.
        Mirror = "mirror",
        /// The last values stay.
        Keep = "keep",
    }

    /// What asked for a fetch.
    pub enum RequestCause {
        /// A person, on the command line or the status page.
        Command = "command",
        /// A webhook.
        Webhook = "webhook",
        /// The endpoint has no complete load yet.
        Load = "load",
        /// A full fetch was due.
        Schedule = "schedule",
        /// Polling.
        Poll = "poll",
    }

    /// How a run stands.
    pub enum RunOutcome {
        /// Somebody works on it, or its process died: the next run resumes it.
        Running = "running",
        /// It was asked to stop: the next run resumes it.
        Interrupted = "interrupted",
        /// It failed: the next run resumes it.
        Failed = "failed",
        /// Everything is stored.
        Completed = "completed",
        /// Everything is stored but the records in quarantine.
        CompletedWithQuarantine = "completed_with_quarantine",
        /// Everything is stored, and nothing was removed: too many records vanished at once.
        Stopped = "stopped",
        /// Another run made it needless.
        Superseded = "superseded",
    }

    /// Whether an endpoint of an integration is being kept up to date.
    pub enum EndpointStatus {
        /// It is.
        Ok = "ok",
        /// The last attempt failed; it is tried again by itself.
        Retrying = "retrying",
        /// Kombo has no data yet.
        WaitingForSetup = "waiting_for_setup",
        /// Kombo does not offer the model for this integration.
        ModelUnavailable = "model_unavailable",
        /// A sweep would have removed too many records: a person must look.
        MassRemoval = "mass_removal",
        /// At least half of what Kombo shows cannot be read or stored.
        Unreadable = "unreadable",
        /// The last attempt failed in a way that trying again does not mend.
        Failed = "failed",
    }

    /// Whether an integration is being kept up to date.
    pub enum IntegrationStatus {
        /// It is.
        Active = "active",
        /// Kombo or the connected tool refuses it until its state changes.
        Paused = "paused",
        /// Kombo does not know it.
        NotFound = "not_found",
        /// It was deleted at Kombo.
        Deleted = "deleted",
        /// A person paused it: nothing is fetched by itself until a person resumes it.
        Held = "held",
    }

    /// How the delivery of an integration's changes stands.
    pub enum DeliveryStatus {
        /// Everything arrived, or was given up.
        Delivered = "delivered",
        /// Something waits to be sent.
        Due = "due",
        /// Something is under way.
        Sending = "sending",
        /// The last try failed; it is tried again by itself.
        Retrying = "retrying",
    }
}

impl RunOutcome {
    /// Whether the next run of the same kind continues this one.
    pub fn is_resumable(self) -> bool {
        matches!(self, Self::Running | Self::Interrupted | Self::Failed)
    }

    /// Whether the run did what it was for.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithQuarantine)
    }
}

/// The opaque token that Kombo hands out for the next page.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageCursor(pub String);

/// The number of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is fetched: one endpoint of one integration, in one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Which list.
    pub endpoint: Endpoint,
    /// All of it or what changed.
    pub kind: SyncKind,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.endpoint, self.integration_id)
    }
}

/// A wish for a fetch. There is at most one for each target: asking again raises `generation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What to fetch.
    pub target: Target,
    /// What asked for it.
    pub cause: RequestCause,
    /// When it was first asked for.
    pub requested_at: Timestamp,
    /// Not to be worked on before.
    pub not_before: Timestamp,
    /// How often it was asked for since a fetch for it last began at its first page, and once more: what was wished
    /// after that may lie on pages that the fetch had behind it.
    pub generation: i64,
    /// How often in a row it failed.
    pub attempts: i32,
    /// How many removals a person approved.
    pub approved_removals: Option<i64>,
    /// Who works on it.
    pub lease: Option<LeaseHold>,
}

/// Who works on a request, and until when nobody else may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHold {
    /// Differs for every lease: a write with another token is refused.
    pub token: LeaseToken,
    /// The worker, for people.
    pub owner: String,
    /// When another worker may take over.
    pub expires_at: Timestamp,
    /// The request's generation when its fetch began, be that before this lease.
    pub generation: i64,
}

/// What tells one lease from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub String);

/// A request that this worker may work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The request as it was when leased.
    pub request: Request,
    /// What every write shows.
    pub token: LeaseToken,
}

/// One fetch, from its first page to its end, over any number of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// What it fetches.
    pub target: Target,
    /// How it stands.
    pub outcome: RunOutcome,
    /// When its first attempt began, by our clock.
    pub started_at: Timestamp,
    /// When the latest attempt ended.
    pub finished_at: Option<Timestamp>,
    /// The watermark that it sends with every page; none in a full fetch.
    pub updated_after: Option<Timestamp>,
    /// When the fetch started, as the earlier of our clock and Kombo's: what the next watermark is made of.
    pub fetch_started_at: Option<Timestamp>,
    /// Whether the endpoint had never been loaded when the run began.
    pub first_load: bool,
    /// Where it stands.
    pub phase: RunPhase,
    /// The page to ask for next; none for the first.
    pub page_cursor: Option<PageCursor>,
    /// How many batches were committed.
    pub batches: i64,
    /// What it did.
    pub counts: RunCounts,
    /// Why it failed or stopped, for people.
    pub error: Option<String>,
}

words! {
    /// Where a run stands.
    pub enum RunPhase {
        /// Pages are being fetched.
        Pages = "pages",
        /// Rows that no page showed are being looked up.
        Sweep = "sweep",
        /// Nothing is left to do.
        Done = "done",
    }
}

/// What a run did.
///
/// `records`, `unchanged`, `indirect`, `stale` and `quarantined` count the records that the endpoint returned;
/// `created`, `updated`, `deleted` and `restored` count rows of any model, those of nested copies included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Pages fetched.
    pub pages: u64,
    /// Records returned.
    pub records: u64,
    /// Rows that are new.
    pub created: u64,
    /// Rows of which some values differ.
    pub updated: u64,
    /// Rows whose record is gone.
    pub deleted: u64,
    /// Rows whose record is back.
    pub restored: u64,
    /// Records that say what is stored.
    pub unchanged: u64,
    /// Records that a delta returned although they did not change themselves.
    pub indirect: u64,
    /// Records that were older than the stored row.
    pub stale: u64,
    /// Records that could not be read or stored.
    pub quarantined: u64,
    /// Rows that a delta removed because the list of their record no longer shows them.
    pub unlisted: u64,
    /// Such rows that were kept because they were suspiciously many.
    pub withheld: u64,
}

impl RunCounts {
    /// Counts a change to a row.
    pub fn count(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Updated => self.updated += 1,
            ChangeKind::Deleted => self.deleted += 1,
            ChangeKind::Restored => self.restored += 1,
        }
    }

    /// Adds what a batch did.
    pub fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.records += other.records;
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.restored += other.restored;
        self.unchanged += other.unchanged;
        self.indirect += other.indirect;
        self.stale += other.stale;
        self.quarantined += other.quarantined;
        self.unlisted += other.unlisted;
        self.withheld += other.withheld;
    }
}

/// What is known of an endpoint of an integration. Its watermark is never derived from record times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Which list.
    pub endpoint: Endpoint,
    /// What the next delta sends as `updated_after`. Only ever moves forward.
    pub watermark: Option<Timestamp>,
    /// When the first complete load ended.
    pub loaded_at: Option<Timestamp>,
    /// When the last delta ended.
    pub last_delta_at: Option<Timestamp>,
    /// When the last full fetch ended, sweep included.
    pub last_full_at: Option<Timestamp>,
    /// When the next full fetch is due.
    pub next_full_at: Option<Timestamp>,
    /// When a full fetch was last asked for because a delta may not show what changed.
    pub last_blind_full_at: Option<Timestamp>,
    /// How it stands.
    pub status: EndpointStatus,
    /// Since when it stands so.
    pub status_since: Option<Timestamp>,
    /// Why it stands so, for people.
    pub reason: Option<String>,
    /// How many records the sweep that stopped would have removed.
    pub pending_removals: Option<i64>,
}

impl EndpointState {
    /// The state of an endpoint of which nothing is known yet.
    pub fn new(integration_id: IntegrationId, endpoint: Endpoint) -> Self {
        Self {
            integration_id,
            endpoint,
            watermark: None,
            loaded_at: None,
            last_delta_at: None,
            last_full_at: None,
            next_full_at: None,
            last_blind_full_at: None,
            status: EndpointStatus::Ok,
            status_since: None,
            reason: None,
            pending_removals: None,
        }
    }
}

/// What is known of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationRecord {
    /// Its id.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: Option<String>,
    /// How it stands.
    pub status: IntegrationStatus,
    /// Since when it stands so.
    pub status_since: Timestamp,
    /// Why it stands so, for people.
    pub reason: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Kombo's time of the latest change of state that was applied; an older one arrives late.
    #[serde(default)]
    pub state_updated_at: Option<Timestamp>,
}

/// An entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the log; given by the store, in the order of commits.
    pub seq: i64,
    /// Whose record.
    pub integration_id: IntegrationId,
    /// Which table.
    pub model: Model,
    /// Which row.
    pub record_id: String,
    /// What happened.
    pub kind: ChangeKind,
    /// How it became known.
    pub cause: ChangeCause,
    /// The columns whose values differ: a list of names or, if configured, an object of `{"old":…,"new":…}` by name.
    pub fields: serde_json::Value,
    /// The run that found it.
    pub run_id: RunId,
    /// When it was found.
    pub at: Timestamp,
}

/// A record that could not be read or stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Whose record.
    pub integration_id: IntegrationId,
    /// Which list returned it.
    pub endpoint: Endpoint,
    /// Its id or, where it has none, a digest of its text.
    pub record_id: String,
    /// The record as it came.
    pub json: String,
    /// Where the fault is.
    pub path: String,
    /// What the fault is.
    pub reason: String,
    /// When the response was asked for.
    pub observed_at: Timestamp,
    /// The run that met it.
    pub run_id: RunId,
}

impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantined")
            .field("endpoint", &self.endpoint)
            .field("record_id", &self.record_id)
            .field("path", &self.path)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// A webhook as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRecord {
    /// Kombo's id of the event.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Whose integration, where it names one.
    pub integration_id: Option<IntegrationId>,
    /// When it came.
    pub received_at: Timestamp,
    /// The models that it names.
    pub models: Vec<String>,
    /// What became of it, for people.
    pub result: String,
}

use std::time::Duration;

use kombo_model::catalogue::Record;
use kombo_model::{Endpoint, IntegrationCategory, IntegrationId, Timestamp};

use crate::jobs::SyncKind;
use crate::pull::run::PageCursor;
use crate::rows::json::{bounded_name, clean_text};
use crate::stable_hash::stable_hash;

/// A source of records: Kombo, or a substitute.
pub trait Source: Send + Sync + 'static {
    /// A fetch in progress.
    type Pages: Pages;

    /// Prepares a fetch. The first request is sent when the first page is requested.
    fn open(&self, spec: FetchSpec) -> Self::Pages;

    /// Returns the category of an integration.
    fn category(
        &self,
        integration: &IntegrationId,
    ) -> impl Future<Output = Result<IntegrationCategory, SourceError>> + Send;
}

/// A fetch in progress.
pub trait Pages: Send {
    /// Returns the next page, or `None` after the last one. Every page repeats the filters of the first. The source
    /// retries after transient failures, so an error ends this fetch.
    fn next_page(&mut self) -> impl Future<Output = Result<Option<RecordPage>, SourceError>> + Send;
}

/// What to fetch. Deleted records are always included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchSpec {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// The endpoint to list.
    pub endpoint: Endpoint,
    /// Which part of the list.
    pub fetch: Fetch,
    /// Priority of the fetch. When requests wait for the rate limit, those of deltas go first.
    pub priority: SyncKind,
}

/// The part of a list to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// The whole list or the changed records, starting at the given page.
    List {
        /// Limits the list to records changed since this time.
        updated_after: Option<Timestamp>,
        /// The first page to fetch.
        from: Option<PageCursor>,
    },
    /// The records with these ids.
    Ids(Vec<String>),
}

/// A page of records.
#[derive(Debug)]
pub struct RecordPage {
    /// The records that could be read completely or in part.
    pub records: Vec<Record>,
    /// Unreadable data: whole records, and parts of records in `records`.
    pub rejected: Vec<Rejected>,
    /// The next page; `None` after the last one.
    pub next: Option<PageCursor>,
    /// When the request was sent, by our clock. The records are at least as current.
    pub requested_at: Timestamp,
    /// Duration of the request.
    pub elapsed: Duration,
    /// Kombo's clock at the time of the answer, in whole seconds.
    pub server_date: Option<Timestamp>,
}

/// A record that could not be read, at least in part.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Id of the record, if it could be read. If the page has a record with this id, only a part of it could not be
    /// read.
    pub id: Option<String>,
    /// The received text of the record.
    pub json: String,
    /// Path of the fault.
    pub path: String,
    /// Description of the fault.
    pub reason: String,
}

impl Rejected {
    /// Returns the id, shortened if it is too long for a key, or a digest of the text if the id could not be read.
    pub(crate) fn name(&self) -> String {
        let digest = || format!("#{:016x}", stable_hash(&self.json, ""));
        bounded_name(clean_text(self.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(digest)))
    }
}

impl std::fmt::Debug for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejected").field("id", &self.id).field("path", &self.path).finish_non_exhaustive()
    }
}

/// An error of a source.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Class of the failure.
    pub class: FailureClass,
    /// Message for people. It names the endpoint and contains Kombo's answer.
    pub message: String,
    /// The wait that Kombo requested.
    pub retry_after: Option<Duration>,
}

/// The class of a failure. It decides the reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The failure is temporary: try again later.
    Transient,
    /// The key is rejected. Nothing that uses it can work until a person acts.
    KeyRejected,
    /// Kombo does not have the integration: it was deleted, or belongs to another region.
    IntegrationNotFound,
    /// Kombo or the connected tool rejects requests for the integration until its state changes.
    IntegrationUnavailable,
    /// Kombo has no data yet. Its first sync can take hours.
    SetupPending,
    /// The endpoint is disabled for this integration. The others continue.
    ModelUnavailable,
    /// The request was rejected, but not because of a lasting state. The request is wrong, or its page cursor is no
    /// longer valid.
    RequestRefused,
    /// The answer does not come from Kombo or cannot be read. It may come from a gateway, for a few seconds.
    Unintelligible,
}

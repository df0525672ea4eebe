use std::time::Duration;

use kombo_model::{
    Course, CourseProgression, Endpoint, Fault, InPart, IntegrationId, ReadInPart, Skill, Timestamp, User,
};

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

/// A record of one of the four lists.
#[derive(Debug, Clone)]
pub enum Record {
    /// A record of `users`.
    User(User),
    /// A record of `courses`.
    Course(Course),
    /// A record of `course-progressions`.
    CourseProgression(CourseProgression),
    /// A record of `skills`.
    Skill(Skill),
}

impl Record {
    /// Returns the id of the record.
    pub fn id(&self) -> &str {
        match self {
            Self::User(user) => user.id.as_str(),
            Self::Course(course) => course.id.as_str(),
            Self::CourseProgression(progression) => progression.id.as_str(),
            Self::Skill(skill) => skill.id.as_str(),
        }
    }

    /// Returns the endpoint that lists the record.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::User(_) => Endpoint::Users,
            Self::Course(_) => Endpoint::Courses,
            Self::CourseProgression(_) => Endpoint::CourseProgressions,
            Self::Skill(_) => Endpoint::Skills,
        }
    }

    /// Returns when one of the record's own fields last changed.
    pub fn changed_at(&self) -> Option<Timestamp> {
        match self {
            Self::User(user) => user.changed_at,
            Self::Course(course) => course.changed_at,
            Self::CourseProgression(progression) => progression.changed_at,
            Self::Skill(skill) => skill.changed_at,
        }
    }

    /// Reads a whole record of `endpoint` from JSON.
    pub fn read(endpoint: Endpoint, json: &str) -> Result<Self, serde_json::Error> {
        match endpoint {
            Endpoint::Users => serde_json::from_str(json).map(Self::User),
            Endpoint::Courses => serde_json::from_str(json).map(Self::Course),
            Endpoint::CourseProgressions => serde_json::from_str(json).map(Self::CourseProgression),
            Endpoint::Skills => serde_json::from_str(json).map(Self::Skill),
        }
    }

    /// Reads a record of `endpoint` from JSON, skipping the parts that cannot be read.
    ///
    /// # Errors
    /// The fault that [`ReadInPart`] returns if the record cannot be read at all.
    pub fn read_in_part(endpoint: Endpoint, json: &str) -> Result<InPart<Self>, Fault> {
        fn read<R: ReadInPart>(json: &str, record: fn(R) -> Record) -> Result<InPart<Record>, Fault> {
            R::read_in_part(json).map(|read| InPart { record: record(read.record), faults: read.faults })
        }
        match endpoint {
            Endpoint::Users => read(json, Self::User),
            Endpoint::Courses => read(json, Self::Course),
            Endpoint::CourseProgressions => read(json, Self::CourseProgression),
            Endpoint::Skills => read(json, Self::Skill),
        }
    }
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

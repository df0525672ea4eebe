use std::time::Duration;

use kombo_model::{
    Course, CourseProgression, Endpoint, Fault, InPart, IntegrationId, ReadInPart, Skill, Timestamp, User,
};

use crate::jobs::SyncKind;
use crate::pull::run::PageCursor;
use crate::rows::json::{bounded_name, clean_text};
use crate::stable_hash::stable_hash;

/// Where records come from: Kombo, or something that plays its part.
pub trait Source: Send + Sync + 'static {
    /// A fetch under way.
    type Pages: Pages;

    /// Prepares a fetch. No request is sent before the first page is asked for.
    fn open(&self, spec: FetchSpec) -> Self::Pages;
}

/// A fetch under way.
pub trait Pages: Send {
    /// The next page; `None` after the last one. Every page repeats the filters of the first. Retries of passing
    /// faults are the source's business, so an error is final for this fetch.
    fn next_page(&mut self) -> impl Future<Output = Result<Option<RecordPage>, SourceError>> + Send;
}

/// What to fetch. Deleted records are always included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchSpec {
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Which list.
    pub endpoint: Endpoint,
    /// Which part of the list.
    pub fetch: Fetch,
    /// What the fetch is for. Where requests have to wait for the rate limit, those of deltas go first.
    pub priority: SyncKind,
}

/// Which part of a list to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// All of it or what changed, from the given page on.
    List {
        /// Only what changed since.
        updated_after: Option<Timestamp>,
        /// The page to begin with.
        from: Option<PageCursor>,
    },
    /// The records with these ids.
    Ids(Vec<String>),
}

/// One page.
#[derive(Debug)]
pub struct RecordPage {
    /// The records that could be read, if only in part.
    pub records: Vec<Record>,
    /// What could not be read: whole records, and parts of some that are among `records`.
    pub rejected: Vec<Rejected>,
    /// The page after this one; `None` after the last.
    pub next: Option<PageCursor>,
    /// When the request was sent, by our clock: no record is older.
    pub requested_at: Timestamp,
    /// How long the response took.
    pub elapsed: Duration,
    /// Kombo's clock when it answered, in whole seconds.
    pub server_date: Option<Timestamp>,
}

/// A record of one of the four lists.
#[derive(Debug, Clone)]
pub enum Record {
    /// Of `users`.
    User(User),
    /// Of `courses`.
    Course(Course),
    /// Of `course-progressions`.
    CourseProgression(CourseProgression),
    /// Of `skills`.
    Skill(Skill),
}

impl Record {
    /// The record's id.
    pub fn id(&self) -> &str {
        match self {
            Self::User(user) => user.id.as_str(),
            Self::Course(course) => course.id.as_str(),
            Self::CourseProgression(progression) => progression.id.as_str(),
            Self::Skill(skill) => skill.id.as_str(),
        }
    }

    /// The list that shows it.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::User(_) => Endpoint::Users,
            Self::Course(_) => Endpoint::Courses,
            Self::CourseProgression(_) => Endpoint::CourseProgressions,
            Self::Skill(_) => Endpoint::Skills,
        }
    }

    /// When one of the record's own fields last changed.
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

    /// Reads what can be read of a record of `endpoint`.
    ///
    /// # Errors
    /// What [`ReadInPart`] says.
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

/// A record that could not be read, or in part only.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its id, where that could be read. If the page has a record with this id, only a part of it could not be read.
    pub id: Option<String>,
    /// The record as it came.
    pub json: String,
    /// Where the fault is.
    pub path: String,
    /// What the fault is.
    pub reason: String,
}

impl Rejected {
    /// Its id, shortened if it is too long for a key, or, where that could not be read, a digest of its text.
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

/// Why a source could not deliver.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What is to be done about it.
    pub class: FailureClass,
    /// What went wrong, for people: names the endpoint and what Kombo said.
    pub message: String,
    /// How long Kombo asks to wait.
    pub retry_after: Option<Duration>,
}

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// Passing: try again later.
    Transient,
    /// The key is rejected: nothing that uses it can work until a person acts.
    KeyRejected,
    /// Kombo does not know the integration: gone, or another region's.
    IntegrationNotFound,
    /// Kombo or the connected tool refuses the integration until its state changes.
    IntegrationUnavailable,
    /// Kombo has no data yet: the first sync can take hours.
    SetupPending,
    /// This endpoint is off for this integration; the others go on.
    ModelUnavailable,
    /// The request was refused without a word of a lasting state: our fault, or a page cursor that Kombo no longer knows.
    RequestRefused,
    /// The answer is not Kombo's, or cannot be read: perhaps that of a gateway for some seconds.
    Unintelligible,
}

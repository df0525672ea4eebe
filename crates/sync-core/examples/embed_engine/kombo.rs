//! `kombo-client` as a source of the engine. The two crates do not depend on each other: this adapter is all that
//! connects them.

use kombo_client::{Client, Error, ErrorKind, ListQuery, Listed, Page, PageCursor};
use kombo_model::{Course, CourseProgression, Endpoint, Skill, User};
use sync_core::ports::{FailureClass, Fetch, FetchSpec, Pages, Record, RecordPage, Rejected, Source, SourceError};
use sync_core::pull;

pub(crate) struct Kombo(pub(crate) Client);

pub(crate) enum List {
    Users(kombo_client::Pages<User>),
    Courses(kombo_client::Pages<Course>),
    CourseProgressions(kombo_client::Pages<CourseProgression>),
    Skills(kombo_client::Pages<Skill>),
}

impl Source for Kombo {
    type Pages = List;

    fn open(&self, spec: FetchSpec) -> List {
        let FetchSpec { integration_id: id, endpoint, fetch, .. } = spec;
        match endpoint {
            Endpoint::Users => List::Users(self.0.list(&id, query(fetch))),
            Endpoint::Courses => List::Courses(self.0.list(&id, query(fetch))),
            Endpoint::CourseProgressions => List::CourseProgressions(self.0.list(&id, query(fetch))),
            Endpoint::Skills => List::Skills(self.0.list(&id, query(fetch))),
        }
    }
}

/// Deleted records are always included. Without them, deltas would not show deletions.
fn query<R: Listed<Id: From<String>>>(fetch: Fetch) -> ListQuery<R> {
    let all = ListQuery { include_deleted: true, ..ListQuery::default() };
    match fetch {
        Fetch::List { updated_after, from } => {
            ListQuery { updated_after, cursor: from.and_then(|cursor| PageCursor::new(cursor.0)), ..all }
        }
        Fetch::Ids(ids) => ListQuery { ids: ids.into_iter().map(Into::into).collect(), ..all },
    }
}

impl Pages for List {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        match self {
            Self::Users(pages) => pages.next_page().await.map(|page| page.map(|it| convert(it, Record::User))),
            Self::Courses(pages) => pages.next_page().await.map(|page| page.map(|it| convert(it, Record::Course))),
            Self::CourseProgressions(pages) => {
                pages.next_page().await.map(|page| page.map(|it| convert(it, Record::CourseProgression)))
            }
            Self::Skills(pages) => pages.next_page().await.map(|page| page.map(|it| convert(it, Record::Skill))),
        }
        .map_err(|error| failure(&error))
    }
}

fn convert<R>(page: Page<R>, record: fn(R) -> Record) -> RecordPage {
    let rejected = page.rejected.into_iter().map(|it| Rejected {
        id: it.id,
        json: it.json.into_string(),
        path: it.path,
        reason: it.reason,
    });
    RecordPage {
        records: page.records.into_iter().map(record).collect(),
        rejected: rejected.collect(),
        next: page.next.map(|cursor| pull::PageCursor(cursor.into_string())),
        requested_at: page.meta.requested_at,
        elapsed: page.meta.elapsed,
        server_date: page.meta.server_date,
    }
}

/// Maps an error to its class. The client has already retried.
fn failure(error: &Error) -> SourceError {
    let class = match error.kind() {
        ErrorKind::KeyRejected => FailureClass::KeyRejected,
        ErrorKind::IntegrationNotFound => FailureClass::IntegrationNotFound,
        ErrorKind::IntegrationUnavailable => FailureClass::IntegrationUnavailable,
        ErrorKind::SetupPending => FailureClass::SetupPending,
        ErrorKind::ModelUnavailable => FailureClass::ModelUnavailable,
        ErrorKind::InputInvalid | ErrorKind::Refused | ErrorKind::AccessDenied | ErrorKind::RepeatedCursor => {
            FailureClass::RequestRefused
        }
        ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Transport => FailureClass::Transient,
        ErrorKind::Decode | ErrorKind::Unexpected | _ => FailureClass::Unintelligible,
    };
    SourceError { class, message: error.to_string(), retry_after: error.retry_after() }
}

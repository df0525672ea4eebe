//! `kombo-client` as a source of the engine. The two crates do not depend on each other: this adapter is all that
//! connects them.

use kombo_client::{Client, Error, ErrorKind, Page, PageCursor, RecordsQuery};
use kombo_model::{IntegrationCategory, IntegrationId};
use sync_core::ports::{FailureClass, Fetch, FetchSpec, Pages, Record, RecordPage, Rejected, Source, SourceError};
use sync_core::pull;

pub(crate) struct Kombo(pub(crate) Client);

/// A list that is being read.
pub(crate) struct List(kombo_client::Pages<Record>);

impl Source for Kombo {
    type Pages = List;

    fn open(&self, spec: FetchSpec) -> List {
        List(self.0.records(&spec.integration_id, spec.endpoint, query(spec.fetch)))
    }

    async fn category(&self, integration: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        let answer = self.0.integration(integration).await.map_err(|error| failure(&error))?;
        Ok(answer.data.category)
    }
}

/// Deleted records are always included. Without them, deltas would not show deletions.
fn query(fetch: Fetch) -> RecordsQuery {
    let all = RecordsQuery { include_deleted: true, ..RecordsQuery::default() };
    match fetch {
        Fetch::List { updated_after, from } => {
            RecordsQuery { updated_after, cursor: from.and_then(|cursor| PageCursor::new(cursor.0)), ..all }
        }
        Fetch::Ids(ids) => RecordsQuery { ids, ..all },
    }
}

impl Pages for List {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        self.0.next_page().await.map(|page| page.map(convert)).map_err(|error| failure(&error))
    }
}

fn convert(page: Page<Record>) -> RecordPage {
    let rejected = page.rejected.into_iter().map(|it| Rejected {
        id: it.id,
        json: it.json.into_string(),
        path: it.path,
        reason: it.reason,
    });
    RecordPage {
        records: page.records,
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

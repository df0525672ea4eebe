//! Kombo as the engine's source of records.

mod clock;

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use kombo_client::{Client, Error, ErrorKind, Pacer, Page, PageSize, RecordsQuery, ResponseMeta, TransportFault};
use kombo_model::{IntegrationCategory, IntegrationId};
use store_diesel::DieselStore;
use sync_core::jobs::SyncKind;
use sync_core::ports::{FailureClass, Fetch, FetchSpec, Pages, Record, RecordPage, Rejected, Source, SourceError};
use sync_core::pull::PageCursor;
use sync_runtime::RateLimiter;

use crate::clock::SystemClock;
use crate::notices::Notices;
use crate::output::{chain, one_line};
use crate::skew::{self, Skew};

pub(crate) use clock::KomboClock;

/// The rate limiter of a process.
pub(crate) type Limiter = RateLimiter<DieselStore, SystemClock, Notices>;

/// Adapts the client to the engine's port.
#[derive(Debug)]
pub(crate) struct KomboSource {
    clients: RwLock<Clients>,
    limiter: Option<Arc<Limiter>>,
    clock: KomboClock,
    /// Name of the Kombo instance, for people.
    name: String,
}

impl KomboSource {
    /// Creates a source that sends requests through `client`, no faster than `limiter` allows. `name` is Kombo's name
    /// for people.
    pub(crate) fn new(client: &Client, limiter: Option<Arc<Limiter>>, name: String) -> Self {
        let clients = RwLock::new(Clients::new(client, limiter.as_ref()));
        Self { clients, limiter, clock: KomboClock::default(), name }
    }

    /// Replaces the client, after a change of the key or the address.
    pub(crate) fn replace(&self, client: &Client) {
        let clients = Clients::new(client, self.limiter.as_ref());
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    /// Asks Kombo whether the key works, and for the time.
    pub(crate) async fn check_api_key(&self) -> Result<(), Error> {
        let answer = self.client(SyncKind::Delta).check_api_key().await?;
        self.clock.date(answer.meta.server_date);
        Ok(())
    }

    /// Returns Kombo's clock.
    pub(crate) fn clock(&self) -> &KomboClock {
        &self.clock
    }

    /// Returns the client for requests with this priority of the rate limit.
    pub(crate) fn client(&self, priority: SyncKind) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        match priority {
            SyncKind::Delta => clients.delta.clone(),
            SyncKind::Full => clients.full.clone(),
        }
    }
}

/// One client with two priorities.
#[derive(Debug)]
struct Clients {
    delta: Client,
    full: Client,
}

impl Clients {
    fn new(client: &Client, limiter: Option<&Arc<Limiter>>) -> Self {
        let with = |priority| match limiter {
            Some(limiter) => client.with_pacer(Arc::new(Limited { limiter: Arc::clone(limiter), priority })),
            None => client.clone(),
        };
        Self { delta: with(SyncKind::Delta), full: with(SyncKind::Full) }
    }
}

/// The rate limiter as the client's pacer, for requests of one priority.
struct Limited {
    limiter: Arc<Limiter>,
    priority: SyncKind,
}

impl Pacer for Limited {
    fn acquire(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.limiter.acquire(self.priority))
    }

    fn given_up(&self) {
        self.limiter.forget();
    }
}

impl Source for KomboSource {
    type Pages = KomboPages;

    fn open(&self, spec: FetchSpec) -> KomboPages {
        let FetchSpec { integration_id, endpoint, fetch, priority } = spec;
        let client = self.client(priority);
        let pages = client.records(&integration_id, endpoint, query(fetch));
        KomboPages { pages, client, name: self.name.clone(), clock: self.clock.clone() }
    }

    async fn category(&self, integration: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        let client = self.client(SyncKind::Full);
        match client.integration(integration).await {
            Ok(answer) => Ok(answer.data.category),
            Err(error) => Err(failure(&client, &self.name, &error).await),
        }
    }
}

fn query(fetch: Fetch) -> RecordsQuery {
    let whole = RecordsQuery { include_deleted: true, ..RecordsQuery::default() };
    match fetch {
        Fetch::List { updated_after, from } => RecordsQuery {
            updated_after,
            cursor: from.and_then(|cursor| kombo_client::PageCursor::new(cursor.0)),
            ..whole
        },
        Fetch::Ids(ids) => RecordsQuery { ids, ..whole },
    }
}

/// A list that is being read.
pub(crate) struct KomboPages {
    pages: kombo_client::Pages<Record>,
    client: Client,
    name: String,
    clock: KomboClock,
}

/// Returns the engine's error for a client's error. A rejection without a reason concerns the key only if Kombo rejects
/// the key in a separate request. Otherwise it concerns this integration or endpoint.
async fn failure(client: &Client, name: &str, error: &Error) -> SourceError {
    if error.kind() == ErrorKind::AccessDenied
        && let Err(of_key) = Box::pin(client.check_api_key()).await
        && of_key.kind() == ErrorKind::KeyRejected
    {
        return source_error(&of_key, name);
    }
    source_error(error, name)
}

impl Pages for KomboPages {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        match self.pages.next_page().await.map(|page| page.map(convert)) {
            Ok(mut page) => {
                if let Some(page) = &mut page {
                    page.server_date = self.clock.date(page.server_date);
                }
                Ok(page)
            }
            Err(error) => Err(failure(&self.client, &self.name, &error).await),
        }
    }
}

fn convert(page: Page<Record>) -> RecordPage {
    let rejected = page.rejected.into_iter().map(|rejected| Rejected {
        id: rejected.id,
        json: rejected.json.into_string(),
        path: rejected.path,
        reason: rejected.reason,
    });
    RecordPage {
        records: page.records,
        rejected: rejected.collect(),
        next: page.next.map(|cursor| PageCursor(cursor.into_string())),
        requested_at: page.meta.requested_at,
        elapsed: page.meta.elapsed,
        server_date: page.meta.server_date,
    }
}

/// Returns the difference between this machine's clock and Kombo's, measured from a response.
pub(crate) fn skew(meta: &ResponseMeta) -> Option<Skew> {
    let ours = meta.requested_at.saturating_add(meta.elapsed);
    skew::compare(ours, "Kombo's", meta.server_date?)
}

/// Converts an error of the client into the engine's, with advice for a person.
pub(crate) fn source_error(error: &Error, kombo: &str) -> SourceError {
    let (class, remedy) = match error.kind() {
        ErrorKind::KeyRejected => {
            (FailureClass::KeyRejected, format!("check kombo.api_key, and that it belongs to {kombo}"))
        }
        ErrorKind::IntegrationNotFound => {
            (FailureClass::IntegrationNotFound, format!("check the integration's id, and that it belongs to {kombo}"))
        }
        ErrorKind::IntegrationUnavailable => {
            (FailureClass::IntegrationUnavailable, "its owner must connect it again at Kombo".to_owned())
        }
        ErrorKind::SetupPending => {
            (FailureClass::SetupPending, "Kombo's first sync has not ended yet: it can take hours".to_owned())
        }
        ErrorKind::ModelUnavailable => (
            FailureClass::ModelUnavailable,
            "enable the model in Kombo's scope configuration, or take the endpoint out of sync.endpoints".to_owned(),
        ),
        // The engine starts again from the first page after these.
        ErrorKind::InputInvalid | ErrorKind::RepeatedCursor => (FailureClass::RequestRefused, String::new()),
        ErrorKind::Refused => (FailureClass::RequestRefused, format!("check that {kombo} is the right address")),
        ErrorKind::AccessDenied => {
            // An answer of a gateway may have nothing to do with the page.
            let of_kombo = error.api_error().is_some();
            let class = if of_kombo { FailureClass::RequestRefused } else { FailureClass::Unintelligible };
            (class, "Kombo does not reject the key as such, so the other fetches go on".to_owned())
        }
        ErrorKind::RateLimited | ErrorKind::Unavailable => (FailureClass::Transient, String::new()),
        ErrorKind::Transport if matches!(error, Error::Transport { fault: TransportFault::Proxy, .. }) => {
            (FailureClass::Transient, "check the proxy, and HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY".to_owned())
        }
        ErrorKind::Transport => {
            (FailureClass::Transient, format!("check the network, and that {kombo} is the right address"))
        }
        ErrorKind::Decode | ErrorKind::Unexpected | _ => {
            (FailureClass::Unintelligible, format!("check that {kombo} is the right address"))
        }
    };
    // It may contain Kombo's text, so it is kept on one line.
    let said = one_line(&chain(error));
    let remedies = [remedy, error.page_size().map(of_page_size).unwrap_or_default()];
    let remedies = remedies.into_iter().filter(|remedy| !remedy.is_empty());
    let message = std::iter::once(said).chain(remedies).collect::<Vec<_>>().join("; ");
    SourceError { class, message, retry_after: error.retry_after() }
}

/// Advice for a page that may be too heavy.
fn of_page_size(reached: PageSize) -> String {
    match reached.get() {
        1 => "not even a page of one record came, so a smaller kombo.page_size does not help".to_owned(),
        size => format!("if only smaller pages come, set kombo.page_size to less than {size}"),
    }
}

#[cfg(test)]
mod tests;

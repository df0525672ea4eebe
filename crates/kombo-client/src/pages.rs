mod size;

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use futures_util::stream::{self, Stream};
use kombo_model::{Endpoint, IntegrationId};

use crate::decode::Asked;
use crate::query::{ListQuery, Listed, PageCursor, PageSize};
use crate::request::Request;
use crate::send::Pause;
use crate::{Client, Error, ErrorKind, Page, ResponseMeta, decode};
use size::Weight;

pub(crate) use size::Sizes;

/// Number of cursors that a listing remembers to detect a loop.
const MOST_CURSORS: usize = 1 << 16;

/// A listing, read page by page. It ends when Kombo names no next page, never because a page is empty.
///
/// A page that is too heavy for Kombo, a proxy or this client is requested again with fewer records, down to one. If
/// the failure may have another cause, such as a 504, the client tries a page of one record: if it succeeds, the weight
/// was the cause. The client remembers the page size that an endpoint of an integration allows, and tries more again
/// after some pages.
///
/// The query's filters are sent with every page. Kombo does not document how changes of records affect a listing: a
/// record may be shown twice, or be missed if it moves between pages.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
/// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
/// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
/// use kombo_client::CoursesQuery;
///
/// let mut pages = client.courses(&integration, CoursesQuery::default());
/// while let Some(page) = pages.next_page().await? {
///     for rejected in &page.rejected {
///         eprintln!("course {:?} could not be read, at {}: {}", rejected.id, rejected.path, rejected.reason);
///     }
///     println!("{} courses, {:?} requests left", page.records.len(), page.meta.rate_limit.remaining);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Pages<R: Listed> {
    client: Client,
    integration: IntegrationId,
    endpoint: Endpoint,
    query: ListQuery<R>,
    state: State,
    /// Hashes of the cursors requested so far: eight bytes per page, for any length of cursor.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// Number of pages read.
    read: u64,
    /// Page size of the request that returned the current cursor.
    named_by: Option<PageSize>,
    /// Whether the server accepts cursors only with the same page size.
    ties_cursor_to_size: bool,
}

enum State {
    At(Option<PageCursor>),
    Ended,
}

impl<R: Listed> Pages<R> {
    pub(crate) fn new(client: Client, integration: IntegrationId, endpoint: Endpoint, mut query: ListQuery<R>) -> Self {
        let start = query.cursor.take();
        let mut pages = Self {
            client,
            integration,
            endpoint,
            query,
            state: State::At(None),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            read: 0,
            named_by: None,
            ties_cursor_to_size: false,
        };
        if let Some(start) = &start {
            pages.seen.insert(pages.hasher.hash_one(start));
        }
        pages.state = State::At(start);
        pages
    }

    /// Fetches the next page; `None` after the last one.
    ///
    /// Cancel safe. After an error, call again to retry the same page.
    ///
    /// # Errors
    /// Returns any [`Error`], including kind [`InputInvalid`](crate::ErrorKind::InputInvalid) if Kombo no longer
    /// accepts the cursor. An unreadable record is not an error; see [`Page::rejected`].
    pub async fn next_page(&mut self) -> Result<Option<Page<R>>, Error> {
        let State::At(cursor) = &self.state else { return Ok(None) };
        let cursor = cursor.clone();
        let size = self.size();
        // Boxed, because the future of an attempt is large.
        let mut asked = Box::pin(self.ask(cursor.as_ref(), size)).await;
        // It is not documented whether a cursor works with another page size.
        if let (Err((error, tried)), Some(before)) = (&asked, self.named_by.or(cursor.as_ref().map(|_| self.wanted())))
            && *tried != before
            && matches!(error.kind(), ErrorKind::InputInvalid | ErrorKind::Refused)
            && size::weight(error) == Weight::Unknown
        {
            self.ties_cursor_to_size = true;
            self.named_by = Some(before);
            asked = Box::pin(self.ask(cursor.as_ref(), before)).await;
        }
        let (list, meta, size) = asked.map_err(|(error, _)| error)?;
        let next = list.next.and_then(PageCursor::new);
        if self.seen.len() >= MOST_CURSORS {
            self.seen.clear();
        }
        self.state = match &next {
            Some(next) if !self.seen.insert(self.hasher.hash_one(next)) => {
                return Err(Error::RepeatedCursor { endpoint: self.endpoint, pages: self.read });
            }
            Some(next) => State::At(Some(next.clone())),
            None => State::Ended,
        };
        self.client.inner.sizes.succeeded(&self.integration, self.endpoint, size, self.wanted());
        self.named_by = Some(size);
        self.read += 1;
        Ok(Some(Page { records: list.records, rejected: list.rejected, next, meta }))
    }

    /// Returns the page size to use unless pages are too heavy.
    fn wanted(&self) -> PageSize {
        self.query.page_size.unwrap_or(self.client.inner.page_size)
    }

    fn size(&self) -> PageSize {
        match self.named_by {
            Some(before) if self.ties_cursor_to_size => before,
            _ => self
                .client
                .inner
                .sizes
                .get(&self.integration, self.endpoint)
                .map_or(self.wanted(), |known| known.min(self.wanted())),
        }
    }

    /// Requests a page of `size` records, and smaller ones while it is too heavy. Returns the page or the error with
    /// the last requested size.
    async fn ask(
        &self,
        cursor: Option<&PageCursor>,
        mut size: PageSize,
    ) -> Result<(decode::List<R>, ResponseMeta, PageSize), (Error, PageSize)> {
        let request = |size| Request::page(&self.integration, self.endpoint, &self.query, cursor, size);
        let sizes = &self.client.inner.sizes;
        let first = request(size).map_err(|error| (error, size))?;
        let mut was_suspected = false;
        let lighter = |error: &Error| {
            let weight = size::weight(error);
            match weight {
                Weight::TooHeavy => {}
                // A single failure may be chance, except for a page larger than one that succeeded.
                Weight::Suspected => {
                    if !std::mem::replace(&mut was_suspected, true)
                        && !sizes.is_trial(&self.integration, self.endpoint, size)
                    {
                        return None;
                    }
                }
                Weight::Unknown => return None,
            }
            if self.ties_cursor_to_size {
                // For the next listing, which then starts with this size.
                sizes.reduce(&self.integration, self.endpoint, size, Weight::TooHeavy);
                return None;
            }
            size = sizes.reduce(&self.integration, self.endpoint, size, weight)?;
            let pause = if weight == Weight::TooHeavy { Pause::None } else { Pause::AsUsual };
            request(size).ok().map(|request| (request, pause))
        };
        let read = |request: &Request, body: &str| {
            decode::list::<R>(self.endpoint, body, if request.asks_for_one_record() { Asked::One } else { Asked::Many })
        };
        let error = match self.client.inner.sender.send_adapting(first, read, lighter).await {
            Ok((list, meta)) => return Ok((list, meta, size)),
            Err(error) => error,
        };
        match size::weight(&error) {
            Weight::Unknown => return Err((error, size)),
            Weight::TooHeavy => {}
            Weight::Suspected if size == PageSize::MIN => sizes.forget(&self.integration, self.endpoint),
            // For the next call.
            Weight::Suspected => drop(sizes.reduce(&self.integration, self.endpoint, size, Weight::Suspected)),
        }
        Err((error.with_page_size(size), size))
    }

    /// Returns the pages as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Page<R>, Error>> + Send {
        stream::try_unfold(self, async |mut pages| Ok(pages.next_page().await?.map(|page| (page, pages))))
    }
}

impl<R: Listed> fmt::Debug for Pages<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("integration", &self.integration)
            .field("endpoint", &self.endpoint)
            .field("query", &self.query)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

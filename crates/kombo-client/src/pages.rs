mod size;

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use futures_util::stream::{self, Stream};
use kombo_model::IntegrationId;

use crate::decode::Asked;
use crate::query::{ListQuery, Listed, PageCursor, PageSize};
use crate::request::Request;
use crate::send::Pause;
use crate::{Client, Error, ErrorKind, Page, ResponseMeta, decode};
use size::Weight;

pub(crate) use size::Sizes;

/// How many cursors a listing remembers, to notice that it goes in circles.
const MOST_CURSORS: usize = 1 << 16;

/// A listing, read page by page. It ends when Kombo names no next page, never because a page is empty.
///
/// A page that is too heavy for Kombo, for the way or for this client is asked for again with fewer records, down to one.
/// If the failure may have another cause, such as a 504, a page of one record tells: it comes through if it was the weight.
/// The client remembers how many records an endpoint of an integration takes, and tries more again after some pages.
///
/// The query's filters are sent with every page. What Kombo does to a listing while records change is not documented:
/// a record may be seen twice, or be missed if it moves between pages.
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
    query: ListQuery<R>,
    state: State,
    /// Hashes of the cursors asked for so far: eight bytes a page, however long a cursor is.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// How many pages were read.
    read: u64,
    /// How many records the page had at most that named the cursor at hand.
    named_by: Option<PageSize>,
    /// Whether cursors are refused unless the page size stays what it was.
    ties_cursor_to_size: bool,
}

enum State {
    At(Option<PageCursor>),
    Ended,
}

impl<R: Listed> Pages<R> {
    pub(crate) fn new(client: Client, integration: IntegrationId, mut query: ListQuery<R>) -> Self {
        let start = query.cursor.take();
        let mut pages = Self {
            client,
            integration,
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
    /// Safe to cancel. After an error, the same page may be asked for again.
    ///
    /// # Errors
    /// What [`Error`] lists; of the kind [`InputInvalid`](crate::ErrorKind::InputInvalid) also when Kombo no longer
    /// knows the cursor. A record that cannot be read is no error, see [`Page::rejected`].
    pub async fn next_page(&mut self) -> Result<Option<Page<R>>, Error> {
        let State::At(cursor) = &self.state else { return Ok(None) };
        let cursor = cursor.clone();
        let size = self.size();
        // Boxed, as an attempt at a request is a large future.
        let mut asked = Box::pin(self.ask(cursor.as_ref(), size)).await;
        // Whether a cursor goes with another page size than before is not documented.
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
                return Err(Error::RepeatedCursor { endpoint: R::ENDPOINT, pages: self.read });
            }
            Some(next) => State::At(Some(next.clone())),
            None => State::Ended,
        };
        self.client.inner.sizes.succeeded(&self.integration, R::ENDPOINT, size, self.wanted());
        self.named_by = Some(size);
        self.read += 1;
        Ok(Some(Page { records: list.records, rejected: list.rejected, next, meta }))
    }

    /// How many records a page is to have if nothing speaks against it.
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
                .get(&self.integration, R::ENDPOINT)
                .map_or(self.wanted(), |known| known.min(self.wanted())),
        }
    }

    /// Asks for a page of so many records, and for smaller ones while it is too heavy. With the page, or the error, comes
    /// the size that was asked for last.
    async fn ask(
        &self,
        cursor: Option<&PageCursor>,
        mut size: PageSize,
    ) -> Result<(decode::List<R>, ResponseMeta, PageSize), (Error, PageSize)> {
        let request = |size| Request::page(&self.integration, &self.query, cursor, size);
        let sizes = &self.client.inner.sizes;
        let first = request(size).map_err(|error| (error, size))?;
        let mut was_suspected = false;
        let lighter = |error: &Error| {
            let weight = size::weight(error);
            match weight {
                Weight::TooHeavy => {}
                // Once may be chance, but for a page larger than what was good before.
                Weight::Suspected => {
                    if !std::mem::replace(&mut was_suspected, true)
                        && !sizes.is_trial(&self.integration, R::ENDPOINT, size)
                    {
                        return None;
                    }
                }
                Weight::Unknown => return None,
            }
            if self.ties_cursor_to_size {
                // For the next listing, which has to keep to it.
                sizes.reduce(&self.integration, R::ENDPOINT, size, Weight::TooHeavy);
                return None;
            }
            size = sizes.reduce(&self.integration, R::ENDPOINT, size, weight)?;
            let pause = if weight == Weight::TooHeavy { Pause::None } else { Pause::AsUsual };
            request(size).ok().map(|request| (request, pause))
        };
        let read = |request: &Request, body: &str| {
            decode::list::<R>(body, if request.asks_for_one_record() { Asked::One } else { Asked::Many })
        };
        let error = match self.client.inner.sender.send_adapting(first, read, lighter).await {
            Ok((list, meta)) => return Ok((list, meta, size)),
            Err(error) => error,
        };
        match size::weight(&error) {
            Weight::Unknown => return Err((error, size)),
            Weight::TooHeavy => {}
            Weight::Suspected if size == PageSize::MIN => sizes.forget(&self.integration, R::ENDPOINT),
            // For the next try.
            Weight::Suspected => drop(sizes.reduce(&self.integration, R::ENDPOINT, size, Weight::Suspected)),
        }
        Err((error.with_page_size(size), size))
    }

    /// The pages as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Page<R>, Error>> + Send {
        stream::try_unfold(self, async |mut pages| Ok(pages.next_page().await?.map(|page| (page, pages))))
    }
}

impl<R: Listed> fmt::Debug for Pages<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("integration", &self.integration)
            .field("query", &self.query)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

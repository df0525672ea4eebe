use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use futures_util::stream::{self, Stream};
use kombo_model::IntegrationId;

use crate::query::{ListQuery, Listed, PageCursor};
use crate::request::Request;
use crate::{Client, Error, Page, decode};

/// A listing, read page by page. It ends when Kombo names no next page, never because a page is empty.
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
        let page_size = self.query.page_size.unwrap_or(self.client.inner.page_size);
        let request = Request::page(&self.integration, &self.query, cursor.as_ref(), page_size)?;
        let (list, meta) = self.client.inner.sender.send(&request, decode::list::<R>).await?;
        let next = list.next.and_then(PageCursor::new);
        self.state = match &next {
            Some(next) if !self.seen.insert(self.hasher.hash_one(next)) => {
                return Err(Error::RepeatedCursor { endpoint: R::ENDPOINT, pages: self.read });
            }
            Some(next) => State::At(Some(next.clone())),
            None => State::Ended,
        };
        self.read += 1;
        Ok(Some(Page { records: list.records, rejected: list.rejected, next, meta }))
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

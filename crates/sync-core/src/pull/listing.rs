//! Detects lists that never end, and says where a list broke off.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use kombo_model::Endpoint;
use kombo_model::catalogue::Record;

use crate::ports::source::{FailureClass, Pages, RecordPage, SourceError};
use crate::pull::run::PageCursor;
use crate::rows::json::{bounded_name, clean_text};

/// The pages of a list. Returns an error if the list does not end, although each page names another one.
#[derive(Debug)]
pub(crate) struct Listing<P> {
    pages: P,
    endpoint: Endpoint,
    progress: Progress,
    position: Position,
}

impl<P: Pages> Listing<P> {
    pub(crate) fn new(pages: P, endpoint: Endpoint) -> Self {
        Self { pages, endpoint, progress: Progress::default(), position: Position::Start }
    }

    /// A list that continues from a page cursor of an earlier attempt, if there is one.
    pub(crate) fn starting_at(cursor: Option<&PageCursor>, pages: P, endpoint: Endpoint) -> Self {
        let position = if cursor.is_some() { Position::Resumed } else { Position::Start };
        Self { position, ..Self::new(pages, endpoint) }
    }
}

impl<P: Pages> Pages for Listing<P> {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        let page = self.pages.next_page().await.map_err(|error| self.position.locate(error))?;
        if let Some(last) = page.as_ref().and_then(|page| page.records.last()) {
            self.position = Position::After(bounded_name(clean_text(last.id().to_owned())));
        }
        if let Some(page) = &page
            && page.next.is_some()
            && let Err(standstill) = self.progress.note(page)
        {
            return Err(SourceError {
                // The class is that of an invalid cursor: the next attempt starts at the first page.
                class: FailureClass::RequestRefused,
                message: format!("the list of {} does not end: {standstill}", self.endpoint),
                retry_after: None,
            });
        }
        Ok(page)
    }
}

/// The position in a list.
#[derive(Debug)]
enum Position {
    Start,
    /// Where an earlier attempt ended.
    Resumed,
    /// After the record with this id.
    After(String),
}

impl Position {
    /// Adds the position to an error that one page may have caused, so that a person can report the record that follows
    /// to Kombo.
    fn locate(&self, mut error: SourceError) -> SourceError {
        let may_be_of_page = match error.class {
            FailureClass::Transient | FailureClass::RequestRefused | FailureClass::Unintelligible => true,
            FailureClass::KeyRejected
            | FailureClass::IntegrationNotFound
            | FailureClass::IntegrationUnavailable
            | FailureClass::SetupPending
            | FailureClass::ModelUnavailable => false,
        };
        if may_be_of_page {
            match self {
                Self::Start => {}
                Self::Resumed => error.message.push_str("; the list broke off where an earlier attempt did"),
                Self::After(last) => {
                    error.message.push_str("; the list broke off after record ");
                    error.message.push_str(last);
                }
            }
        }
        error
    }
}

/// The reason why a list counts as endless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Standstill {
    #[error("{} pages in a row were empty", Progress::MOST_EMPTY)]
    Empty,
    #[error("{} pages showed almost only records of earlier pages", Progress::MOST_REPEATED)]
    Repeated,
    #[error("it has more than {} pages", Progress::MOST_PAGES)]
    TooLong,
}

/// The progress of a list, in bounded memory. It remembers a sample of the records, those with the smallest hashes. In
/// a circular list, the pages stop adding to it.
#[derive(Debug)]
struct Progress {
    hasher: RandomState,
    sample: HashSet<u64>,
    /// Larger hashes are ignored.
    largest: u64,
    pages: u64,
    /// Pages without records since the last one that showed something new.
    empty: u64,
    /// Pages of known records, in hundredths, less [`Progress::WORTH`] for each of new ones. At least 0.
    repeated: i64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { hasher: RandomState::new(), sample: HashSet::new(), largest: u64::MAX, pages: 0, empty: 0, repeated: 0 }
    }
}

impl Progress {
    const SAMPLE: usize = 4_096;
    /// Kombo may filter a page after cutting it, so several pages in a row may be empty.
    const MOST_EMPTY: u64 = 1_000;
    /// Records that move while they are listed appear twice, but not on this many pages.
    const MOST_REPEATED: i64 = 100;
    /// A new record outweighs this many known ones: a list in which four of five records are known does not end either.
    const WORTH: i64 = 4;
    /// Half a billion records on full pages.
    const MOST_PAGES: u64 = 2_000_000;

    fn note(&mut self, page: &RecordPage) -> Result<(), Standstill> {
        self.pages += 1;
        let (mut is_empty, mut new, mut known) = (true, 0_i64, 0_i64);
        // A record without a readable id is identified by its text.
        let rejected = page.rejected.iter().map(|record| record.id.as_deref().unwrap_or(&record.json));
        for id in page.records.iter().map(Record::id).chain(rejected) {
            is_empty = false;
            let hash = self.hasher.hash_one(id);
            if hash > self.largest {
                continue;
            }
            *(if self.sample.insert(hash) { &mut new } else { &mut known }) += 1;
        }
        while self.sample.len() > Self::SAMPLE {
            self.largest /= 2;
            self.sample.retain(|hash| *hash <= self.largest);
        }
        if is_empty {
            self.empty += 1;
        } else if new > 0 || known == 0 {
            self.empty = 0;
        }
        // A page without records in the sample proves nothing.
        if new + known > 0 {
            self.repeated = (self.repeated + 100 * (known - Self::WORTH * new) / (known + new)).max(0);
        }
        if self.empty >= Self::MOST_EMPTY {
            Err(Standstill::Empty)
        } else if self.repeated >= 100 * Self::MOST_REPEATED {
            Err(Standstill::Repeated)
        } else if self.pages > Self::MOST_PAGES {
            Err(Standstill::TooLong)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;

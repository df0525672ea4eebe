//! What a look-up of records by id says of those that it does not return.

use std::collections::BTreeSet;

use kombo_model::Timestamp;

use crate::ports::source::{FailureClass, RecordPage, SourceError};
use crate::rows::json::clean_text;

/// Whether Kombo can be asked for a record by this id. Ids are sent in one value with commas between them; what nobody but
/// a person with a database at hand would write is never sent.
pub(crate) fn can_be_sent(id: &str) -> bool {
    const LONGEST: usize = 200;
    let is_odd = |letter: char| letter == ',' || letter.is_whitespace() || letter.is_control();
    !id.is_empty() && id.len() <= LONGEST && !id.contains(is_odd)
}

/// A look-up under way: which ids were not returned yet.
#[derive(Debug)]
pub(crate) struct LookUp {
    missing: BTreeSet<String>,
    asked_at: Option<Timestamp>,
    nameless: bool,
}

impl LookUp {
    pub(crate) fn new(ids: impl IntoIterator<Item = String>) -> Self {
        Self { missing: ids.into_iter().collect(), asked_at: None, nameless: false }
    }

    /// Notes what a page returned. A record that cannot be read is there all the same.
    pub(crate) fn note(&mut self, page: &RecordPage) {
        self.asked_at.get_or_insert(page.requested_at);
        self.nameless |= page.rejected.iter().any(|rejected| rejected.id.is_none());
        let rejected = page.rejected.iter().filter_map(|rejected| rejected.id.as_deref());
        for id in page.records.iter().map(crate::ports::source::Record::id).chain(rejected) {
            self.missing.remove(&clean_text(id.to_owned()));
        }
    }

    /// The ids that Kombo does not know, and when it was asked. A record without a readable id may be any of them, so
    /// none is known to be gone then.
    pub(crate) fn gone(self) -> Option<(Timestamp, Vec<String>)> {
        let asked_at = self.asked_at.filter(|_| !self.nameless && !self.missing.is_empty())?;
        Some((asked_at, self.missing.into_iter().collect()))
    }
}

/// How many ids one look-up names: as many as are wanted, and fewer once a source refuses them. How many fit into an
/// address, and how many a source takes, is not documented.
#[derive(Debug)]
pub(crate) struct LookUpSize {
    most: usize,
    now: usize,
    accepted: usize,
}

impl LookUpSize {
    /// After so many look-ups that went well, twice as many ids are tried.
    const TRY_MORE_AFTER: usize = 20;

    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, accepted: 0 }
    }

    /// How many ids the next look-up may name: at least one.
    pub(crate) fn get(&self) -> usize {
        self.now
    }

    /// A look-up went well.
    pub(crate) fn accept(&mut self) {
        self.accepted += 1;
        if self.accepted >= Self::TRY_MORE_AFTER {
            self.accepted = 0;
            self.now = self.now.saturating_mul(2).min(self.most);
        }
    }

    /// Whether a look-up of so many ids that failed is to be made with fewer.
    pub(crate) fn reduce(&mut self, asked: usize, error: &SourceError) -> bool {
        let may_be_too_many = matches!(error.class, FailureClass::RequestRefused | FailureClass::Unintelligible);
        if !may_be_too_many || asked <= 1 {
            return false;
        }
        self.now = asked / 2;
        self.accepted = 0;
        true
    }
}

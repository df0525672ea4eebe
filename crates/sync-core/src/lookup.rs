//! What a look-up of records by id says of those that it does not return.

use std::collections::BTreeSet;

use kombo_model::Timestamp;

use crate::mirror::clean_text;
use crate::port::RecordPage;

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
        for id in page.records.iter().map(crate::port::Record::id).chain(rejected) {
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

//! What a look-up of records by id says of those that it does not return.

use std::collections::BTreeSet;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::jobs::request::SyncKind;
use crate::ports::source::{FailureClass, Fetch, FetchSpec, Pages, Record, RecordPage, Source, SourceError};
use crate::rows::json::clean_text;

/// Whether Kombo can be asked for a record by this id. Ids are sent in one value with commas between them; what nobody but
/// a person with a database at hand would write is never sent.
pub(crate) fn can_be_sent(id: &str) -> bool {
    const LONGEST: usize = 200;
    let is_odd = |letter: char| letter == ',' || letter.is_whitespace() || letter.is_control();
    !id.is_empty() && id.len() <= LONGEST && !id.contains(is_odd)
}

/// Whether a refused look-up of one id is about that id, which Kombo's records do not have: a look-up of a record that the
/// list shows is answered. Sources may check the form of ids, and a person may have written any.
pub(crate) async fn refuses_the_id<So: Source>(
    source: &So,
    integration: &IntegrationId,
    endpoint: Endpoint,
    priority: SyncKind,
) -> Result<bool, SourceError> {
    let open = |fetch| source.open(FetchSpec { integration_id: integration.clone(), endpoint, fetch, priority });
    let first = open(Fetch::List { updated_after: None, from: None }).next_page().await?;
    let shown = first.into_iter().flat_map(|page| page.records).map(|record| record.id().to_owned());
    let Some(id) = { shown }.find(|id| can_be_sent(id)) else { return Ok(false) };
    match open(Fetch::Ids(vec![id])).next_page().await {
        Ok(_) => Ok(true),
        Err(error) if error.class == FailureClass::RequestRefused => Ok(false),
        Err(error) => Err(error),
    }
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
        for id in page.records.iter().map(Record::id).chain(rejected) {
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

/// How many ids one look-up names: as many as are wanted, and fewer once a source refuses them or fails over them. How many
/// fit into an address, and how many a source takes, is not documented.
#[derive(Debug)]
pub(crate) struct LookUpSize {
    most: usize,
    now: usize,
    accepted: usize,
    /// Up to so many, each look-up may name more than the one before.
    fast_until: usize,
}

impl LookUpSize {
    /// Above, after so many look-ups that went well, twice as many ids are tried.
    const TRY_MORE_AFTER: usize = 20;

    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, accepted: 0, fast_until: most }
    }

    /// How many ids the next look-up may name: at least one.
    pub(crate) fn get(&self) -> usize {
        self.now
    }

    /// A look-up went well.
    pub(crate) fn accept(&mut self) {
        self.accepted += 1;
        let is_fast = self.now < self.fast_until;
        if is_fast || self.accepted >= Self::TRY_MORE_AFTER {
            self.accepted = 0;
            self.now = self.now.saturating_mul(2).min(if is_fast { self.fast_until } else { self.most });
        }
    }

    /// Whether a look-up of so many ids that failed is to be made with fewer. If it may be an outage, one id tells.
    pub(crate) fn reduce(&mut self, asked: usize, error: &SourceError) -> bool {
        let fewer = match error.class {
            _ if asked <= 1 => return false,
            FailureClass::RequestRefused | FailureClass::Unintelligible => asked / 2,
            FailureClass::Transient => 1,
            FailureClass::KeyRejected
            | FailureClass::IntegrationNotFound
            | FailureClass::IntegrationUnavailable
            | FailureClass::SetupPending
            | FailureClass::ModelUnavailable => return false,
        };
        *self = Self { most: self.most, now: fewer, accepted: 0, fast_until: asked / 2 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(class: FailureClass) -> SourceError {
        SourceError { class, message: String::new(), retry_after: None }
    }

    #[test]
    fn what_is_refused_is_halved_and_what_fails_is_tried_with_one_id() {
        let mut size = LookUpSize::new(100);
        assert!(size.reduce(100, &failure(FailureClass::RequestRefused)));
        assert_eq!(size.get(), 50);
        assert!(size.reduce(50, &failure(FailureClass::Transient)));
        let grown: Vec<usize> = (0..6)
            .map(|_| {
                let now = size.get();
                size.accept();
                now
            })
            .collect();
        assert_eq!(grown, [1, 2, 4, 8, 16, 25]);
        (0..LookUpSize::TRY_MORE_AFTER).for_each(|_| size.accept());
        assert_eq!(size.get(), 50);
    }

    #[test]
    fn an_outage_ends_with_one_id() {
        let mut size = LookUpSize::new(100);
        assert!(size.reduce(100, &failure(FailureClass::Transient)));
        assert!(!size.reduce(size.get(), &failure(FailureClass::Transient)));
        assert!(!LookUpSize::new(100).reduce(100, &failure(FailureClass::KeyRejected)));
    }
}

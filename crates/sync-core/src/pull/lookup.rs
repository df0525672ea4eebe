//! Looks up records by id, to find those that no longer exist.

use std::collections::BTreeSet;

use kombo_model::catalogue::Record;
use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::jobs::request::SyncKind;
use crate::ports::source::{FailureClass, Fetch, FetchSpec, Pages, RecordPage, Source, SourceError};
use crate::rows::json::clean_text;

/// Whether a look-up can contain this id. Ids are sent as one comma-separated value. Unusual ids, which can only come
/// from a manual edit of the database, are never sent.
pub(crate) fn can_be_sent(id: &str) -> bool {
    const LONGEST: usize = 200;
    let is_odd = |letter: char| letter == ',' || letter.is_whitespace() || letter.is_control();
    !id.is_empty() && id.len() <= LONGEST && !id.contains(is_odd)
}

/// The meaning of a failed look-up of a single id for the record.
pub(crate) enum Verdict {
    /// The source rejects the id while it accepts others, so no record has it. Sources may check the format of ids, and
    /// a manual edit may have stored any id.
    NoSuchRecord,
    /// The source fails on this id and answers others: nothing is known about the record.
    Undecided(SourceError),
    /// The source answers others now. It may have been unavailable for a moment.
    TryAgain,
}

/// Finds out whether a look-up of a single id failed because of that id.
#[derive(Debug, Default)]
pub(crate) struct SingleId {
    /// The id that failed last.
    failed: Option<String>,
}

impl SingleId {
    /// Judges a failure. `later` are ids that are not looked up yet; they serve for comparison if the list is empty.
    ///
    /// # Errors
    /// The failure itself if it is not due to the id.
    pub(crate) async fn judge<So: Source>(
        &mut self,
        source: &So,
        (integration, endpoint, priority): (&IntegrationId, Endpoint, SyncKind),
        (id, later): (&str, &[String]),
        error: SourceError,
    ) -> Result<Verdict, SourceError> {
        let open = |fetch| source.open(FetchSpec { integration_id: integration.clone(), endpoint, fetch, priority });
        let is_refused = error.class == FailureClass::RequestRefused;
        if !is_refused && !matches!(error.class, FailureClass::Transient | FailureClass::Unintelligible) {
            return Err(error);
        }
        let first = open(Fetch::List { updated_after: None, from: None }).next_page().await?;
        let shown = first.into_iter().flat_map(|page| page.records).map(|record| record.id().to_owned());
        let mut others =
            shown.chain(later.iter().cloned()).filter(|other| other != id && can_be_sent(other)).peekable();
        let none_to_compare = others.peek().is_none();
        let mut answered = false;
        for other in others.take(OTHER_IDS) {
            answered = answered || open(Fetch::Ids(vec![other])).next_page().await.is_ok();
        }
        if !answered && !none_to_compare {
            return Err(error);
        }
        if is_refused && answered {
            return Ok(Verdict::NoSuchRecord);
        }
        if !is_refused && self.failed.as_deref() != Some(id) {
            self.failed = Some(id.to_owned());
            return Ok(Verdict::TryAgain);
        }
        Ok(Verdict::Undecided(error))
    }
}

/// Number of other ids to look up for comparison: one of them may fail as well.
const OTHER_IDS: usize = 3;

/// A look-up in progress, with the ids that were not returned yet.
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

    /// Notes a returned page. A record that cannot be read exists too.
    pub(crate) fn note(&mut self, page: &RecordPage) {
        self.asked_at.get_or_insert(page.requested_at);
        self.nameless |= page.rejected.iter().any(|rejected| rejected.id.is_none());
        let rejected = page.rejected.iter().filter_map(|rejected| rejected.id.as_deref());
        for id in page.records.iter().map(Record::id).chain(rejected) {
            self.missing.remove(&clean_text(id.to_owned()));
        }
    }

    /// Returns the ids that Kombo did not return, and the time of the look-up. `None` if a record has no readable id,
    /// because it may be any of them.
    pub(crate) fn gone(self) -> Option<(Timestamp, Vec<String>)> {
        let asked_at = self.asked_at.filter(|_| !self.nameless && !self.missing.is_empty())?;
        Some((asked_at, self.missing.into_iter().collect()))
    }
}

/// The number of ids in a look-up. It decreases when the source rejects a look-up or fails. The longest possible URL
/// and the largest number of ids of a source are not documented.
#[derive(Debug)]
pub(crate) struct LookUpSize {
    most: usize,
    now: usize,
    accepted: usize,
    /// Below this number, each successful look-up doubles the size.
    fast_until: usize,
}

impl LookUpSize {
    /// Beyond that, the size doubles after this many successful look-ups.
    const TRY_MORE_AFTER: usize = 20;

    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, accepted: 0, fast_until: most }
    }

    /// Returns the maximum number of ids in the next look-up, at least one.
    pub(crate) fn get(&self) -> usize {
        self.now
    }

    /// Notes a successful look-up.
    pub(crate) fn accept(&mut self) {
        self.accepted += 1;
        let is_fast = self.now < self.fast_until;
        if is_fast || self.accepted >= Self::TRY_MORE_AFTER {
            self.accepted = 0;
            self.now = self.now.saturating_mul(2).min(if is_fast { self.fast_until } else { self.most });
        }
    }

    /// Whether to repeat a failed look-up of `asked` ids with fewer. After a temporary failure, a look-up of one id
    /// shows whether it is an outage.
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

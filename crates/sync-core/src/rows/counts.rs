use serde::{Deserialize, Serialize};

use crate::rows::change::ChangeKind;

/// What a run did.
///
/// `records`, `unchanged`, `indirect`, `stale` and `quarantined` count the records that the endpoint returned;
/// `created`, `updated`, `deleted` and `restored` count rows of any model, those of nested copies included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Pages fetched.
    pub pages: u64,
    /// Records returned.
    pub records: u64,
    /// Rows that are new.
    pub created: u64,
    /// Rows with values that differ.
    pub updated: u64,
    /// Rows whose record is gone.
    pub deleted: u64,
    /// Rows whose record is back.
    pub restored: u64,
    /// Records that say what is stored.
    pub unchanged: u64,
    /// Records that a delta returned although they did not change themselves.
    pub indirect: u64,
    /// Records that were older than the stored row.
    pub stale: u64,
    /// Records that could not be read or stored.
    pub quarantined: u64,
    /// Rows that a delta removed because the list of their record no longer shows them.
    pub unlisted: u64,
    /// Such rows that were kept because they were suspiciously many.
    pub withheld: u64,
}

impl RunCounts {
    /// Counts a change to a row.
    pub fn count(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Updated => self.updated += 1,
            ChangeKind::Deleted => self.deleted += 1,
            ChangeKind::Restored => self.restored += 1,
        }
    }

    /// Adds what a batch did.
    pub fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.records += other.records;
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.restored += other.restored;
        self.unchanged += other.unchanged;
        self.indirect += other.indirect;
        self.stale += other.stale;
        self.quarantined += other.quarantined;
        self.unlisted += other.unlisted;
        self.withheld += other.withheld;
    }
}

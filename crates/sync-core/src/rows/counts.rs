use serde::{Deserialize, Serialize};

use crate::rows::change::ChangeKind;

/// The counts of a run.
///
/// `records`, `unchanged`, `indirect` and `stale` count the records that the endpoint returned.
/// `created`, `updated`, `deleted` and `restored` count rows of any model, including nested copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Fetched pages.
    pub pages: u64,
    /// Returned records.
    pub records: u64,
    /// New rows.
    pub created: u64,
    /// Rows with different values.
    pub updated: u64,
    /// Rows of records that are gone.
    pub deleted: u64,
    /// Rows of records that exist again.
    pub restored: u64,
    /// Records that equal the stored rows.
    pub unchanged: u64,
    /// Records that a delta returned although they did not change themselves.
    pub indirect: u64,
    /// Records that are older than the stored row.
    pub stale: u64,
    /// Records that could not be read, stored or looked up.
    pub quarantined: u64,
    /// Rows that a delta removed because the list of their record no longer shows them.
    pub unlisted: u64,
    /// Rows that lists no longer show, but that were kept because they were suspiciously many.
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

    /// Adds the counts of a batch.
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

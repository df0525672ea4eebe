//! Compares a returned row with the stored one. Plain functions: no IO, no clock.

use std::cmp::Ordering;
use std::time::Duration;

use kombo_model::Timestamp;

use crate::jobs::request::SyncKind;
use crate::rows::Model;
use crate::rows::batch::{Incoming, Provenance};
use crate::rows::change::{ChangeCause, ChangeKind};
use crate::rows::row::{MirrorRow, NewRow, StoredRow, Value};
use crate::words::words;

words! {
    /// Treatment of the values of a record that Kombo marks as deleted.
    pub enum Tombstones {
        /// Kombo's later nulls replace the values.
        Mirror = "mirror",
        /// The last values are kept.
        Keep = "keep",
    }
}

/// The context in which a returned row is compared.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Kind of the fetch.
    pub kind: SyncKind,
    /// Treatment of the values of a deleted record.
    pub tombstones: Tombstones,
    /// The endpoint's watermark at the start of the fetch. Earlier fetches have shown all changes up to this time.
    pub known_until: Option<Timestamp>,
    /// Whether a webhook announced changes that only a full fetch is certain to show.
    pub announced: bool,
    /// The time of the comparison. No stored row was observed later.
    pub now: Timestamp,
    /// Whether the response is authoritative for the current state of a record, like a look-up by id. Pages of a list
    /// are not: they may show a record twice, with the older content last.
    pub settles: bool,
    /// The latest credible time, see [`latest_credible`]. A later `changed_at`, stored or returned, does not show which
    /// content is newer.
    pub latest: Timestamp,
}

/// Maximum lead of a credible time over both clocks.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Returns the latest credible time of an event, by our clock and by Kombo's.
pub fn latest_credible(now: Timestamp, kombo: Option<Timestamp>) -> Timestamp {
    now.max(kombo.unwrap_or(now)).saturating_add(TOLERANCE)
}

/// Compares the age of two contents of a record by the times at which they changed. `None` if the times do not decide.
pub(crate) fn by_change(one: Option<Timestamp>, other: Option<Timestamp>, latest: Timestamp) -> Option<Ordering> {
    let credible = |at: &Timestamp| *at <= latest;
    Some(one.filter(credible)?.cmp(&other.filter(credible)?)).filter(|order| order.is_ne())
}

/// The result of comparing a returned row with the stored one.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The stored row has the same values.
    Unchanged,
    /// The stored row takes precedence: it comes from a later response, or has a later `changed_at`.
    Stale,
    /// The row must be written, but no logged value changed. Only `changed_at` or `synced_at` differs.
    Touched(StoredRow),
    /// The row must be written, and the change is logged.
    Changed {
        /// The row to write.
        row: StoredRow,
        /// Kind of the change.
        kind: ChangeKind,
        /// The columns that differ; empty for a new row, see [`first_values`].
        fields: Vec<ChangedField>,
        /// Whether the record's own `changed_at` shows the change: it is later than the known one.
        announced: bool,
    },
}

/// A column with different values.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedField {
    /// Name of the column.
    pub name: &'static str,
    /// The stored value; null if no row was stored.
    pub old: Value,
    /// The value to store.
    pub new: Value,
}

/// Compares a returned row with the stored one.
///
/// - A row with an older `changed_at` is stale, unless the response is authoritative. In a full fetch, the sweep then
///   looks the record up. A removed row that a full fetch shows is restored, whatever its times are.
/// - A row from a later response stays, unless the returned row has a later `changed_at` of its own.
/// - Times that lie ahead of both clocks do not count.
/// - Only the values that the row carries are set. A [`Provenance::Copy`] never changes a record that is deleted or
///   removed: copies do not show that state, and would restore erased values. A [`Provenance::SoleCopy`] restores a
///   removed row, but not a record that its own list showed as deleted.
/// - In a full fetch, a [`Provenance::Copy`] does not change a record that its own list has shown. If the two
///   contradict each other, the list takes precedence.
/// - A stored value that cannot be read is overwritten, and so is a row with a `synced_at` that no fetch can have
///   written.
pub fn compare(incoming: &Incoming, stored: Option<&StoredRow>, reading: Reading) -> Verdict {
    let Some(stored) = stored else {
        return created(incoming, reading);
    };
    if !may_touch(incoming.provenance, stored, reading.kind) {
        return Verdict::Unchanged;
    }
    let removed_at = if incoming.provenance == Provenance::Copy { stored.removed_at } else { None };
    let reappeared = removed_at != stored.removed_at;
    // Most rows of a full fetch return here, so nothing is copied before.
    if !reappeared && stored.is_dated(reading.now) && says_the_same(&incoming.row, &stored.row, reading.tombstones) {
        return Verdict::Unchanged;
    }

    let (said, known) = (incoming.row.changed_at(), stored.row.changed_at());
    let change = by_change(said, known, reading.latest);
    let credible = |time: Timestamp| time <= reading.latest;
    let newer = change == Some(Ordering::Greater) || said.is_some_and(credible) && !known.is_some_and(credible);
    let older = change == Some(Ordering::Less);
    let counts = match reading.kind {
        SyncKind::Delta => true,
        SyncKind::Full => !reading.settles && stored.removed_at.is_none(),
    };
    let known_at = stored.observed_at(reading.now);
    let observed_before = incoming.observed_at < known_at;
    if (observed_before && !newer) || (older && counts) {
        return Verdict::Stale;
    }

    let row = merged(&incoming.row, &stored.row, reading.tombstones);
    let mut fields = differences(incoming.model, &row, &stored.row);
    if reappeared {
        fields.push(ChangedField { name: "removed_at", old: stored.removed_at.into(), new: Value::Null });
    }
    let written = StoredRow { row, removed_at, synced_at: incoming.observed_at.max(known_at) };
    if fields.is_empty() {
        return Verdict::Touched(written);
    }
    let kind = match (stored.is_live(), written.is_live()) {
        (true, false) => ChangeKind::Deleted,
        (false, true) => ChangeKind::Restored,
        (true, true) | (false, false) => ChangeKind::Updated,
    };
    Verdict::Changed { row: written, kind, fields, announced: newer }
}

fn may_touch(provenance: Provenance, stored: &StoredRow, kind: SyncKind) -> bool {
    // Only records that their own list has shown have a `changed_at`.
    let was_listed = stored.row.changed_at().is_some();
    match provenance {
        Provenance::Listed | Provenance::Owned => true,
        Provenance::Copy => stored.is_live() && !(was_listed && kind == SyncKind::Full),
        Provenance::SoleCopy => stored.row.remote_deleted_at().is_none() || !was_listed,
    }
}

/// Returns the removed form of a row that a complete list no longer shows. `None` if the row is already removed, or
/// comes from a later response than the list.
pub fn remove(stored: &StoredRow, observed_at: Timestamp, now: Timestamp) -> Option<StoredRow> {
    (stored.removed_at.is_none() && stored.observed_at(now) <= observed_at).then(|| StoredRow {
        row: stored.row.clone(),
        removed_at: Some(observed_at),
        synced_at: observed_at,
    })
}

/// Returns the removed form of a row after its list is gone together with its record. `None` if the row is already
/// removed. The time of its last write does not matter, because no later fetch would look for it again.
pub fn remove_with_list(stored: &StoredRow, observed_at: Timestamp, now: Timestamp) -> Option<StoredRow> {
    stored.removed_at.is_none().then(|| StoredRow {
        row: stored.row.clone(),
        removed_at: Some(observed_at),
        synced_at: observed_at.max(stored.observed_at(now)),
    })
}

/// Returns the cause that the change log states for a change.
pub fn cause(kind: SyncKind, provenance: Provenance, announced: bool) -> ChangeCause {
    match (kind, provenance) {
        (SyncKind::Full, _) if !announced => ChangeCause::Drift,
        (_, Provenance::Copy | Provenance::SoleCopy) => ChangeCause::Nested,
        (_, Provenance::Listed | Provenance::Owned) => ChangeCause::Direct,
    }
}

fn created(incoming: &Incoming, reading: Reading) -> Verdict {
    let row = NewRow { row: &incoming.row, synced_at: incoming.observed_at }.to_stored();
    let (kind, announced) = first_seen(incoming, reading);
    Verdict::Changed { row, kind, fields: Vec::new(), announced }
}

/// Returns the kind of the change for a record that is not stored yet, and whether its own `changed_at` shows the
/// change.
pub(crate) fn first_seen(incoming: &Incoming, reading: Reading) -> (ChangeKind, bool) {
    // A record may already be deleted when it is seen for the first time.
    let kind = if incoming.row.remote_deleted_at().is_some() { ChangeKind::Deleted } else { ChangeKind::Created };
    // A row that an earlier fetch must have shown is not new: it was deleted from the database.
    let announced = incoming.row.changed_at().is_some_and(|said| reading.known_until.is_none_or(|known| said > known));
    (kind, announced)
}

/// Returns the values of a new row, for the change log.
pub fn first_values(model: Model, row: &MirrorRow) -> Vec<ChangedField> {
    let said = row.values().iter().zip(model.columns());
    said.filter(|(value, column)| !value.is_null() && !value.is_absent() && column.name != CHANGED_AT)
        .map(|(value, column)| ChangedField { name: column.name, old: Value::Null, new: value.clone() })
        .collect()
}

/// Whether a returned value leaves any readable stored value unchanged.
fn is_kept(said: &Value, stored: &Value, keeps_nulls: bool) -> bool {
    (said.is_absent() || keeps_nulls && said.is_null()) && !stored.is_unreadable()
}

fn keeps_nulls(incoming: &MirrorRow, tombstones: Tombstones) -> bool {
    tombstones == Tombstones::Keep && incoming.remote_deleted_at().is_some()
}

fn says_the_same(incoming: &MirrorRow, stored: &MirrorRow, tombstones: Tombstones) -> bool {
    let keep = keeps_nulls(incoming, tombstones);
    incoming.values().iter().zip(stored.values()).all(|(said, stored)| is_kept(said, stored, keep) || said == stored)
}

/// Returns the stored row with the values that the returned one carries.
fn merged(incoming: &MirrorRow, stored: &MirrorRow, tombstones: Tombstones) -> MirrorRow {
    let keep = keeps_nulls(incoming, tombstones);
    let mut row = stored.clone();
    for (value, said) in row.values_mut().iter_mut().zip(incoming.values()) {
        if !is_kept(said, value, keep) {
            *value = if said.is_absent() { Value::Null } else { said.clone() };
        }
    }
    row
}

const CHANGED_AT: &str = "changed_at";

/// Returns the columns in which two rows differ, except `changed_at`.
pub fn differences(model: Model, new: &MirrorRow, old: &MirrorRow) -> Vec<ChangedField> {
    let pairs = new.values().iter().zip(old.values()).zip(model.columns());
    pairs
        .filter(|((new, old), column)| new != old && column.name != CHANGED_AT)
        .map(|((new, old), column)| ChangedField { name: column.name, old: old.clone(), new: new.clone() })
        .collect()
}

//! What a returned row means, next to the stored one. Plain functions: no IO, no clock.

use std::cmp::Ordering;
use std::time::Duration;

use kombo_model::Timestamp;

use crate::jobs::request::SyncKind;
use crate::rows::batch::{Incoming, Provenance};
use crate::rows::change::{ChangeCause, ChangeKind};
use crate::rows::model::Model;
use crate::rows::row::{MirrorRow, NewRow, StoredRow, Value};
use crate::words::words;

words! {
    /// What becomes of the values of a record that Kombo marks as deleted.
    pub enum Tombstones {
        /// Kombo's later nulls are taken over.
        Mirror = "mirror",
        /// The last values stay.
        Keep = "keep",
    }
}

/// What the fetch that returned a row knows.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Whether everything is being fetched or only what changed.
    pub kind: SyncKind,
    /// What becomes of the values of a deleted record.
    pub tombstones: Tombstones,
    /// Up to when earlier fetches showed every change: the endpoint's watermark as the fetch began.
    pub known_until: Option<Timestamp>,
    /// Whether a webhook said that something changed which only a full fetch is sure to show.
    pub announced: bool,
    /// When it is read: no stored row was observed later.
    pub now: Timestamp,
    /// Whether the response settles what a record is now, as a look-up by id does. Pages of a list may show a record twice,
    /// and the older content last.
    pub settles: bool,
    /// The latest credible time, see [`latest_credible`]. A later `changed_at`, stored or returned, says nothing about which
    /// content is newer.
    pub latest: Timestamp,
}

/// How far ahead of both clocks a time may lie.
const TOLERANCE: Duration = Duration::from_secs(300);

/// The latest time that anything can have happened, by our clock and by Kombo's.
pub fn latest_credible(now: Timestamp, kombo: Option<Timestamp>) -> Timestamp {
    now.max(kombo.unwrap_or(now)).saturating_add(TOLERANCE)
}

/// Which of two contents of a record is newer, by the times at which they changed. Nothing if these do not tell.
pub(crate) fn by_change(one: Option<Timestamp>, other: Option<Timestamp>, latest: Timestamp) -> Option<Ordering> {
    let credible = |at: &Timestamp| *at <= latest;
    Some(one.filter(credible)?.cmp(&other.filter(credible)?)).filter(|order| order.is_ne())
}

/// What a returned row means.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The stored row says the same.
    Unchanged,
    /// The stored row knows better: it was written from a later response, or holds a later `changed_at`.
    Stale,
    /// The row is to be written, and nothing that anybody would want to know changed (only `changed_at` moved).
    Touched(StoredRow),
    /// The row is to be written.
    Changed {
        /// The row to write.
        row: StoredRow,
        /// What happened to the record.
        kind: ChangeKind,
        /// The columns whose values differ. Of a new row none are named: see [`first_values`].
        fields: Vec<ChangedField>,
        /// Whether the record's own `changed_at` tells of the change: it is later than what is known.
        announced: bool,
    },
}

/// A column whose value differs.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedField {
    /// The column.
    pub name: &'static str,
    /// The stored value; null where there was no row.
    pub old: Value,
    /// The value to store.
    pub new: Value,
}

/// Compares a returned row with the stored one.
///
/// - An older `changed_at` is stale, unless the response settles what the record is now. In a full fetch, the sweep then looks
///   the record up. A removed row that a full fetch shows is back, whatever its times say.
/// - Whatever was written from a later response stays, unless the returned row has a later `changed_at` of its own.
/// - Times that lie ahead of both clocks do not count.
/// - Only the values that the row carries are set. A [`Provenance::Copy`] never touches a record that is deleted or
///   removed: copies say nothing of that, and would bring back what was erased. A [`Provenance::SoleCopy`] brings back what
///   was removed, but no record that its own list showed as deleted.
/// - In a full fetch, a [`Provenance::Copy`] says nothing of a record that its own list has shown. If the two contradict each
///   other, the list decides.
/// - What is stored and cannot be read is overwritten, and so is a row with a `synced_at` that no fetch can have written.
pub fn compare(incoming: &Incoming, stored: Option<&StoredRow>, reading: Reading) -> Verdict {
    let Some(stored) = stored else {
        return created(incoming, reading);
    };
    if !may_touch(incoming.provenance, stored, reading.kind) {
        return Verdict::Unchanged;
    }
    let removed_at = if incoming.provenance == Provenance::Copy { stored.removed_at } else { None };
    let reappeared = removed_at != stored.removed_at;
    // Most rows of a full fetch end here, so nothing was copied yet.
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
    // Only a record that its own list has shown has a `changed_at`.
    let was_listed = stored.row.changed_at().is_some();
    match provenance {
        Provenance::Listed | Provenance::Owned => true,
        Provenance::Copy => stored.is_live() && !(was_listed && kind == SyncKind::Full),
        Provenance::SoleCopy => stored.row.remote_deleted_at().is_none() || !was_listed,
    }
}

/// A row that a whole list no longer shows, as it is to be written; `None` if that is known already or the row was
/// written from a later response than the list.
pub fn remove(stored: &StoredRow, observed_at: Timestamp, now: Timestamp) -> Option<StoredRow> {
    (stored.removed_at.is_none() && stored.observed_at(now) <= observed_at).then(|| StoredRow {
        row: stored.row.clone(),
        removed_at: Some(observed_at),
        synced_at: observed_at,
    })
}

/// A row whose list is gone with the record that had it, as it is to be written; `None` if it is removed already. When
/// it was written does not matter: nobody would ever look for it again.
pub fn remove_with_list(stored: &StoredRow, observed_at: Timestamp, now: Timestamp) -> Option<StoredRow> {
    stored.removed_at.is_none().then(|| StoredRow {
        row: stored.row.clone(),
        removed_at: Some(observed_at),
        synced_at: observed_at.max(stored.observed_at(now)),
    })
}

/// What the change log says of a change as its cause.
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

/// What happened to a record of which nothing is stored, and whether its own `changed_at` tells of it.
pub(crate) fn first_seen(incoming: &Incoming, reading: Reading) -> (ChangeKind, bool) {
    // A record may already be deleted when it is seen for the first time.
    let kind = if incoming.row.remote_deleted_at().is_some() { ChangeKind::Deleted } else { ChangeKind::Created };
    // A row that an earlier fetch must have shown is not new: somebody removed it here.
    let announced = incoming.row.changed_at().is_some_and(|said| reading.known_until.is_none_or(|known| said > known));
    (kind, announced)
}

/// What a new row brings, as the change log names it.
pub fn first_values(model: Model, row: &MirrorRow) -> Vec<ChangedField> {
    let said = row.values().iter().zip(model.columns());
    said.filter(|(value, column)| !value.is_null() && !value.is_absent() && column.name != CHANGED_AT)
        .map(|(value, column)| ChangedField { name: column.name, old: Value::Null, new: value.clone() })
        .collect()
}

/// Whether a returned value leaves the stored one as it is, whatever that is, as long as it can be read.
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

/// The stored row with the values that the returned one carries.
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

/// The columns in which two rows differ, `changed_at` aside: it says when, not what.
pub fn differences(model: Model, new: &MirrorRow, old: &MirrorRow) -> Vec<ChangedField> {
    let pairs = new.values().iter().zip(old.values()).zip(model.columns());
    pairs
        .filter(|((new, old), column)| new != old && column.name != CHANGED_AT)
        .map(|((new, old), column)| ChangedField { name: column.name, old: old.clone(), new: new.clone() })
        .collect()
}

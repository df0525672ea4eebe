use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sync_core::changes::Change;
use sync_core::rows::ChangeKind;
use sync_core::rows::{Model, StoredRow};

use super::daemon::Tables;

/// The columns of a row that have a value, `removed_at` included, in the form of the change log. The log leaves out
/// `changed_at` and `synced_at`.
pub type Fields = BTreeMap<String, Json>;
/// The rows of a table by record id, as in the change log.
pub type Table = BTreeMap<String, Fields>;

/// A mirror that is rebuilt from the change log alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger(BTreeMap<Model, Table>);

impl Ledger {
    /// Returns the content of the tables: the snapshot at the start or at the end of a log.
    pub fn of(tables: &Tables) -> Self {
        let mut ledger = Self::default();
        for (model, rows) in tables {
            for stored in rows {
                ledger.table(*model).insert(stored.row.key.to_string(), fields(*model, stored));
            }
        }
        ledger
    }

    /// Applies a log entry, which must continue from the state that the earlier entries left.
    ///
    /// # Errors
    ///
    /// Describes the contradiction.
    pub fn replay(&mut self, change: &Change) -> Result<(), String> {
        let (model, record) = (change.model, &change.record_id);
        let wrong = |what: String| format!("entry {}, {model} {record} {}: {what}", change.seq, change.kind);
        let before = self.table(model).get(record).cloned();
        let mut after = before.clone().unwrap_or_default();
        let entry = change.fields.as_object().ok_or_else(|| wrong("no values".to_owned()))?;
        for (name, value) in entry {
            let (Some(old), Some(new)) = (value.get("old"), value.get("new")) else {
                return Err(wrong(format!("{name} without a value")));
            };
            let known = after.get(name).unwrap_or(&Json::Null);
            if known != old {
                return Err(wrong(format!("{name} was {known}, not {old}")));
            }
            // An unreadable value is null in the log, and may become null.
            if old == new && !new.is_null() {
                return Err(wrong(format!("{name} did not change")));
            }
            after.insert(name.clone(), new.clone());
        }
        after.retain(|_, value| !value.is_null());
        let kind = kind(before.as_ref(), Some(&after));
        if kind != Some(change.kind) {
            return Err(wrong(format!("it is {kind:?}")));
        }
        self.table(model).insert(record.clone(), after);
        Ok(())
    }

    /// Adds a row that the log does not mention.
    pub fn take_over(&mut self, model: Model, stored: &StoredRow) {
        self.table(model).insert(stored.row.key.to_string(), fields(model, stored));
    }

    /// Describes the difference between a row and the replayed log.
    pub fn difference(&self, model: Model, stored: &StoredRow) -> Option<String> {
        let key = stored.row.key.to_string();
        let (led_to, is) = (self.0.get(&model).and_then(|table| table.get(&key)), fields(model, stored));
        (led_to != Some(&is)).then(|| format!("{model} {key}: the log says {led_to:?}, stored is {is:?}"))
    }

    /// Returns the rows of a table.
    pub fn rows(&self, model: Model) -> impl Iterator<Item = (&String, &Fields)> {
        self.0.get(&model).into_iter().flatten()
    }

    /// Describes the rows that differ from those of `other`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for model in Model::LMS {
            let (mine, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
                (self.rows(model).collect(), other.rows(model).collect());
            let keys: BTreeSet<_> = mine.keys().chain(others.keys()).collect();
            let unlike = keys.into_iter().filter(|key| mine.get(*key) != others.get(*key));
            found.extend(unlike.map(|key| format!("{model} {key}: {:?} is {:?}", mine.get(key), others.get(key))));
        }
        found
    }

    fn table(&mut self, model: Model) -> &mut Table {
        self.0.entry(model).or_default()
    }
}

/// The expected kind of a logged change; `None` if there is no row afterwards.
fn kind(before: Option<&Fields>, after: Option<&Fields>) -> Option<ChangeKind> {
    let live = |fields: &Fields| !fields.contains_key("removed_at") && !fields.contains_key("remote_deleted_at");
    Some(match (before.map(live), live(after?)) {
        (None, true) => ChangeKind::Created,
        (None | Some(true), false) => ChangeKind::Deleted,
        (Some(false), true) => ChangeKind::Restored,
        (Some(true), true) | (Some(false), false) => ChangeKind::Updated,
    })
}

fn fields(model: Model, stored: &StoredRow) -> Fields {
    let columns = model.columns().iter().zip(stored.row.values());
    let values = columns.filter(|(column, _)| column.name != "changed_at");
    let mut fields: Fields = values.map(|(column, value)| (column.name.to_owned(), value.to_json())).collect();
    fields.insert("removed_at".to_owned(), stored.removed_at.map_or(Json::Null, |at| Json::String(at.to_string())));
    fields.retain(|_, value| !value.is_null());
    fields
}

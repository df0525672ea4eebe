use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::rows::{Batch, Incoming, Key, MirrorRow, Model, Provenance, StoredRow, decompose};

use super::lms::Lms;
use crate::MemoryStore;
use crate::history::Tables;

/// Expected content of a mirror: the rows of every model, including those of deleted records.
///
/// A model without a mirrored endpoint is known from partial copies only. Its rows then contain the values of the
/// copies.
#[derive(Debug, Clone)]
pub struct Truth {
    endpoints: BTreeSet<Endpoint>,
    rows: BTreeMap<Model, BTreeMap<Key, MirrorRow>>,
    keeps_values: bool,
}

impl Truth {
    pub(super) fn of(lms: &Lms, endpoints: &BTreeSet<Endpoint>) -> Self {
        let mut truth = Self { endpoints: endpoints.clone(), rows: BTreeMap::new(), keeps_values: false };
        for endpoint in endpoints {
            let mut batch = Batch::default();
            for record in lms.list(*endpoint) {
                // No mirror contains values that cannot be stored.
                drop(decompose(record, Timestamp::MIN, &mut batch));
            }
            for incoming in batch.rows {
                truth.add(incoming);
            }
        }
        truth
    }

    /// Adapts the expectation to a mirror in which deleted records keep their values: nulls of such records are
    /// ignored.
    #[must_use]
    pub fn keeping_values(self) -> Self {
        Self { keeps_values: true, ..self }
    }

    /// Returns the rows of a model by key.
    pub fn rows(&self, model: Model) -> impl Iterator<Item = &MirrorRow> {
        self.rows.get(&model).into_iter().flat_map(BTreeMap::values)
    }

    /// Describes the differences between the stored rows and the expected ones; empty if there are none.
    pub fn differences(&self, store: &MemoryStore, integration: &IntegrationId) -> Vec<String> {
        let tables = Model::LMS.into_iter().map(|model| (model, store.table(model, integration))).collect();
        let mut found = self.lacking(&tables);
        found.extend(self.surplus(&tables));
        found
    }

    /// Describes rows that are missing or have other values.
    pub fn lacking(&self, tables: &Tables) -> Vec<String> {
        let mut found = Vec::new();
        for (model, table) in tables {
            let stored: BTreeMap<&Key, &StoredRow> = table.iter().map(|row| (&row.row.key, row)).collect();
            for row in self.rows(*model) {
                match stored.get(&row.key) {
                    None => found.push(format!("{model} {}: missing", row.key)),
                    Some(stored) => self.compare(*model, row, stored, &mut found),
                }
            }
        }
        found
    }

    /// Describes live rows that Kombo does not have.
    pub fn surplus(&self, tables: &Tables) -> Vec<String> {
        let mut found = Vec::new();
        // If a model is not listed whole, a row that no course shows any more is unknown rather than gone.
        for (model, table) in tables.iter().filter(|(model, _)| self.is_listed_whole(**model)) {
            let surplus = table.iter().filter(|stored| stored.is_live());
            let surplus = surplus.filter(|stored| !self.rows(*model).any(|row| row.key == stored.row.key));
            found.extend(surplus.map(|stored| format!("{model} {}: live, but not at Kombo", stored.row.key)));
        }
        found
    }

    fn add(&mut self, incoming: Incoming) {
        if (incoming.provenance == Provenance::Copy) != self.endpoints.contains(&incoming.model.owner()) {
            self.rows.entry(incoming.model).or_default().insert(incoming.row.key.clone(), incoming.row);
        }
    }

    fn compare(&self, model: Model, row: &MirrorRow, stored: &StoredRow, found: &mut Vec<String>) {
        let owned = self.endpoints.contains(&model.owner());
        if owned && stored.removed_at.is_some() {
            found.push(format!("{model} {}: removed, but at Kombo", row.key));
        }
        if !owned && !stored.is_live() {
            return;
        }
        for ((said, stored), column) in row.values().iter().zip(stored.row.values()).zip(model.columns()) {
            let is_kept = said.is_null() && self.keeps_values && row.remote_deleted_at().is_some();
            if !said.is_absent() && said != stored && !is_kept {
                let (stored, said) = (stored.to_json(), said.to_json());
                found.push(format!("{model} {} {}: {stored} instead of {said}", row.key, column.name));
            }
        }
    }

    fn is_listed_whole(&self, model: Model) -> bool {
        self.endpoints.contains(&model.owner()) && model != Model::LmsCourseProviders
    }
}

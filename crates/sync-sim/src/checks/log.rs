use std::collections::BTreeSet;

use kombo_model::IntegrationId;
use sync_core::changes::Change;
use sync_core::ports::StoreError;
use sync_core::rows::compare::Tombstones;
use sync_core::rows::{Model, StoredRow};

use super::Checks;
use crate::store::Seen;
use crate::world::World;

impl Checks {
    /// Checks that the log has every written row except those of first loads, that its numbers rise, and that every
    /// entry has its row.
    pub(super) fn log_goes_on(&mut self, world: &World, seen: &Seen) -> Result<(), String> {
        world.tally().changes += u64::try_from(seen.changes.len()).unwrap_or_default();
        for change in &seen.changes {
            let ledger = self.ledgers.entry(change.integration_id.clone()).or_default();
            ledger.replay(change).map_err(|wrong| format!("the log goes wrong: {wrong}"))?;
        }
        let quiet = seen.runs.iter().any(|run| run.first_load);
        for (model, integration, rows) in &seen.rows {
            let ledger = self.ledgers.entry(integration.clone()).or_default();
            for row in rows {
                match ledger.difference(*model, row) {
                    Some(_) if quiet => ledger.take_over(*model, row),
                    Some(wrong) => return Err(format!("log and row differ: {wrong}")),
                    None => {}
                }
            }
        }
        if seen.changes.is_empty() { Ok(()) } else { self.entries_have_rows(world, seen) }
    }

    fn entries_have_rows(&mut self, world: &World, seen: &Seen) -> Result<(), String> {
        let integrations: BTreeSet<&IntegrationId> = seen.changes.iter().map(|change| &change.integration_id).collect();
        let mut entries: Vec<Change> = Vec::new();
        for id in integrations {
            let last = self.last_seqs.get(id).copied().unwrap_or_default();
            let new = world.store.look(|tx| tx.changes(Some(id), last, usize::MAX));
            let mut new = new.map_err(|error: StoreError| error.to_string())?;
            self.last_seqs.insert(id.clone(), new.last().map_or(last, |entry| entry.seq));
            entries.append(&mut new);
        }
        if entries.len() != seen.changes.len() {
            return Err(format!("{} of these entries have growing numbers: {:#?}", entries.len(), seen.changes));
        }
        for entry in &entries {
            world.received().expect(entry);
            let rows = world.store.table(entry.model, &entry.integration_id);
            let row = rows.iter().find(|stored| stored.row.key.to_string() == entry.record_id);
            let Some(row) = row else { return Err(format!("an entry without its row: {entry:?}")) };
            let ledger = self.ledgers.entry(entry.integration_id.clone()).or_default();
            if let Some(wrong) = ledger.difference(entry.model, row) {
                return Err(format!("entry {} differs from its row: {wrong}", entry.seq));
            }
            if world.manner.policy.tombstones == Tombstones::Keep {
                keeps_values(entry, row)?;
            }
        }
        Ok(())
    }
}

/// Checks that no value of a deleted record becomes null.
fn keeps_values(entry: &Change, row: &StoredRow) -> Result<(), String> {
    let Some(fields) = entry.fields.as_object().filter(|_| row.row.remote_deleted_at().is_some()) else {
        return Ok(());
    };
    let lost = fields.iter().find(|(name, value)| {
        let is = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
        is_of_record(entry.model, name) && is("old") && !is("new")
    });
    lost.map_or(Ok(()), |(name, _)| Err(format!("the deleted record of entry {} lost its {name}", entry.seq)))
}

fn is_of_record(model: Model, name: &str) -> bool {
    name != "remote_deleted_at" && model.columns().iter().any(|column| column.name == name)
}

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use kombo_model::IntegrationId;
use sync_core::ports::{BulkRows, MirrorRows, SeenNotes, TxResult, UNSEEN_PAGE};
use sync_core::pull::RunId;
use sync_core::rows::{Key, Model, StoredRow, Value};

use super::super::state::Table;
use super::{MemoryTx, count, failed};

impl BulkRows for MemoryTx<'_> {}

impl MirrorRows for MemoryTx<'_> {
    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>> {
        self.reading()?;
        let Some(table) = self.state.table(model, integration) else { return Ok(Vec::new()) };
        let keys: BTreeSet<&Key> = keys.iter().collect();
        Ok(keys.into_iter().filter_map(|key| table.get(key).cloned()).collect())
    }

    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>> {
        self.reading()?;
        let parents: BTreeSet<&str> = parents.iter().map(String::as_str).collect();
        let table = self.state.table(model, integration).into_iter().flat_map(Table::values);
        Ok(table
            .filter(|row| row.removed_at.is_none())
            .filter(|row| parent(model, row).is_some_and(|parent| parents.contains(parent)))
            .cloned()
            .collect())
    }

    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        self.writing()?;
        let texts = |row: &'_ StoredRow| {
            let values = row.row.values().iter().filter_map(Value::text);
            values.chain([row.row.key.first()]).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        self.accept(rows.iter().flat_map(texts))?;
        let keys: BTreeSet<&Key> = rows.iter().map(|row| &row.row.key).collect();
        let absent = rows.iter().flat_map(|row| row.row.values()).any(Value::is_absent);
        if keys.len() < rows.len() || absent {
            self.broken = true;
            return Err(failed("rows to be written have a key twice, or a value that says nothing"));
        }
        let table = self.state.table_mut(model, integration);
        table.extend(rows.iter().map(|row| (row.row.key.clone(), row.clone())));
        Ok(())
    }

    fn rows_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>> {
        self.reading()?;
        let Some(table) = self.state.table(model, integration) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(table.range::<Key, _>((from, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn keys_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>> {
        self.reading()?;
        let Some(table) = self.state.table(model, integration) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = table.range::<Key, _>((from, Bound::Unbounded)).filter(|(_, row)| row.removed_at.is_none());
        Ok(rows.take(limit).map(|(key, _)| key.clone()).collect())
    }

    fn stray_rows(&mut self, model: Model) -> TxResult<Vec<(IntegrationId, u64)>> {
        self.reading()?;
        let tables = self.state.tables.iter();
        let strays = tables.filter(|((of, id), _)| *of == model && !self.state.integrations.contains_key(id));
        let counts = strays
            .map(|((_, id), table)| (id.clone(), count(table.values().filter(|row| row.removed_at.is_none()).count())));
        Ok(counts.filter(|(_, rows)| *rows > 0).collect())
    }

    fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64> {
        self.reading()?;
        let table = self.state.table(model, integration).into_iter().flat_map(Table::values);
        Ok(count(table.filter(|row| row.is_live()).count()))
    }
}

impl SeenNotes for MemoryTx<'_> {
    fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()> {
        self.writing()?;
        let notes = Arc::make_mut(&mut self.state.seen);
        notes.entry(run).or_default().insert((batch, model), keys.iter().cloned().collect());
        Ok(())
    }

    fn seen(&mut self, run: RunId, model: Model, keys: &[Key]) -> TxResult<BTreeSet<Key>> {
        self.reading()?;
        let notes =
            self.state.seen.get(&run).into_iter().flatten().filter(|((batch, of), _)| *batch >= 0 && *of == model);
        let notes: Vec<_> = notes.map(|(_, seen)| seen).collect();
        Ok(keys.iter().filter(|key| notes.iter().any(|seen| seen.contains(*key))).cloned().collect())
    }

    fn seen_batches(&mut self, run: RunId) -> TxResult<i64> {
        self.reading()?;
        let notes = self.state.seen.get(&run).into_iter().flatten();
        let batches: BTreeSet<i64> = notes.map(|((batch, _), _)| *batch).filter(|batch| *batch >= 0).collect();
        Ok(i64::try_from(batches.len()).unwrap_or(i64::MAX))
    }

    fn clear_seen(&mut self, run: RunId) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.seen).remove(&run);
        Ok(())
    }

    fn find_unseen(&mut self, run: RunId, model: Model, integration: &IntegrationId) -> TxResult<i64> {
        self.writing()?;
        let notes =
            self.state.seen.get(&run).into_iter().flatten().filter(|((batch, of), _)| *batch >= 0 && *of == model);
        let seen: BTreeSet<&Key> = notes.flat_map(|(_, keys)| keys.iter()).collect();
        let table = self.state.table(model, integration).into_iter().flat_map(Table::values);
        let rows = table.filter(|row| row.removed_at.is_none()).map(|row| &row.row.key);
        let keys: Vec<Key> = rows.filter(|key| !seen.contains(key)).cloned().collect();
        let notes = Arc::make_mut(&mut self.state.seen).entry(run).or_default();
        notes.retain(|(batch, of), _| *batch >= 0 || *of != model);
        let pages = (0_i64..)
            .zip(keys.chunks(UNSEEN_PAGE))
            .map(|(page, keys)| ((-1 - page, model), keys.iter().cloned().collect()));
        notes.extend(pages);
        Ok(i64::try_from(keys.len().div_ceil(UNSEEN_PAGE)).unwrap_or(i64::MAX))
    }

    fn unseen(&mut self, run: RunId, model: Model, page: i64) -> TxResult<Vec<Key>> {
        self.reading()?;
        let keys = self.state.seen.get(&run).and_then(|notes| notes.get(&(-1 - page, model)));
        Ok(keys.into_iter().flatten().cloned().collect())
    }
}

/// Returns the id of the record that has the row in its member list.
fn parent(model: Model, row: &StoredRow) -> Option<&str> {
    let column = model.parent_column()?;
    if model.key_columns().first() == Some(&column) {
        return Some(row.row.key.first());
    }
    row.row.get(model, column)?.text()
}

use std::collections::HashMap;

use kombo_model::IntegrationId;

use crate::ports::error::TxResult;
use crate::rows::model::Model;
use crate::rows::row::{Key, MirrorRow, NewRow, Stored, StoredRow};

/// The rows of the mirror.
pub trait MirrorRows {
    /// The stored rows among `keys`, in any order.
    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>>;

    /// The rows without `removed_at` whose [`Model::parent_column`] is among `parents`, in any order.
    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>>;

    /// Writes whole rows: new ones are inserted, stored ones replaced. No key may occur twice.
    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()>;

    /// Up to `limit` rows with keys after `after`, in the order of keys.
    fn rows_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>>;

    /// Up to `limit` keys of rows without `removed_at`, after `after`, in the order of keys.
    fn keys_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>>;

    /// How many live rows there are.
    fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64>;
}

/// What stores may know to do faster with many rows than by [`MirrorRows`]. The defaults go by that.
pub trait BulkRows: MirrorRows {
    /// What is stored under the keys of `rows`, none of which occurs twice, for each row in their order.
    ///
    /// That is [`MirrorRows::rows`] unless a store can compare rows while it reads them: most rows of a full fetch are stored as
    /// they are.
    fn held(&mut self, model: Model, integration: &IntegrationId, rows: &[&MirrorRow]) -> TxResult<Vec<Stored>> {
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let stored = self.rows(model, integration, &keys)?;
        let mut stored: HashMap<Key, StoredRow> = stored.into_iter().map(|row| (row.row.key.clone(), row)).collect();
        Ok(keys.iter().map(|key| stored.remove(key).map_or(Stored::Nothing, Stored::Row)).collect())
    }

    /// Writes rows of which this unit saw that none is stored. No key may occur twice. Absent values become null.
    ///
    /// That is [`MirrorRows::put_rows`] unless a store knows a faster way. It may then answer with
    /// [`StoreError::Unavailable`](crate::ports::StoreError::Unavailable) if one is stored after all, since somebody who is
    /// not syncd wrote in between.
    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        let rows: Vec<StoredRow> = rows.iter().map(|row| row.to_stored()).collect();
        self.put_rows(model, integration, &rows)
    }

    /// Writes rows as [`Self::insert_rows`] does if none of them is stored, and says whether that was so. Otherwise nothing
    /// was written. No key may occur twice.
    ///
    /// A store may know a faster way than to look them up first.
    fn insert_if_new(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<bool> {
        let keys: Vec<Key> = rows.iter().map(|row| row.row.key.clone()).collect();
        let are_new = self.rows(model, integration, &keys)?.is_empty();
        if are_new {
            self.insert_rows(model, integration, rows)?;
        }
        Ok(are_new)
    }
}

use std::collections::HashMap;

use kombo_model::IntegrationId;

use crate::ports::error::TxResult;
use crate::rows::Model;
use crate::rows::row::{Key, MirrorRow, NewRow, Stored, StoredRow};

/// The rows of the mirror.
pub trait MirrorRows {
    /// Returns the stored rows among `keys`, in any order.
    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>>;

    /// Returns the rows without `removed_at` that have one of `parents` in their [`Model::parent_column`], in any
    /// order.
    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>>;

    /// Writes whole rows: inserts new ones and replaces stored ones. No key may occur twice.
    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()>;

    /// Returns up to `limit` rows with keys after `after`, in the order of keys.
    fn rows_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>>;

    /// Returns up to `limit` keys of rows without `removed_at`, after `after`, in the order of keys.
    fn keys_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>>;

    /// Returns the integrations that have rows of this model without `removed_at` and are not registered, with the number
    /// of these rows, in the order of ids. No fetch writes such rows: a person wrote them, or deleted the registration.
    fn stray_rows(&mut self, model: Model) -> TxResult<Vec<(IntegrationId, u64)>>;

    /// Returns the number of live rows.
    fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64>;
}

/// Operations on many rows that a store may implement faster than through [`MirrorRows`]. The defaults use
/// [`MirrorRows`].
pub trait BulkRows: MirrorRows {
    /// Returns the stored state for each of `rows`, in their order. No key may occur twice.
    ///
    /// The default is [`MirrorRows::rows`]. A store can be faster by comparing rows while it reads them: in a full
    /// fetch, most rows are unchanged.
    fn held(&mut self, model: Model, integration: &IntegrationId, rows: &[&MirrorRow]) -> TxResult<Vec<Stored>> {
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let stored = self.rows(model, integration, &keys)?;
        let mut stored: HashMap<Key, StoredRow> = stored.into_iter().map(|row| (row.row.key.clone(), row)).collect();
        Ok(keys.iter().map(|key| stored.remove(key).map_or(Stored::Nothing, Stored::Row)).collect())
    }

    /// Inserts rows that this transaction has found to be absent. No key may occur twice. Absent values become null.
    ///
    /// The default is [`MirrorRows::put_rows`]. A faster implementation may return
    /// [`StoreError::Unavailable`](crate::ports::StoreError::Unavailable) if a row exists after all, because a program
    /// other than syncd inserted it in between.
    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        let rows: Vec<StoredRow> = rows.iter().map(|row| row.to_stored()).collect();
        self.put_rows(model, integration, &rows)
    }

    /// Inserts rows like [`Self::insert_rows`] if none of them is stored. Returns whether it did; otherwise nothing was
    /// written. No key may occur twice.
    ///
    /// A store may implement this without looking up the rows first.
    fn insert_if_new(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<bool> {
        let keys: Vec<Key> = rows.iter().map(|row| row.row.key.clone()).collect();
        let are_new = self.rows(model, integration, &keys)?.is_empty();
        if are_new {
            self.insert_rows(model, integration, rows)?;
        }
        Ok(are_new)
    }
}

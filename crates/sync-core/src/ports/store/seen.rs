use std::collections::BTreeSet;

use kombo_model::IntegrationId;

use crate::ports::error::TxResult;
use crate::pull::run::RunId;
use crate::rows::model::Model;
use crate::rows::row::Key;

/// Notes of what the pages of full fetches showed.
pub trait SeenNotes {
    /// Notes that batch number `batch` of a full fetch showed the rows of `model` with these keys. Repeating it replaces the
    /// note.
    ///
    /// Notes may be lost when the database crashes, all at once or not: see [`Self::seen_batches`].
    fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()>;

    /// Those of `keys` that a note of this run for `model` holds.
    fn seen(&mut self, run: RunId, model: Model, keys: &[Key]) -> TxResult<BTreeSet<Key>>;

    /// Of how many batches there are notes of [`Self::put_seen`] for this run.
    fn seen_batches(&mut self, run: RunId) -> TxResult<i64>;

    /// Forgets the notes of this run.
    fn clear_seen(&mut self, run: RunId) -> TxResult<()>;

    /// Up to `limit` keys of rows of `model` without `removed_at` that no note of this run for `model` holds, after `after`,
    /// in an order of keys; that of ids where a key is one.
    fn unseen(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        run: RunId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>>;
}

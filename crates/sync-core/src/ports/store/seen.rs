use std::collections::BTreeSet;

use kombo_model::IntegrationId;

use crate::ports::error::TxResult;
use crate::pull::run::RunId;
use crate::rows::model::Model;
use crate::rows::row::Key;

/// The largest number of keys in a page of [`SeenNotes::unseen`].
pub const UNSEEN_PAGE: usize = 5_000;

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

    /// Deletes the notes of this run, and the pages of [`Self::find_unseen`].
    fn clear_seen(&mut self, run: RunId) -> TxResult<()>;

    /// Compares all rows of `model` without `removed_at` with the notes of this run for `model`, and keeps the keys that no
    /// note holds, in the order of keys, in pages of at most [`UNSEEN_PAGE`]. Returns the number of pages. Repeating it
    /// replaces the pages.
    fn find_unseen(&mut self, run: RunId, model: Model, integration: &IntegrationId) -> TxResult<i64>;

    /// A page of what [`Self::find_unseen`] found last, from 0 on. Empty if there is no such page, or if the database lost
    /// it in a crash: then it lost notes too.
    fn unseen(&mut self, run: RunId, model: Model, page: i64) -> TxResult<Vec<Key>>;
}

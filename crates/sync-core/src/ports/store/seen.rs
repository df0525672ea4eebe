use std::collections::BTreeSet;

use kombo_model::IntegrationId;

use crate::ports::error::TxResult;
use crate::pull::run::RunId;
use crate::rows::Model;
use crate::rows::row::Key;

/// The largest number of keys in a page of [`SeenNotes::unseen`].
pub const UNSEEN_PAGE: usize = 5_000;

/// Notes of the rows that the pages of full fetches showed.
pub trait SeenNotes {
    /// Notes that batch number `batch` of a full fetch showed the rows of `model` with these keys. Replaces an earlier
    /// note of the same batch.
    ///
    /// A crash of the database may lose all notes or some of them: see [`Self::seen_batches`].
    fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()>;

    /// Returns those of `keys` that are in a note of this run for `model`.
    fn seen(&mut self, run: RunId, model: Model, keys: &[Key]) -> TxResult<BTreeSet<Key>>;

    /// Returns the number of batches with notes of [`Self::put_seen`] for this run.
    fn seen_batches(&mut self, run: RunId) -> TxResult<i64>;

    /// Deletes the notes of this run, and the pages of [`Self::find_unseen`].
    fn clear_seen(&mut self, run: RunId) -> TxResult<()>;

    /// Finds the rows of `model` without `removed_at` that are in no note of this run for `model`. Stores their keys in
    /// the order of keys, in pages of at most [`UNSEEN_PAGE`], and returns the number of pages. Replaces the pages of
    /// an earlier call.
    fn find_unseen(&mut self, run: RunId, model: Model, integration: &IntegrationId) -> TxResult<i64>;

    /// Returns a page of the latest [`Self::find_unseen`], counted from 0. It is empty if there is no such page, or if
    /// the database lost it in a crash, in which case notes are lost as well.
    fn unseen(&mut self, run: RunId, model: Model, page: i64) -> TxResult<Vec<Key>>;
}

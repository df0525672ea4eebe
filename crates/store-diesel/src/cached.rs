//! Caches prepared statements that Diesel would prepare again each time.

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::{QueryResult, RunQueryDsl};

/// An update or upsert with a text that does not depend on the values, because all columns are set, null or not. Diesel
/// cannot see that. Preparing it once for each connection saves a round trip on each later use.
pub(crate) struct Cached<T>(pub(crate) T);

impl<DB: Backend, T: QueryFragment<DB>> QueryFragment<DB> for Cached<T> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<T> QueryId for Cached<T> {
    type QueryId = ();
    // Cached by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T, Conn> RunQueryDsl<Conn> for Cached<T> {}

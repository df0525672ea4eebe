use diesel::prelude::*;
use kombo_model::Timestamp;
use sync_core::port::TxResult;

use crate::both;
use crate::error::During as _;
use crate::schema::sync_pacing;
use crate::types::Moment;

const TABLE: &str = "sync_pacing";
/// The one row.
const ROW: i16 = 1;

both! {
    pub(crate) fn put(conn: &mut Conn, next: Timestamp) -> TxResult<()> {
        diesel::insert_into(sync_pacing::table)
            .values((sync_pacing::id.eq(ROW), sync_pacing::next_at.eq(Moment(next))))
            .on_conflict(sync_pacing::id)
            .do_update()
            .set(sync_pacing::next_at.eq(Moment(next)))
            .execute(conn)
            .during(TABLE)
            .map(drop)
    }
}

pub(crate) fn pg_lock(conn: &mut crate::backend::postgres::Conn) -> TxResult<Option<Timestamp>> {
    let next = sync_pacing::table.find(ROW).select(sync_pacing::next_at).for_update().first::<Moment>(conn);
    Ok(next.optional().during(TABLE)?.map(|next| next.0))
}

/// SQLite has one writer at a time: whoever writes has everything locked.
pub(crate) fn sqlite_lock(conn: &mut diesel::SqliteConnection) -> TxResult<Option<Timestamp>> {
    let next = sync_pacing::table.find(ROW).select(sync_pacing::next_at).first::<Moment>(conn);
    Ok(next.optional().during(TABLE)?.map(|next| next.0))
}

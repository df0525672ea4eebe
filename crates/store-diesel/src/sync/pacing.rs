use diesel::prelude::*;
use sync_core::ports::{RateLimit, TxResult};
use sync_core::ratelimit::{Budget, Pacing};

use super::{count, moment, number, time};
use crate::both;
use crate::cached::Cached;
use crate::error::During as _;
use crate::schema::sync_pacing;
use crate::types::Moment;

const TABLE: &str = "sync_pacing";
/// Key of the only row.
const ROW: i16 = 1;

#[derive(Default, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = sync_pacing, treat_none_as_null = true)]
struct PacingRow {
    next_at: Option<Moment>,
    budget_limit: Option<i64>,
    budget_left: Option<i64>,
    budget_until: Option<Moment>,
}

impl From<&Pacing> for PacingRow {
    fn from(pacing: &Pacing) -> Self {
        let (limit, left, until) = match pacing.budget {
            Budget::Unknown => (None, None, None),
            Budget::Asked(until) => (None, None, Some(until)),
            Budget::Left { limit, left, renewed_at } => (Some(number(limit)), Some(number(left)), Some(renewed_at)),
        };
        Self { next_at: moment(pacing.next_at), budget_limit: limit, budget_left: left, budget_until: moment(until) }
    }
}

impl From<PacingRow> for Pacing {
    fn from(row: PacingRow) -> Self {
        let budget = match (row.budget_limit, row.budget_left, time(row.budget_until)) {
            (Some(limit), Some(left), Some(renewed_at)) => {
                Budget::Left { limit: count(limit), left: count(left), renewed_at }
            }
            (_, _, Some(until)) => Budget::Asked(until),
            (_, _, None) => Budget::Unknown,
        };
        Self { next_at: time(row.next_at), budget }
    }
}

both! {
    postgres {
        fn lock(conn: &mut Conn) -> TxResult<Pacing> {
            let row = sync_pacing::table.find(ROW).select(PacingRow::as_select()).for_update().first(conn);
            Ok(row.optional().during(TABLE)?.unwrap_or_default().into())
        }
    }

    sqlite {
        /// Needs no lock: SQLite has one writer at a time, and a writing transaction has locked everything.
        fn lock(conn: &mut Conn) -> TxResult<Pacing> {
            let row = sync_pacing::table.find(ROW).select(PacingRow::as_select()).first(conn);
            Ok(row.optional().during(TABLE)?.unwrap_or_default().into())
        }
    }

    impl RateLimit for DbTx<'_> {
        fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()> {
            let row = PacingRow::from(pacing);
            let update = diesel::update(sync_pacing::table.find(ROW)).set(&row);
            Cached(update).execute(self.conn).during(TABLE).map(drop)
        }

        fn pacing(&mut self) -> TxResult<Pacing> {
            lock(self.conn)
        }
    }
}

use diesel::prelude::*;
use kombo_model::Timestamp;
use sync_core::ports::TxResult;

use crate::error::{During as _, corrupt};
use crate::statement::{Cell, Cells, Statement};

const CLOCK: &str = "clock";

/// The server's clock, whatever time the transaction began at.
pub(crate) fn pg_now(conn: &mut crate::backend::postgres::Conn) -> TxResult<Timestamp> {
    let rows: Vec<Cells> = Statement::new("SELECT clock_timestamp()").load(conn).during(CLOCK)?;
    let now = rows.into_iter().flat_map(|cells| cells.0).flatten().find_map(Cell::into_time);
    now.ok_or_else(|| corrupt(CLOCK, "the server does not tell the time"))
}

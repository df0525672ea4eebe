//! Transactions. Each table's file implements its statements for them, next to the table's row type.

use diesel::SqliteConnection;
use diesel::prelude::*;
use kombo_model::Timestamp;
use sync_core::ports::{Tx, TxResult};

use crate::backend::postgres::connection::Conn;
use crate::error::{During as _, corrupt};
use crate::statement::{Cell, Cells, Statement};

const CLOCK: &str = "clock";

/// A transaction in PostgreSQL.
pub(crate) struct PgTx<'a> {
    pub(crate) conn: &'a mut Conn,
    /// Whether it looks things up by index until its end.
    by_index: bool,
    /// Whether it appended to the change log.
    has_appended: bool,
}

impl<'a> PgTx<'a> {
    pub(crate) fn new(conn: &'a mut Conn) -> Self {
        Self { conn, by_index: false, has_appended: false }
    }

    /// Notes that the change log grew.
    pub(crate) fn appended(&mut self) {
        self.has_appended = true;
    }

    pub(crate) fn has_appended(&self) -> bool {
        self.has_appended
    }

    /// Returns the connection for a statement on a table that may be large. Transactions on bookkeeping tables alone do
    /// not need it: their statements are planned once for each connection, not each time.
    pub(crate) fn indexed(&mut self) -> TxResult<&mut Conn> {
        if !self.by_index {
            look_up_by_index(self.conn, "force_custom_plan")?;
            self.by_index = true;
        }
        Ok(self.conn)
    }

    /// Returns the connection for a look-up by index with one plan for all values, which each connection keeps.
    pub(crate) fn planned_once(&mut self) -> TxResult<&mut Conn> {
        look_up_by_index(self.conn, "force_generic_plan")?;
        Ok(self.conn)
    }

    /// Returns the connection for a statement that reads all rows of an integration: in the order in which they are
    /// stored, not in that of an index, and with memory for their ids.
    pub(crate) fn scanning(&mut self) -> TxResult<&mut Conn> {
        let conn = self.indexed()?;
        let allow =
            Statement::new("SELECT set_config('enable_bitmapscan', 'on', true), set_config('work_mem', '64MB', true)");
        allow.execute(conn).during("settings")?;
        Ok(conn)
    }
}

impl Tx for PgTx<'_> {
    fn may_be_lost(&mut self) -> TxResult<()> {
        commit_lazily(self.conn)
    }

    fn clock(&mut self) -> TxResult<Option<Timestamp>> {
        now(self.conn).map(Some)
    }
}

/// Until the transaction ends, rows are found one by one by their keys in an index, even if the planner last saw the
/// table when it was empty or an earlier transaction left another plan. Each key is looked up once and has at most one
/// row, so memoizing, bitmaps and other joins gain nothing.
fn look_up_by_index(conn: &mut Conn, plans: &str) -> TxResult<()> {
    Statement::new(
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), \
         set_config('enable_memoize', 'off', true), set_config('enable_hashjoin', 'off', true), \
         set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', ",
    )
    .text(plans)
    .sql(", true)")
    .execute(conn)
    .during("the planner")
    .map(drop)
}

/// Lets the transaction commit without waiting for the disk. A later commit that waits also writes this one to disk.
fn commit_lazily(conn: &mut Conn) -> TxResult<()> {
    Statement::new("SELECT set_config('synchronous_commit', 'off', true)").execute(conn).during("the commit").map(drop)
}

/// Returns the server's present time, not the start of the transaction.
fn now(conn: &mut Conn) -> TxResult<Timestamp> {
    let rows: Vec<Cells> = Statement::new("SELECT clock_timestamp()").load(conn).during(CLOCK)?;
    let now = rows.into_iter().flat_map(|cells| cells.0).flatten().find_map(Cell::into_time);
    now.ok_or_else(|| corrupt(CLOCK, "the server does not tell the time"))
}

/// A transaction in SQLite.
pub(crate) struct SqliteTx<'a> {
    pub(crate) conn: &'a mut SqliteConnection,
}

impl<'a> SqliteTx<'a> {
    pub(crate) fn new(conn: &'a mut SqliteConnection) -> Self {
        Self { conn }
    }

    /// Does nothing: SQLite sends no notification that the change log grew.
    #[allow(clippy::unused_self, reason = "its sibling takes a note")]
    pub(crate) fn appended(&mut self) {}

    #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
    pub(crate) fn indexed(&mut self) -> TxResult<&mut SqliteConnection> {
        Ok(self.conn)
    }

    #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
    pub(crate) fn planned_once(&mut self) -> TxResult<&mut SqliteConnection> {
        Ok(self.conn)
    }

    #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
    pub(crate) fn scanning(&mut self) -> TxResult<&mut SqliteConnection> {
        Ok(self.conn)
    }
}

impl Tx for SqliteTx<'_> {}

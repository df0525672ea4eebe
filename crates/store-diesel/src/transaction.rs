//! Transactions: the statements of each table are implemented for them beside the table's row type.

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
    /// It looks things up by index until it ends.
    by_index: bool,
    /// It appended to the change log.
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

    /// The connection for a statement on a table that may be large. Transactions that keep books only do without: what they
    /// ask is planned once for each connection, and not each time.
    pub(crate) fn indexed(&mut self) -> TxResult<&mut Conn> {
        if !self.by_index {
            look_up_by_index(self.conn, "force_custom_plan")?;
            self.by_index = true;
        }
        Ok(self.conn)
    }

    /// The connection for a statement that looks things up by index and has one plan for all values, which each connection
    /// keeps.
    pub(crate) fn planned_once(&mut self) -> TxResult<&mut Conn> {
        look_up_by_index(self.conn, "force_generic_plan")?;
        Ok(self.conn)
    }

    /// The connection for a statement that reads all rows of an integration: it reads them in the order in which they lie, not
    /// in that of an index, and has room for their ids.
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

/// Until the unit ends, thousands of rows are found by their keys in an index, whatever the planner thinks of a table
/// that it last looked at when it was empty, and whatever plan an earlier unit left. Each key is looked up once and has one
/// row at most, so there is nothing to remember, to gather or to join in another way than key by key.
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

/// The unit's commit does not wait for the disk. What others commit, and wait for, takes it there as well.
fn commit_lazily(conn: &mut Conn) -> TxResult<()> {
    Statement::new("SELECT set_config('synchronous_commit', 'off', true)").execute(conn).during("the commit").map(drop)
}

/// The server's clock, whatever time the transaction began at.
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

    /// SQLite tells nobody that the change log grew.
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

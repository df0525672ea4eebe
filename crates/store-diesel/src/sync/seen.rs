use diesel::RunQueryDsl as _;
use sync_core::port::TxResult;
use sync_core::types::RunId;

use crate::both;
use crate::error::During as _;
use crate::statement::{Cell, Cells, Statement};

const TABLE: &str = "sync_seen";

both! {
    pub(crate) fn put(conn: &mut Conn, run: RunId, batch: i64, ids: &[String]) -> TxResult<()> {
        let statement = Statement::new("INSERT INTO sync_seen (run_id, batch, ids) VALUES (")
            .int(run.0)
            .sql(", ")
            .int(batch)
            .sql(", ");
        let statement = match DIALECT {
            Dialect::Postgres => statement.texts(ids.iter().map(|id| Some(id.as_str())).collect()),
            Dialect::Sqlite => statement.json(serde_json::json!(ids).to_string()),
        };
        statement
            .sql(") ON CONFLICT (run_id, batch) DO UPDATE SET ids = excluded.ids")
            .execute(conn)
            .during(TABLE)
            .map(drop)
    }

    pub(crate) fn batches(conn: &mut Conn, run: RunId) -> TxResult<i64> {
        let statement = Statement::new("SELECT count(*) FROM sync_seen WHERE run_id = ").int(run.0);
        let cells: Vec<Cells> = statement.load(conn).during(TABLE)?;
        let count = cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
        Ok(count.and_then(Cell::into_int).unwrap_or(0))
    }

    pub(crate) fn clear(conn: &mut Conn, run: RunId) -> TxResult<()> {
        let statement = Statement::new("DELETE FROM sync_seen WHERE run_id = ").int(run.0);
        statement.execute(conn).during(TABLE).map(drop)
    }
}

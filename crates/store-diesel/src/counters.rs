//! The numbers that databases hand out. They are not a part of rows: rows that were moved, by logical replication for
//! example, may come without them. New entries would then get numbers that followers have passed.

use diesel::{QueryResult, RunQueryDsl as _};

use crate::both;
use crate::statement::{Cell, Cells, Statement};

/// What a table's numbers follow, and which numbers are taken.
const COUNTERS: [(&str, &str, &str); 2] = [
    (
        "sync_changes",
        "seq",
        "SELECT max(seq) AS n FROM sync_changes UNION ALL SELECT max(delivered_seq) FROM sync_deliveries \
         UNION ALL SELECT max(parcel_last_seq) FROM sync_deliveries UNION ALL SELECT max(seq) FROM sync_delivery_start \
         UNION ALL SELECT max(last_seq) FROM sync_dead_letters UNION ALL SELECT max(seq) FROM sync_trimmed",
    ),
    (
        "sync_runs",
        "id",
        "SELECT max(id) AS n FROM sync_runs UNION ALL SELECT max(run_id) FROM sync_seen \
         UNION ALL SELECT max(run_id) FROM sync_quarantine",
    ),
];

both! {
    /// Moves counters behind the numbers that are taken, and logs which it moved. Runs in a transaction. A role without
    /// rights to a sequence moves nothing.
    pub(crate) fn settle(conn: &mut Conn) -> QueryResult<()> {
        if DIALECT == Dialect::Postgres {
            Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd changes', 0))").execute(conn)?;
        }
        for (table, column, taken) in COUNTERS {
            let (handed_out, taken) = (handed_out(table, column), format!("SELECT max(n) FROM ({taken}) AS taken"));
            let head = format!("SELECT ({handed_out}), ({taken})");
            let found: Vec<Cells> = Statement::new(head).load(conn)?;
            let mut cells = found.into_iter().flat_map(|cells| cells.0).map(|cell| cell.and_then(Cell::into_int));
            let (handed_out, taken) = (cells.next().flatten(), cells.next().flatten().unwrap_or(0));
            if let Some(handed_out) = handed_out.filter(|handed_out| *handed_out < taken) {
                set(conn, table, column, taken)?;
                tracing::warn!(table, handed_out, taken, "numbers were handed out before: counting goes on behind them");
            }
        }
        Ok(())
    }

    /// A query for the number that was handed out last; null if the role may not change that.
    fn handed_out(table: &str, column: &str) -> String {
        match DIALECT {
            Dialect::Postgres => {
                let sequence = format!("pg_get_serial_sequence('{table}', '{column}')::regclass");
                format!(
                    "SELECT CASE WHEN has_sequence_privilege({sequence}, 'UPDATE') AND has_sequence_privilege({sequence}, \
                     'USAGE, SELECT') THEN coalesce(pg_sequence_last_value({sequence}), 0) END"
                )
            }
            Dialect::Sqlite => format!("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{table}'"),
        }
    }

    fn set(conn: &mut Conn, table: &str, column: &str, taken: i64) -> QueryResult<()> {
        match DIALECT {
            Dialect::Postgres => {
                let head = format!("SELECT setval(pg_get_serial_sequence('{table}', '{column}')::regclass, ");
                Statement::new(head).int(taken).sql(")").execute(conn).map(drop)
            }
            Dialect::Sqlite => {
                Statement::new(format!("DELETE FROM sqlite_sequence WHERE name = '{table}'")).execute(conn)?;
                let head = format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', ");
                Statement::new(head).int(taken).sql(")").execute(conn).map(drop)
            }
        }
    }
}

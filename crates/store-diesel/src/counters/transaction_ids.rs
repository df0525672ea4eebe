//! Transaction numbers in the change log. If the tables were moved to another server, its numbers begin lower, and its
//! entries would come before those that followers have passed.

use diesel::{QueryResult, RunQueryDsl as _};

use crate::backend::postgres::connection::Conn;
use crate::statement::{Cell, Cells, Statement};

/// A number above those of this transaction and of all that have ended. Entries of other open transactions are not
/// visible.
const NEXT: &str = "(SELECT GREATEST(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, \
                    pg_current_xact_id_if_assigned()::text::bigint + 1) \
                    + COALESCE((SELECT shift FROM sync_transaction_ids), 0))";

/// The highest number in use. Higher numbers than the database can have handed out were written by hand, and are
/// ignored.
const TAKEN: &str = "(SELECT max(n) FROM (SELECT max(transaction_id) AS n FROM sync_changes \
                     WHERE transaction_id < 4611686018427387904 UNION ALL SELECT max(transaction_id) FROM sync_trimmed \
                     WHERE transaction_id < 4611686018427387904) AS taken)";

/// Builds an SQL condition: the next number is not above those in use.
pub(super) fn are_behind() -> String {
    format!("{NEXT} <= {TAKEN}")
}

fn look(conn: &mut Conn) -> QueryResult<(i64, i64)> {
    let found: Vec<Cells> = Statement::new(format!("SELECT {NEXT}, {TAKEN}")).load(conn)?;
    let mut numbers =
        found.into_iter().flat_map(|cells| cells.0).map(|cell| cell.and_then(Cell::into_int).unwrap_or(0));
    Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}

/// Raises the numbers above those in use, and logs it.
pub(super) fn settle(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let (next, taken) = look(conn)?;
    if next <= taken {
        // Waits for appending transactions, which share this lock.
        Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd changes', 0))").execute(conn)?;
        Statement::new("INSERT INTO sync_transaction_ids (id, shift) VALUES (1, ")
            .int(taken - next + 1)
            .sql(") ON CONFLICT (id) DO UPDATE SET shift = sync_transaction_ids.shift + excluded.shift")
            .execute(conn)?;
        tracing::warn!(
            next,
            taken,
            "the change log has entries of another server's transactions: numbering continues after them"
        );
    }
    Ok(Vec::new())
}

/// Returns problems, each with its remedy. Changes nothing.
pub(super) fn faults(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let (next, taken) = look(conn)?;
    Ok((next <= taken)
        .then(|| {
            format!(
                "transactions up to {taken} wrote to the change log, but this server goes on with {next}, so that followers \
                 would miss entries: run `syncd migrate` as the owner of the tables"
            )
        })
        .into_iter()
        .collect())
}

//! Counters of the databases, which hand out numbers. Counters are not part of rows: rows that were moved, for example
//! by logical replication, may come without them. New entries would then get numbers that followers have already
//! passed.

mod transaction_ids;

use diesel::{QueryResult, RunQueryDsl as _};
use sync_core::ports::{StoreError, TxResult};

use crate::both;
use crate::error::During as _;
use crate::statement::{Cell, Cells, Statement};

/// Tables and columns that contain the numbers.
type Places = [(&'static str, &'static str)];

/// A table with a numbered column.
pub(crate) struct Numbered {
    table: &'static str,
    column: &'static str,
    /// Columns with an index that gives the highest number immediately.
    at_hand: &'static Places,
    /// Other columns with these numbers.
    elsewhere: &'static Places,
}

pub(crate) const CHANGES: Numbered = Numbered {
    table: "sync_changes",
    column: "seq",
    at_hand: &[("sync_changes", "seq"), ("sync_delivery_start", "seq"), ("sync_trimmed", "seq")],
    elsewhere: &[
        ("sync_deliveries", "delivered_seq"),
        ("sync_deliveries", "parcel_last_seq"),
        ("sync_dead_letters", "last_seq"),
    ],
};

pub(crate) const RUNS: Numbered = Numbered {
    table: "sync_runs",
    column: "id",
    at_hand: &[("sync_runs", "id")],
    elsewhere: &[("sync_seen", "run_id"), ("sync_quarantine", "run_id")],
};

const COUNTERS: [Numbered; 2] = [CHANGES, RUNS];

/// Handed-out numbers are lower than this. A higher one was written by hand, and would leave no number to hand out.
const WILD: i64 = 1 << 62;

/// Builds a query for the highest number in use.
fn taken<'a>(places: impl IntoIterator<Item = &'a (&'static str, &'static str)>) -> String {
    let highest =
        |(table, column): &(&str, &str)| format!("SELECT max({column}) AS n FROM {table} WHERE {column} < {WILD}");
    let each: Vec<String> = places.into_iter().map(highest).collect();
    format!("SELECT max(n) FROM ({}) AS taken", each.join(" UNION ALL "))
}

/// The state of a counter.
struct Counter {
    table: &'static str,
    column: &'static str,
    /// The last number that was handed out, or `None` if the role may not read it.
    handed_out: Option<i64>,
    /// The highest number in use.
    taken: i64,
}

impl Counter {
    /// Returns the problem and its remedy, if the counter is behind.
    fn fault(&self) -> Option<String> {
        let Self { table, column, handed_out, taken } = self;
        let behind = handed_out.filter(|handed_out| handed_out < taken)?;
        Some(format!(
            "numbers of kombo.{table}.{column} up to {taken} are taken, but the database goes on after {behind}, so that \
             followers would miss entries: run `syncd migrate` as the owner of the tables"
        ))
    }
}

both! {
    postgres {
        use super::transaction_ids as transactions;
    }

    sqlite {
        /// SQLite's transactions have no numbers.
        mod transactions {
            use diesel::{QueryResult, SqliteConnection};

            #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
            pub(super) fn settle(_: &mut SqliteConnection) -> QueryResult<Vec<String>> {
                Ok(Vec::new())
            }

            pub(super) use settle as faults;

            pub(super) fn are_behind() -> String {
                "false".to_owned()
            }
        }
    }

    /// Moves counters behind the numbers in use, and logs the moves. Runs in a transaction. Returns the faults of
    /// counters that the role may not move.
    pub(crate) fn settle(conn: &mut Conn) -> QueryResult<Vec<String>> {
        let mut faults = transactions::settle(conn)?;
        if faults.is_empty() && look(conn)?.iter().all(|counter| counter.fault().is_none()) {
            return Ok(faults);
        }
        if DIALECT == Dialect::Postgres {
            // Waits for appending transactions, which share this lock. Taken only here, so that a normal start waits
            // for nobody.
            Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd changes', 0))").execute(conn)?;
        }
        for counter in look(conn)? {
            let Some(fault) = counter.fault() else { continue };
            let Counter { table, column, handed_out, taken } = counter;
            if may_set(conn, table, column)? {
                set(conn, table, column, taken)?;
                tracing::warn!(table, handed_out, taken, "these numbers were used before: numbering continues after them");
            } else {
                faults.push(fault);
            }
        }
        Ok(faults)
    }

    /// Checks that the next number is new, and moves the counters otherwise: rows may have arrived while the program
    /// ran, or the program may have been led to a server that has them. Runs in the transaction that takes the number.
    pub(crate) fn keep_ahead(conn: &mut Conn, Numbered { table, column, at_hand, .. }: &Numbered) -> TxResult<()> {
        let (handed_out, taken) = (handed_out(table, column), taken(*at_hand));
        let of_log = if *table == CHANGES.table { transactions::are_behind() } else { "false".to_owned() };
        let question = Statement::new(format!("SELECT CASE WHEN ({handed_out}) < ({taken}) OR {of_log} THEN 1 END"));
        let found: Vec<Cells> = question.load(conn).during(table)?;
        if found.into_iter().flat_map(|cells| cells.0).all(|cell| cell.is_none()) {
            return Ok(());
        }
        let faults = settle(conn).during(table)?;
        if faults.is_empty() { Ok(()) } else { Err(StoreError::Failed { message: faults.join("; "), source: None }) }
    }

    /// Returns the faults of counters. Changes nothing.
    pub(crate) fn faults(conn: &mut Conn) -> QueryResult<Vec<String>> {
        let mut faults = transactions::faults(conn)?;
        faults.extend(look(conn)?.iter().filter_map(Counter::fault));
        Ok(faults)
    }

    fn look(conn: &mut Conn) -> QueryResult<Vec<Counter>> {
        let mut counters = Vec::new();
        for Numbered { table, column, at_hand, elsewhere } in COUNTERS {
            let (handed_out, taken) = (handed_out(table, column), taken(at_hand.iter().chain(elsewhere)));
            let found: Vec<Cells> = Statement::new(format!("SELECT ({handed_out}), ({taken})")).load(conn)?;
            let mut cells = found.into_iter().flat_map(|cells| cells.0).map(|cell| cell.and_then(Cell::into_int));
            let (handed_out, taken) = (cells.next().flatten(), cells.next().flatten().unwrap_or(0));
            if handed_out.is_none() {
                tracing::warn!(
                    table,
                    "the role may not look at the sequence of kombo.{table}.{column}, so nobody knows if numbers are \
                     handed out twice: GRANT SELECT ON ALL SEQUENCES IN SCHEMA kombo to it"
                );
            }
            counters.push(Counter { table, column, handed_out, taken });
        }
        Ok(counters)
    }

    /// Builds a query for the last number that was handed out, or null if the role may not read it.
    fn handed_out(table: &str, column: &str) -> String {
        match DIALECT {
            Dialect::Postgres => {
                let sequence = sequence(table, column);
                format!(
                    "SELECT CASE WHEN has_sequence_privilege({sequence}, 'USAGE, SELECT') \
                     THEN coalesce(pg_sequence_last_value({sequence}), 0) END"
                )
            }
            Dialect::Sqlite => format!("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{table}'"),
        }
    }

    fn may_set(conn: &mut Conn, table: &str, column: &str) -> QueryResult<bool> {
        if DIALECT == Dialect::Sqlite {
            return Ok(true);
        }
        let sequence = sequence(table, column);
        let question = format!("SELECT CASE WHEN has_sequence_privilege({sequence}, 'UPDATE') THEN 1::bigint END");
        let found: Vec<Cells> = Statement::new(question).load(conn)?;
        Ok(found.into_iter().flat_map(|cells| cells.0).any(|cell| cell.is_some()))
    }

    fn set(conn: &mut Conn, table: &str, column: &str, taken: i64) -> QueryResult<()> {
        match DIALECT {
            Dialect::Postgres => {
                let head = format!("SELECT setval({}, ", sequence(table, column));
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

/// Builds an SQL expression for the sequence of a column.
fn sequence(table: &str, column: &str) -> String {
    format!("pg_get_serial_sequence('kombo.{table}', '{column}')::regclass")
}

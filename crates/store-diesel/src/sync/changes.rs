use std::collections::BTreeSet;
use std::fmt::Display;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::UnknownWord;
use sync_core::changes::{Change, LogPosition};
use sync_core::outbox::Undelivered;
use sync_core::ports::{ChangeLog, StoreError, TxResult};
use sync_core::pull::RunId;
use sync_core::rows::Model;

use super::limited;
use crate::both;
use crate::counters;
use crate::error::{During as _, corrupt};
use crate::schema::{sync_changes, sync_deliveries};
use crate::statement::{Bind, Cell, Cells, INSERT_CHANGE, Statement, WriteRow};
use crate::types::{AnyText, Json, Moment};

const TABLE: &str = "sync_changes";

#[derive(Queryable, QueryableByName)]
#[diesel(table_name = sync_changes)]
struct ChangeRow {
    seq: i64,
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    model: String,
    #[diesel(deserialize_as = AnyText)]
    record_id: String,
    #[diesel(deserialize_as = AnyText)]
    kind: String,
    #[diesel(deserialize_as = AnyText)]
    cause: String,
    fields: Json,
    run_id: i64,
    at: Moment,
}

/// Columns of a [`SettledRow`].
const COLUMNS: &str = "transaction_id, seq, integration_id, model, record_id, kind, cause, fields, run_id, at";

#[derive(QueryableByName)]
struct SettledRow {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    transaction_id: i64,
    #[diesel(embed)]
    change: ChangeRow,
}

impl TryFrom<ChangeRow> for Change {
    type Error = StoreError;

    fn try_from(row: ChangeRow) -> Result<Self, StoreError> {
        let bad = |what: &dyn Display| corrupt(TABLE, &format!("entry {}: {what}", row.seq));
        Ok(Self {
            seq: row.seq,
            integration_id: IntegrationId::from(row.integration_id),
            model: Model::from_name(&row.model).ok_or_else(|| bad(&"unknown model"))?,
            record_id: row.record_id,
            kind: row.kind.parse().map_err(|error: UnknownWord| bad(&error))?,
            cause: row.cause.parse().map_err(|error: UnknownWord| bad(&error))?,
            fields: serde_json::from_str(&row.fields.0).map_err(|error| bad(&error))?,
            run_id: RunId(row.run_id),
            at: row.at.0,
        })
    }
}

both! {
    postgres {
        use super::super::deliveries::pg as deliveries;

        /// Appends with the number of the transaction, because a sequence does not hand out numbers in commit order.
        /// The lock is shared, so appending transactions do not wait for each other.
        fn append(conn: &mut Conn, changes: &[Change]) -> TxResult<()> {
            counters::pg::keep_ahead(conn, &counters::CHANGES)?;
            Statement::new("SELECT pg_advisory_xact_lock_shared(hashtextextended('syncd changes', 0))").execute(conn).during(TABLE)?;
            for changes in changes.chunks(5_000) {
                let fields: Vec<String> = changes.iter().map(|change| change.fields.to_string()).collect();
                let runs: Vec<String> = changes.iter().map(|change| change.run_id.to_string()).collect();
                let texts = |of: fn(&Change) -> &str| changes.iter().map(|change| Some(of(change))).collect::<Vec<_>>();
                Statement::new(
                    "INSERT INTO sync_changes (transaction_id, integration_id, model, record_id, kind, cause, run_id, at, fields) \
                     SELECT pg_current_xact_id()::text::bigint + COALESCE((SELECT shift FROM sync_transaction_ids), 0), unnest(",
                )
                .texts(texts(|change| change.integration_id.as_str()))
                .sql("), unnest(")
                .texts(texts(|change| change.model.as_str()))
                .sql("), unnest(")
                .texts(texts(|change| &change.record_id))
                .sql("), unnest(")
                .texts(texts(|change| change.kind.as_str()))
                .sql("), unnest(")
                .texts(texts(|change| change.cause.as_str()))
                .sql("), unnest(")
                .texts(runs.iter().map(|run| Some(run.as_str())).collect())
                .sql(")::bigint, unnest(")
                .times(changes.iter().map(|change| Some(change.at)).collect())
                .sql("), unnest(")
                .documents(fields.iter().map(|fields| Some(fields.as_str())).collect())
                .sql(")")
                .execute(conn)
                .during(TABLE)?;
            }
            Ok(())
        }

        fn settled(conn: &mut Conn, after: LogPosition, limit: usize) -> TxResult<Vec<(LogPosition, Change)>> {
            let rows: Vec<SettledRow> = Statement::new(format!(
                "SELECT {COLUMNS} FROM sync_changes_settled WHERE (transaction_id, seq) > ("
            ))
            .int(after.transaction_id)
            .sql(", ")
            .int(after.seq)
            .sql(") ORDER BY transaction_id, seq LIMIT ")
            .int(limited(limit))
            .load(conn)
            .during(TABLE)?;
            let read = |row: SettledRow| {
                let position = LogPosition { transaction_id: row.transaction_id, seq: row.change.seq };
                row.change.try_into().map(|change| (position, change))
            };
            rows.into_iter().map(read).collect()
        }

        fn position(conn: &mut Conn, seq: i64) -> TxResult<LogPosition> {
            let found: Vec<Cells> = Statement::new("SELECT transaction_id FROM sync_changes WHERE seq <= ")
                .int(seq)
                .sql(" ORDER BY seq DESC LIMIT 1")
                .load(conn)
                .during(TABLE)?;
            let transaction_id = found.into_iter().flat_map(|cells| cells.0).flatten().find_map(Cell::into_int);
            Ok(LogPosition { transaction_id: transaction_id.unwrap_or(0), seq })
        }

        fn end(conn: &mut Conn) -> TxResult<LogPosition> {
            let last = "SELECT transaction_id, seq FROM sync_changes_settled ORDER BY transaction_id DESC, seq DESC LIMIT 1";
            let found: Vec<Cells> = Statement::new(last).load(conn).during(TABLE)?;
            let mut cells = found.into_iter().flat_map(|cells| cells.0).flatten().filter_map(Cell::into_int);
            Ok(cells.next().zip(cells.next()).map_or_else(LogPosition::default, |(transaction_id, seq)| LogPosition {
                transaction_id,
                seq,
            }))
        }

        /// Waits for appending transactions: each holds the lock until its commit is visible.
        fn await_all(conn: &mut Conn) -> TxResult<()> {
            Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd changes', 0))")
                .execute(conn)
                .during(TABLE)
                .map(drop)
        }

        const NOTE_TRIMMED: &str = "
            INSERT INTO sync_trimmed (id, seq, transaction_id)
            SELECT 1, max(seq), max(transaction_id) FROM sync_changes WHERE true HAVING max(seq) > 0
            ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, transaction_id = excluded.transaction_id";
    }

    sqlite {
        use super::super::deliveries::sqlite as deliveries;

        fn settled(conn: &mut Conn, after: LogPosition, limit: usize) -> TxResult<Vec<(LogPosition, Change)>> {
            let entries = sync_changes::table.filter(sync_changes::seq.gt(after.seq)).order(sync_changes::seq);
            let rows: Vec<ChangeRow> = entries.limit(limited(limit)).load(conn).during(TABLE)?;
            let read = |row: ChangeRow| {
                let position = LogPosition { transaction_id: 0, seq: row.seq };
                row.try_into().map(|change| (position, change))
            };
            rows.into_iter().map(read).collect()
        }

        #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
        fn position(_conn: &mut Conn, seq: i64) -> TxResult<LogPosition> {
            Ok(LogPosition { transaction_id: 0, seq })
        }

        fn end(conn: &mut Conn) -> TxResult<LogPosition> {
            let found: Vec<Cells> = Statement::new("SELECT max(seq) FROM sync_changes").load(conn).during(TABLE)?;
            let seq = found.into_iter().flat_map(|cells| cells.0).flatten().find_map(Cell::into_int);
            Ok(LogPosition { transaction_id: 0, seq: seq.unwrap_or(0) })
        }

        /// Does nothing: SQLite has one writer at a time.
        #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
        fn await_all(_conn: &mut Conn) -> TxResult<()> {
            Ok(())
        }

        const NOTE_TRIMMED: &str = "
            INSERT INTO sync_trimmed (id, seq) SELECT 1, max(seq) FROM sync_changes WHERE true HAVING max(seq) > 0
            ON CONFLICT (id) DO UPDATE SET seq = excluded.seq";

        /// Appends. SQLite has one writer at a time, so numbers are in commit order.
        fn append(conn: &mut Conn, changes: &[Change]) -> TxResult<()> {
            const HEAD: &str =
                "INSERT INTO sync_changes (integration_id, model, record_id, kind, cause, run_id, at, fields) VALUES (";
            counters::sqlite::keep_ahead(conn, &counters::CHANGES)?;
            for change in changes {
                let fields = change.fields.to_string();
                let binds = vec![
                    Bind::Text(Some(change.integration_id.as_str())),
                    Bind::Text(Some(change.model.as_str())),
                    Bind::Text(Some(&change.record_id)),
                    Bind::Text(Some(change.kind.as_str())),
                    Bind::Text(Some(change.cause.as_str())),
                    Bind::Int(Some(change.run_id.0)),
                    Bind::time(Some(change.at)),
                    Bind::Text(Some(&fields)),
                ];
                WriteRow { head: HEAD, binds, tail: ")" }.execute(conn, INSERT_CHANGE).during(TABLE)?;
            }
            Ok(())
        }
    }

    fn last(conn: &mut Conn) -> TxResult<i64> {
        let last = "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM sync_changes UNION ALL SELECT seq FROM sync_trimmed) AS ends";
        let found: Vec<Cells> = Statement::new(last).load(conn).during(TABLE)?;
        Ok(found.into_iter().flat_map(|cells| cells.0).flatten().find_map(Cell::into_int).unwrap_or(0))
    }

    impl ChangeLog for DbTx<'_> {
        fn changes(&mut self, integration: Option<&IntegrationId>,
            seq: i64,
            limit: usize,
        ) -> TxResult<Vec<Change>> {
            let changes =
                sync_changes::table.filter(sync_changes::seq.gt(seq)).order(sync_changes::seq).limit(limited(limit));
            let rows: Vec<ChangeRow> = match integration {
                Some(id) => changes.filter(sync_changes::integration_id.eq(id.as_str())).load(self.indexed()?).during(TABLE)?,
                None => changes.load(self.indexed()?).during(TABLE)?,
            };
            rows.into_iter().map(TryInto::try_into).collect()
        }

        fn latest_changes(&mut self, integration: &IntegrationId,
            record_id: Option<&str>,
            before: i64,
            limit: usize,
        ) -> TxResult<Vec<Change>> {
            let changes = sync_changes::table
                .filter(sync_changes::integration_id.eq(integration.as_str()))
                .filter(sync_changes::seq.lt(before))
                .order(sync_changes::seq.desc())
                .limit(limited(limit));
            let rows: Vec<ChangeRow> = match record_id {
                Some(id) => changes.filter(sync_changes::record_id.eq(id)).load(self.indexed()?).during(TABLE)?,
                None => changes.load(self.indexed()?).during(TABLE)?,
            };
            rows.into_iter().map(TryInto::try_into).collect()
        }

        fn last_change(&mut self) -> TxResult<i64> {
            last(self.conn)
        }

        fn last_change_of_all(&mut self) -> TxResult<i64> {
            await_all(self.conn)?;
            last(self.conn)
        }

        fn settled_changes(&mut self, after: LogPosition, limit: usize) -> TxResult<Vec<(LogPosition, Change)>> {
            settled(self.indexed()?, after, limit)
        }

        fn log_position(&mut self, seq: i64) -> TxResult<LogPosition> {
            position(self.conn, seq)
        }

        fn settled_end(&mut self) -> TxResult<LogPosition> {
            end(self.conn)
        }

        fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64> {
            Statement::new(NOTE_TRIMMED).execute(self.conn).during(TABLE)?;
            // Entries are in the order of time unless the clock changed, so the search ends at the first recent one.
            let keep_from: Option<i64> = sync_changes::table
                .filter(sync_changes::at.ge(Moment(before)))
                .order(sync_changes::seq)
                .select(sync_changes::seq)
                .first(self.conn)
                .optional()
                .during(TABLE)?;
            // The time is compared as well, because entries may have been added since the search.
            let old = sync_changes::table
                .filter(sync_changes::seq.lt(keep_from.unwrap_or(i64::MAX)))
                .filter(sync_changes::at.lt(Moment(before)));
            let waits = sync_deliveries::table
                .filter(sync_deliveries::integration_id.eq(sync_changes::integration_id))
                .filter(sync_deliveries::delivered_seq.lt(sync_changes::seq));
            let removed = match undelivered {
                Undelivered::Keep => diesel::delete(old.filter(not(exists(waits)))).execute(self.conn).during(TABLE)?,
                Undelivered::Remove => diesel::delete(old).execute(self.conn).during(TABLE)?,
            };
            deliveries::note_finished(self.conn)?;
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        }

        fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
            append(self.conn, changes)?;
            let integrations: BTreeSet<&str> = changes.iter().map(|change| change.integration_id.as_str()).collect();
            for integration in integrations {
                deliveries::note_pending(self.conn, integration)?;
            }
            self.appended();
            Ok(())
        }
    }
}

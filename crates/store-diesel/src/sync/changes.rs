use std::fmt::Display;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::UnknownWord;
use sync_core::changes::Change;
use sync_core::outbox::Undelivered;
use sync_core::ports::{ChangeLog, StoreError, TxResult};
use sync_core::pull::RunId;
use sync_core::rows::Model;

use super::limited;
use crate::both;
use crate::counters;
use crate::error::{During as _, corrupt};
use crate::schema::{sync_changes, sync_deliveries};
use crate::statement::{Bind, CHANGES, Statement, WriteRow};
use crate::types::{AnyText, Json, Moment};

const TABLE: &str = "sync_changes";

#[derive(Queryable)]
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
        /// Appends under a lock that is held until the commit became visible: a sequence alone hands out numbers in an order
        /// that is not the order of commits, and a reader would miss what commits late.
        fn append(conn: &mut Conn, changes: &[Change]) -> TxResult<()> {
            Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd changes', 0))").execute(conn).during(TABLE)?;
            counters::pg::keep_ahead(conn, &counters::CHANGES)?;
            for changes in changes.chunks(5_000) {
                let fields: Vec<String> = changes.iter().map(|change| change.fields.to_string()).collect();
                let runs: Vec<String> = changes.iter().map(|change| change.run_id.to_string()).collect();
                let texts = |of: fn(&Change) -> &str| changes.iter().map(|change| Some(of(change))).collect::<Vec<_>>();
                Statement::new(
                    "INSERT INTO sync_changes (integration_id, model, record_id, kind, cause, run_id, at, fields) SELECT unnest(",
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
    }

    sqlite {
        /// Appends: SQLite has one writer at a time, so numbers are in the order of commits.
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
                    Bind::Int(change.run_id.0),
                    Bind::time(Some(change.at)),
                    Bind::Text(Some(&fields)),
                ];
                WriteRow::<CHANGES, false> { head: HEAD, binds, tail: ")" }.execute(conn).during(TABLE)?;
            }
            Ok(())
        }
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
            let last: Option<i64> =
                sync_changes::table.select(diesel::dsl::max(sync_changes::seq)).first(self.conn).during(TABLE)?;
            Ok(last.unwrap_or(0))
        }

        fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64> {
            let last = "INSERT INTO sync_trimmed (id, seq) SELECT 1, max(seq) FROM sync_changes WHERE true HAVING max(seq) > 0 \
                        ON CONFLICT (id) DO UPDATE SET seq = excluded.seq";
            Statement::new(last).execute(self.conn).during(TABLE)?;
            // Entries are in the order of their time but for clock changes, so the search ends at the first young one.
            let keep_from: Option<i64> = sync_changes::table
                .filter(sync_changes::at.ge(Moment(before)))
                .order(sync_changes::seq)
                .select(sync_changes::seq)
                .first(self.conn)
                .optional()
                .during(TABLE)?;
            // Asked for the time as well: an entry may have come since the search.
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
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        }

        fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
            append(self.conn, changes)
        }
    }
}

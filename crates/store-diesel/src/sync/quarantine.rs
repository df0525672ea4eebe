use diesel::prelude::*;
use kombo_model::{Endpoint, IntegrationId};
use sync_core::ports::{Quarantine, QuarantinePart, QuarantineRelease, StoreError, TxResult};
use sync_core::pull::{Quarantined, RunId};

use super::{count, limited, readable, word};
use crate::both;
use crate::error::During as _;
use crate::schema::sync_quarantine;
use crate::statement::Statement;
use crate::types::{AnyText, Moment};

const TABLE: &str = "sync_quarantine";

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = sync_quarantine)]
struct QuarantineRow {
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    endpoint: String,
    #[diesel(deserialize_as = AnyText)]
    record_id: String,
    #[diesel(deserialize_as = AnyText)]
    json: String,
    #[diesel(deserialize_as = AnyText)]
    path: String,
    #[diesel(deserialize_as = AnyText)]
    reason: String,
    observed_at: Moment,
    run_id: i64,
}

impl From<&Quarantined> for QuarantineRow {
    fn from(record: &Quarantined) -> Self {
        Self {
            integration_id: record.integration_id.as_str().to_owned(),
            endpoint: record.endpoint.to_string(),
            record_id: record.record_id.clone(),
            json: record.json.clone(),
            path: record.path.clone(),
            reason: record.reason.clone(),
            observed_at: Moment(record.observed_at),
            run_id: record.run_id.0,
        }
    }
}

impl TryFrom<QuarantineRow> for Quarantined {
    type Error = StoreError;

    fn try_from(row: QuarantineRow) -> Result<Self, StoreError> {
        Ok(Self {
            integration_id: IntegrationId::from(row.integration_id),
            endpoint: word(TABLE, &row.endpoint)?,
            record_id: row.record_id,
            json: row.json,
            path: row.path,
            reason: row.reason,
            observed_at: row.observed_at.0,
            run_id: RunId(row.run_id),
        })
    }
}

both! {
    /// Selects the records of a part of the quarantine.
    fn in_part(part: QuarantinePart<'_>) -> sync_quarantine::BoxedQuery<'_, DB> {
        let records = sync_quarantine::table.into_boxed();
        match part {
            QuarantinePart::All => records,
            QuarantinePart::Integration(id) => records.filter(sync_quarantine::integration_id.eq(id.as_str())),
            QuarantinePart::Endpoint(id, endpoint) => records
                .filter(sync_quarantine::integration_id.eq(id.as_str()))
                .filter(sync_quarantine::endpoint.eq(endpoint.as_str())),
            QuarantinePart::From(id, endpoint, from) => records
                .filter(sync_quarantine::integration_id.eq(id.as_str()))
                .filter(sync_quarantine::endpoint.eq(endpoint.as_str()))
                .filter(sync_quarantine::record_id.ge(from)),
        }
    }

    impl Quarantine for DbTx<'_> {
        fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()> {
            for record in records {
                let row = QuarantineRow::from(record);
                diesel::insert_into(sync_quarantine::table)
                    .values(&row)
                    .on_conflict((
                        sync_quarantine::integration_id,
                        sync_quarantine::endpoint,
                        sync_quarantine::record_id,
                    ))
                    .do_update()
                    .set(&row)
                    .execute(self.conn)
                    .during(TABLE)?;
            }
            Ok(())
        }

        fn clear_quarantined(
            &mut self,
            integration: &IntegrationId,
            endpoint: Endpoint,
            which: QuarantineRelease<'_>,
        ) -> TxResult<u64> {
            let statement = Statement::new("DELETE FROM sync_quarantine WHERE integration_id = ")
                .text(integration.as_str())
                .sql(" AND endpoint = ")
                .text(endpoint.as_str());
            let statement = match (which, DIALECT) {
                (QuarantineRelease::Ids(ids), Dialect::Postgres) => statement
                    .sql(" AND record_id = ANY(")
                    .texts(ids.iter().map(|id| Some(id.as_str())).collect())
                    .sql(")"),
                (QuarantineRelease::Ids(ids), Dialect::Sqlite) => statement
                    .sql(" AND record_id IN (SELECT value FROM json_each(")
                    .json(serde_json::json!(ids).to_string())
                    .sql("))"),
                (QuarantineRelease::OfOtherRuns(run), _) => statement.sql(" AND run_id <> ").int(run.0),
            };
            let cleared = statement.execute(self.conn).during(TABLE)?;
            Ok(u64::try_from(cleared).unwrap_or(u64::MAX))
        }

        fn quarantined(&mut self, part: QuarantinePart<'_>, limit: usize) -> TxResult<Vec<Quarantined>> {
            let order = (sync_quarantine::integration_id, sync_quarantine::endpoint, sync_quarantine::record_id);
            let records = in_part(part).order(order).limit(limited(limit));
            let rows: Vec<QuarantineRow> = records.load(self.conn).during(TABLE)?;
            Ok(readable(rows))
        }

        fn quarantine_size(&mut self, part: QuarantinePart<'_>) -> TxResult<u64> {
            let size: i64 = in_part(part).count().get_result(self.conn).during(TABLE)?;
            Ok(count(size))
        }
    }
}

use diesel::prelude::*;
use kombo_model::{Endpoint, IntegrationId};
use sync_core::ports::{StoreError, TxResult};
use sync_core::pull::{Quarantined, RunId};

use super::{count, limited, readable, word};
use crate::both;
use crate::error::During as _;
use crate::schema::sync_quarantine;
use crate::statement::Statement;
use crate::types::Moment;

const TABLE: &str = "sync_quarantine";

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = sync_quarantine)]
struct QuarantineRow {
    integration_id: String,
    endpoint: String,
    record_id: String,
    json: String,
    path: String,
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
    pub(crate) fn put(conn: &mut Conn, records: &[Quarantined]) -> TxResult<()> {
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
                .execute(conn)
                .during(TABLE)?;
        }
        Ok(())
    }

    pub(crate) fn clear(
        conn: &mut Conn,
        integration: &IntegrationId,
        endpoint: Endpoint,
        ids: &[String],
    ) -> TxResult<u64> {
        let statement = Statement::new("DELETE FROM sync_quarantine WHERE integration_id = ")
            .text(integration.as_str())
            .sql(" AND endpoint = ")
            .text(endpoint.as_str());
        let statement = match DIALECT {
            Dialect::Postgres => statement
                .sql(" AND record_id = ANY(")
                .texts(ids.iter().map(|id| Some(id.as_str())).collect())
                .sql(")"),
            Dialect::Sqlite => statement
                .sql(" AND record_id IN (SELECT value FROM json_each(")
                .json(serde_json::json!(ids).to_string())
                .sql("))"),
        };
        let cleared = statement.execute(conn).during(TABLE)?;
        Ok(u64::try_from(cleared).unwrap_or(u64::MAX))
    }

    pub(crate) fn clear_before(
        conn: &mut Conn,
        integration: &IntegrationId,
        endpoint: Endpoint,
        run: RunId,
    ) -> TxResult<u64> {
        let of = sync_quarantine::table
            .filter(sync_quarantine::integration_id.eq(integration.as_str()))
            .filter(sync_quarantine::endpoint.eq(endpoint.as_str()))
            .filter(sync_quarantine::run_id.ne(run.0));
        let cleared = diesel::delete(of).execute(conn).during(TABLE)?;
        Ok(u64::try_from(cleared).unwrap_or(u64::MAX))
    }

    pub(crate) fn all(conn: &mut Conn, integration: Option<&IntegrationId>) -> TxResult<Vec<Quarantined>> {
        first(conn, integration, usize::MAX)
    }

    pub(crate) fn first(
        conn: &mut Conn,
        integration: Option<&IntegrationId>,
        limit: usize,
    ) -> TxResult<Vec<Quarantined>> {
        let order = (sync_quarantine::integration_id, sync_quarantine::endpoint, sync_quarantine::record_id);
        let records = sync_quarantine::table.order(order).limit(limited(limit));
        let rows: Vec<QuarantineRow> = match integration {
            Some(id) => records.filter(sync_quarantine::integration_id.eq(id.as_str())).load(conn).during(TABLE)?,
            None => records.load(conn).during(TABLE)?,
        };
        Ok(readable(rows))
    }

    pub(crate) fn from(
        conn: &mut Conn,
        integration: &IntegrationId,
        endpoint: Endpoint,
        from: &str,
        limit: usize,
    ) -> TxResult<Vec<Quarantined>> {
        let records = sync_quarantine::table
            .filter(sync_quarantine::integration_id.eq(integration.as_str()))
            .filter(sync_quarantine::endpoint.eq(endpoint.as_str()))
            .filter(sync_quarantine::record_id.ge(from))
            .order(sync_quarantine::record_id)
            .limit(limited(limit));
        let rows: Vec<QuarantineRow> = records.load(conn).during(TABLE)?;
        Ok(readable(rows))
    }

    pub(crate) fn total(conn: &mut Conn) -> TxResult<u64> {
        let total: i64 = sync_quarantine::table.count().get_result(conn).during(TABLE)?;
        Ok(count(total))
    }

    pub(crate) fn size(conn: &mut Conn, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<u64> {
        let size: i64 = sync_quarantine::table
            .filter(sync_quarantine::integration_id.eq(integration.as_str()))
            .filter(sync_quarantine::endpoint.eq(endpoint.as_str()))
            .count()
            .get_result(conn)
            .during(TABLE)?;
        Ok(count(size))
    }
}

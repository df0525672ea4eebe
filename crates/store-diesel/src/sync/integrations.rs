use diesel::prelude::*;
use kombo_model::IntegrationId;
use sync_core::jobs::{IntegrationRecord, IntegrationStatus};
use sync_core::ports::{Integrations, StoreError, TxResult};

use super::word_or;
use crate::both;
use crate::cached::Cached;
use crate::error::During as _;
use crate::schema::sync_integrations;
use crate::types::{AnyText, MaybeAnyText, Moment};

const TABLE: &str = "sync_integrations";

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = sync_integrations, treat_none_as_null = true, treat_none_as_default_value = false)]
struct IntegrationRow {
    #[diesel(deserialize_as = AnyText)]
    id: String,
    #[diesel(deserialize_as = MaybeAnyText)]
    tool: Option<String>,
    #[diesel(deserialize_as = AnyText)]
    status: String,
    status_since: Moment,
    #[diesel(deserialize_as = MaybeAnyText)]
    reason: Option<String>,
    registered_at: Moment,
    state_updated_at: Option<Moment>,
}

impl From<&IntegrationRecord> for IntegrationRow {
    fn from(record: &IntegrationRecord) -> Self {
        Self {
            id: record.id.as_str().to_owned(),
            tool: record.tool.clone(),
            status: record.status.to_string(),
            status_since: Moment(record.status_since),
            reason: record.reason.clone(),
            registered_at: Moment(record.registered_at),
            state_updated_at: record.state_updated_at.map(Moment),
        }
    }
}

impl TryFrom<IntegrationRow> for IntegrationRecord {
    type Error = StoreError;

    fn try_from(row: IntegrationRow) -> Result<Self, StoreError> {
        // A paused one is tried, and goes on if that works.
        let status = word_or(TABLE, &row.id, &row.status, IntegrationStatus::Paused);
        Ok(Self {
            id: IntegrationId::from(row.id),
            tool: row.tool,
            status,
            status_since: row.status_since.0,
            reason: row.reason,
            registered_at: row.registered_at.0,
            state_updated_at: row.state_updated_at.map(|moment| moment.0),
        })
    }
}

both! {
    impl Integrations for DbTx<'_> {
        fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>> {
            let row: Option<IntegrationRow> =
                sync_integrations::table.find(id.as_str()).first(self.conn).optional().during(TABLE)?;
            row.map(TryInto::try_into).transpose()
        }

        fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>> {
            let rows: Vec<IntegrationRow> =
                sync_integrations::table.order(sync_integrations::id).load(self.conn).during(TABLE)?;
            rows.into_iter().map(TryInto::try_into).collect()
        }

        fn put_integration(&mut self, record: &IntegrationRecord) -> TxResult<()> {
            let row = IntegrationRow::from(record);
            let upsert = diesel::insert_into(sync_integrations::table)
                .values(&row)
                .on_conflict(sync_integrations::id)
                .do_update()
                .set(&row);
            Cached(upsert).execute(self.conn).during(TABLE).map(drop)
        }
    }
}

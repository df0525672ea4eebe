use diesel::prelude::*;
use kombo_model::{Endpoint, IntegrationId, UnknownEndpoint};
use sync_core::jobs::{EndpointState, EndpointStatus};
use sync_core::ports::{Endpoints, StoreError, TxResult};

use super::{moment, readable, time, word_or};
use crate::both;
use crate::cached::Cached;
use crate::error::{During as _, corrupt};
use crate::schema::sync_watermarks;
use crate::types::{AnyText, MaybeAnyText, Moment};

const TABLE: &str = "sync_watermarks";

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = sync_watermarks, treat_none_as_null = true, treat_none_as_default_value = false)]
struct EndpointRow {
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    endpoint: String,
    watermark: Option<Moment>,
    loaded_at: Option<Moment>,
    last_delta_at: Option<Moment>,
    last_full_at: Option<Moment>,
    next_full_at: Option<Moment>,
    last_blind_full_at: Option<Moment>,
    #[diesel(deserialize_as = AnyText)]
    status: String,
    status_since: Option<Moment>,
    #[diesel(deserialize_as = MaybeAnyText)]
    reason: Option<String>,
    pending_removals: Option<i64>,
}

impl From<&EndpointState> for EndpointRow {
    fn from(state: &EndpointState) -> Self {
        Self {
            integration_id: state.integration_id.as_str().to_owned(),
            endpoint: state.endpoint.to_string(),
            watermark: moment(state.watermark),
            loaded_at: moment(state.loaded_at),
            last_delta_at: moment(state.last_delta_at),
            last_full_at: moment(state.last_full_at),
            next_full_at: moment(state.next_full_at),
            last_blind_full_at: moment(state.last_blind_full_at),
            status: state.status.to_string(),
            status_since: moment(state.status_since),
            reason: state.reason.clone(),
            pending_removals: state.pending_removals,
        }
    }
}

impl TryFrom<EndpointRow> for EndpointState {
    type Error = StoreError;

    fn try_from(row: EndpointRow) -> Result<Self, StoreError> {
        let name = format!("{} of {}", row.endpoint, row.integration_id);
        Ok(Self {
            integration_id: IntegrationId::from(row.integration_id),
            endpoint: row
                .endpoint
                .parse()
                .map_err(|error: UnknownEndpoint| corrupt(TABLE, &format!("{name}: {error}")))?,
            watermark: time(row.watermark),
            loaded_at: time(row.loaded_at),
            last_delta_at: time(row.last_delta_at),
            last_full_at: time(row.last_full_at),
            next_full_at: time(row.next_full_at),
            last_blind_full_at: time(row.last_blind_full_at),
            status: word_or(TABLE, &name, &row.status, EndpointStatus::Failed),
            status_since: time(row.status_since),
            reason: row.reason,
            pending_removals: row.pending_removals,
        })
    }
}

both! {
    impl Endpoints for DbTx<'_> {
        fn endpoint(&mut self, integration: &IntegrationId,
            endpoint: Endpoint,
        ) -> TxResult<Option<EndpointState>> {
            let row: Option<EndpointRow> = sync_watermarks::table
                .find((integration.as_str(), endpoint.as_str()))
                .first(self.conn)
                .optional()
                .during(TABLE)?;
            row.map(TryInto::try_into).transpose()
        }

        fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
            let row = EndpointRow::from(state);
            let upsert = diesel::insert_into(sync_watermarks::table)
                .values(&row)
                .on_conflict((sync_watermarks::integration_id, sync_watermarks::endpoint))
                .do_update()
                .set(&row);
            Cached(upsert).execute(self.conn).during(TABLE).map(drop)
        }

        fn endpoints_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<EndpointState>> {
            let ids = integrations.iter().map(IntegrationId::as_str);
            let states = sync_watermarks::table.filter(sync_watermarks::integration_id.eq_any(ids));
            let rows: Vec<EndpointRow> = states.load(self.indexed()?).during(TABLE)?;
            Ok(readable(rows))
        }

        fn endpoints(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<EndpointState>> {
            let order = (sync_watermarks::integration_id, sync_watermarks::endpoint);
            let states = sync_watermarks::table.order(order);
            let rows: Vec<EndpointRow> = match integration {
                Some(id) => states.filter(sync_watermarks::integration_id.eq(id.as_str())).load(self.conn).during(TABLE)?,
                None => states.load(self.conn).during(TABLE)?,
            };
            let mut states: Vec<EndpointState> = readable(rows);
            states.sort_by(|a, b| (&a.integration_id, a.endpoint).cmp(&(&b.integration_id, b.endpoint)));
            Ok(states)
        }
    }
}

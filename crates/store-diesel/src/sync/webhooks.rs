use diesel::prelude::*;
use kombo_model::Timestamp;
use sync_core::port::TxResult;
use sync_core::types::WebhookRecord;

use crate::both;
use crate::error::During as _;
use crate::schema::sync_webhook_events;
use crate::types::{Json, Moment};

const TABLE: &str = "sync_webhook_events";

#[derive(Insertable)]
#[diesel(table_name = sync_webhook_events, treat_none_as_default_value = false)]
struct WebhookRow<'a> {
    id: &'a str,
    kind: &'a str,
    integration_id: Option<String>,
    received_at: Moment,
    models: Json,
    result: &'a str,
}

both! {
    pub(crate) fn insert(conn: &mut Conn, webhook: &WebhookRecord) -> TxResult<bool> {
        let row = WebhookRow {
            id: &webhook.id,
            kind: &webhook.kind,
            integration_id: webhook.integration_id.as_ref().map(ToString::to_string),
            received_at: Moment(webhook.received_at),
            models: Json(serde_json::json!(webhook.models).to_string()),
            result: &webhook.result,
        };
        let inserted = diesel::insert_into(sync_webhook_events::table)
            .values(&row)
            .on_conflict(sync_webhook_events::id)
            .do_nothing()
            .execute(conn)
            .during(TABLE)?;
        Ok(inserted == 1)
    }

    pub(crate) fn trim(conn: &mut Conn, before: Timestamp) -> TxResult<u64> {
        let old = sync_webhook_events::table.filter(sync_webhook_events::received_at.lt(Moment(before)));
        let removed = diesel::delete(old).execute(conn).during(TABLE)?;
        Ok(u64::try_from(removed).unwrap_or(u64::MAX))
    }
}

use std::collections::BTreeSet;

use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::{TxResult, WebhookEvents};
use sync_core::webhooks::WebhookRecord;

use crate::both;
use crate::cached::Cached;
use crate::error::During as _;
use crate::schema::sync_webhook_events;
use crate::statement::{Cell, Cells, Statement};
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

fn models(webhook: &WebhookRecord) -> String {
    serde_json::json!(webhook.models).to_string()
}

both! {
    postgres {
        /// Inserts all in one statement, in the order of their ids, so that two transactions that insert the same ones
        /// do not deadlock.
        fn insert(conn: &mut Conn, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
            if webhooks.is_empty() {
                return Ok(Vec::new());
            }
            let models: Vec<String> = webhooks.iter().map(models).collect();
            let texts = |of: fn(&WebhookRecord) -> Option<&str>| webhooks.iter().map(of).collect::<Vec<_>>();
            let inserted: Vec<Cells> = Statement::new(
                "INSERT INTO sync_webhook_events (id, kind, integration_id, received_at, models, result) \
                 SELECT u.id, u.kind, u.integration_id, u.received_at, u.models::jsonb, u.result FROM unnest(",
            )
            .texts(texts(|webhook| Some(&webhook.id)))
            .sql(", ")
            .texts(texts(|webhook| Some(&webhook.kind)))
            .sql(", ")
            .texts(texts(|webhook| webhook.integration_id.as_ref().map(IntegrationId::as_str)))
            .sql(", ")
            .times(webhooks.iter().map(|webhook| Some(webhook.received_at)).collect())
            .sql(", ")
            .texts(models.iter().map(|models| Some(models.as_str())).collect())
            .sql(", ")
            .texts(texts(|webhook| Some(&webhook.result)))
            .sql(
                ") WITH ORDINALITY AS u (id, kind, integration_id, received_at, models, result, place) \
                 ORDER BY u.id, u.place ON CONFLICT (id) DO NOTHING RETURNING id",
            )
            .load(conn)
            .during(TABLE)?;
            let id = |cells: Cells| cells.0.into_iter().next().flatten().and_then(Cell::into_text);
            let mut inserted: BTreeSet<String> = inserted.into_iter().filter_map(id).collect();
            // If several events have the same id, only the first is stored.
            Ok(webhooks.iter().map(|webhook| inserted.remove(&webhook.id)).collect())
        }
    }

    sqlite {
        /// Inserts each by its own statement: SQLite runs a cached statement faster than a long one.
        fn insert(conn: &mut Conn, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
            let insert = |webhook: &WebhookRecord| {
                let row = WebhookRow {
                    id: &webhook.id,
                    kind: &webhook.kind,
                    integration_id: webhook.integration_id.as_ref().map(ToString::to_string),
                    received_at: Moment(webhook.received_at),
                    models: Json(models(webhook)),
                    result: &webhook.result,
                };
                let insert = diesel::insert_into(sync_webhook_events::table)
                    .values(&row)
                    .on_conflict(sync_webhook_events::id)
                    .do_nothing();
                Ok(Cached(insert).execute(conn).during(TABLE)? == 1)
            };
            webhooks.iter().map(insert).collect()
        }
    }

    impl WebhookEvents for DbTx<'_> {
        fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64> {
            let old = sync_webhook_events::table.filter(sync_webhook_events::received_at.lt(Moment(before)));
            let removed = diesel::delete(old).execute(self.conn).during(TABLE)?;
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        }

        fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
            insert(self.conn, webhooks)
        }
    }
}

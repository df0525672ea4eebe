use std::collections::BTreeSet;

use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::{TxResult, WebhookEvents};
use sync_core::webhooks::{Hint, PendingWebhook, WebhookRecord};

use super::limited;
use crate::both;
use crate::cached::Cached;
use crate::error::During as _;
use crate::schema::{sync_webhook_events, sync_webhook_inbox};
use crate::statement::{Cell, Cells, Statement};
use crate::types::{AnyText, Json, Moment};

const TABLE: &str = "sync_webhook_events";
const INBOX: &str = "sync_webhook_inbox";

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

#[derive(Insertable)]
#[diesel(table_name = sync_webhook_inbox)]
struct NewPending<'a> {
    integration_id: &'a str,
    event_id: &'a str,
    received_at: Moment,
    hint: String,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sync_webhook_inbox)]
struct PendingRow {
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    event_id: String,
    received_at: Moment,
    #[diesel(deserialize_as = AnyText)]
    hint: String,
}

impl From<PendingRow> for PendingWebhook {
    fn from(row: PendingRow) -> Self {
        Self {
            id: row.event_id,
            integration_id: IntegrationId::from(row.integration_id),
            received_at: row.received_at.0,
            hint: Hint::from_json(&row.hint),
        }
    }
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

        fn put_pending(conn: &mut Conn, webhooks: &[PendingWebhook]) -> TxResult<()> {
            let hints: Vec<String> = webhooks.iter().map(|webhook| webhook.hint.to_json()).collect();
            Statement::new(
                "INSERT INTO sync_webhook_inbox (integration_id, event_id, received_at, hint) \
                 SELECT u.integration_id, u.event_id, u.received_at, u.hint FROM unnest(",
            )
            .texts(webhooks.iter().map(|webhook| Some(webhook.integration_id.as_str())).collect())
            .sql(", ")
            .texts(webhooks.iter().map(|webhook| Some(webhook.id.as_str())).collect())
            .sql(", ")
            .times(webhooks.iter().map(|webhook| Some(webhook.received_at)).collect())
            .sql(", ")
            .texts(hints.iter().map(|hint| Some(hint.as_str())).collect())
            .sql(
                ") WITH ORDINALITY AS u (integration_id, event_id, received_at, hint, place) \
                 ORDER BY u.place ON CONFLICT (integration_id, event_id) DO NOTHING",
            )
            .execute(conn)
            .during(INBOX)
            .map(drop)
        }

        fn settle(conn: &mut Conn, integration: &IntegrationId, results: &[(&str, &str)]) -> TxResult<()> {
            let ids = || results.iter().map(|(id, _)| Some(*id)).collect::<Vec<_>>();
            Statement::new("DELETE FROM sync_webhook_inbox WHERE integration_id = ")
                .text(integration.as_str())
                .sql(" AND event_id = ANY (")
                .texts(ids())
                .sql(")")
                .execute(conn)
                .during(INBOX)?;
            Statement::new("UPDATE sync_webhook_events AS e SET result = u.result FROM unnest(")
                .texts(ids())
                .sql(", ")
                .texts(results.iter().map(|(_, result)| Some(*result)).collect())
                .sql(") AS u (id, result) WHERE e.id = u.id")
                .execute(conn)
                .during(TABLE)
                .map(drop)
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

        fn put_pending(conn: &mut Conn, webhooks: &[PendingWebhook]) -> TxResult<()> {
            for webhook in webhooks {
                let row = NewPending {
                    integration_id: webhook.integration_id.as_str(),
                    event_id: &webhook.id,
                    received_at: Moment(webhook.received_at),
                    hint: webhook.hint.to_json(),
                };
                let insert = diesel::insert_into(sync_webhook_inbox::table).values(&row).on_conflict_do_nothing();
                Cached(insert).execute(conn).during(INBOX)?;
            }
            Ok(())
        }

        fn settle(conn: &mut Conn, integration: &IntegrationId, results: &[(&str, &str)]) -> TxResult<()> {
            for (id, result) in results {
                let pending = sync_webhook_inbox::table
                    .filter(sync_webhook_inbox::integration_id.eq(integration.as_str()))
                    .filter(sync_webhook_inbox::event_id.eq(id));
                Cached(diesel::delete(pending)).execute(conn).during(INBOX)?;
                let event = sync_webhook_events::table.find(id);
                let update = diesel::update(event).set(sync_webhook_events::result.eq(result));
                Cached(update).execute(conn).during(TABLE)?;
            }
            Ok(())
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

        fn put_pending_webhooks(&mut self, webhooks: &[PendingWebhook]) -> TxResult<()> {
            put_pending(self.conn, webhooks)
        }

        fn pending_webhooks(&mut self, integration: &IntegrationId, limit: usize) -> TxResult<Vec<PendingWebhook>> {
            let pending = sync_webhook_inbox::table
                .filter(sync_webhook_inbox::integration_id.eq(integration.as_str()))
                .order(sync_webhook_inbox::arrival)
                .limit(limited(limit))
                .select(PendingRow::as_select());
            let rows: Vec<PendingRow> = pending.load(self.conn).during(INBOX)?;
            Ok(rows.into_iter().map(PendingWebhook::from).collect())
        }

        fn integrations_with_pending_webhooks(&mut self, limit: usize) -> TxResult<Vec<(IntegrationId, Timestamp)>> {
            let rows: Vec<Cells> = Statement::new(
                "SELECT integration_id, min(received_at) FROM sync_webhook_inbox GROUP BY integration_id \
                 ORDER BY min(received_at) LIMIT ",
            )
            .int(limited(limit))
            .load(self.conn)
            .during(INBOX)?;
            let pair = |cells: Cells| {
                let mut cells = cells.0.into_iter();
                let id = IntegrationId::from(cells.next()??.into_text()?);
                // A time that was edited by hand and cannot be read is long past.
                Some((id, cells.next()?.and_then(Cell::into_time).unwrap_or(Timestamp::MIN)))
            };
            Ok(rows.into_iter().filter_map(pair).collect())
        }

        fn settle_webhooks(&mut self, integration: &IntegrationId, results: &[(&str, &str)]) -> TxResult<()> {
            settle(self.conn, integration, results)
        }
    }
}

//! The statements of a unit of work, handed to the files that hold them.

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::changes::Change;
use sync_core::horizon::Horizon;
use sync_core::jobs::{EndpointState, IntegrationRecord, Request, Target};
use sync_core::outbox::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::ports::{TryRequest, Tx, TxResult};
use sync_core::pull::{Quarantined, Run, RunId};
use sync_core::ratelimit::Pacing;
use sync_core::rows::{Held, Key, Model, NewRow, Row, StoredRow};
use sync_core::webhooks::WebhookRecord;

use crate::error::During as _;
use crate::{mirror, sync};

/// A unit of work in PostgreSQL.
pub(crate) struct PgTx<'a> {
    conn: &'a mut crate::backend::postgres::Conn,
    /// It looks things up by index until it ends.
    by_index: bool,
}

impl<'a> PgTx<'a> {
    pub(crate) fn new(conn: &'a mut crate::backend::postgres::Conn) -> Self {
        Self { conn, by_index: false }
    }

    /// The connection for a statement on a table that may be large. Units that keep books only do without: what they ask is
    /// planned once for each connection, and not each time.
    fn indexed(&mut self) -> TxResult<&mut crate::backend::postgres::Conn> {
        if !self.by_index {
            crate::backend::postgres::look_up_by_index(self.conn)?;
            self.by_index = true;
        }
        Ok(self.conn)
    }
}

/// A unit of work in SQLite.
pub(crate) struct SqliteTx<'a> {
    pub(crate) conn: &'a mut crate::backend::sqlite::Conn,
}

impl SqliteTx<'_> {
    #[allow(clippy::unnecessary_wraps, reason = "its sibling may fail")]
    fn indexed(&mut self) -> TxResult<&mut crate::backend::sqlite::Conn> {
        Ok(self.conn)
    }
}

macro_rules! tx {
    ($tx:ident, $backend:ident { $($own:item)* }) => {
        impl Tx for $tx<'_> {
            $($own)*

            fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>> {
                mirror::$backend::rows(self.indexed()?, model, integration, keys)
            }

            fn members(
                &mut self,
                model: Model,
                integration: &IntegrationId,
                parents: &[String],
            ) -> TxResult<Vec<StoredRow>> {
                mirror::$backend::members(self.indexed()?, model, integration, parents)
            }

            fn rows_after(
                &mut self,
                model: Model,
                integration: &IntegrationId,
                after: Option<&Key>,
                limit: usize,
            ) -> TxResult<Vec<StoredRow>> {
                mirror::$backend::rows_after(self.indexed()?, model, integration, after, limit)
            }

            fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64> {
                mirror::$backend::live_rows(self.indexed()?, model, integration)
            }

            fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()> {
                sync::seen::$backend::put(self.conn, run, batch, model, keys)
            }

            fn seen_batches(&mut self, run: RunId) -> TxResult<i64> {
                sync::seen::$backend::batches(self.conn, run)
            }

            fn clear_seen(&mut self, run: RunId) -> TxResult<()> {
                sync::seen::$backend::clear(self.conn, run)
            }

            fn unseen(
                &mut self,
                model: Model,
                integration: &IntegrationId,
                run: RunId,
                after: Option<&Key>,
                limit: usize,
            ) -> TxResult<Vec<Key>> {
                mirror::$backend::unseen(self.indexed()?, model, integration, run.0, after, limit)
            }

            fn changes(
                &mut self,
                integration: Option<&IntegrationId>,
                seq: i64,
                limit: usize,
            ) -> TxResult<Vec<Change>> {
                sync::changes::$backend::since(self.indexed()?, integration, seq, limit)
            }

            fn latest_changes(
                &mut self,
                integration: &IntegrationId,
                record_id: Option<&str>,
                before: i64,
                limit: usize,
            ) -> TxResult<Vec<Change>> {
                sync::changes::$backend::latest(self.indexed()?, integration, record_id, before, limit)
            }

            fn last_change(&mut self) -> TxResult<i64> {
                sync::changes::$backend::last(self.conn)
            }

            fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64> {
                sync::changes::$backend::trim(self.conn, before, undelivered)
            }

            fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>> {
                sync::integrations::$backend::get(self.conn, id)
            }

            fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>> {
                sync::integrations::$backend::all(self.conn)
            }

            fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()> {
                sync::integrations::$backend::put(self.conn, integration)
            }

            fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>> {
                sync::endpoints::$backend::get(self.conn, integration, endpoint)
            }

            fn endpoints(&mut self) -> TxResult<Vec<EndpointState>> {
                sync::endpoints::$backend::all(self.conn)
            }

            fn endpoints_of(&mut self, integration: &IntegrationId) -> TxResult<Vec<EndpointState>> {
                sync::endpoints::$backend::of(self.conn, integration)
            }

            fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
                sync::endpoints::$backend::put(self.conn, state)
            }

            fn requests(&mut self) -> TxResult<Vec<Request>> {
                sync::requests::$backend::all(self.conn)
            }

            fn due_requests(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Request>> {
                sync::requests::$backend::due(self.conn, horizon, limit)
            }

            fn put_request(&mut self, request: &Request) -> TxResult<()> {
                sync::requests::$backend::put(self.conn, request)
            }

            fn insert_request(&mut self, request: &Request) -> TxResult<bool> {
                sync::requests::$backend::insert(self.conn, request)
            }

            fn delete_request(&mut self, target: &Target) -> TxResult<()> {
                sync::requests::$backend::delete(self.conn, target)
            }

            fn insert_run(&mut self, run: &Run) -> TxResult<RunId> {
                sync::runs::$backend::insert(self.conn, run)
            }

            fn put_run(&mut self, run: &Run) -> TxResult<()> {
                sync::runs::$backend::put(self.conn, run)
            }

            fn run(&mut self, id: RunId) -> TxResult<Option<Run>> {
                sync::runs::$backend::get(self.conn, id)
            }

            fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>> {
                sync::runs::$backend::latest(self.conn, target)
            }

            fn recent_runs(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Run>> {
                sync::runs::$backend::recent(self.conn, integration, limit)
            }

            fn runs_before(
                &mut self,
                integration: Option<&IntegrationId>,
                before: RunId,
                limit: usize,
            ) -> TxResult<Vec<Run>> {
                sync::runs::$backend::before(self.conn, integration, before, limit)
            }

            fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64> {
                sync::runs::$backend::trim(self.conn, before)
            }

            fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()> {
                sync::pacing::$backend::put(self.conn, pacing)
            }

            fn delivery_start(&mut self) -> TxResult<Option<i64>> {
                sync::deliveries::$backend::start(self.conn)
            }

            fn insert_delivery_start(&mut self, seq: i64) -> TxResult<()> {
                sync::deliveries::$backend::insert_start(self.conn, seq)
            }

            fn undelivered_integrations(&mut self) -> TxResult<Vec<IntegrationId>> {
                sync::deliveries::$backend::missing(self.conn)
            }

            fn insert_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
                sync::deliveries::$backend::insert(self.conn, delivery)
            }

            fn put_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
                sync::deliveries::$backend::put(self.conn, delivery)
            }

            fn deliveries(&mut self) -> TxResult<Vec<Delivery>> {
                sync::deliveries::$backend::all(self.conn)
            }

            fn due_deliveries(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Delivery>> {
                sync::deliveries::$backend::due(self.conn, horizon, limit)
            }

            fn undelivered(&mut self) -> TxResult<Vec<Backlog>> {
                sync::deliveries::$backend::backlogs(self.conn)
            }

            fn put_dead_letter(&mut self, letter: &DeadLetter, body: &str) -> TxResult<()> {
                sync::dead_letters::$backend::put(self.conn, letter, body)
            }

            fn dead_letters(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<DeadLetter>> {
                sync::dead_letters::$backend::all(self.conn, integration)
            }

            fn dead_letter_body(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<Option<String>> {
                sync::dead_letters::$backend::body(self.conn, integration, id)
            }

            fn mark_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
                sync::dead_letters::$backend::mark(self.conn, integration, id)
            }

            fn delete_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
                sync::dead_letters::$backend::delete(self.conn, integration, id)
            }

            fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64> {
                sync::webhooks::$backend::trim(self.conn, before)
            }

            fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()> {
                sync::quarantine::$backend::put(self.conn, records)
            }

            fn clear_quarantined(
                &mut self,
                integration: &IntegrationId,
                endpoint: Endpoint,
                ids: &[String],
            ) -> TxResult<u64> {
                sync::quarantine::$backend::clear(self.conn, integration, endpoint, ids)
            }

            fn clear_quarantined_before(
                &mut self,
                integration: &IntegrationId,
                endpoint: Endpoint,
                run: RunId,
            ) -> TxResult<u64> {
                sync::quarantine::$backend::clear_before(self.conn, integration, endpoint, run)
            }

            fn quarantined(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<Quarantined>> {
                sync::quarantine::$backend::all(self.conn, integration)
            }

            fn quarantined_from(
                &mut self,
                integration: &IntegrationId,
                endpoint: Endpoint,
                from: &str,
                limit: usize,
            ) -> TxResult<Vec<Quarantined>> {
                sync::quarantine::$backend::from(self.conn, integration, endpoint, from, limit)
            }

            fn first_quarantined(
                &mut self,
                integration: Option<&IntegrationId>,
                limit: usize,
            ) -> TxResult<Vec<Quarantined>> {
                sync::quarantine::$backend::first(self.conn, integration, limit)
            }

            fn quarantine_total(&mut self) -> TxResult<u64> {
                sync::quarantine::$backend::total(self.conn)
            }

            fn quarantine_size(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<u64> {
                sync::quarantine::$backend::size(self.conn, integration, endpoint)
            }
        }
    };
}

tx! { PgTx, pg {
    fn may_be_lost(&mut self) -> TxResult<()> {
        crate::backend::postgres::commit_lazily(self.conn)
    }

    fn held(&mut self, model: Model, integration: &IntegrationId, rows: &[&Row]) -> TxResult<Vec<Held>> {
        mirror::held::pg_held(self.indexed()?, model, integration, rows)
    }

    fn insert_if_new(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<bool> {
        mirror::pg_insert_if_new(self.indexed()?, model, integration, rows).during(model.as_str())
    }

    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        mirror::pg_replace_rows(self.indexed()?, model, integration, rows).during(model.as_str())
    }

    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        mirror::pg_write_rows(self.indexed()?, model, integration, rows).during(model.as_str())
    }

    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
        sync::changes::pg_append(self.conn, changes)
    }

    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
        sync::webhooks::pg_insert(self.conn, webhooks)
    }

    fn request(&mut self, target: &Target) -> TxResult<Option<Request>> {
        sync::requests::pg_lock(self.conn, target)
    }

    fn clock(&mut self) -> TxResult<Option<Timestamp>> {
        sync::clock::pg_now(self.conn).map(Some)
    }

    fn pacing(&mut self) -> TxResult<Pacing> {
        sync::pacing::pg_lock(self.conn)
    }

    fn try_request(&mut self, target: &Target) -> TxResult<TryRequest> {
        sync::requests::pg_try_lock(self.conn, target)
    }

    fn delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        sync::deliveries::pg_lock(self.conn, integration)
    }

    fn try_delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        sync::deliveries::pg_try_lock(self.conn, integration)
    }
} }

tx! { SqliteTx, sqlite {
    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        mirror::sqlite_write_rows(self.indexed()?, model, integration, rows).during(model.as_str())
    }

    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        mirror::sqlite_write_rows(self.indexed()?, model, integration, rows).during(model.as_str())
    }

    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
        sync::changes::sqlite_append(self.conn, changes)
    }

    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
        sync::webhooks::sqlite_insert(self.conn, webhooks)
    }

    fn request(&mut self, target: &Target) -> TxResult<Option<Request>> {
        sync::requests::sqlite_lock(self.conn, target)
    }

    fn pacing(&mut self) -> TxResult<Pacing> {
        sync::pacing::sqlite_lock(self.conn)
    }

    fn try_request(&mut self, target: &Target) -> TxResult<TryRequest> {
        Ok(sync::requests::sqlite_lock(self.conn, target)?.map_or(TryRequest::Missing, TryRequest::Locked))
    }

    fn delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        sync::deliveries::sqlite_lock(self.conn, integration)
    }

    fn try_delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        sync::deliveries::sqlite_lock(self.conn, integration)
    }
} }

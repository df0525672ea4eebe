use diesel::dsl::{exists, not};
use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::horizon::Horizon;
use sync_core::jobs::LeaseToken;
use sync_core::outbox::{Backlog, Delivery, DeliveryBatch, DeliveryId, DeliveryLease, latest_untried};
use sync_core::ports::{Deliveries, Lock, LockMode, TxResult};

use super::{count, limited, moment, time};
use crate::backend::Dialect;
use crate::both;
use crate::error::During as _;
use crate::schema::{sync_deliveries, sync_delivery_start, sync_integrations};
use crate::statement::{Cells, Statement};
use crate::types::{AnyText, MaybeAnyText, Moment};

const TABLE: &str = "sync_deliveries";
/// Key of the only row, which contains the start of delivery.
const ROW: i16 = 1;

/// The first entry after the delivered position. In PostgreSQL it may belong to another integration, so callers compare
/// that. This form has only one possible index in PostgreSQL, whatever the planner's statistics; for SQLite the index
/// is named.
fn next(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "FROM sync_changes AS c WHERE (c.integration_id, c.seq) > (d.integration_id, d.delivered_seq) \
             ORDER BY c.integration_id, c.seq LIMIT 1"
        }
        Dialect::Sqlite => {
            "FROM sync_changes AS c INDEXED BY sync_changes_integration \
             WHERE c.integration_id = d.integration_id AND c.seq > d.delivered_seq ORDER BY c.seq LIMIT 1"
        }
    }
}

/// Whether something is left to deliver. The column `is_pending` says so, for an index: whoever appends entries or queues a
/// dead letter again sets it, and whoever writes the delivery under its lock looks again.
fn has_more(dialect: Dialect) -> String {
    format!(
        "(COALESCE((SELECT c.integration_id {}) = d.integration_id, false) OR EXISTS (SELECT 1 FROM sync_dead_letters AS l \
         WHERE l.integration_id = d.integration_id AND l.again))",
        next(dialect)
    )
}

/// The due deliveries of each part of the index `sync_deliveries_pending`, at its front.
fn due<'a>(dialect: Dialect, horizon: &Horizon, limit: i64) -> Statement<'a> {
    let now = (" <= ", horizon.now);
    let parts = [
        ("false", now),
        ("false", (" > ", latest_untried(horizon))),
        ("true", now),
        ("true", (" > ", horizon.latest_wait())),
    ];
    let mut statement = Statement::new("SELECT * FROM (");
    for (place, (has_failed, (range, time))) in parts.into_iter().enumerate() {
        statement = statement
            .sql(if place == 0 { "" } else { " UNION ALL " })
            .sql(format!(
                "SELECT * FROM (SELECT d.* FROM sync_deliveries AS d WHERE d.is_pending \
                 AND (COALESCE(d.parcel_attempts, 0) > 0) = {has_failed} AND d.not_before{range}"
            ))
            .time(Some(time))
            .sql(" AND (d.lease_expires_at IS NULL OR d.lease_expires_at <= ")
            .time(Some(horizon.now))
            .sql(" OR d.lease_expires_at > ")
            .time(Some(horizon.latest_lease()))
            .sql(format!(") AND {} ORDER BY d.not_before LIMIT ", has_more(dialect)))
            .int(limit)
            .sql(format!(") AS part_{place}"));
    }
    statement.sql(") AS due ORDER BY not_before, integration_id LIMIT ").int(limit)
}

#[derive(Queryable, QueryableByName, Insertable, AsChangeset)]
#[diesel(table_name = sync_deliveries, treat_none_as_null = true, treat_none_as_default_value = false)]
struct DeliveryRow {
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    delivered_seq: i64,
    delivered_at: Option<Moment>,
    not_before: Moment,
    #[diesel(deserialize_as = MaybeAnyText)]
    parcel_id: Option<String>,
    parcel_first_seq: Option<i64>,
    parcel_last_seq: Option<i64>,
    parcel_entries: Option<i64>,
    parcel_first_tried_at: Option<Moment>,
    parcel_attempts: Option<i32>,
    #[diesel(deserialize_as = MaybeAnyText)]
    parcel_error: Option<String>,
    #[diesel(deserialize_as = MaybeAnyText)]
    lease_token: Option<String>,
    #[diesel(deserialize_as = MaybeAnyText)]
    lease_owner: Option<String>,
    lease_expires_at: Option<Moment>,
}

impl From<&Delivery> for DeliveryRow {
    fn from(delivery: &Delivery) -> Self {
        let (batch, lease) = (delivery.batch.as_ref(), delivery.lease.as_ref());
        Self {
            integration_id: delivery.integration_id.to_string(),
            delivered_seq: delivery.delivered_seq,
            delivered_at: moment(delivery.delivered_at),
            not_before: Moment(delivery.not_before),
            parcel_id: batch.map(|batch| batch.id.0.clone()),
            parcel_first_seq: batch.map(|batch| batch.first_seq),
            parcel_last_seq: batch.map(|batch| batch.last_seq),
            parcel_entries: batch.map(|batch| batch.entries),
            parcel_first_tried_at: moment(batch.map(|batch| batch.first_tried_at)),
            parcel_attempts: batch.map(|batch| batch.attempts),
            parcel_error: batch.and_then(|batch| batch.error.clone()),
            lease_token: lease.map(|lease| lease.token.0.clone()),
            lease_owner: lease.map(|lease| lease.owner.clone()),
            lease_expires_at: moment(lease.map(|lease| lease.expires_at)),
        }
    }
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        let range = (row.parcel_first_seq, row.parcel_last_seq, row.parcel_entries);
        let batch = match (row.parcel_id, range, time(row.parcel_first_tried_at), row.parcel_attempts) {
            (Some(id), (Some(first_seq), Some(last_seq), Some(entries)), Some(first_tried_at), Some(attempts)) => {
                let (id, error) = (DeliveryId(id), row.parcel_error);
                Some(DeliveryBatch { id, first_seq, last_seq, entries, first_tried_at, attempts, error })
            }
            _ => None,
        };
        let lease = match (row.lease_token, row.lease_owner, time(row.lease_expires_at)) {
            (Some(token), Some(owner), Some(expires_at)) => {
                Some(DeliveryLease { token: LeaseToken(token), owner, expires_at })
            }
            _ => None,
        };
        Self {
            integration_id: IntegrationId::from(row.integration_id),
            delivered_seq: row.delivered_seq,
            delivered_at: time(row.delivered_at),
            not_before: row.not_before.0,
            batch,
            lease,
        }
    }
}

both! {
    postgres {
        /// Marks the deliveries that have nothing left, for example because old entries were deleted. Locks them first, so
        /// that no entry that another transaction appends is overlooked.
        pub(crate) fn note_finished(conn: &mut Conn) -> TxResult<()> {
            let has_more = has_more(DIALECT);
            let rows: Vec<Cells> = Statement::new(format!(
                "SELECT d.integration_id FROM sync_deliveries AS d WHERE d.is_pending AND d.parcel_id IS NULL AND NOT {has_more} \
                 FOR UPDATE OF d SKIP LOCKED"
            ))
            .load(conn)
            .during(TABLE)?;
            let ids: Vec<String> =
                rows.into_iter().filter_map(|cells| cells.0.into_iter().flatten().next()?.into_text()).collect();
            Statement::new(format!("UPDATE sync_deliveries AS d SET is_pending = {has_more} WHERE d.integration_id = ANY ("))
                .texts(ids.iter().map(|id| Some(id.as_str())).collect())
                .sql(")")
                .execute(conn)
                .during(TABLE)
                .map(drop)
        }

        fn lock(conn: &mut Conn, integration: &IntegrationId, mode: LockMode) -> TxResult<Lock<Delivery>> {
            let delivery = sync_deliveries::table.find(integration.as_str());
            let row: Option<DeliveryRow> = match mode {
                LockMode::Wait => delivery.for_update().first(conn).optional().during(TABLE)?,
                LockMode::Skip => {
                    if !diesel::select(exists(delivery)).get_result(conn).during(TABLE)? {
                        return Ok(Lock::Missing);
                    }
                    delivery.for_update().skip_locked().first(conn).optional().during(TABLE)?
                }
            };
            Ok(match (row, mode) {
                (Some(row), _) => Lock::Locked(row.into()),
                (None, LockMode::Wait) => Lock::Missing,
                (None, LockMode::Skip) => Lock::Busy,
            })
        }
    }

    sqlite {
        /// Marks the deliveries that have nothing left, for example because old entries were deleted.
        pub(crate) fn note_finished(conn: &mut Conn) -> TxResult<()> {
            let has_more = has_more(DIALECT);
            Statement::new(format!(
                "UPDATE sync_deliveries AS d SET is_pending = {has_more} WHERE d.is_pending AND d.parcel_id IS NULL"
            ))
            .execute(conn)
            .during(TABLE)
            .map(drop)
        }

        /// Needs no lock: SQLite has one writer at a time, and a writing transaction has locked everything.
        fn lock(conn: &mut Conn, integration: &IntegrationId, _mode: LockMode) -> TxResult<Lock<Delivery>> {
            let row: Option<DeliveryRow> =
                sync_deliveries::table.find(integration.as_str()).first(conn).optional().during(TABLE)?;
            Ok(row.map_or(Lock::Missing, |row| Lock::Locked(row.into())))
        }
    }

    /// Notes that something is to be delivered. Waits for a transaction that writes the delivery, and is waited for.
    pub(crate) fn note_pending(conn: &mut Conn, integration: &str) -> TxResult<()> {
        Statement::new("UPDATE sync_deliveries SET is_pending = true WHERE integration_id = ")
            .text(integration)
            .execute(conn)
            .during(TABLE)
            .map(drop)
    }

    impl Deliveries for DbTx<'_> {
        fn delivery_start(&mut self) -> TxResult<Option<i64>> {
            sync_delivery_start::table.find(ROW).select(sync_delivery_start::seq).first(self.conn).optional().during(TABLE)
        }

        fn insert_delivery_start(&mut self, seq: i64) -> TxResult<()> {
            diesel::insert_into(sync_delivery_start::table)
                .values((sync_delivery_start::id.eq(ROW), sync_delivery_start::seq.eq(seq)))
                .on_conflict(sync_delivery_start::id)
                .do_nothing()
                .execute(self.conn)
                .during(TABLE)
                .map(drop)
        }

        fn undelivered_integrations(&mut self) -> TxResult<Vec<IntegrationId>> {
            let delivery = sync_deliveries::table.filter(sync_deliveries::integration_id.eq(sync_integrations::id));
            let ids: Vec<AnyText> = sync_integrations::table
                .filter(not(exists(delivery)))
                .order(sync_integrations::id)
                .select(sync_integrations::id)
                .load(self.conn)
                .during(TABLE)?;
            Ok(ids.into_iter().map(|id| IntegrationId::from(String::from(id))).collect())
        }

        fn insert_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
            diesel::insert_into(sync_deliveries::table)
                .values(&DeliveryRow::from(delivery))
                .on_conflict(sync_deliveries::integration_id)
                .do_nothing()
                .execute(self.conn)
                .during(TABLE)
                .map(drop)
        }

        fn put_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
            let row = DeliveryRow::from(delivery);
            diesel::insert_into(sync_deliveries::table)
                .values(&row)
                .on_conflict(sync_deliveries::integration_id)
                .do_update()
                .set(&row)
                .execute(self.conn)
                .during(TABLE)?;
            // A statement of its own: it sees what was committed until the row was locked.
            Statement::new(format!(
                "UPDATE sync_deliveries AS d SET is_pending = (d.parcel_id IS NOT NULL OR {}) WHERE d.integration_id = ",
                has_more(DIALECT)
            ))
            .text(delivery.integration_id.as_str())
            .execute(self.conn)
            .during(TABLE)
            .map(drop)
        }

        fn leased_deliveries(&mut self) -> TxResult<Vec<Delivery>> {
            let rows: Vec<DeliveryRow> = sync_deliveries::table
                .filter(sync_deliveries::lease_token.is_not_null())
                .order(sync_deliveries::integration_id)
                .load(self.conn)
                .during(TABLE)?;
            Ok(rows.into_iter().map(Delivery::from).collect())
        }

        fn deliveries(&mut self) -> TxResult<Vec<Delivery>> {
            let rows: Vec<DeliveryRow> =
                sync_deliveries::table.order(sync_deliveries::integration_id).load(self.conn).during(TABLE)?;
            Ok(rows.into_iter().map(Delivery::from).collect())
        }

        fn due_deliveries(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Delivery>> {
            let rows: Vec<DeliveryRow> =
                due(DIALECT, horizon, limited(limit)).load(self.planned_once()?).during(TABLE)?;
            Ok(rows.into_iter().map(Delivery::from).collect())
        }

        fn undelivered(&mut self) -> TxResult<Vec<Backlog>> {
            let next = next(DIALECT);
            let rows: Vec<Cells> = Statement::new(format!(
                "SELECT d.integration_id, (SELECT count(*) FROM sync_changes AS c WHERE c.integration_id = d.integration_id \
                 AND c.seq > d.delivered_seq), (SELECT c.at {next}) FROM sync_deliveries AS d \
                 WHERE (SELECT c.integration_id {next}) = d.integration_id ORDER BY d.integration_id"
            ))
            .load(self.conn)
            .during(TABLE)?;
            Ok(rows.into_iter().filter_map(backlog).collect())
        }

        fn delivery(&mut self, integration: &IntegrationId, mode: LockMode) -> TxResult<Lock<Delivery>> {
            lock(self.conn, integration, mode)
        }
    }
}

/// Returns `None` if the id of the integration is not text: nothing is ever delivered for such an id.
fn backlog(cells: Cells) -> Option<Backlog> {
    let mut cells = cells.0.into_iter().flatten();
    let integration_id = IntegrationId::from(cells.next()?.into_text()?);
    let entries = count(cells.next()?.into_int()?);
    // An unreadable time, written by hand, counts as long ago.
    let oldest_at = cells.next()?.into_time().unwrap_or(Timestamp::MIN);
    Some(Backlog { integration_id, entries, oldest_at })
}

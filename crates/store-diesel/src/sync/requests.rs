use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::horizon::Horizon;
use sync_core::jobs::{Claimable, Eligible, HeldLease, LeaseToken, QueuedRequest, RequestCause, Target};
use sync_core::ports::{Lock, LockMode, Requests, StoreError, TxResult};

use super::claims::keys_at_share;
use super::{moment, readable, time, word, word_or};
use crate::both;
use crate::cached::Cached;
use crate::error::During as _;
use crate::schema::sync_requests;
use crate::types::{AnyText, MaybeAnyText, Moment};

const TABLE: &str = "sync_requests";
/// PostgreSQL takes at most 65,535 parameters in a statement.
const INSERTED_AT_ONCE: usize = 1_000;

#[derive(Queryable, QueryableByName, Insertable, AsChangeset)]
#[diesel(table_name = sync_requests, treat_none_as_null = true, treat_none_as_default_value = false)]
struct RequestRow {
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    endpoint: String,
    #[diesel(deserialize_as = AnyText)]
    kind: String,
    #[diesel(deserialize_as = AnyText)]
    cause: String,
    requested_at: Moment,
    not_before: Moment,
    generation: i64,
    attempts: i32,
    approved_removals: Option<i64>,
    #[diesel(deserialize_as = MaybeAnyText)]
    lease_token: Option<String>,
    #[diesel(deserialize_as = MaybeAnyText)]
    lease_owner: Option<String>,
    lease_expires_at: Option<Moment>,
    lease_generation: Option<i64>,
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(embed)]
    request: RequestRow,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    is_worked_on: bool,
}

impl From<&QueuedRequest> for RequestRow {
    fn from(request: &QueuedRequest) -> Self {
        let lease = request.lease.as_ref();
        Self {
            integration_id: request.target.integration_id.as_str().to_owned(),
            endpoint: request.target.endpoint.to_string(),
            kind: request.target.kind.to_string(),
            cause: request.cause.to_string(),
            requested_at: Moment(request.requested_at),
            not_before: Moment(request.not_before),
            generation: request.generation,
            attempts: request.attempts,
            approved_removals: request.approved_removals,
            lease_token: lease.map(|held| held.token.0.clone()),
            lease_owner: lease.map(|held| held.owner.clone()),
            lease_expires_at: moment(lease.map(|held| held.expires_at)),
            lease_generation: lease.map(|held| held.generation),
        }
    }
}

impl TryFrom<RequestRow> for QueuedRequest {
    type Error = StoreError;

    fn try_from(row: RequestRow) -> Result<Self, StoreError> {
        let name = format!("{} {} of {}", row.kind, row.endpoint, row.integration_id);
        let lease = match (row.lease_token, row.lease_owner, time(row.lease_expires_at), row.lease_generation) {
            (Some(token), Some(owner), Some(expires_at), Some(generation)) => {
                Some(HeldLease { token: LeaseToken(token), owner, expires_at, generation })
            }
            _ => None,
        };
        Ok(Self {
            target: Target {
                integration_id: IntegrationId::from(row.integration_id),
                endpoint: word(TABLE, &row.endpoint)?,
                kind: word(TABLE, &row.kind)?,
            },
            cause: word_or(TABLE, &name, &row.cause, RequestCause::Schedule),
            requested_at: row.requested_at.0,
            not_before: row.not_before.0,
            generation: row.generation,
            attempts: row.attempts,
            approved_removals: row.approved_removals,
            lease,
        })
    }
}

fn key(target: &Target) -> (&str, &str, &str) {
    (target.integration_id.as_str(), target.endpoint.as_str(), target.kind.as_str())
}

both! {
    postgres {
        use super::super::claims::pg as claims;

        fn insert_all(conn: &mut Conn, requests: &[QueuedRequest]) -> TxResult<usize> {
            let rows: Vec<RequestRow> = requests.iter().map(RequestRow::from).collect();
            diesel::insert_into(sync_requests::table)
                .values(rows)
                .on_conflict((sync_requests::integration_id, sync_requests::endpoint, sync_requests::kind))
                .do_nothing()
                .execute(conn)
                .during(TABLE)
        }

        fn lock(conn: &mut Conn, target: &Target, mode: LockMode) -> TxResult<Lock<QueuedRequest>> {
            let request = sync_requests::table.find(key(target));
            let row: Option<RequestRow> = match mode {
                LockMode::Wait => request.for_update().first(conn).optional().during(TABLE)?,
                LockMode::Skip => {
                    // Checked first, because usually there is none: each batch of a full fetch looks for a delta.
                    if !diesel::select(diesel::dsl::exists(request)).get_result(conn).during(TABLE)? {
                        return Ok(Lock::Missing);
                    }
                    request.for_update().skip_locked().first(conn).optional().during(TABLE)?
                }
            };
            Ok(match (row, mode) {
                (Some(row), _) => Lock::Locked(row.try_into()?),
                (None, LockMode::Wait) => Lock::Missing,
                (None, LockMode::Skip) => Lock::Busy,
            })
        }
    }

    sqlite {
        use super::super::claims::sqlite as claims;

        fn insert_all(conn: &mut Conn, requests: &[QueuedRequest]) -> TxResult<usize> {
            let mut inserted = 0;
            for request in requests {
                let insert = diesel::insert_into(sync_requests::table)
                    .values(RequestRow::from(request))
                    .on_conflict((sync_requests::integration_id, sync_requests::endpoint, sync_requests::kind))
                    .do_nothing();
                inserted += Cached(insert).execute(conn).during(TABLE)?;
            }
            Ok(inserted)
        }

        /// Needs no lock: SQLite has one writer at a time, and a writing transaction has locked everything.
        fn lock(conn: &mut Conn, target: &Target, _mode: LockMode) -> TxResult<Lock<QueuedRequest>> {
            let row: Option<RequestRow> =
                sync_requests::table.find(key(target)).first(conn).optional().during(TABLE)?;
            row.map_or(Ok(Lock::Missing), |row| row.try_into().map(Lock::Locked))
        }
    }

    impl Requests for DbTx<'_> {
        fn requests(&mut self) -> TxResult<Vec<QueuedRequest>> {
            let order = (
                sync_requests::requested_at,
                sync_requests::integration_id,
                sync_requests::endpoint,
                sync_requests::kind,
            );
            let rows: Vec<RequestRow> = sync_requests::table.order(order).load(self.conn).during(TABLE)?;
            Ok(readable(rows))
        }

        fn leased_requests(&mut self) -> TxResult<Vec<QueuedRequest>> {
            let rows: Vec<RequestRow> = sync_requests::table
                .filter(sync_requests::lease_token.is_not_null())
                .order((sync_requests::requested_at, sync_requests::integration_id, sync_requests::endpoint))
                .load(self.conn)
                .during(TABLE)?;
            Ok(readable(rows))
        }

        fn requests_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<QueuedRequest>> {
            let rows: Vec<RequestRow> = sync_requests::table
                .filter(sync_requests::integration_id.eq_any(integrations.iter().map(IntegrationId::as_str)))
                .order((sync_requests::requested_at, sync_requests::endpoint, sync_requests::kind))
                .load(self.indexed()?)
                .during(TABLE)?;
            Ok(readable(rows))
        }

        fn claimable_request(&mut self, horizon: &Horizon, eligible: &Eligible) -> TxResult<Claimable> {
            let at_share = keys_at_share(eligible);
            let Some(statement) = claims::claimable(horizon, eligible, &at_share) else { return Ok(Claimable::Nothing) };
            let found: Vec<FoundRow> = statement.load(self.planned_once()?).during(TABLE)?;
            let Some(found) = found.into_iter().next() else { return Ok(Claimable::Nothing) };
            if !found.is_worked_on {
                return Ok(Claimable::Idle);
            }
            let read: Vec<QueuedRequest> = readable(vec![found.request]);
            Ok(read.into_iter().next().map_or(Claimable::Nothing, Claimable::Request))
        }

        fn postpone_idle_requests(&mut self, horizon: &Horizon, until: Timestamp) -> TxResult<usize> {
            claims::postpone_idle(horizon, until).execute(self.conn).during(TABLE)
        }

        fn put_request(&mut self, request: &QueuedRequest) -> TxResult<()> {
            let row = RequestRow::from(request);
            let upsert = diesel::insert_into(sync_requests::table)
                .values(&row)
                .on_conflict((sync_requests::integration_id, sync_requests::endpoint, sync_requests::kind))
                .do_update()
                .set(&row);
            Cached(upsert).execute(self.conn).during(TABLE).map(drop)
        }

        fn insert_request(&mut self, request: &QueuedRequest) -> TxResult<bool> {
            let row = RequestRow::from(request);
            let insert = diesel::insert_into(sync_requests::table)
                .values(&row)
                .on_conflict((sync_requests::integration_id, sync_requests::endpoint, sync_requests::kind))
                .do_nothing();
            Ok(Cached(insert).execute(self.conn).during(TABLE)? == 1)
        }

        fn insert_requests(&mut self, requests: &[QueuedRequest]) -> TxResult<usize> {
            let mut inserted = 0;
            for requests in requests.chunks(INSERTED_AT_ONCE) {
                inserted += insert_all(self.conn, requests)?;
            }
            Ok(inserted)
        }

        fn retry_failed_requests(&mut self, now: Timestamp) -> TxResult<usize> {
            diesel::update(sync_requests::table)
                .filter(sync_requests::attempts.gt(0))
                .filter(sync_requests::not_before.gt(Moment(now)))
                .filter(sync_requests::lease_token.is_null())
                .set((sync_requests::not_before.eq(Moment(now)), sync_requests::attempts.eq(0)))
                .execute(self.conn)
                .during(TABLE)
        }

        fn delete_request(&mut self, target: &Target) -> TxResult<()> {
            diesel::delete(sync_requests::table.find(key(target))).execute(self.conn).during(TABLE).map(drop)
        }

        fn request(&mut self, target: &Target, mode: LockMode) -> TxResult<Lock<QueuedRequest>> {
            lock(self.conn, target, mode)
        }
    }
}

use std::collections::BTreeSet;

use diesel::prelude::*;
use kombo_model::{Category, IntegrationId, Timestamp};
use sync_core::jobs::{IntegrationRecord, IntegrationStatus};
use sync_core::ports::{Integrations, StoreError, TxResult};

use super::{limited, word_or};
use crate::both;
use crate::cached::Cached;
use crate::error::During as _;
use crate::schema::sync_integrations;
use crate::statement::{Cell, Cells, Statement};
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
    next_look_at: Moment,
    #[diesel(deserialize_as = MaybeAnyText)]
    category: Option<String>,
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
            next_look_at: now(),
            category: record.category.map(|category| category.as_str().to_owned()),
        }
    }
}

impl TryFrom<IntegrationRow> for IntegrationRecord {
    type Error = StoreError;

    fn try_from(row: IntegrationRow) -> Result<Self, StoreError> {
        // An unknown status counts as paused by Kombo: the integration is tried, and continues if that works.
        let status = word_or(TABLE, &row.id, &row.status, IntegrationStatus::Paused);
        Ok(Self {
            id: IntegrationId::from(row.id),
            tool: row.tool,
            // An unknown category is asked for again.
            category: row.category.and_then(|category| category.parse().ok()),
            status,
            status_since: row.status_since.0,
            reason: row.reason,
            registered_at: row.registered_at.0,
            state_updated_at: row.state_updated_at.map(|moment| moment.0),
        })
    }
}

/// A time for the next look that is already due.
fn now() -> Moment {
    Moment(Timestamp::from_unix_millis(0).unwrap_or(Timestamp::MIN))
}

both! {
    postgres {
        /// Skips locked rows: the transaction that locks an integration may be waiting for a request that this one has
        /// locked.
        fn set_looks(conn: &mut Conn, looks: &[(IntegrationId, Timestamp)]) -> TxResult<()> {
            let ids = || looks.iter().map(|(id, _)| Some(id.as_str())).collect();
            Statement::new("UPDATE sync_integrations AS i SET next_look_at = w.look FROM unnest(")
                .texts(ids())
                .sql(", ")
                .times(looks.iter().map(|(_, look)| Some(*look)).collect())
                .sql(") AS w (id, look) WHERE i.id = w.id AND i.id IN (SELECT id FROM sync_integrations WHERE id = ANY (")
                .texts(ids())
                .sql(") FOR UPDATE SKIP LOCKED)")
                .execute(conn)
                .during(TABLE)
                .map(drop)
        }
    }

    sqlite {
        fn set_looks(conn: &mut Conn, looks: &[(IntegrationId, Timestamp)]) -> TxResult<()> {
            for (id, look) in looks {
                let update = diesel::update(sync_integrations::table.find(id.as_str()))
                    .set(sync_integrations::next_look_at.eq(Moment(*look)));
                Cached(update).execute(conn).during(TABLE)?;
            }
            Ok(())
        }
    }

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

        fn categories(&mut self) -> TxResult<BTreeSet<Category>> {
            let names: Vec<String> = Category::ALL.iter().map(|category| format!("('{category}')")).collect();
            // A count, so that no planner reads all integrations for a join.
            let statement = Statement::new(format!(
                "SELECT v.column1 FROM (VALUES {}) AS v WHERE (SELECT count(*) FROM (SELECT 1 FROM sync_integrations AS i \
                 WHERE i.category = v.column1 LIMIT 1) AS one) > 0",
                names.join(", ")
            ));
            let cells: Vec<Cells> = statement.load(self.indexed()?).during(TABLE)?;
            let name = |cells: Cells| cells.0.into_iter().next().flatten().and_then(Cell::into_text)?.parse().ok();
            Ok(cells.into_iter().filter_map(name).collect())
        }

        fn integrations_to_look_at(&mut self, now: Timestamp, latest: Timestamp, limit: usize,
        ) -> TxResult<Vec<IntegrationRecord>> {
            let conn = self.indexed()?;
            let integrations = sync_integrations::table.order(sync_integrations::next_look_at).limit(limited(limit));
            let mut rows: Vec<IntegrationRow> =
                integrations.filter(sync_integrations::next_look_at.le(Moment(now))).load(conn).during(TABLE)?;
            if rows.len() < limit {
                let ahead = integrations.filter(sync_integrations::next_look_at.gt(Moment(latest)));
                rows.extend(ahead.load::<IntegrationRow>(conn).during(TABLE)?);
            }
            rows.into_iter().take(limit).map(TryInto::try_into).collect()
        }

        fn put_next_looks(&mut self, looks: &[(IntegrationId, Timestamp)]) -> TxResult<()> {
            set_looks(self.conn, looks)
        }

        fn look_at_all_integrations(&mut self) -> TxResult<()> {
            diesel::update(sync_integrations::table)
                .set(sync_integrations::next_look_at.eq(now()))
                .execute(self.conn)
                .during(TABLE)
                .map(drop)
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

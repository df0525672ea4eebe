use diesel::prelude::*;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::jobs::Target;
use sync_core::ports::{Runs, StoreError, TxResult};
use sync_core::pull::{PageCursor, Run, RunCounts, RunId, RunOutcome, RunPhase};

use super::{count, limited, moment, number, readable, time, word, word_or};
use crate::both;
use crate::cached::Cached;
use crate::counters::RUNS;
use crate::error::During as _;
use crate::schema::sync_runs;
use crate::statement::Statement;
use crate::types::{AnyText, MaybeAnyText, Moment};

const TABLE: &str = "sync_runs";

#[derive(Queryable)]
struct RunRow {
    id: i64,
    #[diesel(deserialize_as = AnyText)]
    integration_id: String,
    #[diesel(deserialize_as = AnyText)]
    endpoint: String,
    #[diesel(deserialize_as = AnyText)]
    kind: String,
    #[diesel(deserialize_as = AnyText)]
    outcome: String,
    started_at: Moment,
    finished_at: Option<Moment>,
    updated_after: Option<Moment>,
    fetch_started_at: Option<Moment>,
    first_load: bool,
    #[diesel(deserialize_as = AnyText)]
    phase: String,
    #[diesel(deserialize_as = MaybeAnyText)]
    page_cursor: Option<String>,
    batches: i64,
    pages: i64,
    records: i64,
    created: i64,
    updated: i64,
    deleted: i64,
    restored: i64,
    unchanged: i64,
    indirect: i64,
    stale: i64,
    quarantined: i64,
    #[diesel(deserialize_as = MaybeAnyText)]
    error: Option<String>,
    unlisted: i64,
    withheld: i64,
}

/// The values of a run, without its number.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = sync_runs, treat_none_as_null = true, treat_none_as_default_value = false)]
struct RunValues<'a> {
    integration_id: &'a str,
    endpoint: &'static str,
    kind: &'static str,
    outcome: &'static str,
    started_at: Moment,
    finished_at: Option<Moment>,
    updated_after: Option<Moment>,
    fetch_started_at: Option<Moment>,
    first_load: bool,
    phase: &'static str,
    page_cursor: Option<String>,
    batches: i64,
    pages: i64,
    records: i64,
    created: i64,
    updated: i64,
    deleted: i64,
    restored: i64,
    unchanged: i64,
    indirect: i64,
    stale: i64,
    quarantined: i64,
    error: Option<String>,
    unlisted: i64,
    withheld: i64,
}

impl<'a> From<&'a Run> for RunValues<'a> {
    fn from(run: &'a Run) -> Self {
        let counts = &run.counts;
        Self {
            integration_id: run.target.integration_id.as_str(),
            endpoint: run.target.endpoint.as_str(),
            kind: run.target.kind.as_str(),
            outcome: run.outcome.as_str(),
            started_at: Moment(run.started_at),
            finished_at: moment(run.finished_at),
            updated_after: moment(run.updated_after),
            fetch_started_at: moment(run.fetch_started_at),
            first_load: run.first_load,
            phase: run.phase.as_str(),
            page_cursor: run.page_cursor.as_ref().map(|cursor| cursor.0.clone()),
            batches: run.batches,
            pages: number(counts.pages),
            records: number(counts.records),
            created: number(counts.created),
            updated: number(counts.updated),
            deleted: number(counts.deleted),
            restored: number(counts.restored),
            unchanged: number(counts.unchanged),
            indirect: number(counts.indirect),
            stale: number(counts.stale),
            quarantined: number(counts.quarantined),
            error: run.error.clone(),
            unlisted: number(counts.unlisted),
            withheld: number(counts.withheld),
        }
    }
}

impl TryFrom<RunRow> for Run {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        let name = format!("run {}", row.id);
        // A run with an unreadable outcome is not resumed.
        let outcome = word_or(TABLE, &name, &row.outcome, RunOutcome::Superseded);
        Ok(Self {
            id: RunId(row.id),
            target: Target {
                integration_id: IntegrationId::from(row.integration_id),
                endpoint: word(TABLE, &row.endpoint)?,
                kind: word(TABLE, &row.kind)?,
            },
            outcome,
            started_at: row.started_at.0,
            finished_at: time(row.finished_at),
            updated_after: time(row.updated_after),
            fetch_started_at: time(row.fetch_started_at),
            first_load: row.first_load,
            phase: word_or(TABLE, &name, &row.phase, RunPhase::Done),
            page_cursor: row.page_cursor.map(PageCursor),
            batches: row.batches,
            counts: RunCounts {
                pages: count(row.pages),
                records: count(row.records),
                created: count(row.created),
                updated: count(row.updated),
                deleted: count(row.deleted),
                restored: count(row.restored),
                unchanged: count(row.unchanged),
                indirect: count(row.indirect),
                stale: count(row.stale),
                quarantined: count(row.quarantined),
                unlisted: count(row.unlisted),
                withheld: count(row.withheld),
            },
            error: row.error,
        })
    }
}

both! {
    postgres {
        use crate::counters::pg::keep_ahead;
    }

    sqlite {
        use crate::counters::sqlite::keep_ahead;
    }

    impl Runs for DbTx<'_> {
        fn insert_run(&mut self, run: &Run) -> TxResult<RunId> {
            keep_ahead(self.conn, &RUNS)?;
            let values = RunValues::from(run);
            let id: i64 = diesel::insert_into(sync_runs::table)
                .values(&values)
                .returning(sync_runs::id)
                .get_result(self.conn)
                .during(TABLE)?;
            Ok(RunId(id))
        }

        fn put_run(&mut self, run: &Run) -> TxResult<()> {
            let values = RunValues::from(run);
            let update = diesel::update(sync_runs::table.find(run.id.0)).set(&values);
            Cached(update).execute(self.conn).during(TABLE).map(drop)
        }

        fn run(&mut self, id: RunId) -> TxResult<Option<Run>> {
            let row: Option<RunRow> = sync_runs::table.find(id.0).first(self.conn).optional().during(TABLE)?;
            row.map(TryInto::try_into).transpose()
        }

        fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>> {
            let row: Option<RunRow> = sync_runs::table
                .filter(sync_runs::integration_id.eq(target.integration_id.as_str()))
                .filter(sync_runs::endpoint.eq(target.endpoint.as_str()))
                .filter(sync_runs::kind.eq(target.kind.as_str()))
                .order(sync_runs::id.desc())
                .first(self.conn)
                .optional()
                .during(TABLE)?;
            row.map(TryInto::try_into).transpose()
        }

        fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64> {
            let removed = Statement::new("DELETE FROM sync_runs WHERE finished_at < ")
                .time(Some(before))
                .sql(
                    " AND id <> (SELECT max(latest.id) FROM sync_runs latest WHERE latest.integration_id = \
                     sync_runs.integration_id AND latest.endpoint = sync_runs.endpoint AND latest.kind = sync_runs.kind)",
                )
                .execute(self.conn)
                .during(TABLE)?;
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        }

        fn runs(
            &mut self,
            integration: Option<&IntegrationId>,
            before: Option<RunId>,
            limit: usize,
        ) -> TxResult<Vec<Run>> {
            let before = before.map_or(i64::MAX, |run| run.0);
            let runs = sync_runs::table.filter(sync_runs::id.lt(before)).order(sync_runs::id.desc()).limit(limited(limit));
            let rows: Vec<RunRow> = match integration {
                Some(id) => runs.filter(sync_runs::integration_id.eq(id.as_str())).load(self.indexed()?).during(TABLE)?,
                None => runs.load(self.conn).during(TABLE)?,
            };
            Ok(readable(rows))
        }
    }
}

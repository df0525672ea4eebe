//! Finds the request that a worker may lease next, by one statement with all conditions.
//!
//! Each part of the index `sync_requests_due` (a kind, an endpoint, failed or not) begins with its due requests, so a
//! few rows of each part are enough. Leased requests have an index of their own; there are as many as workers.

use kombo_model::Timestamp;
use sync_core::horizon::Horizon;
use sync_core::jobs::Eligible;

use crate::backend::Dialect;
use crate::both;
use crate::statement::Statement;

/// Number of rows to read from each part. If more workers than this look at once, some may find only rows that others
/// have locked.
const FRONT: usize = 16;

const NOW: &str = "(SELECT now FROM bounds)";
const LATEST_WAIT: &str = "(SELECT latest_wait FROM bounds)";
const LATEST_LEASE: &str = "(SELECT latest_lease FROM bounds)";

/// SQL condition: the request with this alias is due.
fn is_due(alias: &str) -> String {
    format!("({alias}.not_before <= {NOW} OR {alias}.not_before > {LATEST_WAIT})")
}

/// SQL condition: a worker holds a valid lease on the request.
fn is_held(alias: &str) -> String {
    format!(
        "COALESCE({alias}.lease_token IS NOT NULL AND {alias}.lease_expires_at > {NOW} \
         AND {alias}.lease_expires_at <= {LATEST_LEASE}, false)"
    )
}

/// SQL condition: the integration of the request is neither paused nor deleted, and is registered.
fn is_worked_on(alias: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM sync_integrations AS i WHERE i.id = {alias}.integration_id \
         AND i.status NOT IN ('held', 'deleted'))"
    )
}

/// SQL condition: nobody works on the other kind of `q`'s endpoint, and its integration is below its share of the
/// workers or is the only one. Written as a count, so that no planner turns it into a join.
fn is_open(dialect: Dialect) -> String {
    let key = "(q.kind || ' ' || q.integration_id)";
    let is_below_share = match dialect {
        Dialect::Postgres => format!("{key} <> ALL ((SELECT keys FROM at_share)::text[])"),
        Dialect::Sqlite => format!("{key} NOT IN (SELECT value FROM json_each((SELECT keys FROM at_share)))"),
    };
    format!(
        "(SELECT count(*) FROM leased AS s WHERE s.integration_id = q.integration_id AND s.endpoint = q.endpoint \
         AND s.kind <> q.kind AND {}) = 0 AND ({is_below_share} \
         OR (SELECT count(*) FROM (SELECT 1 FROM sync_integrations LIMIT 2) AS few) < 2)",
        is_held("s")
    )
}

/// The leased requests. Sorted, so that every planner uses their index.
const LEASED: &str = ", leased AS MATERIALIZED (SELECT * FROM sync_requests WHERE lease_token IS NOT NULL \
                      ORDER BY lease_expires_at), front (integration_id, endpoint, kind, not_before, rank) AS (";

/// The front of one part of the index. The part is given as SQL expressions.
fn front(dialect: Dialect, (kind, endpoint, has_failed): (&str, &str, &str), is_in_range: &str) -> String {
    format!(
        "SELECT q.integration_id, q.endpoint, q.kind, q.not_before FROM sync_requests AS q WHERE q.lease_token IS NULL \
         AND q.kind = {kind} AND q.endpoint = {endpoint} AND (q.attempts > 0) = {has_failed} AND q.not_before {is_in_range} \
         AND {} ORDER BY q.not_before LIMIT {FRONT}",
        is_open(dialect)
    )
}

/// A part of the index: kind, endpoint, whether it has failed, and the rank of its kind.
type Part = (&'static str, &'static str, bool, i64);

fn parts(eligible: &Eligible) -> Vec<Part> {
    let failed: &[bool] = if eligible.retries { &[false, true] } else { &[false] };
    let mut parts = Vec::new();
    for (rank, kind) in (0..).zip(&eligible.kinds) {
        for endpoint in &eligible.endpoints {
            parts.extend(failed.iter().map(|failed| (kind.as_str(), endpoint.as_str(), *failed, rank)));
        }
    }
    parts
}

/// The fronts of all parts, and the leases that have expired.
fn fronts<'a>(dialect: Dialect, parts: &[Part], statement: Statement<'a>) -> Statement<'a> {
    let ranges = [format!("<= {NOW}"), format!("> {LATEST_WAIT}")];
    let expired = format!(
        "SELECT q.integration_id, q.endpoint, q.kind, q.not_before, w.rank FROM leased AS q JOIN wanted AS w ON w.kind = q.kind \
         AND w.endpoint = q.endpoint AND w.failed = CASE WHEN q.attempts > 0 THEN 1 ELSE 0 END \
         WHERE NOT {} AND {} AND {}",
        is_held("q"),
        is_due("q"),
        is_open(dialect)
    );
    let mut arms = Vec::new();
    for range in &ranges {
        match dialect {
            Dialect::Postgres => {
                let front = front(dialect, ("w.kind", "w.endpoint", "(w.failed = 1)"), range);
                arms.push(format!("SELECT h.*, w.rank FROM wanted AS w CROSS JOIN LATERAL ({front}) AS h"));
            }
            Dialect::Sqlite => arms.extend(parts.iter().map(|(kind, endpoint, failed, rank)| {
                let names = (format!("'{kind}'"), format!("'{endpoint}'"), i64::from(*failed).to_string());
                format!("SELECT *, {rank} FROM ({})", front(dialect, (&names.0, &names.1, &names.2), range))
            })),
        }
    }
    arms.push(expired);
    statement.sql(arms.join(" UNION ALL "))
}

both! {
    postgres {
        const LOCKED: &str = " FOR UPDATE OF r SKIP LOCKED";

        /// The requests of the fronts in order. Each is looked up and locked in its turn, so that no planner scans the
        /// table to find the front, regardless of its statistics.
        fn first(is_free: &str) -> String {
            let is_worked_on = is_worked_on("f");
            format!(
                " SELECT r.*, f.is_worked_on FROM (SELECT f.*, {is_worked_on} AS is_worked_on FROM front AS f ORDER BY \
                 {is_worked_on} DESC, f.rank, f.not_before, f.integration_id, f.endpoint) AS f CROSS JOIN LATERAL (SELECT r.* \
                 FROM sync_requests AS r WHERE r.integration_id = f.integration_id AND r.endpoint = f.endpoint \
                 AND r.kind = f.kind AND {is_free}{LOCKED}) AS r"
            )
        }

        fn wanted<'a>(parts: &[Part], at_share: &'a [String], statement: Statement<'a>) -> Statement<'a> {
            let ints = |of: fn(&Part) -> i64| parts.iter().map(|part| Some(of(part))).collect();
            statement
                .sql("), wanted AS (SELECT * FROM unnest(")
                .texts(parts.iter().map(|part| Some(part.0)).collect())
                .sql(", ")
                .texts(parts.iter().map(|part| Some(part.1)).collect())
                .sql(", ")
                .ints(ints(|part| i64::from(part.2)))
                .sql(", ")
                .ints(ints(|part| part.3))
                .sql(") AS w (kind, endpoint, failed, rank)), at_share AS (SELECT ")
                .texts(at_share.iter().map(|key| Some(key.as_str())).collect())
                .sql(" AS keys)")
                .sql(LEASED)
        }
    }

    sqlite {
        const LOCKED: &str = "";

        fn first(is_free: &str) -> String {
            let is_worked_on = is_worked_on("f");
            format!(
                " SELECT r.*, {is_worked_on} AS is_worked_on FROM front AS f JOIN sync_requests AS r \
                 ON r.integration_id = f.integration_id AND r.endpoint = f.endpoint AND r.kind = f.kind WHERE {is_free} \
                 ORDER BY {is_worked_on} DESC, f.rank, f.not_before, f.integration_id, f.endpoint"
            )
        }

        fn wanted<'a>(parts: &[Part], at_share: &'a [String], statement: Statement<'a>) -> Statement<'a> {
            let rows: Vec<String> = parts
                .iter()
                .map(|(kind, endpoint, failed, rank)| format!("('{kind}', '{endpoint}', {}, {rank})", i64::from(*failed)))
                .collect();
            statement
                .sql(format!("), wanted (kind, endpoint, failed, rank) AS (VALUES {}), at_share AS (SELECT ", rows.join(", ")))
                .json(serde_json::Value::from(at_share.to_vec()).to_string())
                .sql(" AS keys)")
                .sql(LEASED)
        }
    }

    fn bounds<'a>(horizon: &Horizon) -> Statement<'a> {
        Statement::new("WITH bounds AS (SELECT ")
            .time(Some(horizon.now))
            .sql(" AS now, ")
            .time(Some(horizon.latest_wait()))
            .sql(" AS latest_wait, ")
            .time(Some(horizon.latest_lease()))
            .sql(" AS latest_lease")
    }

    /// Finds and locks the request, and selects all its columns and `is_worked_on`. Returns `None` if `eligible` allows
    /// nothing.
    pub(crate) fn claimable<'a>(horizon: &Horizon, eligible: &Eligible, at_share: &'a [String]) -> Option<Statement<'a>> {
        let parts = parts(eligible);
        if parts.is_empty() {
            return None;
        }
        let statement = wanted(&parts, at_share, bounds(horizon));
        Some(fronts(DIALECT, &parts, statement).sql(format!(
            "){} LIMIT 1",
            first(&format!("{} AND NOT {}", is_due("r"), is_held("r")))
        )))
    }

    /// Delays due requests of integrations that are not worked on, until `until`.
    pub(crate) fn postpone_idle<'a>(horizon: &Horizon, until: Timestamp) -> Statement<'a> {
        bounds(horizon)
            .sql(") UPDATE sync_requests SET lease_token = NULL, lease_owner = NULL, lease_expires_at = NULL, \
                  lease_generation = NULL, not_before = ")
            .time(Some(until))
            .sql(format!(
                " WHERE (integration_id, endpoint, kind) IN (SELECT r.integration_id, r.endpoint, r.kind \
                 FROM sync_requests AS r WHERE {} AND NOT {} AND NOT {} LIMIT 1000{LOCKED})",
                is_due("r"),
                is_held("r"),
                is_worked_on("r")
            ))
    }
}

/// The integrations that have reached their share of the workers, in the form that the statement compares.
pub(super) fn keys_at_share(eligible: &Eligible) -> Vec<String> {
    eligible.at_share.iter().map(|(kind, id)| format!("{kind} {id}")).collect()
}

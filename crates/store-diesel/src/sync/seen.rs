use std::borrow::Cow;
use std::collections::BTreeSet;

use diesel::RunQueryDsl as _;
use kombo_model::IntegrationId;
use sync_core::ports::{SeenNotes, TxResult, UNSEEN_PAGE};
use sync_core::pull::RunId;
use sync_core::rows::{Key, Model};

use crate::backend::Dialect;
use crate::both;
use crate::error::During as _;
use crate::mirror::keys;
use crate::note::{key, note};
use crate::statement::{Cell, Cells, Statement};

const TABLE: &str = "sync_seen";

both! {
    /// Whether the sum over the keys of all rows equals the sum over the noted keys. Nearly always it does, and two
    /// sums take a quarter of the time of a set difference. The sums of 64-bit hashes of different keys, with a new
    /// seed for each run, are equal once in 2^64 times.
    fn are_all_seen(conn: &mut Conn, model: Model, integration: &IntegrationId, run: i64) -> TxResult<bool> {
        let head = format!("SELECT CASE WHEN (SELECT (count(*), sum(hashtextextended({}, ", name(model, DIALECT));
        let statement = Statement::new(head)
            .int(run)
            .sql(format!("))) FROM {model} AS t WHERE t.removed_at IS NULL AND t.integration_id = "))
            .text(integration.as_str())
            .sql(") = (SELECT (count(*), sum(hashtextextended(seen.id COLLATE \"C\", ")
            .int(run)
            .sql("))) FROM sync_seen AS s, unnest(s.ids) AS seen (id) WHERE s.batch >= 0 AND s.run_id = ")
            .int(run)
            .sql(" AND s.model = ")
            .text(model.as_str())
            .sql(") THEN 1::bigint ELSE 0::bigint END");
        let cells: Vec<Cells> = statement.load(conn).during("unseen rows")?;
        Ok(cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten()?.into_int()) == Some(1))
    }

    impl SeenNotes for DbTx<'_> {
        fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()> {
            let ids: Vec<Cow<'_, str>> = keys.iter().map(note).collect();
            let statement = Statement::new("INSERT INTO sync_seen (run_id, batch, model, ids) VALUES (")
                .int(run.0)
                .sql(", ")
                .int(batch)
                .sql(", ")
                .text(model.as_str())
                .sql(", ");
            let statement = match DIALECT {
                Dialect::Postgres => statement.texts(ids.iter().map(|id| Some(id.as_ref())).collect()),
                Dialect::Sqlite => statement.json(serde_json::json!(ids).to_string()),
            };
            statement
                .sql(") ON CONFLICT (run_id, batch, model) DO UPDATE SET ids = excluded.ids")
                .execute(self.conn)
                .during(TABLE)
                .map(drop)
        }

        fn seen(&mut self, run: RunId, model: Model, keys: &[Key]) -> TxResult<BTreeSet<Key>> {
            let notes: Vec<Cow<'_, str>> = keys.iter().map(note).collect();
            let statement = match DIALECT {
                Dialect::Postgres => Statement::new("SELECT k.id FROM unnest(")
                    .texts(notes.iter().map(|id| Some(id.as_ref())).collect())
                    .sql(") AS k (id) WHERE k.id IN (SELECT unnest(s.ids) FROM sync_seen AS s WHERE s.batch >= 0 AND s.run_id = ")
                    .int(run.0)
                    .sql(" AND s.model = ")
                    .text(model.as_str())
                    .sql(")"),
                Dialect::Sqlite => Statement::new("SELECT k.value FROM json_each(")
                    .json(serde_json::json!(notes).to_string())
                    .sql(
                        ") AS k WHERE k.value IN (SELECT seen.value FROM sync_seen AS s, json_each(s.ids) AS seen \
                         WHERE s.batch >= 0 AND s.run_id = ",
                    )
                    .int(run.0)
                    .sql(" AND s.model = ")
                    .text(model.as_str())
                    .sql(")"),
            };
            let cells: Vec<Cells> = statement.load(self.conn).during(TABLE)?;
            let found = cells.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text());
            Ok(found.map(|note| key(model, &note)).collect())
        }

        /// Ignores notes that were overwritten by hand.
        fn seen_batches(&mut self, run: RunId) -> TxResult<i64> {
            let whole = match DIALECT {
                Dialect::Postgres => "SELECT count(DISTINCT batch) FROM sync_seen WHERE batch >= 0 AND run_id = ",
                Dialect::Sqlite => "SELECT count(DISTINCT batch) FROM sync_seen WHERE batch >= 0 AND json_valid(ids) AND run_id = ",
            };
            let statement = Statement::new(whole).int(run.0);
            let cells: Vec<Cells> = statement.load(self.conn).during(TABLE)?;
            let count = cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
            Ok(count.and_then(Cell::into_int).unwrap_or(0))
        }

        fn clear_seen(&mut self, run: RunId) -> TxResult<()> {
            let statement = Statement::new("DELETE FROM sync_seen WHERE run_id = ").int(run.0);
            statement.execute(self.conn).during(TABLE).map(drop)
        }

        fn find_unseen(&mut self, run: RunId, model: Model, integration: &IntegrationId) -> TxResult<i64> {
            let conn = self.scanning()?;
            Statement::new("DELETE FROM sync_seen WHERE batch < 0 AND run_id = ")
                .int(run.0)
                .sql(" AND model = ")
                .text(model.as_str())
                .execute(conn)
                .during(TABLE)?;
            if DIALECT == Dialect::Postgres && are_all_seen(conn, model, integration, run.0)? {
                return Ok(0);
            }
            let pages = pages_of(run, model, integration, DIALECT).execute(conn).during("unseen rows")?;
            Ok(i64::try_from(pages).unwrap_or(i64::MAX))
        }

        fn unseen(&mut self, run: RunId, model: Model, page: i64) -> TxResult<Vec<Key>> {
            let head = match DIALECT {
                Dialect::Postgres => "SELECT unnest(ids) FROM sync_seen WHERE batch = ",
                // Hex, because a text in SQLite may contain any bytes.
                Dialect::Sqlite => {
                    "SELECT CAST(unhex(e.value) AS TEXT) FROM sync_seen AS s, json_each(s.ids) AS e WHERE s.batch = "
                }
            };
            let statement = Statement::new(head).int(-1 - page).sql(" AND run_id = ").int(run.0).sql(" AND model = ");
            let cells: Vec<Cells> = statement.text(model.as_str()).load(self.conn).during(TABLE)?;
            let names = cells.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten());
            Ok(names.filter_map(|name| keys::named(model, name)).collect())
        }
    }
}

/// Stores the keys that are in no note as pages, which are notes with batch numbers of -1 and below.
fn pages_of(run: RunId, model: Model, integration: &IntegrationId, dialect: Dialect) -> Statement<'_> {
    let ids = match dialect {
        Dialect::Postgres => "array_agg(name ORDER BY name)",
        Dialect::Sqlite => "json_group_array(hex(CAST(name AS BLOB)))",
    };
    let name = name(model, dialect);
    let statement = Statement::new("INSERT INTO sync_seen (run_id, batch, model, ids) SELECT ")
        .int(run.0)
        .sql(", -1 - page, ")
        .text(model.as_str())
        .sql(format!(
            ", {ids} FROM (SELECT name, (row_number() OVER (ORDER BY name) - 1) / {UNSEEN_PAGE} AS page \
             FROM (SELECT {name} AS name FROM {model} AS t WHERE t.removed_at IS NULL AND t.integration_id = "
        ))
        .text(integration.as_str());
    let statement = match dialect {
        // A set difference is hashed or sorted. An anti-join would become a nested loop over all ids if the planner has
        // no statistics of the notes and expects few.
        Dialect::Postgres => {
            statement.sql(" EXCEPT SELECT seen.id COLLATE \"C\" FROM sync_seen AS s, unnest(s.ids) AS seen (id) WHERE ")
        }
        Dialect::Sqlite => statement
            .sql(format!(" AND {name} NOT IN (SELECT seen.value FROM sync_seen AS s, json_each(s.ids) AS seen WHERE ")),
    };
    let statement =
        statement.sql("s.batch >= 0 AND s.run_id = ").int(run.0).sql(" AND s.model = ").text(model.as_str());
    let end = match dialect {
        Dialect::Postgres => "",
        Dialect::Sqlite => ")",
    };
    statement.sql(format!("{end}) AS missing) AS numbered GROUP BY page"))
}

/// SQL expression for a row's key in the form of [`note`].
fn name(model: Model, dialect: Dialect) -> String {
    let character = match dialect {
        Dialect::Postgres => "chr",
        Dialect::Sqlite => "char",
    };
    match model.key_columns() {
        [first, second] => {
            // Escapes the separator like `note`.
            let [first, second] = [first, second].map(|id| {
                let escape = format!("replace(t.{id}, {character}(27), {character}(27) || 'e')");
                format!("replace({escape}, {character}(31), {character}(27) || 's')")
            });
            format!("({first} || {character}(31) || {second})")
        }
        _ => "t.id".to_owned(),
    }
}

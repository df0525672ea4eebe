use std::borrow::Cow;

use diesel::RunQueryDsl as _;
use sync_core::ports::TxResult;
use sync_core::pull::RunId;
use sync_core::rows::{Key, Model};

use crate::both;
use crate::error::During as _;
use crate::statement::{Cell, Cells, Statement};

const TABLE: &str = "sync_seen";

/// Between the two ids of a key: U+001F, which no id of Kombo holds.
const SEPARATOR: char = '\u{1f}';

/// A key as one text.
pub(crate) fn note(key: &Key) -> Cow<'_, str> {
    match key {
        Key::Id(id) => Cow::Borrowed(id),
        Key::Pair(first, second) => Cow::Owned(format!("{first}{SEPARATOR}{second}")),
    }
}

/// The key of a row of `model` that is written as this text.
pub(crate) fn key(model: Model, note: String) -> Key {
    match note.split_once(SEPARATOR) {
        Some((first, second)) if model.key_columns().len() == 2 => Key::Pair(first.to_owned(), second.to_owned()),
        _ => Key::of(model, note, String::new()),
    }
}

both! {
    pub(crate) fn put(conn: &mut Conn, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()> {
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
            .execute(conn)
            .during(TABLE)
            .map(drop)
    }

    pub(crate) fn batches(conn: &mut Conn, run: RunId) -> TxResult<i64> {
        let statement = Statement::new("SELECT count(DISTINCT batch) FROM sync_seen WHERE run_id = ").int(run.0);
        let cells: Vec<Cells> = statement.load(conn).during(TABLE)?;
        let count = cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
        Ok(count.and_then(Cell::into_int).unwrap_or(0))
    }

    pub(crate) fn clear(conn: &mut Conn, run: RunId) -> TxResult<()> {
        let statement = Statement::new("DELETE FROM sync_seen WHERE run_id = ").int(run.0);
        statement.execute(conn).during(TABLE).map(drop)
    }
}

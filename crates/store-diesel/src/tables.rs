//! Compares the tables with those of the migrations: columns, types, keys and triggers. A database administrator may
//! have changed them, and a fetch would only notice in the middle of its work.

use std::collections::{BTreeMap, BTreeSet};

use diesel::RunQueryDsl as _;
use diesel::connection::Connection as _;
use diesel::result::Error;
use sync_core::ports::StoreError;

use crate::both;
use crate::error::{During as _, is_refusal};
use crate::statement::{Cells, Statement};

/// The tables of the migrations, with a line for each column, key and trigger: table, kind, name, and definition.
const POSTGRES: &str = include_str!("tables/postgres.txt");
const SQLITE: &str = include_str!("tables/sqlite.txt");

/// The same lines for the present tables. The collation counts in keys only: elsewhere it decides which index fits, and
/// a database in which other views depend on a column keeps an older collation.
const POSTGRES_LINES: &str = "
WITH tables AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'kombo' AND c.relkind IN ('r', 'p')
                      AND split_part(c.relname, '_', 1) IN ('lms', 'hris', 'ats', 'sync'))
SELECT c.relname || ' column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || coalesce((SELECT ' in ' || collname FROM pg_collation l WHERE l.oid = a.attcollation AND l.collname <> 'default'
                    AND a.attnotnull), '')
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || CASE WHEN a.atthasdef OR a.attidentity <> '' THEN ' default' ELSE '' END AS line
  FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT c.relname || ' key ' || (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
                                FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(number, place)
                                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number)
  FROM tables c JOIN pg_index i ON i.indrelid = c.oid
  WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
UNION ALL
SELECT c.relname || ' trigger ' || t.tgname || ' ' || t.tgtype || ' ' || p.proname
  FROM tables c JOIN pg_trigger t ON t.tgrelid = c.oid JOIN pg_proc p ON p.oid = t.tgfoid
  WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
UNION ALL
SELECT c.relname || ' rule ' || r.rulename
  FROM tables c JOIN pg_rewrite r ON r.ev_class = c.oid WHERE r.ev_enabled IN ('O', 'A')";

const SQLITE_LINES: &str = r#"
WITH tables AS (SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, instr(name, '_') - 1) IN ('lms', 'hris', 'ats', 'sync')),
     columns AS (SELECT t.name AS its, i.* FROM tables t JOIN pragma_table_info(t.name) i),
     keys AS (SELECT its, name FROM columns WHERE pk > 0 ORDER BY its, pk)
SELECT its || ' column ' || name || ' ' || lower(type) || CASE WHEN "notnull" THEN ' not null' ELSE '' END
       || CASE WHEN dflt_value IS NOT NULL OR (pk = 1 AND type = 'INTEGER' AND (SELECT count(*) FROM keys k WHERE k.its = c.its) = 1)
          THEN ' default' ELSE '' END AS line
  FROM columns c
UNION ALL SELECT its || ' key ' || group_concat(name, ', ') FROM keys GROUP BY its
UNION ALL SELECT tbl_name || ' trigger ' || name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN (SELECT name FROM tables)"#;

/// Counters of the tables that count down, end early or begin again, each with its remedy.
const BAD_COUNTERS: &str = "
SELECT format('the sequence kombo.%I of column %I of %I counts down, ends early or begins again: ALTER SEQUENCE kombo.%1$I '
              'INCREMENT 1 NO MAXVALUE NO CYCLE', s.relname, a.attname, t.relname) AS fault
  FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
                      AND d.deptype IN ('a', 'i')
  JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
  WHERE n.nspname = 'kombo' AND starts_with(t.relname, 'sync_')
        AND (q.seqincrement < 1 OR q.seqcycle OR q.seqmax < 9223372036854775807)";

/// The tables that are written on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Those that a webhook and a fetch write first, and those with triggers or rules of others. Cheap enough for a
    /// check every few seconds.
    FirstWritten,
    /// All of them.
    EveryTable,
}

/// Tables that a webhook and a fetch write first.
const FIRST_WRITTEN: [&str; 6] =
    ["sync_integrations", "sync_webhook_events", "sync_webhook_inbox", "sync_requests", "sync_watermarks", "sync_runs"];

/// Tables with one row, with the key 1.
const OF_ONE_ROW: [&str; 4] = ["sync_pacing", "sync_delivery_start", "sync_trimmed", "sync_transaction_ids"];

/// Maximum number of reported faults.
const MOST_FAULTS: usize = 5;

/// A column, key or trigger of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part<'a> {
    table: &'a str,
    kind: &'a str,
    /// For a key, its columns.
    name: &'a str,
    what: &'a str,
}

impl<'a> Part<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (table, rest) = line.split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        let (name, what) = if kind == "key" { (rest, "") } else { rest.split_once(' ').unwrap_or((rest, "")) };
        Some(Self { table, kind, name, what })
    }

    /// Describes the effect and the remedy if this part is missing. `there` is the present part of the same name.
    fn fault(&self, there: Option<&Self>) -> String {
        let Self { table, kind, name, what } = self;
        match (*kind, there) {
            ("column", Some(there)) => format!(
                "column {name} of {table} is {}, not {what}: change it back",
                if there.what.is_empty() { "of no type" } else { there.what }
            ),
            ("column", None) => {
                format!("{table} has no column {name}: rename it back, or restore the table from a backup")
            }
            ("key", _) => format!(
                "{table} has no valid primary key or unique index on ({name}): ALTER TABLE {table} ADD PRIMARY KEY ({name})"
            ),
            _ => format!(
                "{table} has no enabled trigger {name} as the migrations make it: ALTER TABLE {table} ENABLE TRIGGER \
                 {name}, or restore it from a backup"
            ),
        }
    }
}

/// Differences between the present tables and those of the migrations.
#[derive(Debug, Default)]
struct Difference {
    faults: Vec<String>,
    /// Triggers and rules that are not the program's, by table.
    foreign: BTreeMap<String, Vec<String>>,
}

impl Difference {
    fn of(made: &str, found: &[String]) -> Self {
        let made: BTreeSet<Part<'_>> = made.lines().filter_map(Part::read).collect();
        let found: BTreeSet<Part<'_>> = found.iter().filter_map(|line| Part::read(line)).collect();
        let named = |parts: &BTreeSet<Part<'_>>, part: &Part<'_>| {
            parts.iter().any(|it| (it.table, it.kind, it.name) == (part.table, part.kind, part.name))
        };
        let tables: BTreeSet<&str> = found.iter().map(|part| part.table).collect();
        let mut difference = Self::default();
        let mut gone = BTreeSet::new();
        for part in made.difference(&found) {
            if !tables.contains(part.table) {
                gone.insert(part.table);
                continue;
            }
            let there = found.iter().find(|it| (it.table, it.kind, it.name) == (part.table, part.kind, part.name));
            difference.faults.push(part.fault(there));
        }
        for table in gone {
            difference.faults.push(format!("there is no table {table}: restore it from a backup"));
        }
        let tables: BTreeSet<&str> = made.iter().map(|part| part.table).collect();
        for part in found.difference(&made).filter(|part| tables.contains(part.table) && !named(&made, part)) {
            let Part { table, kind, name, what } = part;
            match *kind {
                "column" if what.contains("not null") && !what.contains("default") => difference.faults.push(format!(
                    "column {name} of {table} is not syncd's and must not be null: give it a default, or drop it"
                )),
                "trigger" | "rule" => {
                    difference.foreign.entry((*table).to_owned()).or_default().push(format!("{kind} {name}"));
                }
                _ => {}
            }
        }
        difference
    }
}

/// An SQL expression for a value of a column's type that no other row has.
fn probe(what: &str, is_postgres: bool) -> &'static str {
    let kind = what.split(' ').next().unwrap_or_default();
    match (kind, is_postgres) {
        ("text[]" | "json" | "jsonb", true) => "'{}'",
        ("timestamp", true) => "now()",
        ("boolean", true) => "false",
        ("bigint" | "integer", true) => "-pg_backend_pid()",
        ("smallint", true) | ("integer", false) => "1",
        ("text", true) => "'syncd probe ' || pg_backend_pid()",
        _ => "'syncd probe'",
    }
}

/// Statements that write a row, change it and delete it. Each affects one row.
fn trials(made: &str, table: &str, is_postgres: bool) -> Vec<String> {
    let parts: Vec<Part<'_>> = made.lines().filter_map(Part::read).filter(|part| part.table == table).collect();
    let columns: Vec<&Part<'_>> = parts.iter().filter(|part| part.kind == "column").collect();
    let key = parts.iter().find(|part| part.kind == "key").map(|part| part.name).unwrap_or_default();
    let value_of = |name: &str| {
        let column = columns.iter().find(|column| column.name == name);
        let is_number_of_row = !is_postgres && !OF_ONE_ROW.contains(&table) && key == name;
        match column {
            Some(column) if column.what.starts_with("integer") && is_number_of_row => "-1",
            Some(column) => probe(column.what, is_postgres),
            None => "NULL",
        }
    };
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    // Null wherever it may be, because a constraint of others may allow no invented value.
    let may_be_null = |name: &str| {
        columns.iter().any(|it| it.name == name && !it.what.contains("not null"))
            && key.split(", ").all(|part| part != name)
    };
    let values: Vec<&str> = names.iter().map(|name| if may_be_null(name) { "NULL" } else { value_of(name) }).collect();
    let same: Vec<String> = key.split(", ").map(|name| format!("{name} = {}", value_of(name))).collect();
    let (same, first) = (same.join(" AND "), names.first().copied().unwrap_or_default());
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut trials = Vec::new();
    if OF_ONE_ROW.contains(&table) {
        trials.push(format!("DELETE FROM {table}"));
    }
    trials.extend([
        format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", ")),
        format!("UPDATE {table} SET \"{first}\" = \"{first}\" WHERE {same}"),
        format!("DELETE FROM {table} WHERE {same}"),
    ]);
    trials
}

both! {
    fn made() -> &'static str {
        match DIALECT {
            Dialect::Postgres => POSTGRES,
            Dialect::Sqlite => SQLITE,
        }
    }

    /// Describes the present tables in the same lines as [`made`].
    fn lines(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
        let question = match DIALECT {
            Dialect::Postgres => POSTGRES_LINES,
            Dialect::Sqlite => SQLITE_LINES,
        };
        let rows: Vec<Cells> = Statement::new(question).load(conn).during("looking at the tables")?;
        Ok(rows.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect())
    }

    /// Returns the reasons why the program cannot work with the tables, each with its remedy. Writes test rows and
    /// rolls them back.
    pub(crate) fn faults(conn: &mut Conn, trial: Trial) -> Result<Vec<String>, StoreError> {
        let lines = lines(conn)?;
        let Difference { mut faults, foreign } = Difference::of(made(), &lines);
        if DIALECT == Dialect::Postgres {
            let rows: Vec<Cells> = Statement::new(BAD_COUNTERS).load(conn).during("looking at the counters")?;
            faults.extend(rows.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()));
        }
        if faults.is_empty() {
            let mut refused = Ok(());
            let written = conn.transaction::<(), Error, _>(|conn| {
                let tables: BTreeSet<&str> = match trial {
                    Trial::FirstWritten => {
                        FIRST_WRITTEN.into_iter().chain(foreign.keys().map(String::as_str)).collect()
                    }
                    Trial::EveryTable => made().lines().filter_map(Part::read).map(|part| part.table).collect(),
                };
                for table in tables {
                    match hindrance(conn, table, foreign.get(table)) {
                        Ok(hindrance) => faults.extend(hindrance),
                        Err(error) => {
                            refused = Err(error).during(&format!("writing to {table} on trial"));
                            break;
                        }
                    }
                }
                Err(Error::RollbackTransaction)
            });
            refused?;
            match written {
                Ok(()) | Err(Error::RollbackTransaction) => {}
                Err(error) => return Err(error).during("writing on trial"),
            }
        }
        let more = faults.len().saturating_sub(MOST_FAULTS);
        faults.truncate(MOST_FAULTS);
        if more > 0 {
            faults.push(format!("and {more} more differences from what the migrations make"));
        }
        Ok(faults)
    }

    /// Writes a row, changes it, deletes it, and takes it back. Returns a message if something foreign prevents that.
    fn hindrance(conn: &mut Conn, table: &str, foreign: Option<&Vec<String>>) -> Result<Option<String>, Error> {
        let mut hindrance = None;
        let tried = conn.transaction::<(), Error, _>(|conn| {
            hindrance = write(conn, table, foreign)?;
            if DIALECT == Dialect::Postgres
                && hindrance.is_none()
                && let Err(error) = Statement::new("SET CONSTRAINTS ALL IMMEDIATE").execute(conn)
            {
                let Some(foreign) = foreign else { return Err(error) };
                hindrance = Some(refused_at_the_end(table, foreign, &error));
            }
            Err(Error::RollbackTransaction)
        });
        match tried {
            Ok(()) | Err(Error::RollbackTransaction) => Ok(hindrance),
            // A constraint of others may accept Kombo's rows, and a fetch puts those that it refuses into quarantine.
            Err(error) if table.starts_with("lms_") && is_refusal(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a row, changes it and deletes it. Returns a message if something foreign prevents that. The transaction
    /// may then have failed.
    fn write(conn: &mut Conn, table: &str, foreign: Option<&Vec<String>>) -> Result<Option<String>, Error> {
        let foreign = foreign.map(|names| names.join(" and "));
        for mut trial in trials(made(), table, DIALECT == Dialect::Postgres) {
            let clears = OF_ONE_ROW.contains(&table) && trial.ends_with(table);
            if foreign.is_some() {
                // Another text, because PostgreSQL keeps the plan of a statement that a rule has made void.
                trial.push_str(" /* not alone */");
            }
            let hindrance = match (Statement::new(trial).execute(conn), &foreign) {
                (Ok(1), _) => continue,
                (Ok(_), _) if clears => continue,
                (Ok(_), _) => "swallows rows".to_owned(),
                (Err(error), Some(_)) => format!("refuses rows ({error})"),
                (Err(error), None) => return Err(error),
            };
            let by = foreign.unwrap_or_else(|| "something".to_owned());
            return Ok(Some(format!("{by} of {table} {hindrance}: drop it, or change it so that it does not touch syncd's rows")));
        }
        Ok(None)
    }
}

/// Names all candidates: the database does not report which deferred trigger refused.
fn refused_at_the_end(table: &str, foreign: &[String], error: &Error) -> String {
    let by = foreign.join(" or ");
    format!(
        "{by} of {table} refuses rows at the end of a transaction ({error}): drop it, or change it so that it does not \
         touch syncd's rows"
    )
}

#[cfg(test)]
mod tests;

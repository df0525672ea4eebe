//! Splits the mirror's tables of PostgreSQL by a hash of `integration_id`.
//!
//! A table is replaced by a partitioned one with the same columns, indexes, rights and name, in one transaction. An
//! interruption therefore leaves each table as it was or split, and the next call continues. Whatever else depends on a
//! table would be lost with it, so a table with such dependents is left alone, and the error names them.

use diesel::RunQueryDsl as _;
use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::result::Error;
use sync_core::rows::Model;

use crate::backend::postgres::connection::Conn;
use crate::migrations::Failure;
use crate::statement::{Cell, Cells, Statement};

/// The views that are created again with their tables. None reads another.
const VIEWS: [&str; 4] =
    ["lms_course_completions", "hris_employee_directory", "hris_upcoming_absences", "ats_open_applications"];

/// Whether the mirror's tables are partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioning {
    /// All of them are, or the database is SQLite, which has no partitions.
    Done,
    /// Some are not, and these are empty.
    Empty,
    /// Some are not, and contain rows.
    Filled,
}

/// Looks for tables that are not partitioned.
pub(crate) fn state(conn: &mut Conn) -> Result<Partitioning, Failure> {
    let mut state = Partitioning::Done;
    for model in Model::ALL {
        let table = model.as_str();
        if partitions_of(conn, table)? == 0 {
            if is_true(conn, &format!("EXISTS (SELECT FROM kombo.{table})"))? {
                return Ok(Partitioning::Filled);
            }
            state = Partitioning::Empty;
        }
    }
    Ok(state)
}

/// Splits the tables of the mirror into `number` partitions each, and returns the tables that it split. Those that have
/// this number of partitions are left alone and, if `only_plain`, those that have any.
pub(crate) fn split(conn: &mut Conn, number: usize, only_plain: bool) -> Result<Vec<&'static str>, Failure> {
    conn.batch_execute("SELECT pg_advisory_lock(hashtextextended('syncd migration', 0))")?;
    let split = split_all(conn, number, only_plain);
    conn.batch_execute("SELECT pg_advisory_unlock(hashtextextended('syncd migration', 0))")?;
    split
}

fn split_all(conn: &mut Conn, number: usize, only_plain: bool) -> Result<Vec<&'static str>, Failure> {
    let mut split = Vec::new();
    for (place, model) in (1..).zip(Model::ALL) {
        let table = model.as_str();
        let present = partitions_of(conn, table)?;
        if present == number || only_plain && present > 0 {
            continue;
        }
        let began = std::time::Instant::now();
        tracing::info!(table, number = place, of = Model::ALL.len(), partitions = number, "partitioning");
        let obstacles = texts(conn, &obstacles(table))?;
        if !obstacles.is_empty() {
            return Err(Failure::Failed(format!(
                "{table} cannot be partitioned, because it would lose its {}: drop them, and create them again afterwards",
                obstacles.join(", its ")
            )));
        }
        conn.transaction(|conn| replace(conn, table, number))?;
        conn.batch_execute(&format!("ANALYZE kombo.{table}"))?;
        tracing::info!(table, seconds = began.elapsed().as_secs(), "partitioned");
        split.push(table);
    }
    Ok(split)
}

/// Replaces a table by a partitioned one.
fn replace(conn: &mut Conn, table: &str, number: usize) -> Result<(), Error> {
    conn.batch_execute(&format!("LOCK TABLE kombo.{table} IN ACCESS EXCLUSIVE MODE"))?;
    let oid = format!("'kombo.{table}'::regclass");
    let storage = texts(
        conn,
        &format!(
            "SELECT DISTINCT array_to_string(reloptions, ', ') FROM pg_class WHERE reloptions IS NOT NULL
             AND (oid = {oid} OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = {oid}))"
        ),
    )?;
    let storage = storage.first().map(|options| format!(" WITH ({options})")).unwrap_or_default();
    let owner = texts(conn, &format!("SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = {oid}"))?;
    let keys = texts(
        conn,
        &format!(
            "SELECT format('ALTER TABLE kombo.{table} ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid = {oid} AND contype IN ('p', 'u') ORDER BY conname"
        ),
    )?;
    let indexes = texts(
        conn,
        &format!(
            "SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index i WHERE indrelid = {oid}
             AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid) ORDER BY 1"
        ),
    )?;
    let rights = texts(conn, &rights(table))?;
    let views: Vec<View> = VIEWS.iter().map(|name| View::of(conn, name, &oid)).collect::<Result<Vec<_>, _>>()?.concat();

    let new = format!("{table}_partitioned");
    let mut script = vec![format!(
        "CREATE TABLE kombo.{new} (LIKE kombo.{table} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY HASH (integration_id)"
    )];
    let owners = |name: &str, owner: &[String]| {
        let owner = owner.first().map(String::as_str).unwrap_or_default().to_owned();
        format!("ALTER TABLE kombo.{name} OWNER TO {owner}")
    };
    for remainder in 0..number {
        let part = format!("{table}_p{number}_{remainder}");
        script.push(format!(
            "CREATE TABLE kombo.{part} PARTITION OF kombo.{new} FOR VALUES WITH (MODULUS {number}, REMAINDER {remainder}){storage}"
        ));
        script.push(owners(&part, &owner));
    }
    script.push(format!("INSERT INTO kombo.{new} SELECT * FROM kombo.{table}"));
    script.extend(views.iter().map(|view| format!("DROP VIEW kombo.{}", view.name)));
    script.push(format!("DROP TABLE kombo.{table}"));
    script.push(format!("ALTER TABLE kombo.{new} RENAME TO {table}"));
    script.push(owners(table, &owner));
    script.extend(keys.into_iter().chain(indexes).chain(rights));
    for View { name, definition, owner, rights } in views {
        script.extend([definition.trim_end_matches(';').to_owned(), owners(name, &owner)]);
        script.extend(rights);
    }
    script.iter().try_for_each(|statement| conn.batch_execute(statement))
}

/// A view that reads a table.
#[derive(Clone)]
struct View {
    name: &'static str,
    /// The statement that creates it.
    definition: String,
    owner: Vec<String>,
    rights: Vec<String>,
}

impl View {
    /// Returns the view, if it exists and reads the table with this oid.
    fn of(conn: &mut Conn, name: &'static str, oid: &str) -> Result<Vec<Self>, Error> {
        let definition = texts(
            conn,
            &format!(
                "SELECT format('CREATE VIEW kombo.{name} %s AS %s',
                               coalesce('WITH (' || array_to_string(c.reloptions, ', ') || ')', ''), pg_get_viewdef(c.oid))
                 FROM pg_class c WHERE c.oid = to_regclass('kombo.{name}') AND EXISTS (
                    SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class = c.oid AND d.refobjid = {oid})"
            ),
        )?;
        let Some(definition) = definition.into_iter().next() else { return Ok(Vec::new()) };
        let owner = format!(
            "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = to_regclass('kombo.{name}')"
        );
        let owner = texts(conn, &owner)?;
        Ok(vec![Self { name, definition, owner, rights: texts(conn, &rights(name))? }])
    }
}

/// A query for statements that grant the same rights to a table as it has.
fn rights(table: &str) -> String {
    format!(
        "SELECT format('GRANT %s ON kombo.{table} TO %s%s', a.privilege_type,
                       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                       CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
         FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'kombo.{table}'::regclass AND a.grantee <> c.relowner"
    )
}

/// A query for what a table would lose, in words.
fn obstacles(table: &str) -> String {
    let (oid, views) = (format!("'kombo.{table}'::regclass"), VIEWS.join(","));
    format!(
        "SELECT 'policy ' || polname FROM pg_policy WHERE polrelid = {oid}
         UNION ALL SELECT 'row security' FROM pg_class WHERE oid = {oid} AND (relrowsecurity OR relforcerowsecurity)
         UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgrelid = {oid} AND NOT tgisinternal
         UNION ALL SELECT 'rule ' || rulename FROM pg_rewrite WHERE ev_class = {oid}
         UNION ALL SELECT 'publication ' || pubname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                   WHERE prrelid = {oid}
         UNION ALL SELECT 'replica identity' FROM pg_class WHERE oid = {oid} AND relreplident <> 'd'
         UNION ALL SELECT 'constraint ' || conname FROM pg_constraint
                   WHERE confrelid = {oid} OR conrelid = {oid} AND contype IN ('f', 'x')
         UNION ALL SELECT 'rights on column ' || attname FROM pg_attribute WHERE attrelid = {oid} AND attacl IS NOT NULL
         UNION ALL SELECT 'inheritance' FROM pg_inherits WHERE inhrelid = {oid}
         UNION ALL SELECT DISTINCT 'view ' || v.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                   JOIN pg_class v ON v.oid = r.ev_class
                   WHERE d.refobjid = {oid} AND (v.relname <> ALL ('{{{views}}}') OR v.relnamespace <> 'kombo'::regnamespace)
         UNION ALL SELECT DISTINCT 'view ' || v.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                   JOIN pg_class v ON v.oid = r.ev_class
                   JOIN pg_class o ON o.oid = d.refobjid
                   WHERE o.relname = ANY ('{{{views}}}') AND o.relnamespace = 'kombo'::regnamespace AND v.oid <> o.oid
                         AND EXISTS (SELECT FROM pg_depend e JOIN pg_rewrite w ON w.oid = e.objid
                                     WHERE w.ev_class = o.oid AND e.refobjid = {oid})"
    )
}

/// Returns the number of a table's partitions, 0 for a plain table.
fn partitions_of(conn: &mut Conn, table: &str) -> Result<usize, Failure> {
    let question = format!("SELECT count(*) FROM pg_inherits WHERE inhparent = 'kombo.{table}'::regclass");
    let answer: Vec<Cells> = Statement::new(question).load(conn)?;
    let count =
        answer.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten()).and_then(Cell::into_int);
    Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
}

fn is_true(conn: &mut Conn, condition: &str) -> Result<bool, Failure> {
    Ok(texts(conn, &format!("SELECT ({condition})::text"))?.first().is_some_and(|answer| answer == "true"))
}

fn texts(conn: &mut Conn, question: &str) -> Result<Vec<String>, Error> {
    let rows: Vec<Cells> = Statement::new(question).load(conn)?;
    Ok(rows.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect())
}

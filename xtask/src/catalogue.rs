//! What follows from the catalogue: migrations, and the description of the tables.

mod contract;
mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kombo_model::catalogue::{Column, ColumnKind, Model};

pub(crate) use contract::check;
pub(crate) use tables::page;

const TABLES: &str = "crates/store-diesel/src/tables";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Database {
    Postgres,
    Sqlite,
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }

    /// Returns the prefix of a table.
    fn schema(self) -> &'static str {
        match self {
            Self::Postgres => "kombo.",
            Self::Sqlite => "",
        }
    }

    /// Returns the type of a column.
    fn column(self, kind: ColumnKind) -> &'static str {
        match (self, kind) {
            (Self::Postgres, ColumnKind::Text) => "text",
            (Self::Postgres, ColumnKind::Id) => "text COLLATE \"C\"",
            (Self::Postgres, ColumnKind::Time) => "timestamptz",
            (Self::Postgres, ColumnKind::Date) => "date",
            (Self::Postgres, ColumnKind::Number) => "double precision",
            (Self::Postgres, ColumnKind::Integer) => "bigint",
            (Self::Postgres, ColumnKind::Flag) => "boolean",
            (Self::Postgres, ColumnKind::Document) => "jsonb",
            (Self::Postgres, ColumnKind::Opaque) => "json",
            (Self::Sqlite, ColumnKind::Number) => "REAL",
            (Self::Sqlite, ColumnKind::Integer | ColumnKind::Flag) => "INTEGER",
            (
                Self::Sqlite,
                ColumnKind::Text
                | ColumnKind::Id
                | ColumnKind::Time
                | ColumnKind::Date
                | ColumnKind::Document
                | ColumnKind::Opaque,
            ) => "TEXT",
        }
    }

    /// Returns the type as it stands in the list of tables.
    fn listed(self, kind: ColumnKind) -> String {
        match kind {
            ColumnKind::Time if self == Self::Postgres => "timestamp with time zone".to_owned(),
            ColumnKind::Id => "text".to_owned(),
            ColumnKind::Text
            | ColumnKind::Time
            | ColumnKind::Date
            | ColumnKind::Number
            | ColumnKind::Integer
            | ColumnKind::Flag
            | ColumnKind::Document
            | ColumnKind::Opaque => self.column(kind).to_ascii_lowercase(),
        }
    }

    fn list_of_tables(self) -> String {
        format!("{TABLES}/{}.txt", self.name())
    }
}

/// The models and columns that have no table or column yet.
#[derive(Default)]
struct Missing {
    models: Vec<Model>,
    columns: Vec<(Model, &'static Column)>,
}

impl Missing {
    fn in_list(lines: &BTreeSet<String>) -> Self {
        let mut missing = Self::default();
        let has = |model: Model, column: &str| {
            let start = format!("{model} column {column} ");
            lines.range(start.clone()..).next().is_some_and(|line| line.starts_with(&start))
        };
        for model in Model::ALL {
            if has(model, "synced_at") {
                let columns = model.columns().iter().filter(|column| !has(model, column.name));
                missing.columns.extend(columns.map(|column| (model, column)));
            } else {
                missing.models.push(model);
            }
        }
        missing
    }
}

/// Writes a pair of migrations for each database, with the tables and columns that the catalogue has and the databases
/// lack, and adds them to the lists of tables.
pub(crate) fn migration(name: &str) -> Result<bool> {
    for database in [Database::Postgres, Database::Sqlite] {
        let path = database.list_of_tables();
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let mut lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        let missing = Missing::in_list(&lines);
        if missing.models.is_empty() && missing.columns.is_empty() {
            bail!("{path} has all tables and columns of the catalogue");
        }
        let folder = format!("migrations/{}/{name}", database.name());
        if Path::new(&folder).exists() {
            bail!("{folder} exists");
        }
        fs::create_dir(&folder).with_context(|| folder.clone())?;
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for model in &missing.models {
            up.push(create_table(database, *model));
            down.push(format!("DROP TABLE {}{model};\n", database.schema()));
            lines.extend(listed(database, *model));
        }
        for (model, column) in &missing.columns {
            let (schema, kind) = (database.schema(), database.column(column.kind));
            up.push(format!("ALTER TABLE {schema}{model} ADD COLUMN {} {kind};\n", column.name));
            down.push(format!("ALTER TABLE {schema}{model} DROP COLUMN {};\n", column.name));
            lines.insert(format!("{model} column {} {}", column.name, database.listed(column.kind)));
            if column.kind == ColumnKind::Id {
                up.push(index(database, *model, column.name));
            }
        }
        fs::write(format!("{folder}/up.sql"), up.join("\n"))?;
        fs::write(format!("{folder}/down.sql"), down.concat())?;
        fs::write(&path, lines.iter().fold(String::new(), |text, line| text + line + "\n"))?;
        println!("{folder}: {} tables, {} columns", missing.models.len(), missing.columns.len());
    }
    Ok(true)
}

fn create_table(database: Database, model: Model) -> String {
    let (id, time) = (database.column(ColumnKind::Id), database.column(ColumnKind::Time));
    let keys = model.key_columns();
    let mut lines = vec![format!("integration_id {id} NOT NULL")];
    lines.extend(keys.iter().map(|key| format!("{key} {id} NOT NULL")));
    let columns = model.columns().iter();
    lines.extend(columns.map(|column| format!("{} {}", quoted(column.name), database.column(column.kind))));
    lines.push(format!("removed_at {time}"));
    lines.push(format!("synced_at {time} NOT NULL"));
    lines.push(format!("PRIMARY KEY (integration_id, {})", keys.join(", ")));
    let end = match database {
        // A row that changes finds room beside itself, so that no index has to learn where its next version is.
        Database::Postgres => " WITH (fillfactor = 85)",
        Database::Sqlite => " STRICT",
    };
    let table = format!("CREATE TABLE {}{model} (\n    {}\n){end};\n", database.schema(), lines.join(",\n    "));
    let references = model.columns().iter().filter(|column| column.kind == ColumnKind::Id).map(|column| column.name);
    let indexes = keys.iter().copied().skip(1).chain(references).map(|column| index(database, model, column));
    table + &indexes.collect::<String>()
}

/// Quotes a name that is a keyword of SQLite.
fn quoted(name: &str) -> String {
    if name == "index" { format!("\"{name}\"") } else { name.to_owned() }
}

/// Ids identify one record in all integrations, so the index needs no more.
fn index(database: Database, model: Model, column: &str) -> String {
    format!("CREATE INDEX {model}_{column} ON {}{model} ({column});\n", database.schema())
}

fn listed(database: Database, model: Model) -> Vec<String> {
    let (id, time) = match database {
        Database::Postgres => ("text in C not null", "timestamp with time zone"),
        Database::Sqlite => ("text not null", "text"),
    };
    let keys = model.key_columns();
    let mut lines = vec![
        format!("{model} column integration_id {id}"),
        format!("{model} column removed_at {time}"),
        format!("{model} column synced_at {time} not null"),
        format!("{model} key integration_id, {}", keys.join(", ")),
    ];
    lines.extend(keys.iter().map(|key| format!("{model} column {key} {id}")));
    let columns = model.columns().iter();
    lines.extend(columns.map(|column| format!("{model} column {} {}", column.name, database.listed(column.kind))));
    lines
}

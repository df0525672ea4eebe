//! Keys that are not valid text. SQLite stores any bytes as text, and a person may write them by hand. Such a key gets
//! a name, so that a full fetch finds its row and removes it like any row that Kombo does not have.

use std::fmt::Write as _;

use diesel::{QueryResult, RunQueryDsl as _};
use kombo_model::IntegrationId;
use sync_core::rows::{Key, Model};

use crate::note;
use crate::statement::{Cell, Statement};

/// Prefix of the name of an id that is not text. The bytes follow in hex.
const MARK: char = char::REPLACEMENT_CHARACTER;

/// Returns an id as it is stored, or the name of one that is not text.
pub(super) fn id(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text),
        Cell::NoText(bytes) => Some(name(&bytes)),
        Cell::Time(_) | Cell::OddTime(_) | Cell::Int(_) | Cell::Double(_) | Cell::Flag(_) | Cell::Date(_) => None,
    }
}

/// Returns the key of a note in `sync_seen`.
pub(crate) fn named(model: Model, note: Cell) -> Option<Key> {
    match note {
        Cell::Text(text) => Some(note::key(model, &text)),
        Cell::NoText(bytes) if model.key_columns().len() == 2 => {
            let mut parts = bytes.splitn(2, |byte| *byte == note::SEPARATOR_BYTE);
            let mut next = || parts.next().map(note::unescaped).map(|id| name(&id));
            Some(Key::Pair(next()?, next()?))
        }
        Cell::NoText(bytes) => Some(Key::Id(name(&bytes))),
        Cell::Time(_) | Cell::OddTime(_) | Cell::Int(_) | Cell::Double(_) | Cell::Flag(_) | Cell::Date(_) => None,
    }
}

fn name(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("{MARK}{}", hex_of(bytes)), str::to_owned)
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _: std::fmt::Result = write!(hex, "{byte:02X}");
        hex
    })
}

/// Returns the bytes of an id that is not text, if `name` is the name of one.
fn bytes(name: &str) -> Option<Vec<u8>> {
    let digits = name.strip_prefix(MARK)?.as_bytes();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
    std::str::from_utf8(&bytes).is_err().then_some(bytes)
}

/// Returns the output of `hex()` for the columns of a key, if one of them is not text.
pub(super) fn hex(key: [&str; 2]) -> Option<[String; 2]> {
    let odd = key.map(bytes);
    odd.iter().any(Option::is_some).then(|| {
        let mut columns = odd.iter().zip(key).map(|(odd, id)| hex_of(odd.as_deref().unwrap_or(id.as_bytes())));
        [columns.next().unwrap_or_default(), columns.next().unwrap_or_default()]
    })
}

/// The columns of a key, for comparison with [`hex`].
pub(super) fn columns(model: Model) -> [String; 2] {
    match model.key_columns() {
        [first, second] => [format!("t.{first}"), format!("t.{second}")],
        _ => ["t.id".to_owned(), "''".to_owned()],
    }
}

/// Replaces a key that is not text by its name.
pub(super) fn rename(
    conn: &mut diesel::SqliteConnection,
    model: Model,
    integration: &IntegrationId,
    key: &Key,
    odd: &[String; 2],
) -> QueryResult<()> {
    let [first, second] = columns(model);
    let mut statement = Statement::new(format!("UPDATE OR REPLACE {model} AS t SET "));
    let names = [key.first(), key.second()];
    for (place, (column, name)) in model.key_columns().iter().zip(names).enumerate() {
        statement = statement.sql(format!("{}{column} = ", if place > 0 { ", " } else { "" })).text(name);
    }
    let statement = statement.sql(" WHERE t.integration_id = ").text(integration.as_str());
    let statement = statement.sql(format!(" AND hex({first}) = ")).text(&odd[0]);
    statement.sql(format!(" AND hex({second}) = ")).text(&odd[1]).execute(conn).map(drop)
}

//! The mirror: which tables there are, what a row is, and how a returned record becomes rows.

mod batch;
mod decompose;
mod json;
mod model;
mod repeats;
mod row;

pub use batch::{Batch, Incoming, Members, Standing};
pub(crate) use decompose::decompose_news;
pub use decompose::{MAX_DOCUMENT_DEPTH, MAX_ID_BYTES, MAX_OPAQUE_DEPTH, decompose};
pub(crate) use json::is_deeper;
pub use json::{bounded_name, clean_json, clean_text, same_json};
pub use model::{Column, ColumnKind, Model};
pub(crate) use repeats::Repeats;
pub use row::{Held, Key, NewRow, Row, StoredRow, Value};

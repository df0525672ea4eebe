//! The mirror: its tables, its rows, and the conversion of records into rows.

pub mod apply;
pub mod assess;
pub(crate) mod batch;
pub(crate) mod change;
pub mod compare;
pub(crate) mod counts;
pub(crate) mod decompose;
pub(crate) mod json;
pub(crate) mod removals;
pub(crate) mod repeats;
pub(crate) mod row;
pub(crate) mod unlisted;

pub use kombo_model::catalogue::{Column, ColumnKind, Model};

pub use batch::{Batch, Incoming, Members, Provenance};
pub use change::{ChangeCause, ChangeKind};
pub use counts::RunCounts;
pub use decompose::{MAX_DOCUMENT_DEPTH, MAX_ID_BYTES, MAX_OPAQUE_DEPTH, decompose};
pub use json::{bounded_name, clean_json, clean_text, same_json};
pub use row::{Key, MirrorRow, NewRow, Stored, StoredRow, Value};

//! Reads the readable parts of a record that cannot be decoded as a whole.

mod fields;
mod mend;
mod reader;

pub(crate) use mend::holds_no_json;
pub use mend::mend_json;
pub(crate) use reader::{Part, Reader, in_part};

/// A record type that can be read in part.
///
/// Decoding with serde is several times as fast, but fails as a whole. Try it first.
///
/// ```
/// use kombo_model::{ReadInPart, User};
///
/// let json = r#"{"id": 7, "first_name": "Ada \ud83d", "status": {"code": 1}}"#;
/// let read = User::read_in_part(json).expect("it has an id");
/// assert_eq!(read.record.id.as_str(), "7");
/// assert_eq!(read.record.first_name.as_deref(), Some("Ada \u{fffd}"));
/// assert_eq!(read.record.unread, ["status"]);
/// assert_eq!(read.faults[0].path, "status");
/// assert_eq!(read.faults[0].reason, "expected a text, found an object");
/// ```
pub trait ReadInPart: Sized {
    /// The record's id.
    fn record_id(&self) -> &str;

    /// Reads the readable parts of a record.
    ///
    /// - A number or a boolean is accepted as text and keeps its exact digits or letters. An id may be a number, too.
    /// - Unpaired surrogates become U+FFFD.
    /// - A value that is not JSON, such as `NaN`, is a fault of its field.
    /// - If a key occurs twice, the last value counts.
    /// - An unreadable field is a fault, and `unread` names it. An unreadable nested record affects only itself.
    /// - Unknown keys with unusual values are skipped.
    ///
    /// # Errors
    /// Returns the fault that prevents any reading: the text is not a JSON object, or its `id` is missing or neither a
    /// text nor a number.
    fn read_in_part(json: &str) -> Result<InPart<Self>, Fault>;
}

/// The readable parts of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct InPart<R> {
    /// The record. Unreadable fields are empty, and `unread` names them.
    pub record: R,
    /// The unreadable parts, at most 20.
    pub faults: Vec<Fault>,
}

/// An unreadable part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the fault, such as `revisions[2].changed_at`; `.` for the record as a whole.
    pub path: String,
    /// The fault, without the value itself.
    pub reason: String,
}

impl Fault {
    /// Combines the faults of a record: the first, with the paths of the others.
    pub fn join(faults: Vec<Self>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let mut joined = faults.next()?;
        let others: Vec<String> = faults.map(|fault| fault.path).collect();
        if !others.is_empty() {
            joined.reason = format!("{}; also at {}", joined.reason, others.join(", "));
        }
        Some(joined)
    }
}

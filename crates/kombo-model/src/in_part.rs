//! Reads a record as far as it can be read, where reading it at once fails.

mod fields;
mod mend;
mod reader;

pub(crate) use mend::holds_no_json;
pub use mend::mend_json;
pub(crate) use reader::{Part, Reader, in_part};

/// A record type that can be read in part.
///
/// Reading a record with serde is several times as fast, and fails as a whole. So try that first.
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

    /// Reads what can be read of a record.
    ///
    /// - A number or a boolean where a text is due is kept as its text, to the letter; so is a number for an id.
    /// - Halves of surrogate pairs become U+FFFD.
    /// - A value that is no JSON, such as `NaN`, is a fault of its field.
    /// - Of a key that occurs twice the last value counts.
    /// - A field that cannot be read is a fault and named in the record's `unread`. A nested record that cannot be read costs
    ///   only itself.
    /// - Unknown keys that hold something unusual are skipped.
    ///
    /// # Errors
    /// The fault that leaves nothing: the text is no JSON object, or its `id` is missing or neither a text nor a number.
    fn read_in_part(json: &str) -> Result<InPart<Self>, Fault>;
}

/// A record that was read as far as it could be.
#[derive(Debug, Clone, PartialEq)]
pub struct InPart<R> {
    /// The record. Fields that could not be read hold nothing, and are named in `unread`.
    pub record: R,
    /// What could not be read, at most 20 faults.
    pub faults: Vec<Fault>,
}

/// Something in a record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is, such as `revisions[2].changed_at`; `.` for the record as a whole.
    pub path: String,
    /// What is wrong there, without the value itself.
    pub reason: String,
}

impl Fault {
    /// Several faults of one record as one: the first, with the paths of the others.
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

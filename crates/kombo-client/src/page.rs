use kombo_model::FreeJson;

use crate::{PageCursor, ResponseMeta};

/// One page of a list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page<R> {
    /// The records, in Kombo's order. May be empty without being the last page.
    pub records: Vec<R>,
    /// The records that could not be read, in Kombo's order.
    pub rejected: Vec<RejectedRecord>,
    /// Where the list goes on; `None` on the last page.
    pub next: Option<PageCursor>,
    /// What else the response said.
    pub meta: ResponseMeta,
}

/// A record that could not be read. It fails itself only, not its page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedRecord {
    /// Where it stood on the page, from 0, the readable records counted.
    pub index: usize,
    /// Its id, if that much could be read.
    pub id: Option<String>,
    /// Where the fault is, such as `revisions[2].changed_at`; `.` for the record as a whole.
    pub path: String,
    /// What is wrong there, without the value itself.
    pub reason: String,
    /// The record as Kombo sent it. A customer's data: not for logs.
    pub json: FreeJson,
}

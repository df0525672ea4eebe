use kombo_model::FreeJson;

use crate::{PageCursor, ResponseMeta};

/// One page of a list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page<R> {
    /// The records, in Kombo's order. May be empty without being the last page. Those that could be read in part only are
    /// among them.
    pub records: Vec<R>,
    /// The records that could not be read, or not wholly, in Kombo's order.
    pub rejected: Vec<RejectedRecord>,
    /// Where the list goes on; `None` on the last page.
    pub next: Option<PageCursor>,
    /// What else the response said.
    pub meta: ResponseMeta,
}

/// A record that could not be read, or in part only. It fails itself only, not its page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedRecord {
    /// Where it stood on the page, from 0, the readable records counted.
    pub index: usize,
    /// Its id, if it is among the page's records all the same, but for what could not be read; see
    /// [`ReadInPart`](kombo_model::ReadInPart).
    pub id: Option<String>,
    /// Where the fault is, such as `revisions[2].changed_at`; `.` for the record as a whole.
    pub path: String,
    /// What is wrong there, without the value itself.
    pub reason: String,
    /// The record as Kombo sent it. A customer's data: not for logs.
    pub json: FreeJson,
}

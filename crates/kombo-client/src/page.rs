use kombo_model::FreeJson;

use crate::{PageCursor, ResponseMeta};

/// One page of a list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page<R> {
    /// The records, in Kombo's order. May be empty before the last page. Includes records that could be read only in
    /// part.
    pub records: Vec<R>,
    /// The records that could not be read, or only in part, in Kombo's order.
    pub rejected: Vec<RejectedRecord>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<PageCursor>,
    /// The response's metadata.
    pub meta: ResponseMeta,
}

/// A record that could not be read, or only in part. Other records of its page are not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedRecord {
    /// Position on the page, from 0, counting all records.
    pub index: usize,
    /// Id of the record, if it is included in the page's records without the unreadable parts; see
    /// [`ReadInPart`](kombo_model::ReadInPart).
    pub id: Option<String>,
    /// Path of the fault, such as `revisions[2].changed_at`; `.` for the record as a whole.
    pub path: String,
    /// The fault, without the value itself.
    pub reason: String,
    /// The record as sent by Kombo. It contains a customer's data: do not log it.
    pub json: FreeJson,
}

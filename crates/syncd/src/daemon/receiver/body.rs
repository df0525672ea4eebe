//! Body of a delivery.

use kombo_model::IntegrationId;
use serde::Serialize;
use sync_core::changes::Change;
use sync_core::outbox::{Content, DeliveryBatch, Sending};

use crate::output;

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    r#type: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    integration_id: &'a IntegrationId,
    first_seq: i64,
    last_seq: i64,
    /// In the format of `syncd changes --json`.
    changes: &'a [Change],
}

/// Returns the body of a delivery, which is byte-identical for the same batch.
pub(super) fn body(sending: &Sending) -> serde_json::Result<String> {
    let changes = match &sending.content {
        Content::Body(body) => return Ok(body.clone()),
        Content::Entries(changes) => changes,
    };
    let DeliveryBatch { id, first_seq, last_seq, .. } = &sending.batch;
    let (first_seq, last_seq) = (*first_seq, *last_seq);
    let data = Data { integration_id: &sending.integration_id, first_seq, last_seq, changes };
    output::to_json(&Body { id: &id.0, r#type: "changes", data })
}

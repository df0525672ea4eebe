//! What a line of the journal says.

use std::io;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};
use sync_core::delivery::{DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::pacing::{Budget, Pacing};
use sync_core::types::{
    Change, EndpointState, IntegrationRecord, Quarantined, Request, Run, RunId, Target, WebhookRecord,
};

use crate::rows::Rows;

/// What one statement of a unit changes. It says what came of it, numbers included, so that it means the same whenever it
/// is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    Rows(Rows),
    Seen {
        run: RunId,
        batch: i64,
        ids: Vec<String>,
    },
    SeenCleared(RunId),
    Changes(Vec<Change>),
    ChangesTrimmed {
        before: Timestamp,
        undelivered: Undelivered,
    },
    Integration(IntegrationRecord),
    Endpoint(EndpointState),
    Request(Request),
    RequestDeleted(Target),
    Run(Box<Run>),
    RunsTrimmed {
        before: Timestamp,
    },
    Pacing(#[serde(with = "PacingLine")] Pacing),
    DeliveryStart(i64),
    Delivery(Delivery),
    DeadLetter {
        letter: DeadLetter,
        body: String,
    },
    DeadLetterDeleted {
        integration_id: IntegrationId,
        id: DeliveryId,
    },
    Webhook(WebhookRecord),
    WebhooksTrimmed {
        before: Timestamp,
    },
    Quarantined(Vec<Quarantined>),
    QuarantineCleared {
        integration_id: IntegrationId,
        endpoint: Endpoint,
        ids: Vec<String>,
    },
    /// The numbers given out last. What had them may be trimmed since, and no number is given twice.
    Numbers {
        change: i64,
        run: i64,
    },
}

/// The line of one unit: a JSON array of its edits. JSON has line breaks nowhere but between its parts, and
/// [`serde_json`] writes none there.
#[derive(Debug, Default)]
pub(crate) struct Line(Vec<u8>);

impl Line {
    pub(crate) fn add(&mut self, edit: &Edit) -> io::Result<()> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        Ok(serde_json::to_writer(&mut self.0, edit)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"]\n");
        self.0
    }

    pub(crate) fn read(line: &[u8]) -> serde_json::Result<Vec<Edit>> {
        serde_json::from_slice(line)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pacing")]
struct PacingLine {
    next_at: Option<Timestamp>,
    #[serde(with = "BudgetLine")]
    budget: Budget,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Budget", rename_all = "snake_case")]
enum BudgetLine {
    Unknown,
    Asked(Timestamp),
    Left { limit: u64, left: u64, renewed_at: Timestamp },
}

//! The delivery of changes: which entries are sent next, when to try again, and when to give up. Functions over a
//! transaction.
//!
//! The entries of an integration are sent in order, in batches ([`DeliveryBatch`]), one after the other. The sender of
//! a batch has a lease of the integration's [`Delivery`], which is checked when the outcome is stored. Replicas
//! therefore keep the order. If a process dies, its batch is sent again with exactly the same content.
//!
//! ```
//! # use std::time::Duration;
//! # use kombo_model::{IntegrationId, Timestamp};
//! # use sync_core::rows::Model;
//! # use sync_core::changes::Change;
//! # use sync_core::jobs::{IntegrationRecord, IntegrationStatus, LeaseToken};
//! # use sync_core::pull::RunId;
//! # use sync_core::rows::{ChangeCause, ChangeKind};
//! # use sync_testkit::MemoryStore;
//! use sync_core::outbox::{self, Content, DeliveryId};
//! use sync_core::jobs::queue::Claim;
//!
//! # let store = MemoryStore::new();
//! # let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
//! # let integration = IntegrationRecord {
//! #     id: IntegrationId::from("sandbox:a"),
//! #     tool: None,
//! #     category: None,
//! #     status: IntegrationStatus::Active,
//! #     status_since: now,
//! #     reason: None,
//! #     registered_at: now,
//! #     state_updated_at: None,
//! # };
//! # let change = Change {
//! #     seq: 0,
//! #     integration_id: integration.id.clone(),
//! #     model: Model::LmsUsers,
//! #     record_id: "u".to_owned(),
//! #     kind: ChangeKind::Updated,
//! #     cause: ChangeCause::Direct,
//! #     fields: serde_json::json!(["status"]),
//! #     run_id: RunId(1),
//! #     at: now,
//! # };
//! # store.edit(|tx| tx.put_integration(&integration))?;
//! store.edit(|tx| outbox::begin(tx, now))?;
//! # store.edit(|tx| tx.append_changes(&[change]))?;
//! # let claim =
//! #     Claim { owner: "me".to_owned(), token: LeaseToken("random".to_owned()), ttl: Duration::from_secs(30), longest_wait: Duration::from_secs(86_400) };
//! let id = DeliveryId("random, too".to_owned());
//! let sending = store.edit(|tx| outbox::take_next(tx, &claim, &id, 100, now))?.unwrap();
//! assert!(matches!(&sending.content, Content::Entries(entries) if entries.len() == 1));
//!
//! // It arrived.
//! store.edit(|tx| outbox::delivered(tx, &sending, now))?;
//! assert!(store.edit(|tx| outbox::take_next(tx, &claim, &id, 100, now))?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod letters;
pub(crate) mod state;
pub(crate) mod status;

use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp};

use crate::changes::Change;
use crate::error::SyncError;
use crate::horizon::{self, Horizon};
use crate::jobs::queue::Claim;
use crate::jobs::request::LeaseToken;
use crate::ports::error::{StoreError, TxResult};
use crate::ports::lock::LockMode;
use crate::ports::store::Tx;

pub use backoff::wait;
pub use letters::{drop_letters, retry};
pub use state::{Backlog, DeadLetter, Delivery, DeliveryBatch, DeliveryId, DeliveryLease, Undelivered, latest_untried};
pub use status::{DeliveryState, DeliveryStatus, delivery_statuses};

/// Maximum size of a batch in bytes, except that its first entry may be larger: entries with values may be large.
const MOST_BYTES: usize = 1 << 20;
/// Approximate size of an entry without its fields, in bytes.
const ENTRY_BYTES: usize = 300;
/// Number of entries to read at a time.
const ENTRIES_AT_ONCE: usize = 100;
/// Wait before entries that could not be read are tried again. No other untried delivery waits.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(900);
/// Maximum number of deliveries to check.
const LOOK_AT: usize = 16;

/// A batch that this process may send.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Token of the lease, checked when the outcome is stored.
    pub token: LeaseToken,
    /// The batch.
    pub batch: DeliveryBatch,
    /// Content of the batch.
    pub content: Content,
}

/// Content of a batch.
#[derive(Debug, Clone)]
pub enum Content {
    /// Entries of the change log.
    Entries(Vec<Change>),
    /// The exact body of an earlier delivery, which became a dead letter.
    Body(String),
}

/// The reason why a batch was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Message for people. It contains nothing of the request, the answer or the credentials.
    pub error: String,
    /// The wait that the receiver requested.
    pub retry_after: Option<Duration>,
}

/// The state of a batch that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The batch is tried again at this time.
    Again(Timestamp),
    /// The batch is now a dead letter, and later entries continue.
    GivenUp,
}

/// Stores the start of delivery unless it is already stored: after the last entry. Creates the deliveries of integrations
/// that have none. Of integrations that are registered later, all entries are delivered.
pub fn begin(tx: &mut dyn Tx, now: Timestamp) -> TxResult<()> {
    if tx.delivery_start()?.is_none() {
        let last = tx.last_change_of_all()?;
        tx.insert_delivery_start(last)?;
    }
    for id in tx.undelivered_integrations()? {
        register(tx, id, now)?;
    }
    Ok(())
}

/// Creates the delivery of an integration that was just registered, if delivery began.
pub(crate) fn register(tx: &mut dyn Tx, id: IntegrationId, now: Timestamp) -> TxResult<()> {
    match tx.delivery_start()? {
        Some(start) => tx.insert_delivery(&Delivery::new(id, start, now)),
        None => Ok(()),
    }
}

/// Whether [`take_next`] may find a batch.
pub fn is_due(tx: &mut dyn Tx, horizon: &Horizon) -> TxResult<bool> {
    Ok(!tx.due_deliveries(horizon, 1)?.is_empty())
}

/// Leases the batch that has waited longest: first one that failed and is due again, then a dead letter that a person
/// put back, then up to `most` of the next entries. `fresh` is an unused batch id. `claim.longest_wait` is how long a
/// batch is tried before it is given up.
pub fn take_next(
    tx: &mut dyn Tx,
    claim: &Claim,
    fresh: &DeliveryId,
    most: usize,
    now: Timestamp,
) -> TxResult<Option<Sending>> {
    let horizon = claim.horizon(now);
    for due in tx.due_deliveries(&horizon, LOOK_AT)? {
        // Another process checks a locked delivery. The conditions are checked again under the lock.
        let Some(mut delivery) = tx.delivery(&due.integration_id, LockMode::Skip)?.locked() else { continue };
        if delivery.is_held(&horizon) || !delivery.is_due(&horizon) {
            continue;
        }
        let before = delivery.batch.clone();
        let content = match content(tx, &mut delivery, fresh, most, now) {
            Err(error @ StoreError::Corrupt { .. }) => {
                // The deliveries of other integrations continue.
                let integration = delivery.integration_id.as_str();
                tracing::error!(integration.id = integration, %error, "changes that cannot be read are not delivered");
                delivery.batch = Some(unreadable(before, delivery.delivered_seq, fresh, &error, now));
                delivery.not_before = now.saturating_add(LOOK_AGAIN_AFTER);
                tx.put_delivery(&delivery)?;
                continue;
            }
            content => content?,
        };
        if let (Some(content), Some(batch)) = (content, delivery.batch.clone()) {
            let (token, owner) = (claim.token.clone(), claim.owner.clone());
            let expires_at = now.saturating_add(claim.ttl);
            delivery.lease = Some(DeliveryLease { token: token.clone(), owner, expires_at });
            tx.put_delivery(&delivery)?;
            return Ok(Some(Sending { integration_id: delivery.integration_id, token, batch, content }));
        }
    }
    Ok(None)
}

/// Returns the batch that shows why the next entry is not delivered. Without a batch before, it has no entries, so that
/// the next try reads the log again.
fn unreadable(
    before: Option<DeliveryBatch>,
    delivered_seq: i64,
    fresh: &DeliveryId,
    error: &StoreError,
    now: Timestamp,
) -> DeliveryBatch {
    let batch = before.unwrap_or_else(|| DeliveryBatch {
        id: fresh.clone(),
        first_seq: delivered_seq,
        last_seq: delivered_seq,
        entries: 0,
        first_tried_at: now,
        attempts: 0,
        error: None,
    });
    let remedy = "correct the entry or delete it from sync_changes, then run `syncd deliveries retry`";
    DeliveryBatch {
        attempts: batch.attempts.saturating_add(1),
        error: Some(format!("an entry cannot be read, so it and later ones wait: {error}; {remedy}")),
        ..batch
    }
}

/// Returns the content to send for an integration and stores its batch in `delivery`. `None` if there is nothing to
/// send.
fn content(
    tx: &mut dyn Tx,
    delivery: &mut Delivery,
    fresh: &DeliveryId,
    most: usize,
    now: Timestamp,
) -> TxResult<Option<Content>> {
    if let Some(batch) = &delivery.batch {
        if let Some(content) = content_again(tx, delivery, batch)? {
            let is_untried = |batch: &DeliveryBatch| batch.attempts == 0 || is_to_come(batch, now);
            if let Some(batch) = delivery.batch.as_mut().filter(|batch| is_untried(batch)) {
                // The batch was never tried, or only while a clock was ahead.
                batch.first_tried_at = now;
            }
            return Ok(Some(content));
        }
        // A person dropped the dead letter, or the log no longer contains these entries.
        delivery.batch = None;
    }
    let letters = tx.dead_letters(Some(&delivery.integration_id))?;
    if let Some(letter) = letters.into_iter().find(|letter| letter.again)
        && let Some(body) = tx.dead_letter_body(&letter.integration_id, &letter.id)?
    {
        delivery.batch = Some(DeliveryBatch {
            id: letter.id,
            first_seq: letter.first_seq,
            last_seq: letter.last_seq,
            entries: letter.entries,
            first_tried_at: now,
            attempts: 0,
            error: None,
        });
        return Ok(Some(Content::Body(body)));
    }
    let entries = next_entries(tx, &delivery.integration_id, delivery.delivered_seq, most)?;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(None) };
    delivery.batch = Some(DeliveryBatch {
        id: fresh.clone(),
        first_seq: first.seq,
        last_seq: last.seq,
        entries: i64::try_from(entries.len()).unwrap_or(i64::MAX),
        first_tried_at: now,
        attempts: 0,
        error: None,
    });
    Ok(Some(Content::Entries(entries)))
}

/// Returns the content of an existing batch. `None` if it no longer exists.
fn content_again(tx: &mut dyn Tx, delivery: &Delivery, batch: &DeliveryBatch) -> TxResult<Option<Content>> {
    if let Some(body) = tx.dead_letter_body(&delivery.integration_id, &batch.id)? {
        return Ok(Some(Content::Body(body)));
    }
    let most = usize::try_from(batch.entries).unwrap_or(0);
    let entries = tx.changes(Some(&delivery.integration_id), delivery.delivered_seq, most)?;
    let whole = entries.len() == most
        && entries.first().is_some_and(|first| first.seq == batch.first_seq)
        && entries.last().is_some_and(|last| last.seq == batch.last_seq);
    Ok(whole.then_some(Content::Entries(entries)))
}

/// Returns up to `most` entries after `seq` that fit in a batch. Reads them in steps, because a few large ones may fill
/// it. Stops before an entry that cannot be read; it is an error if it is the first.
fn next_entries(tx: &mut dyn Tx, integration: &IntegrationId, seq: i64, most: usize) -> TxResult<Vec<Change>> {
    let (mut entries, mut at_once): (Vec<Change>, usize) = (Vec::new(), ENTRIES_AT_ONCE);
    loop {
        let (behind, step) = (entries.last().map_or(seq, |last| last.seq), (most - entries.len()).min(at_once));
        let next = match tx.changes(Some(integration), behind, step) {
            Err(StoreError::Corrupt { .. }) if step > 1 => {
                at_once = step / 2;
                continue;
            }
            Err(StoreError::Corrupt { .. }) if !entries.is_empty() => return Ok(entries),
            next => next?,
        };
        let is_all = next.len() < step;
        entries.extend(next);
        let fitting = that_go_together(&entries);
        if is_all || fitting < entries.len() || entries.len() >= most {
            entries.truncate(fitting);
            return Ok(entries);
        }
    }
}

/// Whether the first try of a batch lies in the future.
fn is_to_come(batch: &DeliveryBatch, now: Timestamp) -> bool {
    horizon::happened(Some(batch.first_tried_at), now).is_none()
}

/// Returns the number of leading entries that fit in a batch.
fn that_go_together(entries: &[Change]) -> usize {
    let mut bytes = 0_usize;
    let fitting = entries.iter().take_while(|entry| {
        let begins = bytes == 0;
        bytes = bytes.saturating_add(ENTRY_BYTES + entry.record_id.len() + entry.fields.to_string().len());
        begins || bytes <= MOST_BYTES
    });
    fitting.count()
}

/// Stores that a batch was delivered.
pub fn delivered(tx: &mut dyn Tx, sending: &Sending, now: Timestamp) -> Result<(), SyncError> {
    let mut delivery = hold(tx, sending)?;
    tx.delete_dead_letter(&delivery.integration_id, &sending.batch.id)?;
    delivery.delivered_at = Some(now);
    go_on(tx, delivery, &sending.batch, now)
}

/// Stores that a batch was not delivered. A batch that has been tried for `give_up_after` becomes a dead letter with
/// this `body`. It is tried once more when that time has passed, even if the receiver requested a longer wait.
pub fn failed(
    tx: &mut dyn Tx,
    sending: &Sending,
    failure: &Failure,
    body: &str,
    give_up_after: Duration,
    now: Timestamp,
) -> Result<Verdict, SyncError> {
    let mut delivery = hold(tx, sending)?;
    let mut batch = sending.batch.clone();
    batch.attempts = batch.attempts.saturating_add(1);
    let give_up_at = batch.first_tried_at.saturating_add(give_up_after);
    if now >= give_up_at {
        let known = tx.dead_letters(Some(&delivery.integration_id))?;
        let known = known.iter().find(|letter| letter.id == batch.id);
        let letter = DeadLetter {
            integration_id: delivery.integration_id.clone(),
            id: batch.id.clone(),
            first_seq: batch.first_seq,
            last_seq: batch.last_seq,
            entries: batch.entries,
            first_tried_at: known.map_or(batch.first_tried_at, |known| known.first_tried_at),
            last_tried_at: now,
            attempts: batch.attempts.saturating_add(known.map_or(0, |known| known.attempts)),
            error: failure.error.clone(),
            again: false,
        };
        tx.put_dead_letter(&letter, body)?;
        go_on(tx, delivery, &batch, now)?;
        return Ok(Verdict::GivenUp);
    }
    let wait = wait(&delivery.integration_id, batch.attempts, failure.retry_after);
    let again = now.saturating_add(wait).min(give_up_at);
    batch.error = Some(failure.error.clone());
    delivery.batch = Some(batch);
    delivery.not_before = again;
    delivery.lease = None;
    tx.put_delivery(&delivery)?;
    Ok(Verdict::Again(again))
}

/// Releases a batch that was not tried.
pub fn release(tx: &mut dyn Tx, sending: &Sending) -> Result<(), SyncError> {
    let mut delivery = hold(tx, sending)?;
    delivery.lease = None;
    Ok(tx.put_delivery(&delivery)?)
}

/// Releases the leases of processes that have ended, according to `is_gone`. Returns their number.
pub fn release_abandoned(tx: &mut dyn Tx, is_gone: impl Fn(&str) -> bool) -> TxResult<usize> {
    let mut released = 0;
    let gone = |delivery: &Delivery| delivery.lease.as_ref().is_some_and(|lease| is_gone(&lease.owner));
    for delivery in tx.leased_deliveries()?.iter().filter(|delivery| gone(delivery)) {
        if let Some(mut delivery) = tx.delivery(&delivery.integration_id, LockMode::Skip)?.locked()
            && gone(&delivery)
        {
            delivery.lease = None;
            tx.put_delivery(&delivery)?;
            released += 1;
        }
    }
    Ok(released)
}

/// Checks the lease. The delivery stays locked until the transaction ends.
fn hold(tx: &mut dyn Tx, sending: &Sending) -> Result<Delivery, SyncError> {
    let held = tx.delivery(&sending.integration_id, LockMode::Wait)?.locked();
    held.filter(|delivery| delivery.lease.as_ref().is_some_and(|lease| lease.token == sending.token))
        .ok_or_else(|| SyncError::LeaseLost(format!("the changes of {}", sending.integration_id)))
}

/// Continues after the batch, behind other integrations.
fn go_on(tx: &mut dyn Tx, mut delivery: Delivery, batch: &DeliveryBatch, now: Timestamp) -> Result<(), SyncError> {
    delivery.delivered_seq = delivery.delivered_seq.max(batch.last_seq);
    delivery.not_before = now;
    delivery.batch = None;
    delivery.lease = None;
    Ok(tx.put_delivery(&delivery)?)
}

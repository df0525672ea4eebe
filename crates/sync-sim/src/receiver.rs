use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::IntegrationId;
use serde::{Deserialize, Serialize};
use sync_core::changes::Change;
use sync_core::outbox::{Content, Failure, Sending};
use sync_core::ports::StoreError;
use sync_runtime::{DeliveryPolicy, Receiver};
use tokio::time::sleep;

use crate::process::Process;
use crate::tally::Fault;
use crate::world::World;

/// Time limit for the receiver's answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The receiver of changes as a process sees it, over a network.
#[derive(Debug)]
pub(crate) struct SimReceiver(pub(crate) Arc<Process>);

/// The body of a delivery.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    integration: IntegrationId,
    id: String,
    /// The numbers of the entries.
    seqs: Vec<i64>,
}

impl Receiver for SimReceiver {
    fn policy(&self) -> DeliveryPolicy {
        let manner = &self.0.world.manner;
        DeliveryPolicy { batch_entries: manner.batch_entries, timeout: TIMEOUT, give_up_after: manner.give_up_after }
    }

    fn body(&self, sending: &Sending) -> Result<String, Box<dyn Error + Send + Sync>> {
        let seqs = match &sending.content {
            Content::Body(body) => return Ok(body.clone()),
            Content::Entries(entries) => entries.iter().map(|entry| entry.seq).collect(),
        };
        let (integration, id) = (sending.integration_id.clone(), sending.batch.id.0.clone());
        Ok(serde_json::to_string(&Body { integration, id, seqs })?)
    }

    async fn send(&self, body: &str) -> Result<(), Failure> {
        let (world, rates) = (&self.0.world, &self.0.world.manner.rates);
        self.0.thaw().await;
        sleep(world.between(Duration::from_millis(5), Duration::from_millis(500))).await;
        let failure = |error: &str| Failure { error: error.to_owned(), retry_after: None };
        if world.strikes(rates.receiver) {
            let asked = world.strikes(500).then(|| world.between(Duration::from_secs(1), Duration::from_secs(600)));
            return Err(Failure { retry_after: asked, ..failure("HTTP 503") });
        }
        if let Err(wrong) = world.received().accept(body) {
            world.fail(wrong);
        }
        let late = world.meets(Fault::DeliveryUnanswered, rates.receiver);
        sleep(world.between(Duration::from_millis(5), if late { TIMEOUT } else { Duration::from_millis(500) })).await;
        if late { Err(failure("no answer")) } else { Ok(()) }
    }
}

/// The content that the receiver has accepted.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bodies: BTreeMap<String, String>,
    entries: BTreeMap<IntegrationId, BTreeSet<i64>>,
    expected: Vec<(IntegrationId, i64)>,
}

impl Received {
    /// Accepts a body. The entries of an integration must arrive in order, each in one batch only.
    fn accept(&mut self, text: &str) -> Result<(), String> {
        let body: Body = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(known) = self.bodies.get(&body.id) {
            let is_same = known == text;
            return if is_same { Ok(()) } else { Err(format!("delivery {} came as {known} and as {text}", body.id)) };
        }
        let entries = self.entries.entry(body.integration).or_default();
        if !body.seqs.is_sorted() || body.seqs.iter().any(|seq| entries.contains(seq)) {
            return Err(format!("delivery {text} repeats entries, or is out of order"));
        }
        entries.extend(body.seqs);
        self.bodies.insert(body.id, text.to_owned());
        Ok(())
    }

    /// Notes an entry of the log that must arrive.
    pub(crate) fn expect(&mut self, entry: &Change) {
        self.expected.push((entry.integration_id.clone(), entry.seq));
    }

    /// Checks that every entry has arrived.
    pub(crate) fn at_rest(&self, world: &World) -> Result<(), String> {
        let read = world.store.look(|tx| {
            let start = tx.delivery_start()?.unwrap_or(i64::MAX);
            Ok::<_, StoreError>((start, tx.dead_letters(None)?))
        });
        let (start, dead) = read.map_err(|error| error.to_string())?;
        let is_dead = |id: &IntegrationId, seq: &i64| {
            dead.iter().any(|letter| letter.integration_id == *id && (letter.first_seq..=letter.last_seq).contains(seq))
        };
        let missing = self.expected.iter().find(|(id, seq)| {
            *seq > start && !self.entries.get(id).is_some_and(|known| known.contains(seq)) && !is_dead(id, seq)
        });
        missing.map_or(Ok(()), |(id, seq)| Err(format!("entry {seq} of {id} never arrived")))
    }
}

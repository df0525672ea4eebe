//! The periodic loops of a runtime: schedule, retention and key check.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::IntegrationId;
use sync_core::jobs::dispatch::{self, Scheduled};
use sync_core::jobs::retention::{self, Trimmed};
use sync_core::ports::{Clock, FailureClass, Scope, Source, SourceError, Store, StoreError, Tx, TxResult};
use tokio::task::JoinSet;

use super::Runtime;
use crate::host::{Host, KeyState};
use crate::observer::{Notice, RuntimeObserver};

/// The time between two checks for due fetches.
const SCHEDULE_EVERY: Duration = Duration::from_secs(10);
/// The time between two deletions of old entries.
const TRIM_EVERY: Duration = Duration::from_secs(3_600);
/// The time between two checks for a certain time.
const LOOK_FOR_TIME_EVERY: Duration = Duration::from_secs(1);
/// Number of integrations for whose categories Kombo is asked at the same time.
const ASKING_AT_ONCE: usize = 4;
/// Number of questions without an answer, one after the other, after which the others are asked later.
const MOST_UNANSWERED: usize = 8;
/// The time between two checks of a rejected key.
const CHECK_KEY_EVERY: Duration = Duration::from_secs(10);

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host> Runtime<St, So, C, O, H> {
    /// Requests due fetches every ten seconds, and deltas of integrations with webhooks that were not stored.
    pub(crate) async fn schedule(self: Arc<Self>) {
        let mut asking = JoinSet::new();
        // Webhooks that arrived during an outage of the store were not stored, and their senders may not try again.
        let mut was_away = false;
        while !self.stop.is_cancelled() {
            let (policy, now) = (self.policy.schedule.clone(), self.engine.clock().now());
            let behind = self.take_missed(was_away);
            let transaction = move |tx: &mut dyn Tx| {
                let due = dispatch::schedule(tx, &policy, now)?;
                Ok::<_, StoreError>((due, behind.catch_up(tx, &policy.endpoints, now)?))
            };
            match self.engine.store().transact(Scope::Shared, transaction).await {
                Ok((Scheduled { requests, uncategorized, categories }, missed)) => {
                    was_away = false;
                    self.categories.set(categories);
                    if requests > 0 {
                        self.observer().notice(Notice::Scheduled { requests });
                    }
                    self.report_catch_up(missed);
                    if requests + missed > 0 {
                        self.wakers.work.notify_one();
                    }
                    while asking.try_join_next().is_some() {}
                    // Kombo's answers may take long, and the schedule does not wait for them.
                    if !uncategorized.is_empty() && asking.is_empty() && self.gate.is_open() {
                        let runtime = Arc::clone(&self);
                        asking.spawn(async move { runtime.categorize(uncategorized).await });
                    }
                }
                Err(error) => {
                    was_away = true;
                    self.observer().notice(Notice::NotScheduled { error: &error });
                }
            }
            tokio::select! {
                biased;
                () = self.pause(SCHEDULE_EVERY) => {}
                () = self.wakers.schedule.notified() => {}
            }
        }
    }

    /// Asks Kombo for the categories of integrations, several at a time, and makes their fetches due. Ends early at a
    /// stop, if Kombo rejects the key, or if it answers nothing at all. Returns Kombo's errors.
    pub async fn categorize(self: &Arc<Self>, integrations: Vec<IntegrationId>) -> Vec<(IntegrationId, SourceError)> {
        let mut integrations = integrations;
        // Those that do not answer must not always come first.
        let count = u128::try_from(integrations.len()).unwrap_or_default().max(1);
        let first = usize::try_from(self.host.random() % count).unwrap_or_default();
        integrations.rotate_left(first);
        let (mut waiting, mut asking) = (integrations.into_iter(), JoinSet::new());
        let (mut failures, mut unanswered) = (Vec::new(), 0);
        loop {
            while asking.len() < ASKING_AT_ONCE
                && unanswered < MOST_UNANSWERED
                && !self.stop.is_cancelled()
                && let Some(id) = waiting.next()
            {
                let runtime = Arc::clone(self);
                asking.spawn(async move {
                    let answer = runtime.stop.run_until_cancelled(runtime.ask_category(&id)).await;
                    (id, answer.unwrap_or(Ok(())))
                });
            }
            let Some(asked) = asking.join_next().await else { break };
            match asked {
                Ok((_, Ok(()))) => unanswered = 0,
                Ok((id, Err(error))) => {
                    if error.class == FailureClass::KeyRejected {
                        self.reject_key();
                        waiting = Vec::new().into_iter();
                    } else if error.class == FailureClass::Transient {
                        unanswered += 1;
                    }
                    failures.push((id, error));
                }
                Err(_) => {}
            }
        }
        self.wakers.schedule.notify_one();
        failures
    }

    /// Asks Kombo for the category of an integration, and notes the answer.
    async fn ask_category(&self, id: &IntegrationId) -> Result<(), SourceError> {
        let answer = self.engine.source().category(id).await;
        let (now, noted) = (self.engine.clock().now(), id.clone());
        let note = match &answer {
            Ok(category) => {
                let category = category.clone();
                self.note(id, move |tx| dispatch::categorize(tx, &noted, &category, now)).await
            }
            Err(SourceError { class: FailureClass::IntegrationNotFound, message, .. }) => {
                let reason = message.clone();
                self.note(id, move |tx| dispatch::not_found(tx, &noted, reason, now)).await
            }
            Err(_) => Ok(()),
        };
        if let Err(error) = &note {
            self.observer().notice(Notice::NotScheduled { error });
        }
        if let Err(error) = &answer {
            self.observer().notice(Notice::NotCategorized { integration_id: id, error });
        }
        answer.map(drop)
    }

    async fn note(
        &self,
        id: &IntegrationId,
        note: impl FnOnce(&mut dyn Tx) -> TxResult<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.engine.store().transact(Scope::Integration(id.clone()), note).await
    }

    /// Deletes old entries every hour.
    pub(crate) async fn trim_regularly(&self) {
        while !self.stop.is_cancelled() {
            let trimmed = self.trim().await;
            self.pause(if trimmed { TRIM_EVERY } else { LOOK_FOR_TIME_EVERY }).await;
        }
    }

    /// Deletes entries that are older than the policy allows. Returns false without deleting anything if no time is
    /// certain: a clock that is briefly ahead must not delete the whole log.
    pub async fn trim(&self) -> bool {
        let Some(now) = self.host.certain_now() else { return false };
        let (keep_for, undelivered) = (self.policy.keep_for, self.policy.undelivered);
        let trimmed =
            self.engine.store().transact(Scope::Shared, move |tx| retention::trim(tx, keep_for, undelivered, now));
        match trimmed.await {
            Ok(trimmed) if trimmed == Trimmed::default() => {}
            Ok(trimmed) => self.observer().notice(Notice::Trimmed { trimmed }),
            Err(error) => self.observer().notice(Notice::NotTrimmed { error: &error }),
        }
        true
    }

    /// Checks the key immediately and, while Kombo rejects it, every ten seconds.
    pub(crate) async fn watch_key(&self) {
        // With all retries, Kombo's answer may take minutes. A stop does not wait for that.
        self.stop.run_until_cancelled(self.watch_key_forever()).await;
    }

    async fn watch_key_forever(&self) -> Infallible {
        self.check_key().await;
        loop {
            tokio::time::sleep(CHECK_KEY_EVERY).await;
            if !self.gate.is_open() {
                self.check_key().await;
            }
        }
    }

    /// Checks whether Kombo accepts the key, and opens or closes the gate. When the gate opens, all failed work is due.
    pub async fn check_key(&self) {
        match self.host.check_key().await {
            KeyState::Accepted => {
                let changed = self.gate.open();
                self.observer().notice(Notice::Key { accepted: true, changed });
                if changed {
                    self.retry_failed().await;
                }
            }
            KeyState::Rejected => self.reject_key(),
            KeyState::Unknown => {}
        }
    }

    /// Closes the gate.
    pub(crate) fn reject_key(&self) {
        let changed = self.gate.close();
        self.observer().notice(Notice::Key { accepted: false, changed });
    }

    async fn retry_failed(&self) {
        let now = self.engine.clock().now();
        let transaction = move |tx: &mut dyn Tx| dispatch::retry_failed(tx, now);
        if let Err(error) = self.engine.store().transact(Scope::Shared, transaction).await {
            self.observer().notice(Notice::NotRetried { error: &error });
        }
        self.wakers.work.notify_one();
    }
}

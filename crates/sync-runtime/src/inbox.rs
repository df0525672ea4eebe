//! The webhook inbox: stores webhooks, answers each once it is committed, and plans them afterwards.
//!
//! The cost of a transaction hardly depends on the number of its webhooks. One transaction at a time therefore stores
//! all webhooks that have arrived, of any integrations. It waits for no fetch. Fetches are requested afterwards, by a
//! transaction for each integration in the integration's scope. Webhooks keep their order within an integration, and
//! no integration waits for the fetch of another. What a process stored and did not plan, another one finds.

mod planner;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kombo_model::{IntegrationId, Webhook};
use sync_core::ports::{Clock, Store, StoreError};
use sync_core::webhooks::{self, WebhookPolicy};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::observer::RuntimeObserver;
use crate::runtime::Wakers;
use planner::Planner;

/// Maximum number of webhooks in a transaction.
const MAX_BATCH: usize = 512;
/// Maximum number of attempts after temporary failures. It is unknown whether the sender of a webhook tries again.
const MAX_ATTEMPTS: u32 = 3;
/// The pause between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Passes webhooks to the inbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InboxHandle {
    sender: mpsc::UnboundedSender<Waiting>,
}

/// Stores the webhooks that its handles pass in, and plans them.
#[derive(Debug)]
pub struct WebhookInbox<S, C, O> {
    store: Arc<S>,
    clock: C,
    receiver: Arc<AsyncMutex<mpsc::UnboundedReceiver<Waiting>>>,
    planner: Planner<S, C, O>,
}

/// A webhook that is not answered yet.
#[derive(Debug)]
struct Waiting {
    webhook: Arc<Webhook>,
    answer: oneshot::Sender<Answer>,
}

/// Whether the webhook was new. The error is shared, because one failure may affect many webhooks.
type Answer = Result<bool, Arc<StoreError>>;

/// Creates an inbox and its handle. Webhooks are answered only while [`WebhookInbox::work`] runs. A webhook that causes
/// a request wakes the workers.
///
/// Webhooks are stored through `store` and planned through `planning`. If `store` has connections of its own, storing
/// waits neither for planning nor for fetches.
pub fn open<S: Store, C: Clock + Clone, O: RuntimeObserver>(
    store: Arc<S>,
    planning: Arc<S>,
    clock: C,
    observer: O,
    policy: WebhookPolicy,
    wakers: Arc<Wakers>,
) -> (InboxHandle, WebhookInbox<S, C, O>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let planner = Planner::new(planning, clock.clone(), observer, policy, wakers);
    let receiver = Arc::new(AsyncMutex::new(receiver));
    (InboxHandle { sender }, WebhookInbox { store, clock, receiver, planner })
}

impl InboxHandle {
    /// Stores a webhook whose signature was verified, and returns once it is committed: true if it was new. An error
    /// means that it was not stored, unless only the answer to the commit was lost.
    ///
    /// The caller bounds how many webhooks wait. A caller that stops waiting withdraws its webhook, unless the
    /// transaction that stores it has started.
    pub async fn receive(&self, webhook: Webhook) -> Answer {
        let (answer, answered) = oneshot::channel();
        // If the inbox is gone, the sender of the answer is dropped here.
        drop(self.sender.send(Waiting { webhook: Arc::new(webhook), answer }));
        answered.await.unwrap_or_else(|_| Err(Arc::new(closed())))
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable { message: "the webhook inbox has stopped".to_owned(), source: None }
}

/// No holder of the lock panics while a list is inconsistent.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Store, C: Clock + Clone + 'static, O: RuntimeObserver + 'static> WebhookInbox<S, C, O> {
    /// Stores and plans webhooks until all handles are dropped and everything is stored and planned. Dropping the future
    /// ends it immediately; transactions that have started run to their end.
    pub async fn work(self) {
        let Self { store, clock, receiver, planner } = self;
        let (new, to_plan) = mpsc::unbounded_channel();
        let appender = Appender { store, clock, receiver, appended: new };
        tokio::join!(appender.run(), planner.run(to_plan));
    }
}

/// Stores webhooks.
struct Appender<S, C> {
    store: Arc<S>,
    clock: C,
    receiver: Arc<AsyncMutex<mpsc::UnboundedReceiver<Waiting>>>,
    /// The integrations of new webhooks.
    appended: mpsc::UnboundedSender<IntegrationId>,
}

impl<S: Store, C: Clock> Appender<S, C> {
    async fn run(self) {
        loop {
            // Only the next transaction locks it too, after this statement.
            let Some(first) = self.receiver.lock().await.recv().await else { return };
            self.append_from(first).await;
        }
    }

    /// Stores a webhook, and with it those that arrive before its transaction starts.
    async fn append_from(&self, first: Waiting) {
        let mut batch = vec![first];
        for attempt in 1.. {
            let (taken, stored) = self.append(batch, MAX_BATCH).await;
            match stored {
                Err(error) if error.is_transient() && attempt < MAX_ATTEMPTS => {
                    batch = taken;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) if !error.is_transient() && taken.len() > 1 => {
                    // The database may reject only one of them, so each is stored alone.
                    for waiting in taken {
                        let (alone, stored) = self.append(vec![waiting], 1).await;
                        self.answer(alone, stored);
                    }
                    return;
                }
                stored => return self.answer(taken, stored),
            }
        }
    }

    /// Stores webhooks together with those that arrive before the transaction starts, `most` in all. Returns them with
    /// the outcome.
    async fn append(&self, batch: Vec<Waiting>, most: usize) -> (Vec<Waiting>, Result<Vec<bool>, StoreError>) {
        let batch = Arc::new(Mutex::new(batch));
        let (taking, receiver) = (Arc::clone(&batch), Arc::clone(&self.receiver));
        let take = move || {
            let mut batch = locked(&taking);
            // Callers that stopped waiting have asked their senders to try again.
            batch.retain(|waiting| !waiting.answer.is_closed());
            // Nobody receives while a transaction is under way.
            if let Ok(mut receiver) = receiver.try_lock() {
                while batch.len() < most
                    && let Ok(waiting) = receiver.try_recv()
                {
                    if !waiting.answer.is_closed() {
                        batch.push(waiting);
                    }
                }
            }
            batch.iter().map(|waiting| Arc::clone(&waiting.webhook)).collect()
        };
        let stored = webhooks::append(&*self.store, take, self.clock.now()).await;
        (std::mem::take(&mut *locked(&batch)), stored)
    }

    /// Passes the integrations of new webhooks on, and answers. Callers may have stopped waiting; their webhooks are
    /// stored nevertheless.
    fn answer(&self, taken: Vec<Waiting>, stored: Result<Vec<bool>, StoreError>) {
        match stored {
            Ok(stored) => {
                for (waiting, is_new) in taken.into_iter().zip(stored) {
                    if let (true, Some(id)) = (is_new, webhooks::integration_of(&waiting.webhook)) {
                        drop(self.appended.send(id));
                    }
                    drop(waiting.answer.send(Ok(is_new)));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiting in taken {
                    drop(waiting.answer.send(Err(Arc::clone(&error))));
                }
            }
        }
    }
}

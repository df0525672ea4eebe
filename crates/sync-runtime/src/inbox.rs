//! The webhook inbox: stores webhooks together with the requests they cause, and answers each once it is committed.
//!
//! The cost of a transaction does not depend on the number of its webhooks, and webhooks of one integration must wait
//! for each other and for its fetches. The first webhook is therefore stored immediately. Those that arrive before the
//! next transaction of the same integration starts are stored by it together. Each integration has its own queue:
//! webhooks keep their order, and no integration waits for the fetch of another.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp, Webhook};
use sync_core::ports::{Clock, Scope, Store, StoreError};
use sync_core::webhooks::{self, Intake, IntakePolicy};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};

use crate::runtime::Wakers;

/// Maximum number of webhooks in a transaction.
const MAX_BATCH: usize = 256;
/// Maximum number of attempts after temporary failures. It is unknown whether the sender of a webhook tries again.
const MAX_ATTEMPTS: u32 = 3;
/// The pause between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Passes webhooks to the inbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InboxHandle {
    sender: mpsc::UnboundedSender<Waiting>,
}

/// Stores the webhooks that its handles pass in.
#[derive(Debug)]
pub struct WebhookInbox<S, C> {
    store: Arc<S>,
    clock: C,
    policy: Arc<IntakePolicy>,
    wakers: Arc<Wakers>,
    receiver: mpsc::UnboundedReceiver<Waiting>,
}

/// A webhook that is not answered yet.
#[derive(Debug)]
struct Waiting {
    webhook: Arc<Webhook>,
    answer: oneshot::Sender<Answer>,
}

/// The error is shared, because one failure may affect many webhooks.
type Answer = Result<Intake, Arc<StoreError>>;

/// The integration that a queue belongs to; `None` for webhooks that name no integration.
type QueueKey = Option<IntegrationId>;

/// Creates an inbox and its handle. Webhooks are answered only while [`WebhookInbox::work`] runs. A webhook that causes
/// a request wakes the workers.
pub fn open<S: Store, C: Clock + Clone>(
    store: Arc<S>,
    clock: C,
    policy: IntakePolicy,
    wakers: Arc<Wakers>,
) -> (InboxHandle, WebhookInbox<S, C>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (InboxHandle { sender }, WebhookInbox { store, clock, policy: Arc::new(policy), wakers, receiver })
}

impl InboxHandle {
    /// Stores a verified webhook, and returns once it is committed with the requests it causes. The caller has checked
    /// its signature. An error means that the webhook was not stored, unless only the answer to the commit was lost.
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

impl<S: Store, C: Clock + Clone> WebhookInbox<S, C> {
    /// Stores webhooks until all handles are dropped and everything is stored. Dropping the future ends it immediately;
    /// transactions that have started run to their end.
    pub async fn work(mut self) {
        let mut queues: BTreeMap<QueueKey, Arc<Mutex<Queue>>> = BTreeMap::new();
        let (mut tasks, mut key_of) = (JoinSet::new(), HashMap::<Id, QueueKey>::new());
        let mut is_open = true;
        loop {
            let key = tokio::select! {
                biased;
                Some(ended) = tasks.join_next_with_id() => {
                    let key = key_of.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                    if let Some(queue) = key.as_ref().and_then(|key| queues.get(key)) {
                        locked(queue).is_busy = false;
                    }
                    key
                }
                came = self.receiver.recv(), if is_open => {
                    is_open = came.is_some();
                    came.map(|waiting| enqueue(&mut queues, waiting))
                }
                else => return,
            };
            let Some((key, queue)) = key.and_then(|key| queues.get(&key).map(|queue| (key, queue))) else { continue };
            if locked(queue).start() {
                let task = Task {
                    store: Arc::clone(&self.store),
                    clock: self.clock.clone(),
                    policy: Arc::clone(&self.policy),
                    wakers: Arc::clone(&self.wakers),
                    scope: key.clone().map_or(Scope::Shared, Scope::Integration),
                    queue: Arc::clone(queue),
                };
                key_of.insert(tasks.spawn(task.run()).id(), key);
            } else if !locked(queue).is_busy {
                queues.remove(&key);
            }
        }
    }
}

/// Webhooks of one integration that are not stored yet, in the order of arrival.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether a task is storing webhooks of this queue or waits for its transaction. There is one task at a time, so
    /// that no webhook overtakes one that is tried again.
    is_busy: bool,
}

impl Queue {
    /// Marks the queue as busy and returns true if a task has to be started for it.
    fn start(&mut self) -> bool {
        let starts = !self.waiting.is_empty() && !self.is_busy;
        self.is_busy |= starts;
        starts
    }

    /// Removes up to `max` webhooks, the oldest first.
    fn take(&mut self, max: usize) -> Vec<Waiting> {
        // Callers that stopped waiting have asked their senders to try again.
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let max = self.waiting.len().min(max);
        self.waiting.drain(..max).collect()
    }

    /// Puts back, in their order, the webhooks that an attempt could not store.
    fn put_back(&mut self, taken: Vec<Waiting>) {
        for waiting in taken.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }
}

/// Adds a webhook to the queue of its integration.
fn enqueue(queues: &mut BTreeMap<QueueKey, Arc<Mutex<Queue>>>, waiting: Waiting) -> QueueKey {
    let key = match webhooks::scope(&waiting.webhook) {
        Scope::Integration(id) => Some(id),
        Scope::Shared => None,
    };
    locked(queues.entry(key.clone()).or_default()).waiting.push_back(waiting);
    key
}

/// No holder of the lock panics while a queue is inconsistent.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores the webhooks of one queue.
struct Task<S, C> {
    store: Arc<S>,
    clock: C,
    policy: Arc<IntakePolicy>,
    wakers: Arc<Wakers>,
    scope: Scope,
    queue: Arc<Mutex<Queue>>,
}

impl<S: Store, C: Clock> Task<S, C> {
    async fn run(self) {
        let (arrived_before, now) = (locked(&self.queue).waiting.len(), self.clock.now());
        let mut attempts = 1;
        loop {
            let queue = Arc::clone(&self.queue);
            let (taken, stored) = self.store_all(now, move || locked(&queue).take(MAX_BATCH)).await;
            match stored {
                Err(error) if error.is_transient() && attempts < MAX_ATTEMPTS => {
                    attempts += 1;
                    locked(&self.queue).put_back(taken);
                }
                Err(error) if !error.is_transient() && taken.len() > 1 => {
                    // The database may reject only one of them, so each is stored alone.
                    for waiting in taken {
                        let (alone, stored) = self.store_all(now, move || vec![waiting]).await;
                        answer(alone, stored);
                    }
                    return;
                }
                // No attempt reached its transaction, so the webhooks that waited for all attempts are answered.
                Err(error) if taken.is_empty() => return answer(locked(&self.queue).take(arrived_before), Err(error)),
                stored => return answer(taken, stored),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Takes webhooks once the transaction has started, stores them, and returns them with the outcome.
    async fn store_all(
        &self,
        now: Timestamp,
        take: impl FnOnce() -> Vec<Waiting> + Send + 'static,
    ) -> (Vec<Waiting>, Result<Vec<Intake>, StoreError>) {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (taking, policy) = (Arc::clone(&taken), Arc::clone(&self.policy));
        let take = move || {
            let mut taken = locked(&taking);
            *taken = take();
            taken.iter().map(|waiting| Arc::clone(&waiting.webhook)).collect()
        };
        let stored = webhooks::receive_all(&*self.store, self.scope.clone(), take, policy, now).await;
        let asks = |it: &Intake| matches!(it, Intake::Stored(targets) if !targets.is_empty());
        if stored.as_ref().is_ok_and(|received| received.iter().any(asks)) {
            // One worker is enough: it wakes the next.
            self.wakers.work.notify_one();
        }
        (std::mem::take(&mut *locked(&taken)), stored)
    }
}

/// Answers the webhooks of a transaction. Callers may have stopped waiting; their webhooks are stored nevertheless.
fn answer(taken: Vec<Waiting>, stored: Result<Vec<Intake>, StoreError>) {
    match stored {
        Ok(received) => {
            for (waiting, intake) in taken.into_iter().zip(received) {
                drop(waiting.answer.send(Ok(intake)));
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

//! Where webhooks are taken in: each is answered once it is stored with what it causes, and those that wait are stored
//! together.
//!
//! A unit costs the same however many webhooks it stores, and those of one integration have to wait for each other. So
//! the first is stored at once, and what comes while its unit runs gathers for the next one. Each integration has a row
//! of its own, which keeps the order in which its webhooks came, and makes nobody wait for another one's fetch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{IntegrationId, Webhook};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{Id, JoinSet};

use crate::intake::{self, Intake, IntakePolicy};
use crate::port::{Clock, Scope, Store, StoreError, Tx};

/// More are stored by a further unit.
const MOST_TOGETHER: usize = 256;
/// How often a unit is tried where the database says that this may help, and how long to wait in between: nobody knows
/// whether the sender of a webhook would try again.
const MOST_TRIES: u32 = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Where webhooks are handed in.
#[derive(Debug, Clone)]
pub struct Desk {
    hand_in: mpsc::UnboundedSender<Waiting>,
}

/// Stores what is handed in.
#[derive(Debug)]
pub struct Reception<S, C> {
    store: Arc<S>,
    clock: C,
    policy: Arc<IntakePolicy>,
    wake: Arc<Notify>,
    handed_in: mpsc::UnboundedReceiver<Waiting>,
}

/// A webhook that is not answered yet.
#[derive(Debug)]
struct Waiting {
    webhook: Webhook,
    answer: oneshot::Sender<Answer>,
}

/// One failure may be that of many.
type Answer = Result<Intake, Arc<StoreError>>;

/// Whose webhooks wait in a row; none for those that are only noted.
type Name = Option<IntegrationId>;

/// A desk and what stores: [`Reception::work`] has to run for what is handed in to be answered. `wake` is told when there
/// may be work.
pub fn open<S: Store, C: Clock + Clone>(
    store: Arc<S>,
    clock: C,
    policy: IntakePolicy,
    wake: Arc<Notify>,
) -> (Desk, Reception<S, C>) {
    let (hand_in, handed_in) = mpsc::unbounded_channel();
    (Desk { hand_in }, Reception { store, clock, policy: Arc::new(policy), wake, handed_in })
}

impl Desk {
    /// Takes in a webhook whose signature was verified, and returns when it is stored with the requests that it causes.
    /// A failure means that it is not stored, unless the answer to the commit was lost.
    ///
    /// However many wait is up to the caller: whoever stops waiting is not stored, unless that has begun.
    pub async fn receive(&self, webhook: Webhook) -> Answer {
        let (answer, answered) = oneshot::channel();
        // Where it was not taken, the answer is gone as well.
        drop(self.hand_in.send(Waiting { webhook, answer }));
        answered.await.unwrap_or_else(|_| Err(Arc::new(closed())))
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable { message: "webhooks are not taken in any more".to_owned(), source: None }
}

impl<S: Store, C: Clock + Clone> Reception<S, C> {
    /// Stores until there is no [`Desk`] any more and all is stored. Whoever drops the future ends what it does, but
    /// for units that began.
    pub async fn work(mut self) {
        let mut rows: BTreeMap<Name, Row> = BTreeMap::new();
        let (mut units, mut name_of) = (JoinSet::new(), HashMap::<Id, Name>::new());
        let mut is_open = true;
        loop {
            let mut moved = Vec::new();
            tokio::select! {
                biased;
                Some(ended) = units.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    if let Some(name) = name_of.remove(&id) {
                        rows.entry(name.clone()).or_default().is_being_stored = false;
                        moved.push(name);
                    }
                }
                came = self.handed_in.recv(), if is_open => match came {
                    Some(waiting) => moved.push(enter(&mut rows, waiting)),
                    None => is_open = false,
                },
                else => return,
            }
            // All that came meanwhile goes along.
            while let Ok(waiting) = self.handed_in.try_recv() {
                moved.push(enter(&mut rows, waiting));
            }
            for name in moved {
                let Some(row) = rows.get_mut(&name).filter(|row| !row.is_being_stored) else { continue };
                let next = row.next();
                if next.is_empty() {
                    rows.remove(&name);
                    continue;
                }
                row.is_being_stored = true;
                let unit = Unit {
                    store: Arc::clone(&self.store),
                    clock: self.clock.clone(),
                    policy: Arc::clone(&self.policy),
                    wake: Arc::clone(&self.wake),
                    scope: name.clone().map_or(Scope::Shared, Scope::Integration),
                };
                name_of.insert(units.spawn(unit.run(next)).id(), name);
            }
        }
    }
}

/// Webhooks that have to be stored one after the other.
#[derive(Default)]
struct Row {
    waiting: VecDeque<Waiting>,
    is_being_stored: bool,
}

impl Row {
    /// Takes out those that the next unit stores.
    fn next(&mut self) -> Vec<Waiting> {
        // Nobody waits for these any more: their senders were told to try again.
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let most = self.waiting.len().min(MOST_TOGETHER);
        self.waiting.drain(..most).collect()
    }
}

/// Puts a webhook into its row.
fn enter(rows: &mut BTreeMap<Name, Row>, waiting: Waiting) -> Name {
    let name = match intake::scope(&waiting.webhook) {
        Scope::Integration(id) => Some(id),
        Scope::Shared => None,
    };
    rows.entry(name.clone()).or_default().waiting.push_back(waiting);
    name
}

/// What stores webhooks of one row.
struct Unit<S, C> {
    store: Arc<S>,
    clock: C,
    policy: Arc<IntakePolicy>,
    wake: Arc<Notify>,
    scope: Scope,
}

impl<S: Store, C: Clock> Unit<S, C> {
    async fn run(self, waiting: Vec<Waiting>) {
        let (webhooks, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|Waiting { webhook, answer }| (webhook, answer)).unzip();
        let webhooks: Arc<[Webhook]> = webhooks.into();
        let stored = self.store_all(&webhooks).await;
        if webhooks.len() > 1 && stored.as_ref().is_err_and(|error| !error.is_transient()) {
            // One of them may be what the database refuses: the others must not suffer.
            for (webhook, answer) in webhooks.iter().zip(answers) {
                let stored = self.store_all(&Arc::from([webhook.clone()])).await;
                tell([answer], stored);
            }
        } else {
            tell(answers, stored);
        }
    }

    async fn store_all(&self, webhooks: &Arc<[Webhook]>) -> Result<Vec<Intake>, StoreError> {
        let now = self.clock.now();
        let mut tries = 1;
        loop {
            let (webhooks, policy) = (Arc::clone(webhooks), Arc::clone(&self.policy));
            let unit = move |tx: &mut dyn Tx| intake::receive_all(tx, &webhooks, &policy, now);
            match self.store.transact(self.scope.clone(), unit).await {
                Err(error) if error.is_transient() && tries < MOST_TRIES => tries += 1,
                result => {
                    let asks = |it: &Intake| matches!(it, Intake::Stored(targets) if !targets.is_empty());
                    if result.as_ref().is_ok_and(|received| received.iter().any(asks)) {
                        // One worker for all of them: it tells the next.
                        self.wake.notify_one();
                    }
                    return result;
                }
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }
}

fn tell(answers: impl IntoIterator<Item = oneshot::Sender<Answer>>, stored: Result<Vec<Intake>, StoreError>) {
    match stored {
        // Some may have stopped waiting: they are stored all the same.
        Ok(received) => answers.into_iter().zip(received).for_each(|(answer, it)| drop(answer.send(Ok(it)))),
        Err(error) => {
            let error = Arc::new(error);
            answers.into_iter().for_each(|answer| drop(answer.send(Err(Arc::clone(&error)))));
        }
    }
}

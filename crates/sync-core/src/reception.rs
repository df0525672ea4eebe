//! Where webhooks are taken in: each is answered once it is stored with what it causes, and those that wait are stored
//! together.
//!
//! A unit costs the same however many webhooks it stores, and those of one integration have to wait for each other and for
//! its fetches. So the first is stored at once, and what comes until the next unit has its turn is stored by that. Each
//! integration has a row of its own, which keeps the order in which its webhooks came, and makes nobody wait for another
//! one's fetch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
            let name = tokio::select! {
                biased;
                Some(ended) = units.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    let name = name_of.remove(&id);
                    if let Some(row) = name.as_ref().and_then(|name| rows.get_mut(name)) {
                        row.is_being_stored = false;
                    }
                    name
                }
                came = self.handed_in.recv(), if is_open => {
                    is_open = came.is_some();
                    came.map(|waiting| enter(&mut rows, waiting))
                }
                else => return,
            };
            let Some(name) = name else { continue };
            let Some(row) = rows.get_mut(&name).filter(|row| !row.is_being_stored) else { continue };
            if locked(&row.waiting).is_empty() {
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
            name_of.insert(units.spawn(unit.run(Arc::clone(&row.waiting))).id(), name);
        }
    }
}

/// Webhooks that have to be stored one after the other.
#[derive(Default)]
struct Row {
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    is_being_stored: bool,
}

/// Puts a webhook into its row.
fn enter(rows: &mut BTreeMap<Name, Row>, waiting: Waiting) -> Name {
    let name = match intake::scope(&waiting.webhook) {
        Scope::Integration(id) => Some(id),
        Scope::Shared => None,
    };
    locked(&rows.entry(name.clone()).or_default().waiting).push_back(waiting);
    name
}

/// Takes out of a row those that came first, and are still waited for.
fn take(row: &Mutex<VecDeque<Waiting>>, most: usize) -> Vec<Waiting> {
    let mut row = locked(row);
    // The senders of the others were told to try again.
    row.retain(|waiting| !waiting.answer.is_closed());
    let most = row.len().min(most);
    row.drain(..most).collect()
}

/// Nobody leaves a list in the midst of a change.
fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn run(self, row: Arc<Mutex<VecDeque<Waiting>>>) {
        let (came_before, taken) = (locked(&row).len(), Arc::default());
        let stored = self.store_all(&taken, Some(&row)).await;
        let mut taken = std::mem::take(&mut *locked(&taken));
        if taken.is_empty() {
            // It never began: these have waited for all its tries.
            taken = take(&row, came_before);
        }
        if taken.len() > 1 && stored.as_ref().is_err_and(|error| !error.is_transient()) {
            // One of them may be what the database refuses: the others must not suffer.
            for waiting in taken {
                let alone = Arc::new(Mutex::new(vec![waiting]));
                let stored = self.store_all(&alone, None).await;
                tell(std::mem::take(&mut *locked(&alone)), stored);
            }
        } else {
            tell(taken, stored);
        }
    }

    /// Stores what is taken, and what waits in the row when the unit's turn has come: many may have come meanwhile.
    async fn store_all(
        &self,
        taken: &Arc<Mutex<Vec<Waiting>>>,
        row: Option<&Arc<Mutex<VecDeque<Waiting>>>>,
    ) -> Result<Vec<Intake>, StoreError> {
        let now = self.clock.now();
        let mut tries = 1;
        loop {
            let (taken, row, policy) = (Arc::clone(taken), row.cloned(), Arc::clone(&self.policy));
            let unit = move |tx: &mut dyn Tx| {
                let mut taken = locked(&taken);
                if let Some(row) = row {
                    let room = MOST_TOGETHER.saturating_sub(taken.len());
                    taken.extend(take(&row, room));
                }
                let webhooks: Vec<&Webhook> = taken.iter().map(|waiting| &waiting.webhook).collect();
                intake::receive_all(tx, &webhooks, &policy, now)
            };
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

/// Answers those of a unit. Some may have stopped waiting: they are stored all the same.
fn tell(taken: Vec<Waiting>, stored: Result<Vec<Intake>, StoreError>) {
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

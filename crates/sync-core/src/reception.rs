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

use kombo_model::{IntegrationId, Timestamp, Webhook};
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
        let mut rows: BTreeMap<Name, Arc<Mutex<Row>>> = BTreeMap::new();
        let (mut units, mut name_of) = (JoinSet::new(), HashMap::<Id, Name>::new());
        let mut is_open = true;
        loop {
            let name = tokio::select! {
                biased;
                Some(ended) = units.join_next_with_id() => {
                    let name = name_of.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                    if let Some(row) = name.as_ref().and_then(|name| rows.get(name)) {
                        locked(row).has_a_unit = false;
                    }
                    name
                }
                came = self.handed_in.recv(), if is_open => {
                    is_open = came.is_some();
                    came.map(|waiting| enter(&mut rows, waiting))
                }
                else => return,
            };
            let Some((name, row)) = name.and_then(|name| rows.get(&name).map(|row| (name, row))) else { continue };
            if locked(row).needs_a_unit() {
                let unit = Unit {
                    store: Arc::clone(&self.store),
                    clock: self.clock.clone(),
                    policy: Arc::clone(&self.policy),
                    wake: Arc::clone(&self.wake),
                    scope: name.clone().map_or(Scope::Shared, Scope::Integration),
                    row: Arc::clone(row),
                };
                name_of.insert(units.spawn(unit.run()).id(), name);
            } else if !locked(row).has_a_unit {
                rows.remove(&name);
            }
        }
    }
}

/// Webhooks that have to be stored one after the other.
#[derive(Default)]
struct Row {
    waiting: VecDeque<Waiting>,
    /// A unit is storing, or will store what waits when it has its turn. One at a time, so that none gets ahead of one that
    /// has to try again.
    has_a_unit: bool,
}

impl Row {
    /// Whether a unit is to store what waits.
    fn needs_a_unit(&mut self) -> bool {
        let needs = !self.waiting.is_empty() && !self.has_a_unit;
        self.has_a_unit |= needs;
        needs
    }

    /// Takes out those that came first, for a unit that has its turn.
    fn take(&mut self, most: usize) -> Vec<Waiting> {
        // The senders of the others were told to try again.
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let most = self.waiting.len().min(most);
        self.waiting.drain(..most).collect()
    }

    /// Puts those back that a unit could not store, for its next try: their order stays.
    fn put_back(&mut self, taken: Vec<Waiting>) {
        for waiting in taken.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }
}

/// Puts a webhook into its row.
fn enter(rows: &mut BTreeMap<Name, Arc<Mutex<Row>>>, waiting: Waiting) -> Name {
    let name = match intake::scope(&waiting.webhook) {
        Scope::Integration(id) => Some(id),
        Scope::Shared => None,
    };
    locked(rows.entry(name.clone()).or_default()).waiting.push_back(waiting);
    name
}

/// Nobody leaves a row in the midst of a change.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stores webhooks of one row.
struct Unit<S, C> {
    store: Arc<S>,
    clock: C,
    policy: Arc<IntakePolicy>,
    wake: Arc<Notify>,
    scope: Scope,
    row: Arc<Mutex<Row>>,
}

impl<S: Store, C: Clock> Unit<S, C> {
    async fn run(self) {
        let (came_before, now) = (locked(&self.row).waiting.len(), self.clock.now());
        let mut tries = 1;
        loop {
            let row = Arc::clone(&self.row);
            let (taken, stored) = self.store_all(now, move || locked(&row).take(MOST_TOGETHER)).await;
            match stored {
                Err(error) if error.is_transient() && tries < MOST_TRIES => {
                    tries += 1;
                    locked(&self.row).put_back(taken);
                }
                Err(error) if !error.is_transient() && taken.len() > 1 => {
                    // One of them may be what the database refuses: the others must not suffer.
                    for waiting in taken {
                        let (alone, stored) = self.store_all(now, move || vec![waiting]).await;
                        tell(alone, stored);
                    }
                    return;
                }
                // It never had its turn: these have waited for all of its tries.
                Err(error) if taken.is_empty() => return tell(locked(&self.row).take(came_before), Err(error)),
                stored => return tell(taken, stored),
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    /// Stores what there is when the unit has its turn, and says what that was.
    async fn store_all(
        &self,
        now: Timestamp,
        take: impl FnOnce() -> Vec<Waiting> + Send + 'static,
    ) -> (Vec<Waiting>, Result<Vec<Intake>, StoreError>) {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (taking, policy) = (Arc::clone(&taken), Arc::clone(&self.policy));
        let unit = move |tx: &mut dyn Tx| {
            let mut taken = locked(&taking);
            *taken = take();
            let webhooks: Vec<&Webhook> = taken.iter().map(|waiting| &waiting.webhook).collect();
            intake::receive_all(tx, &webhooks, &policy, now)
        };
        let stored = self.store.transact(self.scope.clone(), unit).await;
        let asks = |it: &Intake| matches!(it, Intake::Stored(targets) if !targets.is_empty());
        if stored.as_ref().is_ok_and(|received| received.iter().any(asks)) {
            // One worker for all of them: it tells the next.
            self.wake.notify_one();
        }
        (std::mem::take(&mut *locked(&taken)), stored)
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

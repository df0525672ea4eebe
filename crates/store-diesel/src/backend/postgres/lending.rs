//! Lends a limited number of sessions. If the server refuses another one while some exist, fewer are lent for a while,
//! and then the server is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::BuildError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::address::Unconnected;
use super::connection::Conn;
use super::database::Database;
use super::pool::{Borrowed, Pool, PoolError, pool};
use crate::connections::PoolStatus;

/// Time limit for waiting for a session.
const BORROW_WITHIN: Duration = Duration::from_secs(10);
/// Wait between two attempts while the server allows no session at all.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Time during which fewer sessions are lent after the server refused one.
const FEWER_FOR: Duration = Duration::from_secs(30);

/// Lends the sessions of a pool.
#[derive(Clone)]
pub(super) struct Lending {
    pool: Pool,
    places: Arc<Places>,
    /// The pool to borrow from if the server allows no session for this one.
    others: Option<Box<Lending>>,
}

/// Permits for sessions that may be lent.
struct Places {
    free: Arc<Semaphore>,
    all: AtomicUsize,
    waiting: AtomicUsize,
}

/// A borrowed session.
pub(super) struct Lent {
    // Fields are dropped in this order: the session must be back in the pool before its permit is free.
    session: Borrowed,
    _place: OwnedSemaphorePermit,
}

impl Lent {
    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.session.conn
    }

    /// Returns the reason if its transactions cannot write.
    pub(super) fn read_only(&self) -> Option<&str> {
        self.session.read_only.as_deref()
    }

    /// Applies the findings of the last transaction to other sessions of the same age.
    pub(super) fn settle(&self) {
        self.session.settle();
    }
}

impl Lending {
    pub(super) fn new(database: &Arc<Database>, most: usize, others: Option<&Self>) -> Result<Self, BuildError> {
        let places = Places {
            free: Arc::new(Semaphore::new(most)),
            all: AtomicUsize::new(most),
            waiting: AtomicUsize::default(),
        };
        Ok(Self { pool: pool(database, most)?, places: Arc::new(places), others: others.cloned().map(Box::new) })
    }

    pub(super) async fn borrow(&self) -> Result<Lent, Unconnected> {
        let deadline = Instant::now() + BORROW_WITHIN;
        loop {
            let place = self.places.take(deadline).await?;
            let error = match self.pool.get().await {
                Ok(session) => return Ok(Lent { session, _place: place }),
                Err(PoolError::Backend(error)) => error,
                Err(_) => return Err(Unconnected::TooSlow(BORROW_WITHIN)),
            };
            if !error.is_too_many() || Instant::now() >= deadline {
                return Err(error);
            }
            if self.pool.status().size > 0 {
                self.places.give_up(place);
            } else if let Some(others) = &self.others {
                drop(place);
                return Box::pin(others.borrow()).await;
            } else {
                drop(place);
                sleep(ASK_AGAIN_AFTER).await;
            }
        }
    }

    /// Usage of the sessions.
    pub(super) fn load(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            most: self.places.all.load(Ordering::Relaxed),
            open: status.size,
            idle: status.available,
            waiting: self.places.waiting.load(Ordering::Relaxed),
        }
    }
}

impl Places {
    async fn take(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Unconnected> {
        let _waiting = Waiting::new(&self.waiting);
        let taken = timeout_at(deadline, Arc::clone(&self.free).acquire_owned()).await;
        taken.ok().and_then(Result::ok).ok_or(Unconnected::Busy(BORROW_WITHIN))
    }

    /// Removes one permit for a while, unless it is the last one.
    fn give_up(self: &Arc<Self>, place: OwnedSemaphorePermit) {
        let fewer = |all: usize| (all > 1).then(|| all - 1);
        if self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_err() {
            return;
        }
        place.forget();
        let places = Arc::clone(self);
        tokio::spawn(async move {
            sleep(FEWER_FOR).await;
            places.all.fetch_add(1, Ordering::Relaxed);
            places.free.add_permits(1);
        });
    }
}

/// Counts waiting borrowers.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

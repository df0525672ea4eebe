use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::address::{Address, Link, Unconnected};

/// Period for which a refused write is reported, unless a later one succeeds.
const TROUBLE_LASTS: Duration = Duration::from_secs(30);

/// State shared by all connections to a database.
pub(super) struct Database {
    address: RwLock<Arc<Address>>,
    /// Incremented when all sessions made so far have become unusable.
    generation: AtomicU64,
    /// Notified when the server rejects the user or the password.
    refused: Notify,
    /// Notified when the address of the database changes.
    moved: Notify,
    /// The last write that was refused for lack of room, and its time.
    trouble: Mutex<Option<(Instant, String)>>,
}

impl Database {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address: RwLock::new(Arc::new(address)),
            generation: AtomicU64::default(),
            refused: Notify::new(),
            moved: Notify::new(),
            trouble: Mutex::default(),
        }
    }

    /// Current address of the database.
    pub(super) fn address(&self) -> Arc<Address> {
        Arc::clone(&self.address.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn move_to(&self, address: Address) {
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(address);
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.moved.notify_waiters();
    }

    /// Ends when the address of the database changes.
    pub(super) fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    pub(super) async fn connect(&self) -> Result<Link, Unconnected> {
        // Boxed because the future is large, and would be part of every future that waits for it.
        let address = self.address();
        let connected = Box::pin(address.connect()).await;
        if connected.as_ref().is_err_and(Unconnected::is_refusal) {
            self.refused.notify_one();
        }
        connected
    }

    pub(super) async fn refused(&self) {
        self.refused.notified().await;
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Marks all sessions of this generation as unusable. Later calls for the same generation change nothing.
    pub(super) fn outlive(&self, generation: u64) {
        self.generation.fetch_max(generation.saturating_add(1), Ordering::Relaxed);
    }

    /// Notes that a write was refused for lack of room.
    pub(super) fn refused_write(&self, said: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), said));
    }

    /// Notes that a writing transaction was committed.
    pub(super) fn wrote(&self) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Returns the reason of a recently refused write, unless a later write succeeded.
    pub(super) fn recent_trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().filter(|(at, _)| at.elapsed() < TROUBLE_LASTS).map(|(_, said)| said.clone())
    }
}

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether Kombo accepts the key. While it does not, nothing that uses the key is begun.
#[derive(Debug, Default)]
pub(crate) struct KeyGate {
    rejected: AtomicBool,
    changed: Notify,
}

impl KeyGate {
    pub(crate) fn is_open(&self) -> bool {
        !self.rejected.load(Ordering::SeqCst)
    }

    /// Kombo rejected the key.
    pub(crate) fn close(&self) {
        super::measure::key_accepted(false);
        if !self.rejected.swap(true, Ordering::SeqCst) {
            tracing::error!(
                "Kombo rejects the key: nothing is fetched until it is accepted again; check kombo.api_key"
            );
            self.changed.notify_waiters();
        }
    }

    /// Kombo accepts the key again; whether it did not before.
    pub(crate) fn open(&self) -> bool {
        super::measure::key_accepted(true);
        let was_closed = self.rejected.swap(false, Ordering::SeqCst);
        if was_closed {
            tracing::info!("Kombo accepts the key again");
            self.changed.notify_waiters();
        }
        was_closed
    }
}
